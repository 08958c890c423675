/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "output/http-probers.h"

#define START (1000 * USEC_PER_SEC)

static HttpSlice slice(const char *text) {
        return text ? (HttpSlice){ text, strlen(text) } : (HttpSlice){};
}

static HttpPeer peer_of(unsigned last) {
        HttpPeer peer = {};

        peer.address.s6_addr[10] = peer.address.s6_addr[11] = 0xff;
        peer.address.s6_addr[12] = 10;
        peer.address.s6_addr[14] = (unsigned char) (last >> 8);
        peer.address.s6_addr[15] = (unsigned char) last;
        return peer;
}

static void ask(HttpProbers *p, unsigned from, const char *path, const char *agent, bool is_ready,
                usec_t now) {
        HttpRequest request = { .path = slice(path), .user_agent = slice(agent) };
        HttpPeer peer = peer_of(from);

        http_probers_note(p, &request, &peer, is_ready ? 200 : 503, is_ready, now);
}

static size_t count(const HttpProbers *p, usec_t now) {
        size_t n = 0, at = 0;

        while (http_probers_next(p, now, &at))
                n++;
        return n;
}

static const HttpProber *only(const HttpProbers *p, usec_t now) {
        size_t at = 0;

        assert_int_equal(count(p, now), 1);
        return http_probers_next(p, now, &at);
}

static void test_who(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
        HttpRequest request = { .path = slice("/") };

        assert_non_null(p);
        assert_int_equal(count(p, START), 0);
        ask(p, 1, "/health/ready", "a", true, START);
        ask(p, 1, "/health/ready", "a", true, START);
        assert_int_equal(count(p, START), 1);
        ask(p, 2, "/health/ready", "a", true, START);
        ask(p, 1, "/health/ready/", "a", true, START);
        ask(p, 1, "/health/ready", "b", true, START);
        ask(p, 1, "/health/ready", NULL, true, START);
        assert_int_equal(count(p, START), 5);
        http_probers_note(p, &request, &(HttpPeer){ .is_local = true }, 200, true, START);
        assert_int_equal(count(p, START), 6);
}

static void test_what_it_was_told(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
        const HttpProber *i;

        assert_non_null(p);
        ask(p, 1, "/ready", "curl/8\r\xff", true, START);
        i = only(p, START);
        assert_string_equal(i->route, "/ready");
        assert_string_equal(i->agent, "curl/8 ?");
        assert_int_equal(i->status, 200);
        assert_int_equal(i->n_not_ready, 0);
        ask(p, 1, "/ready", "curl/8\r\xff", false, START);
        ask(p, 1, "/ready", "curl/8\r\xff", false, START);
        assert_int_equal(only(p, START)->status, 503);
        assert_int_equal(only(p, START)->n_not_ready, 2);
        ask(p, 1, "/ready", "curl/8\r\xff", true, START);
        assert_int_equal(only(p, START)->n_not_ready, 0);
        ask(p, 1, "/ready", "curl/8\r\xff", false, START);
        assert_int_equal(only(p, START)->n_not_ready, 1);
}

static void test_how_long(void **state _unused_) {
        static const struct {
                usec_t interval; /* 0: asks once */
                usec_t recent;   /* after the last question */
        } cases[] = {
                { 0, 10 * USEC_PER_SEC },
                { USEC_PER_MSEC, 3 * USEC_PER_SEC },
                { 2 * USEC_PER_SEC, 6 * USEC_PER_SEC },
                { 30 * USEC_PER_SEC, 60 * USEC_PER_SEC },
                { 61 * USEC_PER_SEC, 10 * USEC_PER_SEC }, /* each time like a first one */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
                usec_t now = START;

                assert_non_null(p);
                ask(p, 1, "/", NULL, true, now);
                for (int j = 0; cases[i].interval > 0 && j < 5; j++)
                        ask(p, 1, "/", NULL, true, now += cases[i].interval);
                assert_int_equal(count(p, now + cases[i].recent), 1);
                assert_int_equal(count(p, now + cases[i].recent + 1), 0);
        }
}

/* Two processes behind one name ask right behind each other, every ten seconds. */
static void test_in_pairs(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
        usec_t now = START;

        assert_non_null(p);
        for (int i = 0; i < 10; i++) {
                ask(p, 1, "/", NULL, true, now += 10 * USEC_PER_SEC);
                ask(p, 1, "/", NULL, true, now += USEC_PER_MSEC);
        }
        assert_int_equal(count(p, now + 25 * USEC_PER_SEC), 1);

        /* One that asks more often from now on is soon taken at its word. */
        for (int i = 0; i < 50; i++)
                ask(p, 1, "/", NULL, true, now += USEC_PER_SEC);
        assert_int_equal(count(p, now + 3 * USEC_PER_SEC), 1);
        assert_int_equal(count(p, now + 4 * USEC_PER_SEC), 0);
}

static void test_too_many(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
        char agent[200];
        size_t at = 0;

        assert_non_null(p);
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(agent, sizeof(agent), "%0100u", i);
                ask(p, i, "/", agent, true, START + i);
                ask(p, 5000, "/", "the one that stays", false, START + i);
        }
        assert_int_equal(count(p, START + 1000), HTTP_PROBERS_MAX);
        for (const HttpProber *i; (i = http_probers_next(p, START + 1000, &at));) {
                assert_true(i->seen_usec >= START + 1000 - HTTP_PROBERS_MAX);
                if (strcmp(i->agent, "the one that stays") == 0)
                        assert_int_equal(i->n_not_ready, 1000);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who),      cmocka_unit_test(test_what_it_was_told),
                cmocka_unit_test(test_how_long), cmocka_unit_test(test_in_pairs),
                cmocka_unit_test(test_too_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
