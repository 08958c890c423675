/* SPDX-License-Identifier: MIT */

/* The limit for serving probes: an epoll loop that sends the same bytes for whatever it receives.
 *
 *     bare-server PORT FILE
 *
 * FILE holds the whole answer, head and body. A request with "Connection: close" ends it. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "tool.h"

#define EVENTS_MAX 64

static const char close_field[] = "Connection: close";

static int server_listen(uint16_t port) {
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd, one = 1;

        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (struct sockaddr *) &at, sizeof(at)) < 0 || listen(fd, 1024) < 0)
                die("port %u", port);
        return fd;
}

/* The listener is told from connections by its number. */
static void watch(int epoll_fd, int fd) {
        epoll_watch(epoll_fd, fd, EPOLLIN, (void *) (intptr_t) fd);
}

static void server_accept(int epoll_fd, int listener) {
        int fd;

        while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
                watch(epoll_fd, fd);
        if (errno != EAGAIN)
                die("accept");
}

static void server_answer(int fd, const char *answer, size_t n) {
        char request[4096];
        ssize_t r = recv(fd, request, sizeof(request), 0);

        if (r <= 0) {
                close(fd);
                return;
        }
        send_all(fd, answer, n);
        if (memmem(request, (size_t) r, close_field, strlen(close_field)))
                close(fd);
}

int main(int argc, char *argv[]) {
        struct epoll_event events[EVENTS_MAX];
        int epoll_fd, listener, n;
        char *answer;
        size_t bytes;

        if (argc != 3 || file_read(argv[2], 65536, &answer, &bytes) < 0)
                die("usage: bare-server PORT FILE");
        epoll_fd = epoll_make();
        listener = server_listen((uint16_t) number(argv[1]));
        watch(epoll_fd, listener);
        for (;;) {
                n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
                for (int i = 0; i < n; i++) {
                        int fd = (int) (intptr_t) events[i].data.ptr;

                        if (fd == listener)
                                server_accept(epoll_fd, listener);
                        else
                                server_answer(fd, answer, bytes);
                }
        }
}
