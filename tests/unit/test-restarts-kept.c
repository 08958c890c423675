/* SPDX-License-Identifier: MIT */
/* What is kept of restarts: read back as it was, and nothing believed that is not. */

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "fixture.h"
#include "output/restart-kept.h"

#define BOOT      "0123456789abcdef0123456789abcdef"
#define MUTATIONS 10000

static Actions *make_actions(void) {
        const FixtureService services[] = { { "orders", .unit = "a.service" }, { "shop" } };
        _cleanup_(config_unrefp) Config *c = fixture_config(services, 2);
        Actions *a = fixture_need(actions_new(fixture_time(0)));

        c->daemon.restart_budget_burst = 5;
        c->daemon.restart_budget_interval_usec = 600 * SEC;
        c->services[0].restart_backoff_usec = 10 * SEC;
        c->services[0].restart_backoff_max_usec = 300 * SEC;
        assert_int_equal(actions_configure(a, c), 0);
        return a;
}

static char *make_text(void) {
        _cleanup_(actions_freep) Actions *a = make_actions();
        _cleanup_strbuf_ StrBuf b = {};
        char *text;

        a->restarts[0].counts = (RestartCounts){
                .n_total = 7,
                .n_in_row = 2,
                .last_boottime = fixture_time(5 * SEC).boottime,
                .last_realtime = fixture_time(5 * SEC).realtime,
                .static_boottime = fixture_time(6 * SEC).boottime,
                .static_realtime = fixture_time(6 * SEC).realtime,
        };
        restart_budget_take(&a->budget, fixture_time(5 * SEC).boottime);
        restart_budget_take(&a->budget, fixture_time(6 * SEC).boottime);
        restart_kept_format(a, BOOT, &b);
        assert_int_equal(strbuf_finish(&b, &text), 0);
        return text;
}

static int take(Actions *a, const char *text) {
        return restart_kept_take(a, BOOT, text, strlen(text), fixture_time(10 * SEC));
}

static bool is_untouched(const Actions *a) {
        return a->budget.n_spent == 0 && a->restarts[0].counts.n_total == 0 &&
               a->restarts[1].counts.n_total == 0;
}

static void test_as_it_was(void **state _unused_) {
        _cleanup_(actions_freep) Actions *a = make_actions();
        _cleanup_free_ char *text = make_text();
        usec_t now = fixture_time(10 * SEC).boottime;

        assert_int_equal(take(a, text), 0);
        assert_int_equal(a->restarts[0].counts.n_total, 7);
        assert_int_equal(a->restarts[0].counts.n_in_row, 2);
        assert_int_equal(a->restarts[0].counts.static_boottime, fixture_time(6 * SEC).boottime);
        assert_int_equal(a->restarts[0].next_boottime, fixture_time(25 * SEC).boottime);
        assert_int_equal(a->restarts[1].counts.n_total, 0);
        assert_int_equal(restart_budget_left(&a->budget, now), 3);
        assert_int_equal(restart_budget_left(&a->budget, now + 595 * SEC), 4);
}

static void test_of_another_boot(void **state _unused_) {
        _cleanup_(actions_freep) Actions *a = make_actions();
        _cleanup_free_ char *text = make_text();

        text[strlen("{\"boot\":\"")] = 'f';
        assert_int_equal(take(a, text), 0);
        assert_true(is_untouched(a));
}

static void test_refused(void **state _unused_) {
        static const char *const texts[] = {
                "",
                "null",
                "[]",
                "{}",
                "{\"boot\":\"" BOOT "\",\"budget\":[],\"services\":[]}",
                "{\"boot\":\"" BOOT "\",\"budget\":[-1],\"services\":{}}",
                "{\"boot\":\"" BOOT "\",\"budget\":[1.5],\"services\":{}}",
                "{\"boot\":\"" BOOT "\",\"budget\":[\"1\"],\"services\":{}}",
                "{\"boot\":\"" BOOT "\",\"budget\":[99999999999999999999],\"services\":{}}",
                "{\"boot\":\"" BOOT "\",\"budget\":[],\"services\":{},\"more\":1}",
                "{\"boot\":\"" BOOT "\",\"budget\":[1],\"services\":{\"orders\":{\"total\":1}}}",
                "{\"boot\":\"" BOOT "\",\"budget\":[1],\"services\":{\"../x\":{}}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(actions_freep) Actions *a = make_actions();

                assert_int_equal(take(a, texts[i]), -EBADMSG);
                assert_true(is_untouched(a));
        }
}

/* Of the future, or from nowhere: what is taken never forbids restarts for longer than an interval,
 * and nothing breaks. */
static void test_mutations(void **state _unused_) {
        _cleanup_free_ char *text = make_text();
        usec_t now = fixture_time(10 * SEC).boottime;
        size_t n = strlen(text), n_refused = 0;
        uint64_t random = 1;

        for (unsigned i = 0; i < MUTATIONS; i++) {
                _cleanup_(actions_freep) Actions *a = make_actions();
                _cleanup_free_ char *copy = fixture_need(strdup(text));

                for (unsigned k = 0; k < 1 + i % 3; k++) {
                        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                        if (random >> 63)
                                copy[(random >> 33) % n] = (char) ('0' + (random >> 20) % 10);
                        else
                                copy[(random >> 33) % n] = (char) (1 + (random >> 20) % 255);
                }
                if (take(a, copy) < 0) {
                        assert_true(is_untouched(a));
                        n_refused++;
                }
                assert_int_equal(restart_budget_left(&a->budget, now + 600 * SEC), 5);
                assert_true(a->restarts[0].next_boottime <= now + 300 * SEC);
                assert_true(a->restarts[0].counts.n_total >= a->restarts[0].counts.n_in_row);
        }
        assert_in_range(n_refused, MUTATIONS / 4, MUTATIONS - MUTATIONS / 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_it_was),
                cmocka_unit_test(test_of_another_boot),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_mutations),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
