/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "io/multi.h"
#include "loop.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define MANY   100

/* A server on the same event loop, which answers each request at once unless it is told not to. */
typedef struct Server {
        sd_event *event;
        sd_event_source *source;
        sd_event_source *connections[MANY + 1];
        unsigned n_accepted, n_requests, n_closed;
        uint16_t port;
        bool is_silent;
} Server;

typedef struct Fixture {
        sd_event *event;
        PollSet *set;
        Multi *multi;
        Server server;
} Fixture;

/* One transfer and all that its handler was told. */
typedef struct Seen {
        Fixture *fixture;
        CURL *easy;
        Transfer transfer;
        PeerWatch watch;
        unsigned n_done, n_peer_closed;
        CURLcode code;
        bool is_watching, is_added_again;
        usec_t idle_usec;
} Seen;

static int on_request(sd_event_source *s, int fd, uint32_t revents _unused_, void *userdata) {
        Server *server = userdata;
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n <= 0) {
                server->n_closed++;
                for (size_t i = 0; i <= MANY; i++)
                        if (server->connections[i] == s)
                                server->connections[i] = NULL;
                sd_event_source_disable_unref(s);
                return 0;
        }
        server->n_requests++;
        if (!server->is_silent)
                (void) send(fd, ANSWER, strlen(ANSWER), MSG_NOSIGNAL);
        return 0;
}

static int on_client(sd_event_source *s _unused_, int fd, uint32_t revents _unused_,
                     void *userdata) {
        Server *server = userdata;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        assert_true(client >= 0);
        server->n_accepted++;
        for (size_t i = 0; i <= MANY; i++) {
                sd_event_source **c = &server->connections[i];

                if (*c)
                        continue;
                assert_true(sd_event_add_io(server->event, c, client, EPOLLIN, on_request,
                                            server) >= 0);
                sd_event_source_set_io_fd_own(*c, true);
                return 0;
        }
        fail_msg("too many connections");
        return 0;
}

/* Closes all connections; those that nobody uses are closed in order. */
static void server_hang_up(Server *s) {
        for (size_t i = 0; i <= MANY; i++)
                s->connections[i] = sd_event_source_disable_unref(s->connections[i]);
}

static void server_start(Server *s, sd_event *event) {
        struct sockaddr_in a = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t length = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        *s = (Server){ .event = event };
        assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 1024), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &length), 0);
        s->port = ntohs(a.sin_port);
        assert_true(sd_event_add_io(event, &s->source, fd, EPOLLIN, on_client, s) >= 0);
        sd_event_source_set_io_fd_own(s->source, true);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
        assert_int_equal(sd_event_new(&f->event), 0);
        assert_int_equal(poll_set_new(f->event, &f->set), 0);
        assert_int_equal(multi_new(f->set, MANY, &f->multi), 0);
        server_start(&f->server, f->event);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        multi_free(f->multi);
        server_hang_up(&f->server);
        sd_event_source_disable_unref(f->server.source);
        poll_set_free(f->set);
        sd_event_unref(f->event);
        free(f);
        curl_global_cleanup();
        return 0;
}

static size_t swallow(char *bytes _unused_, size_t size, size_t n, void *userdata _unused_) {
        return size * n;
}

static void on_peer_closed(void *userdata, usec_t idle_usec) {
        Seen *s = userdata;

        s->n_peer_closed++;
        s->idle_usec = idle_usec;
}

static void on_done(void *userdata, CURLcode code) {
        Seen *s = userdata;

        s->n_done++;
        s->code = code;
        if (code == CURLE_OK)
                s->is_watching = multi_watch(&s->transfer, &s->watch, on_peer_closed, s);
        if (s->is_added_again) {
                s->is_added_again = false;
                assert_int_equal(multi_add(s->fixture->multi, &s->transfer, s->easy, on_done, s),
                                 0);
        }
}

static void seen_init(Seen *s, Fixture *f) {
        char url[64];

        snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned) f->server.port);
        *s = (Seen){ .fixture = f, .easy = curl_easy_init() };
        assert_non_null(s->easy);
        curl_easy_setopt(s->easy, CURLOPT_URL, url);
        curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
        curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, swallow);
}

static void seen_done(Seen *s) {
        peer_watch_drop(&s->watch);
        multi_remove(&s->transfer);
        curl_easy_cleanup(s->easy);
}
#define _cleanup_seen_ _cleanup_(seen_done)

static void add(Seen *s) {
        peer_watch_drop(&s->watch);
        assert_int_equal(multi_add(s->fixture->multi, &s->transfer, s->easy, on_done, s), 0);
}

static void fetch(Seen *s) {
        unsigned before = s->n_done;

        add(s);
        assert_int_equal(s->n_done, before); /* never from within multi_add() */
        loop_until(s->fixture->event, &s->n_done, before + 1);
}

static void test_connection_is_kept(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};

        seen_init(&s, f);
        fetch(&s);
        assert_int_equal(s.code, CURLE_OK);
        assert_int_equal(s.transfer.n_dialled, 1);
        assert_int_equal(s.transfer.idle_usec, 0);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        for (unsigned i = 0; i < 10; i++) {
                fetch(&s);
                assert_int_equal(s.code, CURLE_OK);
                assert_int_equal(s.transfer.n_dialled, 0);
                assert_true(i > 0 || s.transfer.idle_usec >= 20 * USEC_PER_MSEC);
        }
        assert_int_equal(f->server.n_accepted, 1);
        assert_int_equal(s.n_peer_closed, 0);
}

static void test_removed_transfer_is_silent(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        unsigned fds;

        seen_init(&s, f);
        f->server.is_silent = true;
        add(&s);
        multi_remove(&s.transfer); /* before anything happened */
        multi_remove(&s.transfer);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(f->server.n_accepted, 0);

        fds = open_fds();
        for (unsigned i = 1; i <= 20; i++) {
                add(&s);
                loop_until(f->event, &f->server.n_requests, i);
                multi_remove(&s.transfer);
                loop_until(f->event, &f->server.n_closed, i); /* its connection is gone */
        }
        assert_int_equal(s.n_done, 0);
        assert_int_equal(open_fds(), fds);
}

static void test_closed_by_the_peer_while_idle(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen a = {}, b = {};

        seen_init(&a, f);
        seen_init(&b, f);
        fetch(&a);
        fetch(&b);
        assert_true(a.is_watching && b.is_watching);
        assert_int_equal(f->server.n_accepted, 1); /* both watch the same connection */
        loop_for(f->event, 20 * USEC_PER_MSEC);
        server_hang_up(&f->server);
        loop_until(f->event, &a.n_peer_closed, 1);
        loop_until(f->event, &b.n_peer_closed, 1);
        assert_true(a.idle_usec >= 20 * USEC_PER_MSEC);
        assert_false(peer_watch_is_on(&a.watch));

        /* Told once; and the loop does not spin meanwhile. */
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(a.n_peer_closed, 1);
        fetch(&a);
        assert_int_equal(a.code, CURLE_OK);
        assert_int_equal(f->server.n_accepted, 2);
}

static void test_watch_ends_with_the_connection(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen a = {}, b = {};

        seen_init(&a, f);
        seen_init(&b, f);
        fetch(&a);
        assert_true(a.is_watching);
        /* Closed from this side. */
        curl_easy_setopt(b.easy, CURLOPT_FORBID_REUSE, 1L);
        fetch(&b);
        assert_int_equal(b.transfer.n_dialled, 0);
        assert_false(b.is_watching);
        assert_false(peer_watch_is_on(&a.watch));
        loop_until(f->event, &f->server.n_closed, 1);
        assert_int_equal(a.n_peer_closed, 0);

        fetch(&a);
        assert_true(a.is_watching);
        f->multi = multi_free(f->multi);
        assert_false(peer_watch_is_on(&a.watch));
        assert_int_equal(a.n_peer_closed, 0);
}

static void test_added_again_from_the_handler(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};

        seen_init(&s, f);
        s.is_added_again = true;
        curl_easy_setopt(s.easy, CURLOPT_FORBID_REUSE, 1L);
        add(&s);
        loop_until(f->event, &s.n_done, 2);
        assert_int_equal(s.code, CURLE_OK);
        assert_int_equal(f->server.n_requests, 2);
}

static void test_many_at_once(void **state) {
        Fixture *f = *state;
        static Seen seen[MANY];

        for (unsigned i = 0; i < MANY; i++)
                seen_init(&seen[i], f);
        for (unsigned round = 1; round <= 20; round++) {
                for (unsigned i = 0; i < MANY; i++)
                        add(&seen[i]);
                for (unsigned i = 0; i < MANY; i++) {
                        loop_until(f->event, &seen[i].n_done, round);
                        assert_int_equal(seen[i].code, CURLE_OK);
                }
        }
        assert_int_equal(f->server.n_requests, 20 * MANY);
        assert_true(f->server.n_accepted <= MANY);
        for (unsigned i = 0; i < MANY; i++)
                seen_done(&seen[i]);
}

static void test_no_descriptors(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        struct rlimit old, none;

        seen_init(&s, f);
        fetch(&s); /* whatever else libcurl opens is open */
        curl_easy_setopt(s.easy, CURLOPT_FRESH_CONNECT, 1L);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        fetch(&s);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(s.code, CURLE_COULDNT_CONNECT);
        assert_int_equal(s.transfer.socket_error, EMFILE);
        fetch(&s);
        assert_int_equal(s.code, CURLE_OK);
}

/* The loser of two attempts is closed by libcurl without a word, and its number given anew. */
static void test_two_families(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        _cleanup_fd_ int hole = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int fillers[8];
        struct curl_slist *addresses;
        char url[64], entry[128];
        unsigned fds;

        a.sin6_port = htons(f->server.port);
        if (hole < 0 || bind(hole, (struct sockaddr *) &a, sizeof(a)) < 0)
                skip();
        assert_int_equal(listen(hole, 0), 0);
        for (size_t i = 0; i < ELEMENTSOF(fillers); i++) {
                fillers[i] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void) connect(fillers[i], (struct sockaddr *) &a, sizeof(a));
        }
        seen_init(&s, f);
        snprintf(url, sizeof(url), "http://two.test:%u/", (unsigned) f->server.port);
        snprintf(entry, sizeof(entry), "two.test:%u:[::1],127.0.0.1", (unsigned) f->server.port);
        addresses = curl_slist_append(NULL, entry);
        curl_easy_setopt(s.easy, CURLOPT_URL, url);
        curl_easy_setopt(s.easy, CURLOPT_RESOLVE, addresses);
        curl_easy_setopt(s.easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 20L);
        fetch(&s);
        assert_int_equal(s.code, CURLE_OK);
        assert_int_equal(s.transfer.n_dialled, 2);

        /* Removed while both attempts are under way. */
        curl_easy_setopt(s.easy, CURLOPT_FRESH_CONNECT, 1L);
        f->server.is_silent = true;
        fds = open_fds();
        for (unsigned i = 1; i <= 10; i++) {
                add(&s);
                loop_until(f->event, &f->server.n_requests, 1 + i);
                multi_remove(&s.transfer);
                loop_until(f->event, &f->server.n_closed, i);
        }
        assert_int_equal(open_fds(), fds);
        for (size_t i = 0; i < ELEMENTSOF(fillers); i++)
                close(fillers[i]);
        curl_slist_free_all(addresses);
}

/* libcurl knows no state of a transfer any more when a callback failed: all start anew. */
static bool is_broken;
int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event) {
        if (!is_broken || op != EPOLL_CTL_ADD)
                return __real_epoll_ctl(epoll_fd, op, fd, event);
        errno = ENOMEM;
        return -1;
}

static void test_breakdown(void **state) {
        Fixture *f = *state;
        Seen seen[5];
        unsigned fds = open_fds();

        for (size_t i = 0; i < ELEMENTSOF(seen); i++) {
                seen_init(&seen[i], f);
                add(&seen[i]);
        }
        seen[0].is_added_again = true;
        is_broken = true;
        for (size_t i = 1; i < ELEMENTSOF(seen); i++) {
                loop_until(f->event, &seen[i].n_done, 1);
                is_broken = false;
                assert_int_equal(seen[i].code, CURLE_ABORTED_BY_CALLBACK);
        }
        loop_until(f->event, &seen[0].n_done, 2);
        assert_int_equal(seen[0].code, CURLE_OK);
        for (size_t i = 0; i < ELEMENTSOF(seen); i++) {
                fetch(&seen[i]);
                assert_int_equal(seen[i].code, CURLE_OK);
                seen_done(&seen[i]);
        }
        f->multi = multi_free(f->multi);
        server_hang_up(&f->server);
        assert_true(open_fds() <= fds);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_connection_is_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_removed_transfer_is_silent, setup, teardown),
                cmocka_unit_test_setup_teardown(test_closed_by_the_peer_while_idle, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_watch_ends_with_the_connection, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_added_again_from_the_handler, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_families, setup, teardown),
                cmocka_unit_test_setup_teardown(test_breakdown, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
