/* SPDX-License-Identifier: MIT */

/* Asks for the same path again and again over a number of connections, each with one request under
 * way, and checks each answer whole.
 *
 *     probe-load [--new] [--connections=N] [--requests=N] [--pause=USEC] PORT PATH STATUS
 *
 * With --new each request has a connection of its own, and asks the server to close it. --pause
 * waits between the answer and the next request of a connection. Writes one line of JSON. */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

#define EVENTS_MAX  64
#define ANSWER_MAX  65536
#define SECONDS_MAX 120

typedef struct Load Load;

typedef struct Connection {
        int fd;
        uint64_t asked_nsec;
        size_t n; /* bytes of the answer so far */
        char answer[ANSWER_MAX + 1];
} Connection;

struct Load {
        bool is_new;
        uint64_t n_connections, n_requests, pause_usec, status;
        uint16_t port;
        char request[1024];
        int epoll_fd;
        uint64_t n_asked, n_answered;
        uint64_t *latency_nsec; /* by answer */
};

static void connection_ask(Load *l, Connection *c) {
        if (l->n_asked == l->n_requests)
                return;
        l->n_asked++;
        c->n = 0;
        c->asked_nsec = now_nsec();
        if (l->is_new) {
                c->fd = dial(l->port);
                epoll_watch(l->epoll_fd, c->fd, EPOLLIN, c);
        }
        send_all(c->fd, l->request, strlen(l->request));
}

/* The bytes of the whole answer; 0 while its head is not whole. */
static size_t answer_bytes(Connection *c) {
        static const char length_field[] = "\r\nContent-Length: ";
        const char *end, *length;

        c->answer[c->n] = 0;
        end = strstr(c->answer, "\r\n\r\n");
        if (!end)
                return 0;
        length = strcasestr(c->answer, length_field);
        if (!length || length > end)
                die("an answer without its length");
        return (size_t) (end + 4 - c->answer) + strtoul(length + strlen(length_field), NULL, 10);
}

static void connection_end(Load *l, Connection *c, uint64_t nsec) {
        if (c->n < strlen("HTTP/1.1 200") || strtoul(c->answer + 9, NULL, 10) != l->status)
                die("wrong status: %.40s", c->answer);
        if (l->is_new)
                close(c->fd);
        l->latency_nsec[l->n_answered++] = nsec - c->asked_nsec;
        if (l->pause_usec > 0)
                usleep((useconds_t) l->pause_usec);
        connection_ask(l, c);
}

static void connection_receive(Load *l, Connection *c) {
        ssize_t n = recv(c->fd, c->answer + c->n, ANSWER_MAX - c->n, 0);
        size_t whole;

        if (n < 0)
                die("recv");
        c->n += (size_t) n;
        whole = answer_bytes(c);
        if (n == 0 ? whole != c->n : whole != 0 && c->n > whole)
                die("an answer of %zu bytes that should be %zu", c->n, whole);
        /* With --new the answer is over when the server has closed. */
        if (n == 0 && !l->is_new)
                die("closed");
        if (l->is_new ? n == 0 : whole == c->n)
                connection_end(l, c, now_nsec());
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static double latency_usec(const Load *l, double share) {
        return (double) l->latency_nsec[(size_t) ((double) (l->n_requests - 1) * share)] / 1000;
}

static void load_report(Load *l, uint64_t nsec) {
        qsort(l->latency_nsec, l->n_requests, sizeof(uint64_t), compare);
        printf("{\"requests\": %" PRIu64 ", \"seconds\": %.3f, \"p50_usec\": %.1f, "
               "\"p99_usec\": %.1f, \"max_usec\": %.1f}\n",
               l->n_requests, (double) nsec / 1e9, latency_usec(l, 0.5), latency_usec(l, 0.99),
               latency_usec(l, 1));
}

static void load_run(Load *l) {
        struct epoll_event events[EVENTS_MAX];
        Connection *connections = calloc(l->n_connections, sizeof(Connection));
        int n;

        if (!connections)
                die("memory");
        for (size_t i = 0; i < l->n_connections; i++) {
                if (!l->is_new) {
                        connections[i].fd = dial(l->port);
                        epoll_watch(l->epoll_fd, connections[i].fd, EPOLLIN, &connections[i]);
                }
                connection_ask(l, &connections[i]);
        }
        while (l->n_answered < l->n_requests) {
                n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, -1);
                for (int i = 0; i < n; i++)
                        connection_receive(l, events[i].data.ptr);
        }
        free(connections);
}

static void load_prepare(Load *l, char *argv[]) {
        l->port = (uint16_t) number(argv[0]);
        l->status = number(argv[2]);
        l->epoll_fd = epoll_make();
        l->latency_nsec = calloc(l->n_requests, sizeof(uint64_t));
        if (!l->latency_nsec || l->n_connections == 0)
                die("nothing to do");
        snprintf(l->request, sizeof(l->request),
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: probe-load\r\n%s\r\n",
                 argv[1], l->port, l->is_new ? "Connection: close\r\n" : "");
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "new", no_argument, NULL, 'n' },
                { "connections", required_argument, NULL, 'c' },
                { "requests", required_argument, NULL, 'r' },
                { "pause", required_argument, NULL, 'p' },
                {},
        };
        Load l = { .n_connections = 1, .n_requests = 1 };
        uint64_t begin;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'n':
                        l.is_new = true;
                        break;
                case 'c':
                        l.n_connections = number(optarg);
                        break;
                case 'r':
                        l.n_requests = number(optarg);
                        break;
                case 'p':
                        l.pause_usec = number(optarg);
                        break;
                default:
                        return EXIT_FAILURE;
                }
        if (argc - optind != 3)
                die("usage: probe-load [OPTION]... PORT PATH STATUS");
        (void) prctl(PR_SET_TIMERSLACK, 1UL);
        alarm(SECONDS_MAX);
        load_prepare(&l, argv + optind);
        begin = now_nsec();
        load_run(&l);
        load_report(&l, now_nsec() - begin);
        free(l.latency_nsec);
        return EXIT_SUCCESS;
}
