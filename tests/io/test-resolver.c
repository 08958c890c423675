/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "dns-server.h"
#include "io/resolver.h"
#include "loop.h"

#define STALL_MAX_USEC (50 * USEC_PER_MSEC)

/* A call that waits for a server that is silent would take seconds. */
#define SILENCE_STALL_MAX_USEC (400 * USEC_PER_MSEC)

typedef struct Fixture {
        sd_event *event;
        DnsServer *server;
        Resolver *resolver;
        char conf[64];
} Fixture;

/* One query and what came back. */
typedef struct Asked {
        ResolverQuery *query;
        unsigned answered;
        ResolveStatus status;
        bool is_stale;
        size_t n;
        IpAddress first, last;
        usec_t asked_usec, took_usec;
} Asked;

static void conf_write(const Fixture *f, const char *server) {
        char path[80];
        FILE *out;

        /* Replaced by rename, as dhcp clients and resolved do. */
        snprintf(path, sizeof(path), "%s.new", f->conf);
        out = fopen(path, "we");
        assert_non_null(out);
        fprintf(out, "nameserver %s\n", server);
        fclose(out);
        assert_int_equal(rename(path, f->conf), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        int fd;

        assert_non_null(f);
        strcpy(f->conf, "/tmp/vitald-resolv.XXXXXX");
        fd = mkostemp(f->conf, O_CLOEXEC);
        assert_true(fd >= 0);
        close(fd);
        f->server = dns_server_start();
        conf_write(f, "127.0.0.1");
        assert_int_equal(sd_event_new(&f->event), 0);
        ResolverOptions o = { .resolv_conf = f->conf, .port = dns_server_port(f->server) };
        assert_int_equal(resolver_new(f->event, &o, &f->resolver), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        resolver_free(f->resolver);
        sd_event_unref(f->event);
        dns_server_stop(f->server);
        unlink(f->conf);
        free(f);
        return 0;
}

static void on_answer(void *userdata, const ResolverAnswer *a) {
        Asked *q = userdata;

        q->answered++;
        q->query = NULL;
        q->took_usec = clock_usec(CLOCK_MONOTONIC) - q->asked_usec;
        q->status = a->status;
        q->is_stale = a->is_stale;
        q->n = a->n_addresses;
        if (a->n_addresses > 0) {
                q->first = a->addresses[0];
                q->last = a->addresses[a->n_addresses - 1];
        }
}

static void ask(const Fixture *f, const char *host, Asked *q) {
        *q = (Asked){ .asked_usec = clock_usec(CLOCK_MONOTONIC) };
        assert_int_equal(resolver_query(f->resolver, host, on_answer, q, &q->query), 0);
        assert_int_equal(q->answered, 0);
}

static void ask_and_wait(const Fixture *f, const char *host, Asked *q) {
        ask(f, host, q);
        loop_until(f->event, &q->answered, 1);
        assert_int_equal(q->answered, 1);
}

/* While a name fails its last good addresses are given out at once; the lookup goes on behind. */
static void ask_until_fresh(const Fixture *f, const char *host, Asked *q) {
        for (unsigned i = 0; i < 1000; i++) {
                ask_and_wait(f, host, q);
                if (!q->is_stale)
                        return;
                loop_for(f->event, 10 * USEC_PER_MSEC);
        }
        fail_msg("%s stays stale", host);
}

static void assert_ip(const IpAddress *ip, const char *text) {
        char buf[IP_TEXT_MAX];

        assert_string_equal(ip_format(buf, ip), text);
}

static void test_what_needs_no_server(void **state) {
        Fixture *f = *state;
        Asked q;

        ask_and_wait(f, "10.1.2.3", &q);
        assert_int_equal(q.status, RESOLVE_OK);
        assert_int_equal(q.n, 1);
        assert_ip(&q.first, "10.1.2.3");
        ask_and_wait(f, "2001:db8::5", &q);
        assert_ip(&q.first, "2001:db8::5");
        ask_and_wait(f, "localhost", &q);
        assert_int_equal(q.n, 2);
        assert_ip(&q.first, "127.0.0.1");
        assert_ip(&q.last, "::1");
        assert_int_equal(dns_server_queries(f->server), 0);
}

/* The first name in /etc/hosts that is not localhost: hosts go before servers. */
static void test_hosts_file(void **state) {
        Fixture *f = *state;
        char line[512], ip[64], name[256];
        bool found = false;
        FILE *hosts = fopen("/etc/hosts", "re");
        Asked q;

        while (hosts && !found && fgets(line, sizeof(line), hosts))
                found = sscanf(line, "%63[0-9.] %255s", ip, name) == 2 && !host_is_localhost(name);
        if (hosts)
                fclose(hosts);
        if (!found) {
                print_message("# /etc/hosts names nothing but localhost\n");
                skip();
        }
        ask_and_wait(f, name, &q);
        assert_int_equal(q.status, RESOLVE_OK);
        assert_int_equal(dns_server_queries(f->server), 0);
}

static void test_fault_25_answers(void **state) {
        static const struct {
                const char *host;
                ResolveStatus status;
                size_t n;
        } table[] = {
                { "one.test", RESOLVE_OK, 2 },
                { "six.test", RESOLVE_OK, 1 },
                { "nx.test", RESOLVE_NOT_FOUND, 0 },
                { "empty.test", RESOLVE_NO_ADDRESS, 0 },
                { "circle.test", RESOLVE_NO_ADDRESS, 0 },
                { "fail.test", RESOLVE_SERVER_FAILED, 0 },
                { "many.test", RESOLVE_OK, RESOLVER_ADDRESSES_MAX },
        };
        Fixture *f = *state;
        Asked q;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ask_and_wait(f, table[i].host, &q);
                if (q.status != table[i].status || q.n != table[i].n || q.is_stale)
                        fail_msg("%s: %s, %zu addresses", table[i].host,
                                 resolve_status_text(q.status), q.n);
        }
}

/* 1,000 addresses are sorted by c-ares before it hands them out. */
static void test_fault_25_many_addresses(void **state) {
        usec_t worst = USEC_INFINITY;
        static const char *const hosts[] = { "many.one", "many.two", "many.three" };
        Fixture *f = *state;
        Asked q;
        Lag lag;

        for (unsigned i = 0; i < ELEMENTSOF(hosts) && worst > STALL_MAX_USEC; i++) {
                lag_watch(&lag, f->event);
                ask_and_wait(f, hosts[i], &q);
                worst = lag_stop(&lag);
                assert_int_equal(q.n, RESOLVER_ADDRESSES_MAX);
        }
        print_message("# worst stall of the loop %llu us\n", (unsigned long long) worst);
        assert_true(worst < STALL_MAX_USEC);
}

static void test_fault_25_changing_answer(void **state) {
        Fixture *f = *state;
        Asked a, b;

        ask_and_wait(f, "changing.test", &a);
        ask_and_wait(f, "changing.test", &b);
        assert_int_equal(b.status, RESOLVE_OK);
        assert_false(ip_equal(&a.first, &b.first));
}

static void test_time_to_live(void **state) {
        Fixture *f = *state;
        Asked q[50];

        for (size_t i = 0; i < ELEMENTSOF(q); i++)
                ask(f, "one.test", &q[i]);
        for (size_t i = 0; i < ELEMENTSOF(q); i++)
                loop_until(f->event, &q[i].answered, 1);
        ask_and_wait(f, "one.test", &q[0]);
        assert_int_equal(q[0].status, RESOLVE_OK);
        assert_int_equal(dns_server_queries(f->server), 1);
}

/* 300 names at once at a server that never answers: the loop goes on turning, what needs no server
 * is answered, and dropping a query is immediate. */
static usec_t black_hole_round(const Fixture *f) {
        Asked q[300], other;
        usec_t began, worst;
        char host[32];
        Lag lag;

        lag_watch(&lag, f->event);
        for (size_t i = 0; i < ELEMENTSOF(q); i++) {
                snprintf(host, sizeof(host), "hole%zu.test", i);
                ask(f, host, &q[i]);
        }
        ask_and_wait(f, "localhost", &other);
        assert_int_equal(other.status, RESOLVE_OK);
        loop_for(f->event, 700 * USEC_PER_MSEC);
        worst = lag_stop(&lag);
        began = clock_usec(CLOCK_MONOTONIC);
        for (size_t i = 0; i < ELEMENTSOF(q); i++) {
                assert_int_equal(q[i].answered, 0);
                q[i].query = resolver_query_free(q[i].query);
        }
        worst = MAX(worst, clock_usec(CLOCK_MONOTONIC) - began);
        loop_for(f->event, 50 * USEC_PER_MSEC);
        for (size_t i = 0; i < ELEMENTSOF(q); i++)
                assert_int_equal(q[i].answered, 0);
        return worst;
}

static void test_fault_25_black_hole(void **state) {
        usec_t worst = USEC_INFINITY;

        /* A busy machine may hold us up; a blocking call does so each time. */
        for (unsigned i = 0; i < 3 && worst > SILENCE_STALL_MAX_USEC; i++)
                worst = black_hole_round(*state);
        print_message("# worst stall of the loop %llu us\n", (unsigned long long) worst);
        assert_true(worst < SILENCE_STALL_MAX_USEC);
}

static void test_fault_25_timeout_is_told(void **state) {
        Fixture *f = *state;
        Asked q;

        ask_and_wait(f, "hole.test", &q);
        assert_int_equal(q.status, RESOLVE_TIMEOUT);
        assert_int_equal(q.n, 0);
}

static void test_fault_25_no_server(void **state) {
        Fixture *f = *state;
        Asked q;

        conf_write(f, "127.0.0.250");
        ask_and_wait(f, "one.test", &q);
        assert_int_equal(q.status, RESOLVE_UNREACHABLE);
}

static void test_fault_25_last_good(void **state) {
        static const struct {
                DnsMood mood;
                ResolveStatus status;
        } table[] = {
                { DNS_SERVFAIL, RESOLVE_SERVER_FAILED },
                { DNS_IS_SILENT, RESOLVE_TIMEOUT },
        };
        Fixture *f = *state;
        Asked q;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                dns_server_set_mood(f->server, DNS_ANSWERS);
                ask_until_fresh(f, "mood.test", &q);
                assert_int_equal(q.status, RESOLVE_OK);
                dns_server_set_mood(f->server, table[i].mood);
                ask_and_wait(f, "mood.test", &q);
                assert_int_equal(q.status, table[i].status);
                assert_true(q.is_stale);
                assert_int_equal(q.n, 1);
                assert_ip(&q.first, "192.0.2.7");
                /* Well before c-ares itself gives up. */
                assert_true(q.took_usec < 2 * USEC_PER_SEC);
        }
        dns_server_set_mood(f->server, DNS_NXDOMAIN);
        ask_until_fresh(f, "mood.test", &q);
        assert_int_equal(q.status, RESOLVE_NOT_FOUND);
        assert_int_equal(q.n, 0);
        dns_server_set_mood(f->server, DNS_SERVFAIL);
        ask_and_wait(f, "mood.test", &q);
        assert_int_equal(q.n, 0);
}

/* The lookup under way goes to the new server, at once. */
static void test_fault_25_resolv_conf_replaced(void **state) {
        Fixture *f = *state;
        Asked held, q;

        dns_server_set_mood(f->server, DNS_IS_SILENT);
        ask(f, "mood.test", &held);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(held.answered, 0);
        dns_server_set_mood(f->server, DNS_ANSWERS);
        conf_write(f, "127.0.0.1");
        ask_and_wait(f, "one.test", &q);
        assert_int_equal(q.status, RESOLVE_OK);
        loop_until(f->event, &held.answered, 1);
        assert_int_equal(held.status, RESOLVE_OK);
        assert_true(held.took_usec < 400 * USEC_PER_MSEC);
}

typedef struct Pair {
        ResolverQuery *queries[2];
        unsigned answered;
} Pair;

static void on_pair(void *userdata, const ResolverAnswer *a _unused_) {
        Pair *p = userdata;

        p->answered++;
        p->queries[1] = resolver_query_free(p->queries[1]);
}

/* A handler may drop another query that is due in the same turn. */
static void test_drop_from_handler(void **state) {
        Fixture *f = *state;
        Pair p = {};

        for (size_t i = 0; i < 2; i++)
                assert_int_equal(
                        resolver_query(f->resolver, "127.0.0.1", on_pair, &p, &p.queries[i]), 0);
        loop_until(f->event, &p.answered, 1);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(p.answered, 1);
}

static void test_bounds(void **state) {
        Fixture *f = *state;
        static Asked q[RESOLVER_NAMES_MAX + 1];
        char host[32];

        for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++) {
                snprintf(host, sizeof(host), "hole%zu.test", i);
                ask(f, host, &q[i]);
        }
        assert_int_equal(resolver_query(f->resolver, "one.test", on_answer, &q[RESOLVER_NAMES_MAX],
                                        &q[RESOLVER_NAMES_MAX].query),
                         -EAGAIN);
        for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++)
                q[i].query = resolver_query_free(q[i].query);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_what_needs_no_server),
                TEST(test_hosts_file),
                TEST(test_fault_25_answers),
                TEST(test_fault_25_many_addresses),
                TEST(test_fault_25_changing_answer),
                TEST(test_time_to_live),
                TEST(test_fault_25_black_hole),
                TEST(test_fault_25_timeout_is_told),
                TEST(test_fault_25_no_server),
                TEST(test_fault_25_last_good),
                TEST(test_fault_25_resolv_conf_replaced),
                TEST(test_drop_from_handler),
                TEST(test_bounds),
        };

        return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
