/* SPDX-License-Identifier: MIT */

/* The limit for checking HTTP with libcurl: one easy handle and one held connection a check,
 * driven by epoll and curl_multi_socket_action().
 *
 *     bare-http URL CHECKS INTERVAL_MSEC
 *
 * runs until it is killed. */

#include <curl/curl.h>

#include "tool.h"

#define EVENTS_MAX 64

typedef struct Client {
        CURLM *multi;
        int epoll_fd;
        usec_t due_usec; /* when libcurl wants to be called without an event */
} Client;

static size_t drop(char *bytes _unused_, size_t size, size_t n, void *userdata _unused_) {
        return size * n;
}

static int timer_wanted(CURLM *multi _unused_, long msec, void *userdata) {
        Client *c = userdata;

        c->due_usec = msec < 0 ? USEC_INFINITY
                               : clock_usec(CLOCK_MONOTONIC) + USEC_PER_MSEC * (usec_t) msec;
        return 0;
}

/* A kept connection stays in the epoll set, so that it is added once. */
static int socket_wanted(CURL *easy _unused_, curl_socket_t fd, int what, void *userdata,
                         void *known _unused_) {
        Client *c = userdata;
        struct epoll_event e = { .data.fd = fd };

        if (what == CURL_POLL_REMOVE)
                return 0;
        e.events = what == CURL_POLL_IN ? EPOLLIN : EPOLLOUT;
        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, fd, &e) < 0 &&
            epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
                die("epoll_ctl");
        return 0;
}

static void act(Client *c, int fd, int mask) {
        CURLMsg *message;
        int n;
        long status;

        if (curl_multi_socket_action(c->multi, fd, mask, &n) != CURLM_OK)
                die("libcurl");
        while ((message = curl_multi_info_read(c->multi, &n))) {
                if (message->data.result != CURLE_OK ||
                    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status) !=
                            CURLE_OK ||
                    status != 200)
                        die("not the answer: %s", curl_easy_strerror(message->data.result));
                (void) curl_multi_remove_handle(c->multi, message->easy_handle);
        }
}

static CURL *easy_make(const char *url) {
        CURL *easy = curl_easy_init();

        if (!easy || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)
                die("libcurl");
        (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
        (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void) curl_easy_setopt(easy, CURLOPT_PROXY, "");
        return easy;
}

static void client_begin(Client *c, size_t n_checks) {
        *c = (Client){ curl_multi_init(), epoll_make(), USEC_INFINITY };
        if (!c->multi)
                die("libcurl");
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        (void) curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long) n_checks);
}

static int sleep_msec(const Client *c, const Pace *pace) {
        usec_t now = clock_usec(CLOCK_MONOTONIC), curl = usec_sub(c->due_usec, now);
        int msec = pace_sleep_msec(pace);

        return curl / USEC_PER_MSEC < (usec_t) msec ? (int) (curl / USEC_PER_MSEC) : msec;
}

int main(int argc, char *argv[]) {
        struct epoll_event events[EVENTS_MAX];
        size_t n_checks, i;
        CURL **easies;
        Client c;
        Pace pace;
        int n;

        if (argc != 4 || curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
                die("usage: bare-http URL CHECKS INTERVAL_MSEC");
        n_checks = number(argv[2]);
        client_begin(&c, n_checks);
        easies = calloc(n_checks, sizeof(CURL *));
        if (!easies || n_checks == 0)
                die("no checks");
        for (i = 0; i < n_checks; i++)
                easies[i] = easy_make(argv[1]);
        pace_begin(&pace, n_checks, number(argv[3]) * USEC_PER_MSEC);
        for (;;) {
                while (pace_next(&pace, &i))
                        if (curl_multi_add_handle(c.multi, easies[i]) != CURLM_OK)
                                die("libcurl");
                n = epoll_wait(c.epoll_fd, events, EVENTS_MAX, sleep_msec(&c, &pace));
                if (c.due_usec <= clock_usec(CLOCK_MONOTONIC)) {
                        c.due_usec = USEC_INFINITY;
                        act(&c, CURL_SOCKET_TIMEOUT, 0);
                }
                for (int e = 0; e < n; e++)
                        act(&c, events[e].data.fd,
                            (events[e].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                                    (events[e].events & EPOLLOUT ? CURL_CSELECT_OUT : 0));
        }
}
