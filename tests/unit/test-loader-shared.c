/* SPDX-License-Identifier: MIT */
/* checks/NAME.conf and From=. */

#include "loader.h"

#include <string.h>

#include "base/text.h"

#define SHARED "[Check]\nType=plain\nAddress=db:5432\nInterval=5s\n"

static void test_from(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf", "[Defaults]\nProbes=startup\nTimeout=3s\n" },
                { "usr/lib/vitald/checks/db.conf",
                  SHARED "FailureThreshold=4\nCode=1\nWarn=5\nWarn=6\nDescription=The database\n" },
                { "etc/vitald/checks/db.conf.d/slow.conf", "[Check]\nInterval=7s\n" },
                { "etc/vitald/checks/unused.conf", SHARED },
                { "etc/vitald/services/a.conf",
                  GOOD "[Check database]\nFrom=db\nCritical=no\nProbes=readiness\nWarn=7\n" },
                { "etc/vitald/services/b.conf", "[Check pg]\nFrom=db\nFailureThreshold=9\n" },
                { "etc/vitald/services/b.conf.d/x.conf", "[Check pg]\nShadow=yes\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const CheckConfig *a, *b;
        size_t first, second;

        assert_faults(c, "");
        assert_outline(c, "a(app database) b(pg)");
        a = check_of(c, "a", "database");
        b = check_of(c, "b", "pg");
        assert_true(check_config_same_target(a, b));
        assert_string_equal(a->shared, "db");
        assert_string_equal(a->target.text, "db:5432");
        assert_string_equal(a->id, "a/database");
        assert_int_equal(a->interval_usec, 7 * USEC_PER_SEC);
        assert_int_equal(a->timeout_usec, 3 * USEC_PER_SEC);
        assert_string_equal(b->description, "The database");

        /* own keys over those of the shared check over the defaults */
        assert_int_equal(a->probes, 1 << PROBE_READINESS);
        assert_int_equal(b->probes, 1 << PROBE_STARTUP);
        assert_false(a->is_critical);
        assert_true(b->is_critical && b->is_shadow);
        assert_int_equal(a->failure_threshold, 4);
        assert_int_equal(b->failure_threshold, 9);
        assert_int_equal(a->warn.n, 1);
        assert_string_equal(a->warn.items[0].text, "7");
        assert_int_equal(b->warn.n, 2);

        first = config_find_check(c, "a", "database");
        second = config_find_check(c, "b", "pg");
        assert_int_equal(config_runs_as(c, second), first);
        assert_int_equal(config_runs_as(c, first), first);
        assert_int_equal(c->shares[first].next, second);
        assert_int_equal(c->shares[second].next, INDEX_NONE);
        assert_int_equal(config_find_shared(c, "db"), first);
        assert_int_equal(config_find_shared(c, "unused"), INDEX_NONE);
        assert_int_equal(config_runs_as(c, config_find_check(c, "a", "app")),
                         config_find_check(c, "a", "app"));
}

static void test_each_run_serves_its_own(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/checks/x.conf", SHARED },
                { "etc/vitald/checks/y.conf", SHARED },
                { "etc/vitald/services/a.conf", "[Check 1]\nFrom=y\n[Check 2]\nFrom=x\n" },
                { "etc/vitald/services/b.conf", "[Check 1]\nFrom=x\n" GOOD "[Check 3]\nFrom=y\n" },
                { "etc/vitald/services/c.conf", "[Check 1]\nFrom=y\n" },
                { NULL, NULL },
        };
        static const char *const served[][4] = {
                { "a/1", "b/3", "c/1", NULL },
                { "a/2", "b/1", NULL },
                { "b/app", NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);

        assert_faults(c, "");
        for (size_t i = 0; i < ELEMENTSOF(served); i++) {
                const char *const *expected = served[i];
                size_t leader = 0;

                while (!str_equal(c->checks[leader]->id, *expected))
                        leader++;
                CONFIG_FOREACH_SERVED(j, c, leader) {
                        assert_non_null(*expected);
                        assert_string_equal(c->checks[j]->id, *expected++);
                        assert_int_equal(config_runs_as(c, j), leader);
                }
                assert_null(*expected);
        }
}

static void test_nothing_is_shared(void **state _unused_) {
        static const File files[] = { { "etc/vitald/services/a.conf", GOOD }, { NULL, NULL } };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        size_t n = 0;

        assert_null(c->shares);
        assert_int_equal(config_find_shared(c, "db"), INDEX_NONE);
        CONFIG_FOREACH_SERVED(i, c, 0)
                n++;
        assert_int_equal(n, 1);
}

static void test_faults(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/checks/db.conf", SHARED },
                { "etc/vitald/checks/bad.conf", "[Check]\nType=plain\nAdress=x\n" },
                { "etc/vitald/checks/named.conf", "[Check db]\nType=plain\nAddress=x\n" },
                { "etc/vitald/checks/chain.conf", "[Check]\nFrom=db\n" },
                { "etc/vitald/checks/b c.conf", SHARED },
                { "etc/vitald/services/a.conf", "[Check x]\nFrom=dbb\n" },
                { "etc/vitald/services/b.conf", "[Check x]\nFrom=bad\n" },
                { "etc/vitald/services/c.conf",
                  "[Check "
                  "x]\nFrom=db\nInterval=1s\nAddress=y\nType=plain\nMaxAge=1h\nCritcal=no\n" },
                { "etc/vitald/services/d.conf", "[Check x]\nFrom=nothing\n" },
                { "etc/vitald/services/good.conf", "[Check x]\nFrom=db\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);

        assert_faults(
                c,
                "/etc/vitald/checks/b c.conf: a shared check's name has at most 64 letters, digits "
                "and \"_.@:-\" and does not begin with a dot\n"
                "/etc/vitald/checks/bad.conf:3: unknown key Adress= in [Check]; did you mean "
                "Address=?\n"
                "/etc/vitald/checks/bad.conf:1: Address= in [Check]: required, but not set\n"
                "/etc/vitald/checks/chain.conf:2: From= in [Check]: a shared check is not taken "
                "from another\n"
                "/etc/vitald/checks/named.conf:1: unknown section [Check db]; a shared check "
                "stands in [Check]\n"
                "/etc/vitald/checks/named.conf: no section [Check]\n"
                "/etc/vitald/services/a.conf:2: From= in [Check x]: there is no checks/dbb.conf; "
                "did you mean db?\n"
                "/etc/vitald/services/b.conf:2: From= in [Check x]: /etc/vitald/checks/bad.conf is "
                "at fault\n"
                "/etc/vitald/services/c.conf:3: Interval= in [Check x]: stands in checks/db.conf, "
                "which is run once for all\n"
                "/etc/vitald/services/c.conf:4: Address= in [Check x]: stands in checks/db.conf, "
                "which is run once for all\n"
                "/etc/vitald/services/c.conf:5: Type= in [Check x]: stands in checks/db.conf, "
                "which is run once for all\n"
                "/etc/vitald/services/c.conf:6: MaxAge= in [Check x]: stands in checks/db.conf, "
                "which is run once for all\n"
                "/etc/vitald/services/c.conf:7: unknown key Critcal= in [Check x]; did you mean "
                "Critical=?\n"
                "/etc/vitald/services/d.conf:2: From= in [Check x]: there is no "
                "checks/nothing.conf\n");
        assert_outline(c, "a!() b!() c!() d!() good(x)");
        assert_null(c->defect);
}

static void test_what_a_service_adds_is_judged_there(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/checks/db.conf", SHARED },
                { "etc/vitald/services/a.conf", "[Check x]\nFrom=db\nProbes=liveness\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *faults = faults_of(c);

        assert_non_null(strstr(faults, "services/a.conf:3: Probes= in [Check x]: liveness must not "
                                       "depend on another host"));
}

static void test_a_credential_is_missed_by_all(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/checks/db.conf", SHARED "PasswordCredential=db\n" },
                { "etc/vitald/services/a.conf", "[Check x]\nFrom=db\n" },
                { "etc/vitald/services/b.conf", "[Check x]\nFrom=db\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);

        assert_faults(c, "");
        assert_int_equal(check_of(c, "a", "x")->defect_reason, REASON_CREDENTIAL);
        assert_int_equal(check_of(c, "b", "x")->defect_reason, REASON_CREDENTIAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_from),
                cmocka_unit_test(test_each_run_serves_its_own),
                cmocka_unit_test(test_nothing_is_shared),
                cmocka_unit_test(test_faults),
                cmocka_unit_test(test_what_a_service_adds_is_judged_there),
                cmocka_unit_test(test_a_credential_is_missed_by_all),
        };

        return cmocka_run_group_tests_name("loader-shared", tests, NULL, NULL);
}
