/* SPDX-License-Identifier: MIT */

/* The limit for checking Redis: one held connection a check, PING, compare the answer, nothing
 * else.
 *
 *     bare-redis PORT CHECKS INTERVAL_MSEC
 *
 * runs until it is killed. */

#include <string.h>
#include <sys/socket.h>

#include "tool.h"

#define EVENTS_MAX 64

static const char request[] = "*1\r\n$4\r\nPING\r\n", answer[] = "+PONG\r\n";

static void receive(int fd) {
        char buf[64];
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n != (ssize_t) strlen(answer) || memcmp(buf, answer, strlen(answer)) != 0)
                die("not the answer of Redis");
}

int main(int argc, char *argv[]) {
        struct epoll_event events[EVENTS_MAX];
        int epoll_fd, n, *fds;
        size_t n_checks, i;
        Pace pace;

        if (argc != 4)
                die("usage: bare-redis PORT CHECKS INTERVAL_MSEC");
        n_checks = number(argv[2]);
        epoll_fd = epoll_make();
        fds = calloc(n_checks, sizeof(int));
        if (!fds || n_checks == 0)
                die("no checks");
        for (i = 0; i < n_checks; i++) {
                fds[i] = dial((uint16_t) number(argv[1]));
                epoll_watch(epoll_fd, fds[i], EPOLLIN, &fds[i]);
        }
        pace_begin(&pace, n_checks, number(argv[3]) * USEC_PER_MSEC);
        for (;;) {
                while (pace_next(&pace, &i))
                        send_all(fds[i], request, strlen(request));
                n = epoll_wait(epoll_fd, events, EVENTS_MAX, pace_sleep_msec(&pace));
                for (int e = 0; e < n; e++)
                        receive(*(int *) events[e].data.ptr);
        }
}
