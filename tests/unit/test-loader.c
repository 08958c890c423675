/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <string.h>

#include "base/text.h"

static void test_nothing_configured(void **state _unused_) {
        _cleanup_(config_unrefp) Config *c = files_load(NULL);

        assert_faults(c, "");
        assert_null(c->defect);
        assert_false(config_has_services(c));
        assert_int_equal(c->n_services, 1);
        assert_string_equal(c->services[0].name, "host");
        assert_true(c->services[0].is_builtin);
        assert_false(c->services[0].counts_for_host);
        /* the disk check alone, as these types have no "memory" */
        assert_int_equal(c->n_checks, 1);
        assert_string_equal(c->checks[0]->id, "host/disk");
        assert_false(c->checks[0]->is_critical);
        assert_int_equal(c->daemon.max_concurrent_checks, 128);
}

static void test_service(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf", "[Daemon]\nNotifyReady=started\n"
                                            "[HTTP]\nListen=127.0.0.1:9911\nListen=/run/x.sock\n"
                                            "Alias=/up /health/ready\n" },
                { "etc/vitald/services/orders.conf",
                  "[Service]\nDescription=Order intake\nUnit=orders.service\nStartupTimeout=1min\n"
                  "OnLivenessFailure=watchdog\n"
                  "[Check database]\nType=plain\nAddress=db\nProbes=startup \\\n readiness\n"
                  "Interval=5s\nDescription=The orders\n"
                  "[Check cache]\nType=plain\nAddress=[::1]:6379\nCritical=no\nTimeout=3s\n"
                  "Interval=1s\n" },
                { "etc/vitald/services/default.conf", GOOD },
                { "etc/vitald/services/a-b.conf", GOOD },
                { "etc/vitald/services/a.conf", GOOD },
                { "etc/vitald/services/a.conf~", "nonsense" },
                { "etc/vitald/services/.hidden.conf", "nonsense" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const ServiceConfig *s;
        const CheckConfig *k;

        assert_faults(c, "");
        assert_outline(c, "a(app) a-b(app) default(app) orders(database cache)");
        assert_true(config_has_services(c));
        assert_int_equal(c->daemon.notify_ready, NOTIFY_READY_STARTED);
        assert_int_equal(strv_length(c->http.listen), 2);
        assert_int_equal(c->http.aliases.n, 1);

        s = service_of(c, "orders");
        assert_string_equal(s->description, "Order intake");
        assert_string_equal(s->unit, "orders.service");
        assert_int_equal(s->startup_timeout_usec, USEC_PER_MINUTE);
        assert_int_equal(s->on_liveness_failure, ON_LIVENESS_FAILURE_WATCHDOG);
        assert_true(s->counts_for_host);

        k = check_of(c, "orders", "database");
        assert_string_equal(k->id, "orders/database");
        assert_string_equal(k->public_name, "orders/database");
        assert_ptr_equal(k->type, loader_types.built_in[0]);
        assert_int_equal(k->probes, 1 << PROBE_STARTUP | 1 << PROBE_READINESS);
        assert_string_equal(k->target.text, "db:7");
        assert_true(k->target.is_remote);
        assert_int_equal(k->interval_usec, 5 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 2 * USEC_PER_SEC);
        assert_int_equal(k->retry_interval_usec, USEC_PER_SEC);
        assert_int_equal(k->max_age_usec, 17 * USEC_PER_SEC);
        assert_int_equal(k->defect_reason, REASON_NONE);

        k = check_of(c, "orders", "cache");
        assert_false(k->is_critical);
        assert_int_equal(k->timeout_usec, 3 * USEC_PER_SEC);
        assert_int_equal(k->retry_interval_usec, 250 * USEC_PER_MSEC);
        assert_int_equal(k->probes, 1 << PROBE_READINESS);

        assert_string_equal(check_of(c, "default", "app")->public_name, "app");
}

static void test_defaults_stand_under_own_keys(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf",
                  "[Defaults]\nInterval=20s\nTimeout=4s\nProbes=startup\nFailureThreshold=5\n" },
                { "etc/vitald/services/s.conf",
                  GOOD "[Check own]\nType=plain\nAddress=x\nInterval=2s\nProbes=readiness\n"
                       "RetryInterval=9s\n"
                       "[Check reset]\nType=plain\nAddress=x\nInterval=\nCode=1\nCode=2\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const CheckConfig *k;
        const PlainSettings *p;

        assert_faults(c, "");
        k = check_of(c, "s", "app");
        assert_int_equal(k->interval_usec, 20 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 4 * USEC_PER_SEC);
        assert_int_equal(k->max_age_usec, 64 * USEC_PER_SEC);
        assert_int_equal(k->probes, 1 << PROBE_STARTUP);
        assert_int_equal(k->failure_threshold, 5);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 1);
        assert_string_equal(p->codes[0], "200");

        k = check_of(c, "s", "own");
        assert_int_equal(k->interval_usec, 2 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 4 * USEC_PER_SEC);
        assert_int_equal(k->probes, 1 << PROBE_READINESS);
        assert_int_equal(k->retry_interval_usec, 2 * USEC_PER_SEC); /* never beyond Interval= */

        /* an empty value leads back to the built-in default; a list replaces its own */
        k = check_of(c, "s", "reset");
        assert_int_equal(k->interval_usec, 10 * USEC_PER_SEC);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 2);
        assert_string_equal(p->codes[0], "1");

        /* they hold for the built-in service too */
        assert_int_equal(check_of(c, "host", "disk")->interval_usec, 20 * USEC_PER_SEC);
}

static void test_search_path(void **state _unused_) {
        static const File files[] = {
                /* the first directory wins, whole files at a time */
                { "usr/lib/vitald/services/a.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "usr/local/lib/vitald/services/a.conf",
                  "[Check local]\nType=plain\nAddress=x\n" },
                { "run/vitald/services/a.conf", "[Check run]\nType=plain\nAddress=x\n" },
                { "etc/vitald/services/a.conf", "[Check etc]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/b.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "usr/local/lib/vitald/services/b.conf",
                  "[Check local]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/c.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "run/vitald/services/c.conf", "[Check run]\nType=plain\nAddress=x\n" },
                /* a mask hides what comes after it, and hides nothing if what comes is first */
                { "usr/lib/vitald/services/d.conf", GOOD },
                { "etc/vitald/services/d.conf", LINK_TO_NULL },
                { "usr/lib/vitald/services/e.conf", LINK_TO_NULL },
                { "etc/vitald/services/e.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);

        assert_faults(c, "");
        assert_outline(c, "a(etc) b(local) c(run) e(app)");
}

static void test_drop_ins(void **state _unused_) {
        static const File files[] = {
                { "usr/lib/vitald/services/a.conf",
                  "[Service]\nDescription=main\n"
                  "[Check app]\nType=plain\nAddress=main\nInterval=1s\nCode=1\n"
                  "[Check other]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/a.conf.d/30-lib.conf", "[Check app]\nAddress=lib30\n" },
                { "etc/vitald/services/a.conf.d/10-etc.conf",
                  "[Check app]\nAddress=etc10\nInterval=10s\nCode=2\n"
                  "[Check added]\nType=plain\nAddress=x\n"
                  "[Service]\nDescription=\n" },
                { "run/vitald/services/a.conf.d/20-run.conf", "[Check app]\nInterval=20s\nCode=\n"
                                                              "Code=3\n" },
                /* hidden by the same name in /etc, masked, not a drop-in, of nobody */
                { "usr/lib/vitald/services/a.conf.d/10-etc.conf", "nonsense" },
                { "usr/lib/vitald/services/a.conf.d/40-gone.conf", "nonsense" },
                { "etc/vitald/services/a.conf.d/40-gone.conf", LINK_TO_NULL },
                { "etc/vitald/services/a.conf.d/README", "nonsense" },
                { "etc/vitald/services/nobody.conf.d/x.conf", "nonsense" },
                /* vitald.conf needs no main file */
                { "etc/vitald/vitald.conf.d/x.conf", "[Daemon]\nMaxConcurrentChecks=7\n" },
                /* the built-in service has drop-ins like any other */
                { "etc/vitald/services/host.conf.d/x.conf", "[Check disk]\nPath=/srv\n"
                                                            "[Check more]\nType=disk\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const CheckConfig *k;
        const PlainSettings *p;

        assert_faults(c, "");
        assert_outline(c, "a(app other added)");
        assert_null(service_of(c, "a")->description);
        k = check_of(c, "a", "app");
        assert_string_equal(k->target.text, "lib30:7");
        assert_int_equal(k->interval_usec, 20 * USEC_PER_SEC);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 1);
        assert_string_equal(p->codes[0], "3");
        assert_int_equal(c->daemon.max_concurrent_checks, 7);
        assert_string_equal(check_of(c, "host", "disk")->target.text, "/srv");
        assert_true(service_of(c, "host")->is_builtin);
        check_of(c, "host", "more");
}

static void test_builtin_host_gives_way(void **state _unused_) {
        static const File own[] = {
                { "etc/vitald/services/host.conf", GOOD },
                { NULL, NULL },
        };
        static const File masked[] = {
                { "etc/vitald/services/host.conf", LINK_TO_NULL },
                { "usr/lib/vitald/services/host.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(own), *none = files_load(masked);

        assert_outline(c, "host(app)");
        assert_true(config_has_services(c));
        assert_true(service_of(c, "host")->counts_for_host);
        assert_int_equal(none->n_services, 0);
        assert_int_equal(none->n_checks, 0);
}

static void test_same_target(void **state _unused_) {
        static const struct {
                const char *own;
                bool same;
        } table[] = {
                { "", true },
                { "Interval=1s\nCritical=no\nProbes=startup\n", true },
                { "Code=200\n", true },
                { "Code=201\n", false },
                { "ConnectionString=x\n", false },
                { "PasswordCredential=other\n", false },
        };
        const File before_files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        _cleanup_(config_unrefp) Config *before = files_load(before_files);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_strbuf_ StrBuf b = {};

                strbuf_printf(&b, "%s%s", GOOD, table[i].own);

                const File files[] = { { "etc/vitald/services/s.conf", b.text }, {} };
                _cleanup_(config_unrefp) Config *after = files_load(files);

                assert_faults(after, "");
                assert_int_equal(check_config_same_target(check_of(before, "s", "app"),
                                                          check_of(after, "s", "app")),
                                 table[i].same);
        }
}

static void test_rotated_secret_is_another_target(void **state _unused_) {
        static const File files[] = {
                { "credentials/db", "one" },
                { "etc/vitald/services/s.conf", GOOD "PasswordCredential=db\n" },
                { NULL, NULL },
        };
        Tree t = tree_make(files);
        char directory[512];

        tree_path(&t, "credentials", directory, sizeof(directory));

        _cleanup_(config_unrefp) Config *one = tree_load_from(&t, directory, false),
                                        *same = tree_load_from(&t, directory, true);

        tree_add(&t, "credentials/db", "two");

        _cleanup_(config_unrefp) Config *two = tree_load_from(&t, directory, true);

        assert_true(
                check_config_same_target(check_of(one, "s", "app"), check_of(same, "s", "app")));
        assert_false(
                check_config_same_target(check_of(one, "s", "app"), check_of(two, "s", "app")));
        tree_remove(&t);
}

static void test_check_outlives_its_configuration(void **state _unused_) {
        const File files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        Config *c = files_load(files);
        _cleanup_(check_config_unrefp) CheckConfig *k =
                check_config_ref(c->checks[config_find_check(c, "s", "app")]);

        assert_null(config_unref(config_ref(c)));
        assert_null(config_unref(c));
        assert_string_equal(k->id, "s/app");
}

static void test_verify_of_a_good_tree(void **state _unused_) {
        const File files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *text = verification_of(c);

        assert_string_equal(text, "2 services, 2 checks: good\n");
}

static void test_verify_of_an_empty_tree(void **state _unused_) {
        const File files[] = { {} };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *text = verification_of(c);

        assert_non_null(strstr(text, "no service is configured"));
}

static void test_service_of_a_text(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf", "nonsense\n" },
                { "etc/vitald/services/probe.conf.d/x.conf", "nonsense\n" },
                { NULL, NULL },
        };
        Tree t = tree_make(files);
        ConfigSources sources = { .root = t.root, .types = &loader_types };
        _cleanup_(config_unrefp) Config *good = NULL, *bad = NULL;

        assert_int_equal(config_load_text(&sources, "probe", GOOD, &good), 0);
        assert_faults(good, "");
        assert_outline(good, "probe(app)");
        assert_int_equal(good->n_services, 1);
        assert_int_equal(config_load_text(&sources, "probe", "[Check app]\nType=plan\n", &bad), 0);
        assert_faults(bad, "probe:2: Type= in [Check app]: unknown type \"plan\"; did you mean "
                           "plain?\n");
        assert_outline(bad, "probe!()");
        tree_remove(&t);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_configured),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_defaults_stand_under_own_keys),
                cmocka_unit_test(test_search_path),
                cmocka_unit_test(test_drop_ins),
                cmocka_unit_test(test_builtin_host_gives_way),
                cmocka_unit_test(test_same_target),
                cmocka_unit_test(test_rotated_secret_is_another_target),
                cmocka_unit_test(test_check_outlives_its_configuration),
                cmocka_unit_test(test_verify_of_a_good_tree),
                cmocka_unit_test(test_verify_of_an_empty_tree),
                cmocka_unit_test(test_service_of_a_text),
        };

        return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
