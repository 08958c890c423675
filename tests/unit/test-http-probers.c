/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "output/probers-file.h"

#define START (1000 * USEC_PER_SEC)
#define BOOT  "0123456789abcdef0123456789abcdef"

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

static char *format(const HttpProbers *p, usec_t now) {
        _cleanup_strbuf_ StrBuf b = {};
        char *text = NULL;

        probers_file_format(&b, p, BOOT, now);
        assert_int_equal(strbuf_finish(&b, &text), 0);
        return text;
}

static int parse(HttpProbers *p, const char *text, usec_t now) {
        char why[PROBERS_FILE_WHY_MAX] = "";
        int r = probers_file_parse(text, strlen(text), BOOT, now, p, why);

        assert_true(r == 0 || *why);
        return r;
}

/* They are known again when they ask next, and have read nothing yet. */
static void test_over_a_restart(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new(), *q = http_probers_new();
        _cleanup_free_ char *text = NULL;
        HttpPeer local = { .is_local = true };
        HttpRequest request = { .path = slice("/health/ready/a\"b") };
        usec_t now = START + 4 * USEC_PER_SEC;
        const HttpProber *i;
        size_t at = 0;

        ask(p, 1, "/health/ready", "haproxy", true, START);
        ask(p, 1, "/health/ready", "haproxy", false, now);
        ask(p, 2, "/old", "x", true, START - USEC_PER_MINUTE);
        http_probers_note(p, &request, &local, 503, false, now);
        text = format(p, now);
        assert_int_equal(parse(q, text, now), 0);
        assert_int_equal(count(q, now), 2);
        i = http_probers_next(q, now, &at);
        assert_int_equal(i->status, 503);
        assert_int_equal(i->n_not_ready, 0);
        assert_int_equal(i->interval_usec, 4 * USEC_PER_SEC);
        at = 0;
        ask(q, 1, "/health/ready", "haproxy", true, now + 4 * USEC_PER_SEC);
        http_probers_note(q, &request, &local, 200, true, now + USEC_PER_SEC);
        assert_int_equal(count(q, now + 4 * USEC_PER_SEC), 2);
        i = http_probers_next(q, now, &at);
        assert_string_equal(i->agent, "haproxy");
        assert_int_equal(i->interval_usec, 4 * USEC_PER_SEC);
        assert_int_equal(i->n_not_ready, 0);
}

static void test_kept_badly(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { "", -EBADMSG },
                { "[]", -EBADMSG },
                { "{\"boot\":\"other\",\"probers\":[]}", -ESTALE },
                { "{\"boot\":\"" BOOT "\"}", -EBADMSG },
                { "{\"boot\":\"" BOOT "\",\"probers\":[1]}", -EBADMSG },
                { "{\"boot\":\"" BOOT "\",\"probers\":[{\"address\":\"x\"}]}", -EBADMSG },
                { "{\"boot\":\"" BOOT "\",\"probers\":[{\"seen\":-1}]}", -EBADMSG },
                { "{\"boot\":\"" BOOT "\",\"probers\":[{\"agent\":{}}]}", -EBADMSG },
                { "{\"boot\":\"" BOOT "\",\"probers\":[]}", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();

                assert_int_equal(parse(p, cases[i].text, START), cases[i].r);
                assert_int_equal(count(p, START), 0);
        }
}

/* Whatever stands in the file, nobody is from the future, and nobody stays longer than he may. */
static void test_mutations(void **state _unused_) {
        _cleanup_(http_probers_freep) HttpProbers *p = http_probers_new();
        _cleanup_free_ char *text = NULL;
        uint64_t random = 1;

        for (unsigned i = 0; i < 5; i++)
                ask(p, i, "/health/ready", "haproxy", true, START);
        text = format(p, START);
        for (unsigned i = 0; i < 10000; i++) {
                _cleanup_(http_probers_freep) HttpProbers *q = http_probers_new();
                _cleanup_free_ char *copy = strdup(text);

                for (unsigned k = 0; k <= i % 3; k++) {
                        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                        copy[(random >> 33) % strlen(text)] = (char) (1 + (random >> 20) % 255);
                }
                parse(q, copy, START);
                assert_int_equal(count(q, START + HTTP_PROBER_PERIOD_MAX + 1), 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who),        cmocka_unit_test(test_what_it_was_told),
                cmocka_unit_test(test_how_long),   cmocka_unit_test(test_in_pairs),
                cmocka_unit_test(test_too_many),   cmocka_unit_test(test_over_a_restart),
                cmocka_unit_test(test_kept_badly), cmocka_unit_test(test_mutations),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
