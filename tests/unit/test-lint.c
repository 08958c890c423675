/* SPDX-License-Identifier: MIT */
/* The linter over real trees of files: what each rule finds, where, and what it leaves alone. */

#include "unit.h"

#include <stdlib.h>

#include "base/text.h"
#include "config/logind.h"
#include "config/verify.h"
#include "loader.h"
#include "model/combine.h"
#include "model/load-balancer.h"
#include "model/schedule.h"

#define LOCAL     "Type=plain\nAddress=127.0.0.1:80\n"
#define RESTARTED "[Service]\nUnit=app.service\n"
#define REMOTE    "Type=plain\nAddress=db.internal:5432\n"

/* -- the types: those of the loader's tests, and one that is made of others -------------------- */

static Health some_derive(const void *settings _unused_, CheckState *const checks[],
                          const size_t needs[], size_t n, bool is_measured, Result *ret) {
        return combine(1, checks, needs, n, is_measured, ret);
}

static const Option some_options[] = {
        { .key = "Checks",
          .type = &option_names,
          .offset = offsetof(CombineSettings, checks),
          .flags = OPTION_REQUIRED },
};

static const CheckType some_type = {
        .name = "some",
        .flags = CHECK_TYPE_COMBINED | CHECK_TYPE_TOLERANT,
        .schema = SCHEMA(some_options),
        .settings_size = sizeof(CombineSettings),
        .describe = combine_describe,
        .inputs = combine_inputs,
        .derive = some_derive,
};

static LintRight right_to(void *userdata _unused_, const char *unit) {
        return str_equal(unit, "denied.service")    ? LINT_RIGHT_DENIED
               : str_equal(unit, "unknown.service") ? LINT_RIGHT_UNKNOWN
                                                    : LINT_RIGHT_GIVEN;
}

static char *lint(const File *files, usec_t watchdog_usec, bool is_json) {
        const CheckType *const built_in[] = { loader_types.built_in[0], loader_types.built_in[1],
                                              &some_type, NULL };
        CheckTypes types = { built_in, (const char *const[]){ NULL }, NULL };
        _cleanup_(config_unrefp) Config *c = NULL;
        _cleanup_(findings_done) Findings findings = {};
        _cleanup_(places_done) Places places = {};
        LintFacts facts = { .watchdog_usec = watchdog_usec, .restart_right = right_to };
        Tree t = tree_make(files);
        ConfigSources sources = { .root = t.root, .types = &types, .places = &places };
        Verification v = { .places = &places, .findings = &findings };
        _cleanup_free_ char *text = NULL;

        assert_int_equal(config_load(&sources, &c), 0);
        assert_int_equal(logind_delay_max(t.root, &facts.shutdown_delay_usec), 0);
        tree_remove(&t);
        v.config = c;
        assert_int_equal(lint_config(c, &facts, &findings), 0);
        assert_int_equal(
                is_json ? verification_format_json(&v, &text) : verification_format(&v, &text), 0);
        return without_root(text);
}

/* "FILE:LINE RULE" of each finding, without the folders. */
static char *outline(char *text) {
        _cleanup_strbuf_ StrBuf b = {};
        char *s, *next, *rule, *file;

        for (; (next = strchr(text, '\n')); text = next + 1) {
                *next = 0;
                rule = strrchr(text, '[');
                if (!rule || !(strstr(text, ": warning: ") || strstr(text, ": hint: ")))
                        continue;
                *strstr(text, ": ") = 0;
                file = strrchr(text, '/');
                next[-1] = 0;
                strbuf_printf(&b, "%s%s %s", b.length > 0 ? ", " : "", file ? file + 1 : text,
                              rule + 1);
        }
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static const struct Row {
        const char *main, *service, *other; /* vitald.conf, services/s.conf, services/t.conf */
        usec_t watchdog_usec;
        const char *found;
        const char *logind; /* logind.conf */
} table[] = {
        { .service = "[Check app]\n" LOCAL, .found = "" },
        { .service = "[Check db]\n" REMOTE "Critical=no\n[Check app]\n" LOCAL, .found = "" },
        /* timeout-interval */
        { .service = "[Check app]\n" LOCAL "Interval=1s\n", .found = "s.conf:1 timeout-interval" },
        { .service = "[Check app]\n" LOCAL "Timeout=3s\nInterval=2s\n",
          .found = "s.conf:4 timeout-interval" },
        { .service = "[Check app]\n" LOCAL "Timeout=3s\nInterval=3s\n", .found = "" },
        { .main = "[Defaults]\nTimeout=20s\n",
          .service = "[Check app]\n" LOCAL "Interval=30s\n",
          .found = "vitald.conf:2 timeout-interval" },
        /* latency-limits */
        { .service = "[Check app]\n" LOCAL "MaxLatency=2s\n", .found = "s.conf:4 latency-limits" },
        { .service = "[Check app]\n" LOCAL "WarnLatency=3s\n", .found = "s.conf:4 latency-limits" },
        { .service = "[Check app]\n" LOCAL "WarnLatency=1s\nMaxLatency=500ms\n",
          .found = "s.conf:4 latency-limits" },
        { .service = "[Check app]\n" LOCAL "WarnLatency=1s\nMaxLatency=1500ms\n", .found = "" },
        { .main = "[Defaults]\nWarnLatency=5s\n",
          .service = "[Check app]\n" LOCAL "Timeout=6s\n",
          .found = "" },
        /* remote-liveness, remote-restart */
        { .service = "[Check app]\n" LOCAL "[Check db]\n" REMOTE "Critical=no\n"
                     "Probes=liveness readiness\nAllowRemoteLiveness=yes\n",
          .found = "s.conf:9 remote-liveness" },
        { .service = "[Service]\nOnLivenessFailure=watchdog\n[Check app]\n" LOCAL
                     "[Check db]\n" REMOTE "Critical=no\nProbes=liveness readiness\n"
                     "AllowRemoteLiveness=yes\n",
          .found = "s.conf:11 remote-restart" },
        { .service = "[Service]\nShadow=yes\n[Check db]\n" REMOTE
                     "Probes=liveness\nAllowRemoteLiveness=yes\n",
          .found = "" },
        { .service = RESTARTED "OnStartupFailure=restart\n[Check db]\n" REMOTE
                               "Critical=no\nProbes=startup\nAllowRemoteLiveness=yes\n",
          .found = "s.conf:9 remote-restart, s.conf:7 startup-optional" },
        /* restarts */
        { .service = RESTARTED "OnLivenessFailure=restart\n[Check app]\n" LOCAL "Probes=liveness\n",
          .found = "" },
        { .service = RESTARTED "OnLivenessFailure=restart\n[Check app]\n" LOCAL
                               "Probes=liveness\nLivenessFailureThreshold=1\n",
          .found = "s.conf:8 restart-threshold" },
        { .service = RESTARTED "OnStartupFailure=restart\n[Check app]\n" LOCAL,
          .found = "s.conf:3 action-without-startup" },
        { .service = RESTARTED "OnLivenessFailure=restart\n[Check app]\n" LOCAL,
          .found = "s.conf:3 action-without-liveness" },
        { .service =
                  RESTARTED "OnLivenessFailure=restart\nRestartBackoffMax=9s\n[Check app]\n" LOCAL
                            "Probes=liveness\n",
          .found = "s.conf:4 restart-delays" },
        { .service =
                  RESTARTED "OnLivenessFailure=restart\nRestartResetAfter=20s\n[Check app]\n" LOCAL
                            "Probes=liveness\n",
          .found = "s.conf:4 restart-delays" },
        { .main = "[Daemon]\nRestartBudgetBurst=0\n",
          .service = RESTARTED "OnLivenessFailure=restart\n[Check app]\n" LOCAL "Probes=liveness\n",
          .found = "s.conf:3 restart-forbidden" },
        { .service = RESTARTED "OnLivenessFailure=restart\nRestartLimit=5\n[Check app]\n" LOCAL
                               "Probes=liveness\n",
          .found = "s.conf:4 restart-budget" },
        { .service =
                  "[Service]\nUnit=denied.service\nOnLivenessFailure=restart\n[Check app]\n" LOCAL
                  "Probes=liveness\n",
          .found = "s.conf:2 restart-denied" },
        { .service =
                  "[Service]\nUnit=unknown.service\nOnLivenessFailure=restart\n[Check app]\n" LOCAL
                  "Probes=liveness\n",
          .found = "s.conf:2 restart-right" },
        { .service = "[Service]\nUnit=denied.service\nShadow=yes\nOnLivenessFailure=restart\n"
                     "[Check app]\n" LOCAL "Probes=liveness\n",
          .found = "" },
        /* liveness-threshold */
        { .service = "[Check app]\n" LOCAL "Probes=liveness readiness\nFailureThreshold=3\n",
          .found = "s.conf:1 liveness-threshold" },
        { .service =
                  "[Check app]\n" LOCAL "Probes=liveness readiness\nLivenessFailureThreshold=1\n",
          .found = "s.conf:5 liveness-threshold" },
        { .service = "[Check a]\n" LOCAL "[Check b]\n" LOCAL
                     "Probes=liveness\nLivenessFailureThreshold=1\n",
          .found = "" },
        /* action-without-liveness */
        { .service = "[Service]\nOnLivenessFailure=watchdog\n[Check app]\n" LOCAL,
          .found = "s.conf:2 action-without-liveness" },
        /* watchdog-detection: 3 runs of 2s, 2 intervals of 10s, a retry of 2s */
        { .service = "[Service]\nOnLivenessFailure=watchdog\n[Check app]\n" LOCAL
                     "Probes=readiness liveness\n",
          .watchdog_usec = 27 * USEC_PER_SEC,
          .found = "s.conf:2 watchdog-detection" },
        { .service = "[Service]\nOnLivenessFailure=watchdog\n[Check app]\n" LOCAL
                     "Probes=readiness liveness\n",
          .watchdog_usec = 28 * USEC_PER_SEC,
          .found = "" },
        { .service = "[Service]\nOnLivenessFailure=watchdog\n[Check app]\n" LOCAL
                     "Probes=readiness liveness\n",
          .found = "" },
        /* startup-window: an interval of 10s and a run of 2s */
        { .service =
                  "[Service]\nStartupTimeout=11s\n[Check app]\n" LOCAL "Probes=readiness startup\n",
          .found = "s.conf:3 startup-window" },
        { .service =
                  "[Service]\nStartupTimeout=12s\n[Check app]\n" LOCAL "Probes=readiness startup\n",
          .found = "" },
        { .service = "[Service]\nStartupTimeout=20s\n[Check app]\n" LOCAL
                     "Probes=readiness startup\nInitialDelay=10s\n",
          .found = "s.conf:3 startup-window" },
        /* startup-optional */
        { .service = "[Check app]\n" LOCAL "[Check db]\n" REMOTE
                     "Critical=no\nProbes=startup readiness\n",
          .found = "s.conf:7 startup-optional" },
        /* always-ready */
        { .service = "[Check app]\n" LOCAL "Critical=no\n", .found = "s.conf always-ready" },
        { .service = "[Check app]\n" LOCAL "Probes=liveness\n", .found = "s.conf always-ready" },
        { .service = "[Service]\n[Check app]\n" LOCAL "Shadow=yes\n",
          .found = "s.conf:1 always-ready" },
        { .service = "[Service]\nUnit=app.service\n[Check app]\n" LOCAL "Critical=no\n",
          .found = "" },
        /* combined-members */
        { .service = "[Check a]\n" LOCAL "[Check b]\n" LOCAL
                     "Critical=no\n[Check any]\nType=some\nChecks=a b\n",
          .found = "s.conf:10 combined-members" },
        { .service = "[Check a]\n" LOCAL "Critical=no\n[Check b]\n" LOCAL
                     "Shadow=yes\n[Check any]\nType=some\nChecks=a b\n",
          .found = "" },
        /* critical-unread */
        { .service = "[Check a]\n" LOCAL "[Check b]\n" LOCAL "Probes=liveness\nCritical=no\n",
          .found = "s.conf:8 critical-unread" },
        /* unread-service */
        { .service = "[Service]\nHost=no\n[Check a]\n" LOCAL, .found = "s.conf:2 unread-service" },
        { .main = "[HTTP]\nAlias=/up /health/ready/s\n",
          .service = "[Service]\nHost=no\n[Check a]\n" LOCAL,
          .found = "" },
        { .main = "[HTTP]\nAlias=/up /health/ready/sy\n",
          .service = "[Service]\nHost=no\n[Check a]\n" LOCAL,
          .found = "s.conf:2 unread-service" },
        /* shared-dependency */
        { .service = "[Check db]\n" REMOTE, .found = "s.conf:1 shared-dependency" },
        { .service = "[Check db]\n" REMOTE,
          .other = "[Check a]\n" REMOTE "Timeout=1s\n[Check b]\n" REMOTE,
          .found = "s.conf:1 shared-dependency" },
        { .service = "[Check db]\n" REMOTE, .other = "[Check app]\n" LOCAL, .found = "" },
        { .service = "[Check db]\n" REMOTE,
          .other = "[Check app]\n" LOCAL "[Check db]\n" REMOTE "Critical=no\n",
          .found = "" },
        { .service = "[Check db]\n" REMOTE,
          .other = "[Service]\nShadow=yes\n[Check app]\n" LOCAL,
          .found = "s.conf:1 shared-dependency" },
        /* balancer-* */
        { .main = "[HTTP]\nLoadBalancer=haproxy\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:2 balancer-default-probe" },
        { .main = "[HTTP]\nLoadBalancer=aws-alb\n", .service = "[Check a]\n" LOCAL, .found = "" },
        { .main = "[HTTP]\nLoadBalancer=aws-alb\nAlias=/ /health/live\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:3 balancer-root-alias" },
        { .main = "[HTTP]\nLoadBalancer=aws-alb\nAlias=/ /health/ready\n",
          .service = "[Check a]\n" LOCAL,
          .found = "" },
        { .main = "[HTTP]\nLoadBalancer=azure\nAllowFrom=10.0.0.0/8\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:3 balancer-networks" },
        { .main = "[HTTP]\nLoadBalancer=azure\nAllowFrom=168.63.0.0/16\n",
          .service = "[Check a]\n" LOCAL,
          .found = "" },
        { .main = "[HTTP]\nLoadBalancer=gcp\nAllowFrom=35.191.1.1\nAllowFrom=130.0.0.0/8\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:4 balancer-networks" },
        { .main = "[HTTP]\nLoadBalancer=other\nLoadBalancerThreshold=3\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:2 balancer-numbers" },
        { .main = "[HTTP]\nLoadBalancerThreshold=3\n",
          .service = "[Check a]\n" LOCAL,
          .found = "vitald.conf:1 balancer-numbers" },
        /* shutdown-delay */
        { .main = "[HTTP]\nLoadBalancer=gcp\n",
          .service = "[Check a]\n" LOCAL,
          .logind = "[Login]\n#InhibitDelayMaxSec=5\n",
          .found = "vitald.conf:2 shutdown-delay" },
        { .main = "[HTTP]\nLoadBalancer=gcp\n",
          .service = "[Check a]\n" LOCAL,
          .logind = "[Login]\nInhibitDelayMaxSec=11s\n",
          .found = "" },
        { .main = "[Daemon]\nDrainOnShutdown=no\n[HTTP]\nLoadBalancer=gcp\n",
          .service = "[Check a]\n" LOCAL,
          .logind = "[Login]\n",
          .found = "" },
        { .service = "[Check a]\n" LOCAL, .logind = "[Login]\n", .found = "" },
        /* Faults go first. */
        { .service = "[Check app]\n" LOCAL "Interval=1s\nNonsense=1\n", .found = "" },
};

static char *lint_row(const struct Row *row, bool is_json) {
        File files[5] = {};
        size_t n = 0;

        if (row->main)
                files[n++] = (File){ "etc/vitald/vitald.conf", row->main };
        files[n++] = (File){ "etc/vitald/services/s.conf", row->service };
        if (row->other)
                files[n++] = (File){ "etc/vitald/services/t.conf", row->other };
        if (row->logind)
                files[n++] = (File){ "etc/systemd/logind.conf", row->logind };
        return lint(files, row->watchdog_usec, is_json);
}

static void test_rules(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = lint_row(&table[i], false), *found = outline(text);

                if (!str_equal(found, table[i].found))
                        print_error("row %zu\n", i);
                assert_string_equal(found, table[i].found);
        }
}

static void test_every_rule_is_in_the_table(void **state _unused_) {
        const char *name;

        for (size_t i = 0; (name = lint_rule_name(i)); i++) {
                bool is_there = false;

                for (size_t j = 0; j < ELEMENTSOF(table); j++)
                        is_there |= strstr(table[j].found, name) != NULL;
                if (!is_there)
                        fail_msg("no row finds %s", name);
        }
}

static void test_places(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/services/s.conf", "[Check a]\n" LOCAL "Interval=5s\n" },
                { "run/vitald/services/s.conf.d/x.conf", "[Check a]\nTimeout=6s\n" },
                { "etc/vitald/checks/one.conf", "[Check]\n" LOCAL "Interval=5s\nTimeout=7s\n" },
                { "etc/vitald/services/t.conf", "[Check b]\nFrom=one\n" },
                { "etc/vitald/services/host.conf.d/x.conf", "[Check disk]\nTimeout=1min\n" },
                {},
        };
        _cleanup_free_ char *text = lint(files, 0, false), *found = outline(text);

        assert_string_equal(found, "x.conf:2 timeout-interval, x.conf:2 timeout-interval, "
                                   "one.conf:5 timeout-interval");
}

static void test_text(void **state _unused_) {
        const struct Row row = { .main = "[HTTP]\nLoadBalancer=haproxy\n",
                                 .service = "[Check app]\n" LOCAL "Timeout=3s\nInterval=2s\n" };
        _cleanup_free_ char *text = lint_row(&row, false);

        assert_true(str_starts_with(
                text, "/etc/vitald/services/s.conf:4: warning: s/app: Timeout=: 3s is longer than "
                      "Interval=, 2s: "));
        assert_non_null(strstr(text, "[timeout-interval]\n/etc/vitald/vitald.conf:2: hint: "
                                     "LoadBalancer=: HAProxy: "));
        assert_non_null(strstr(text, "OPTIONS /"));
        assert_non_null(strstr(text, "\n2 services, 2 checks: good, 1 warning, 1 hint\n"));
}

static void test_json(void **state _unused_) {
        const struct Row row = { .service = "[Check app]\n" LOCAL "Timeout=3s\nInterval=2s\n" };
        const struct Row bad = { .service = "[Check app]\n" LOCAL "Nonsense=1\n" };
        _cleanup_free_ char *text = lint_row(&row, true), *faults = lint_row(&bad, true);

        assert_true(str_starts_with(
                text, "{\"services\":2,\"checks\":2,\"warnings\":1,\"hints\":0,\"faults\":[],"
                      "\"findings\":[{"
                      "\"severity\":\"warning\",\"rule\":\"timeout-interval\",\"service\":\"s\","
                      "\"check\":\"app\",\"key\":\"Timeout\","
                      "\"file\":\"/etc/vitald/services/s.conf\",\"line\":4,\"text\":\"3s is"));
        assert_string_equal(faults,
                            "{\"services\":2,\"checks\":1,\"warnings\":0,\"hints\":0,\"faults\":[{"
                            "\"file\":\"/etc/vitald/services/s.conf\",\"line\":4,"
                            "\"text\":\"unknown key Nonsense= in [Check app]\"}],"
                            "\"findings\":[]}");
}

static void test_many_are_counted(void **state _unused_) {
        _cleanup_strbuf_ StrBuf service = {};
        struct Row row = {};
        _cleanup_free_ char *text = NULL;

        for (unsigned i = 0; i < FINDINGS_MAX + 50; i++)
                strbuf_printf(&service, "[Check c%u]\n" LOCAL "Interval=1s\n", i);
        row.service = service.text;
        text = lint_row(&row, false);
        assert_non_null(strstr(text, "251 checks: good, 250 warnings\n"));
        assert_non_null(strstr(text, "50 more"));
}

static void test_notice(void **state _unused_) {
        static const struct {
                HttpConfig http;
                usec_t seconds;
        } rows[] = {
                { {}, 0 },
                { { .load_balancer = LOAD_BALANCER_AWS_ALB }, 60 },
                { { .load_balancer = LOAD_BALANCER_AWS_NLB }, 60 },
                { { .load_balancer = LOAD_BALANCER_GCP }, 10 },
                { { .load_balancer = LOAD_BALANCER_AZURE }, 30 },
                { { .load_balancer = LOAD_BALANCER_HAPROXY }, 6 },
                { { .load_balancer = LOAD_BALANCER_NGINX }, 5 },
                { { .load_balancer = LOAD_BALANCER_OTHER }, 0 },
                { { .load_balancer = LOAD_BALANCER_OTHER,
                    .load_balancer_interval_usec = USEC_PER_SEC,
                    .load_balancer_threshold = 4 },
                  4 },
                { { .load_balancer = LOAD_BALANCER_AWS_ALB,
                    .load_balancer_interval_usec = 5 * USEC_PER_SEC },
                  10 },
                { { .load_balancer_interval_usec = USEC_PER_SEC, .load_balancer_threshold = 4 },
                  0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_int_equal(load_balancer_notice_usec(&rows[i].http),
                                 rows[i].seconds * USEC_PER_SEC);
}

/* By the search path of logind; what it would not understand counts for nothing. */
static void test_logind(void **state _unused_) {
        static const struct {
                File files[4];
                usec_t usec;
        } rows[] = {
                { {}, 0 },
                { { { "etc/systemd/logind.conf", "[Login]\n" } }, 5 * USEC_PER_SEC },
                { { { "etc/systemd/logind.conf", "[Other]\nInhibitDelayMaxSec=9\n" } },
                  5 * USEC_PER_SEC },
                { { { "etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=9\nX=y\n" } },
                  9 * USEC_PER_SEC },
                { { { "etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=9\n" },
                    { "usr/lib/systemd/logind.conf.d/b.conf",
                      "[Login]\nInhibitDelayMaxSec=1min\n" },
                    { "etc/systemd/logind.conf.d/a.conf", "[Login]\nInhibitDelayMaxSec=7\n" } },
                  USEC_PER_MINUTE },
                { { { "usr/lib/systemd/logind.conf.d/b.conf", "[Login]\nInhibitDelayMaxSec=8\n" },
                    { "run/systemd/logind.conf.d/b.conf", LINK_TO_NULL },
                    { "etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=never\n" } },
                  5 * USEC_PER_SEC },
                { { { "etc/systemd/logind.conf.d/b.conf", "[Login]\nInhibitDelayMaxSec=0\n" } },
                  1 },
                { { { "etc/systemd/logind.conf.d/b.conf",
                      "[Login]\nInhibitDelayMaxSec=infinity\n" } },
                  USEC_INFINITY },
                { { { "etc/systemd/logind.conf", DIRECTORY } }, 5 * USEC_PER_SEC },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Tree t = tree_make(rows[i].files);
                usec_t usec = 7;

                assert_int_equal(logind_delay_max(t.root, &usec), 0);
                assert_int_equal(usec, rows[i].usec);
                tree_remove(&t);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),  cmocka_unit_test(test_every_rule_is_in_the_table),
                cmocka_unit_test(test_places), cmocka_unit_test(test_text),
                cmocka_unit_test(test_json),   cmocka_unit_test(test_many_are_counted),
                cmocka_unit_test(test_notice), cmocka_unit_test(test_logind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
