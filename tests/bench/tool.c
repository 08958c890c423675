/* SPDX-License-Identifier: MIT */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"

void die(const char *format, ...) {
        int error = errno;
        va_list ap;

        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
        exit(EXIT_FAILURE);
}

uint64_t number(const char *argument) {
        uint64_t n;

        if (parse_uint64(argument, &n) < 0)
                die("%s is no number", argument);
        return n;
}

uint64_t now_nsec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000U + (uint64_t) t.tv_nsec;
}

int dial(uint16_t port) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd, one = 1;

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0)
                die("port %u", port);
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
            fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                die("socket");
        return fd;
}

void send_all(int fd, const void *bytes, size_t n) {
        if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t) n)
                die("send");
}

int epoll_make(void) {
        int fd = epoll_create1(EPOLL_CLOEXEC);

        if (fd < 0)
                die("epoll");
        return fd;
}

void epoll_watch(int epoll_fd, int fd, uint32_t events, void *data) {
        struct epoll_event e = { .events = events, .data.ptr = data };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
                die("epoll_ctl");
}

void pace_begin(Pace *p, size_t n, usec_t interval_usec) {
        *p = (Pace){ n, clock_usec(CLOCK_MONOTONIC), interval_usec, 0 };
}

/* The checks are spread evenly over the interval, and start at the grid point after their time. */
static usec_t pace_due(const Pace *p) {
        usec_t due = p->begin_usec + p->n_started * p->interval_usec / p->n;

        return due + GRID_USEC - due % GRID_USEC;
}

bool pace_next(Pace *p, size_t *ret) {
        if (pace_due(p) > clock_usec(CLOCK_MONOTONIC))
                return false;
        *ret = p->n_started++ % p->n;
        return true;
}

int pace_sleep_msec(const Pace *p) {
        usec_t sleep = usec_sub(pace_due(p), clock_usec(CLOCK_MONOTONIC));

        return (int) ((sleep + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}
