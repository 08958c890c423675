/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "output/metrics.h"
#include "output/render.h"

#define AT (10 * SEC)

typedef void (*Render)(const RenderView *v, StrBuf *out);

/* What befell a check before the picture was taken. */
typedef struct Story {
        Outcome outcome;
        unsigned times;      /* 0: it has no result */
        usec_t latency_usec; /* 0: none */
        Reason reason;
        const char *detail, *message;
} Story;

static Result story_result(const Story *story) {
        Result r;

        switch (story->outcome) {
        case OUTCOME_PASS:
                result_pass(&r, "%s", story->message ? story->message : "");
                break;
        case OUTCOME_WARN:
                result_warn(&r, story->reason, "%s", story->message);
                break;
        case OUTCOME_FAIL:
                result_fail(&r, story->reason, "%s", story->message);
                break;
        case OUTCOME_ERROR:
                result_error(&r, story->reason, "%s", story->message);
                break;
        }
        if (story->latency_usec > 0)
                r.latency_usec = story->latency_usec;
        if (story->detail)
                result_set_detail(&r, story->detail);
        return r;
}

static State *make_state(const FixtureService *services, size_t n, const Story *stories) {
        _cleanup_(config_unrefp) Config *c = fixture_config(services, n);
        State *s = fixture_need(state_new(c, fixture_time(0)));

        for (size_t i = 0; i < c->n_checks; i++)
                for (unsigned j = 0; j < stories[i].times; j++) {
                        Result r = story_result(&stories[i]);

                        state_apply(s, &(Event){ .type = EVENT_RESULT, .check = i, .result = &r },
                                    fixture_time(SEC));
                }
        return s;
}

/* What the linker calls this very program is in no table. */
static void drop_build(StrBuf *out) {
        char *begin = strstr(out->text, "\"build\":"), *end = begin ? strchr(begin, ',') : NULL;

        if (!end)
                return;
        memmove(begin, end + 1, strlen(end));
        out->length = strlen(out->text);
}

/* Renders and compares; the newline at the end of each body is left out of the tables. */
static void assert_body(const State *s, Render render, size_t service, bool with_detail,
                        const char *expected) {
        _cleanup_(snapshot_unrefp) Snapshot *snapshot =
                fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        RenderView v = { .snapshot = snapshot,
                         .service = service,
                         .check = INDEX_NONE,
                         .with_detail = with_detail };
        _cleanup_strbuf_ StrBuf out = {};

        assert_int_equal(render_view_judge(&v), 0);
        render(&v, &out);
        assert_false(out.failed);
        drop_build(&out);
        if (out.text[out.length - 1] == '\n')
                out.text[out.length - 1] = 0;
        assert_string_equal(out.text, expected);
}

static const FixtureService shop[] = {
        { "default", .checks = { { "database", .probes = READINESS | STARTUP },
                                 { "cache", .is_uncritical = true },
                                 { "app", .probes = LIVENESS } } },
        { "host", .is_builtin = true, .checks = { { "disk", .is_uncritical = true } } },
        { "orders", .checks = { { "queue" } } },
};

#define GOOD \
        { OUTCOME_PASS, 1, 3240 }
#define PENDING \
        { OUTCOME_PASS, 0 }
#define REFUSED \
        { OUTCOME_FAIL, 3, 0, REASON_REFUSED, NULL, "cache:6379: Connection refused" }
#define TIMED_OUT \
        { OUTCOME_FAIL, 2, 0, REASON_TIMEOUT, NULL, "No answer from db:5432" }
#define STATUS_429 \
        { OUTCOME_FAIL, 2, 0, REASON_STATUS, "429", "HTTP 429 \"slow down\"" }
#define LOADING \
        { OUTCOME_FAIL, 2, 0, REASON_STATUS, "loading", "the server says: LOADING" }
#define SQL_ERROR \
        { OUTCOME_FAIL, 2, 0, REASON_STATUS, "42601", "syntax error" }
#define EXPIRED \
        { OUTCOME_FAIL, 2, 0, REASON_TLS, "expired", "certificate of db has expired" }
#define SLOW \
        { OUTCOME_WARN, 1, 812000, REASON_THRESHOLD, "latency", "812ms is slow" }
#define FAILED_ONE \
        { OUTCOME_FAIL, 1, 0, REASON_REFUSED, NULL, "refused" }

/* Bodies of the host: database, cache, app, host/disk, orders/queue. */
static const struct {
        Story stories[5];
        Render render;
        bool with_detail;
        const char *body;
} bodies[] = {
        { { GOOD, GOOD, GOOD, GOOD, GOOD },
          render_ready,
          false,
          "{\"status\":\"ready\",\"checks\":{"
          "\"database\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"cache\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":true,\"latency_ms\":3.2}}}" },

        /* What is not critical degrades; the built-in service is shown and does not even that. */
        { { SLOW, REFUSED, GOOD, REFUSED, GOOD },
          render_ready,
          false,
          "{\"status\":\"ready\",\"checks\":{"
          "\"database\":{\"healthy\":true,\"latency_ms\":812.0,"
          "\"reason\":\"threshold/latency\",\"error\":\"Beyond the limit: latency\"},"
          "\"cache\":{\"healthy\":false,\"reason\":\"refused\",\"error\":\"Connection refused\"},"
          "\"host/disk\":{\"healthy\":false,\"reason\":\"refused\","
          "\"error\":\"Connection refused\"},"
          "\"orders/queue\":{\"healthy\":true,\"latency_ms\":3.2}},"
          "\"degraded\":[\"database\",\"cache\"]}" },

        { { TIMED_OUT, EXPIRED, GOOD, GOOD, STATUS_429 },
          render_ready,
          false,
          "{\"status\":\"not_ready\",\"checks\":{"
          "\"database\":{\"healthy\":false,\"reason\":\"timeout\","
          "\"error\":\"Timeout after 1000ms\"},"
          "\"cache\":{\"healthy\":false,\"reason\":\"tls/expired\","
          "\"error\":\"TLS failed: expired\"},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":false,\"reason\":\"status/429\","
          "\"error\":\"HTTP 429\"}}}" },
        { { TIMED_OUT, EXPIRED, GOOD, GOOD, STATUS_429 },
          render_ready,
          true,
          "{\"status\":\"not_ready\",\"checks\":{"
          "\"database\":{\"healthy\":false,\"reason\":\"timeout\","
          "\"error\":\"No answer from db:5432\"},"
          "\"cache\":{\"healthy\":false,\"reason\":\"tls/expired\","
          "\"error\":\"certificate of db has expired\"},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":false,\"reason\":\"status/429\","
          "\"error\":\"HTTP 429 \\\"slow down\\\"\"}}}" },

        /* Only a number of three digits is an HTTP status. */
        { { GOOD, SQL_ERROR, GOOD, GOOD, GOOD },
          render_ready,
          false,
          "{\"status\":\"ready\",\"checks\":{"
          "\"database\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"cache\":{\"healthy\":false,\"reason\":\"status/42601\","
          "\"error\":\"Bad status: 42601\"},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":true,\"latency_ms\":3.2}},"
          "\"degraded\":[\"cache\"]}" },
        { { GOOD, LOADING, GOOD, GOOD, GOOD },
          render_ready,
          false,
          "{\"status\":\"ready\",\"checks\":{"
          "\"database\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"cache\":{\"healthy\":false,\"reason\":\"status/loading\","
          "\"error\":\"Bad status: loading\"},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":true,\"latency_ms\":3.2}},"
          "\"degraded\":[\"cache\"]}" },

        /* Without a result, and with one that does not decide yet. */
        { { GOOD, PENDING, GOOD, GOOD, FAILED_ONE },
          render_ready,
          false,
          "{\"status\":\"not_ready\",\"checks\":{"
          "\"database\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"cache\":{\"healthy\":false,\"error\":\"No result yet\"},"
          "\"host/disk\":{\"healthy\":true,\"latency_ms\":3.2},"
          "\"orders/queue\":{\"healthy\":false,\"reason\":\"refused\","
          "\"error\":\"Connection refused\"}}}" },

        { { TIMED_OUT, GOOD, GOOD, GOOD, GOOD }, render_live, false, "{\"status\":\"alive\"}" },
        { { GOOD, GOOD, REFUSED, GOOD, GOOD },
          render_live,
          false,
          "{\"status\":\"dead\",\"checks\":{"
          "\"app\":{\"healthy\":false,\"reason\":\"refused\",\"error\":\"Connection refused\"}}}" },

        { { GOOD, REFUSED, GOOD, GOOD, GOOD }, render_started, false, "{\"status\":\"started\"}" },
        { { PENDING, PENDING, GOOD, PENDING, PENDING },
          render_started,
          false,
          "{\"status\":\"starting\",\"detail\":\"Service is still initialising\","
          "\"waiting_for\":[\"database\",\"orders/queue\"]}" },

        { { SLOW, GOOD, GOOD, REFUSED, GOOD },
          render_status,
          false,
          "{\"status\":\"UP\",\"timestamp\":\"2023-11-14T22:13:30.000Z\","
          "\"version\":\"" PACKAGE_VERSION "\",\"components\":{"
          "\"database\":{\"status\":\"UP\",\"message\":\"Beyond the limit: latency\"},"
          "\"cache\":{\"status\":\"UP\",\"message\":\"Healthy\"},"
          "\"app\":{\"status\":\"UP\",\"message\":\"Healthy\"},"
          "\"host/disk\":{\"status\":\"DOWN\",\"message\":\"Connection refused\"},"
          "\"orders/queue\":{\"status\":\"UP\",\"message\":\"Healthy\"},"
          "\"application_uptime\":{\"status\":\"UP\",\"message\":\"Up for 0ms\"}}}" },

        { { GOOD, GOOD, GOOD, GOOD, GOOD },
          render_components_ready,
          false,
          "{\"status\":\"READY\",\"timestamp\":\"2023-11-14T22:13:30.000Z\"}" },
        { { GOOD, GOOD, GOOD, GOOD, REFUSED },
          render_components_ready,
          true,
          "{\"status\":\"NOT READY\",\"reason\":\"orders/queue: cache:6379: Connection refused\","
          "\"timestamp\":\"2023-11-14T22:13:30.000Z\"}" },
        { { GOOD, GOOD, GOOD, GOOD, GOOD }, render_components_live, false, "OK" },
        { { GOOD, GOOD, REFUSED, GOOD, GOOD }, render_components_live, false, "DEAD" },

        { { GOOD, REFUSED, GOOD, GOOD, GOOD }, render_root, false, "degraded" },
        { { GOOD, GOOD, GOOD, GOOD, GOOD }, render_root, true, "READY: 2 of 2 services ready" },
};

static void test_bodies_of_the_host(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(state_freep) State *s =
                        make_state(shop, ELEMENTSOF(shop), bodies[i].stories);

                assert_body(s, bodies[i].render, INDEX_NONE, bodies[i].with_detail, bodies[i].body);
        }
}

static void test_bodies_of_a_service(void **state _unused_) {
        static const Story stories[] = { GOOD, GOOD, GOOD, REFUSED, TIMED_OUT };
        _cleanup_(state_freep) State *s = make_state(shop, ELEMENTSOF(shop), stories);

        assert_body(s, render_ready, 2, false,
                    "{\"status\":\"not_ready\",\"service\":\"orders\",\"checks\":{"
                    "\"queue\":{\"healthy\":false,\"reason\":\"timeout\","
                    "\"error\":\"Timeout after 1000ms\"}}}");
        assert_body(s, render_live, 2, false, "{\"status\":\"alive\",\"service\":\"orders\"}");
        assert_body(s, render_started, 0, false,
                    "{\"status\":\"started\",\"service\":\"default\"}");

        /* Its own verdict knows of the degradation that the host's leaves out. */
        assert_body(s, render_ready, 1, false,
                    "{\"status\":\"ready\",\"service\":\"host\",\"checks\":{"
                    "\"disk\":{\"healthy\":false,\"reason\":\"refused\","
                    "\"error\":\"Connection refused\"}},\"degraded\":[\"disk\"]}");
}

/* What is in shadow is shown, marked, and changes no verdict. */
static void test_shadow(void **state _unused_) {
        static const FixtureService services[] = {
                { "orders", .checks = { { "db" }, { "new", .is_shadow = true } } },
                { "trial", .is_shadow = true, .checks = { { "app" } } },
        };
        static const Story stories[] = { GOOD, REFUSED, REFUSED };
        _cleanup_(state_freep) State *s = make_state(services, 2, stories);

        assert_body(s, render_ready, INDEX_NONE, false,
                    "{\"status\":\"ready\",\"checks\":{"
                    "\"orders/db\":{\"healthy\":true,\"latency_ms\":3.2},"
                    "\"orders/new\":{\"healthy\":false,\"shadow\":true,\"reason\":\"refused\","
                    "\"error\":\"Connection refused\"},"
                    "\"trial/app\":{\"healthy\":false,\"shadow\":true,\"reason\":\"refused\","
                    "\"error\":\"Connection refused\"}}}");
        assert_body(s, render_ready, 1, false,
                    "{\"status\":\"not_ready\",\"service\":\"trial\",\"shadow\":true,\"checks\":{"
                    "\"app\":{\"healthy\":false,\"reason\":\"refused\","
                    "\"error\":\"Connection refused\"}}}");
        assert_body(s, render_status, 0, false,
                    "{\"status\":\"UP\",\"service\":\"orders\","
                    "\"timestamp\":\"2023-11-14T22:13:30.000Z\",\"version\":\"" PACKAGE_VERSION
                    "\",\"components\":{"
                    "\"db\":{\"status\":\"UP\",\"message\":\"Healthy\"},"
                    "\"new\":{\"status\":\"DOWN\",\"message\":\"Connection refused\","
                    "\"shadow\":true},"
                    "\"application_uptime\":{\"status\":\"UP\",\"message\":\"Up for 0ms\"}}}");
}

/* Where no check is the cause the verdict itself says why. */
static void test_obstacles(void **state _unused_) {
        static const FixtureService broken[] = {
                { "orders", .defect = "/etc/vitald/services/orders.conf:3: Unknown key \"Tpye\"" },
        };
        static const FixtureService fine[] = { { "orders", .checks = { { "db" } } } };
        static const Story stories[] = { GOOD };
        _cleanup_(state_freep) State *none = make_state(NULL, 0, NULL),
                                     *bad = make_state(broken, 1, NULL),
                                     *drained = make_state(fine, 1, stories);

        assert_body(none, render_ready, INDEX_NONE, false,
                    "{\"status\":\"not_ready\",\"reason\":\"unconfigured\","
                    "\"error\":\"No service is configured\",\"checks\":{}}");
        assert_body(none, render_live, INDEX_NONE, false, "{\"status\":\"alive\"}");

        assert_body(bad, render_ready, 0, false,
                    "{\"status\":\"not_ready\",\"service\":\"orders\",\"reason\":\"configuration\","
                    "\"error\":\"Bad configuration\",\"checks\":{}}");
        assert_body(bad, render_ready, INDEX_NONE, true,
                    "{\"status\":\"not_ready\",\"reason\":\"configuration\",\"error\":"
                    "\"/etc/vitald/services/orders.conf:3: Unknown key \\\"Tpye\\\"\","
                    "\"checks\":{}}");
        assert_body(bad, render_components_ready, INDEX_NONE, false,
                    "{\"status\":\"NOT READY\",\"reason\":\"Bad configuration\","
                    "\"timestamp\":\"2023-11-14T22:13:30.000Z\"}");

        fixture_apply_drain(drained, INDEX_NONE, USEC_INFINITY, false, fixture_time(2 * SEC));
        assert_body(drained, render_ready, INDEX_NONE, false,
                    "{\"status\":\"not_ready\",\"reason\":\"drained\",\"error\":\"Drained\","
                    "\"checks\":{\"orders/db\":{\"healthy\":true,\"latency_ms\":3.2}}}");
        assert_body(drained, render_ready, 0, true,
                    "{\"status\":\"not_ready\",\"service\":\"orders\",\"reason\":\"drained\","
                    "\"error\":\"Drained by tester: maintenance\","
                    "\"checks\":{\"db\":{\"healthy\":true,\"latency_ms\":3.2}}}");
        assert_body(drained, render_started, INDEX_NONE, false, "{\"status\":\"started\"}");
}

/* A stopped unit is left out of the host as its verdict is, and shown where it is asked for. */
static void test_inactive(void **state _unused_) {
        static const FixtureService services[] = {
                { "batch", .unit = "batch.service", .checks = { { "db" } } },
                { "orders", .checks = { { "db" } } },
        };
        static const Story stories[] = { GOOD, GOOD };
        _cleanup_(state_freep) State *s = make_state(services, 2, stories);

        fixture_apply_unit(s, 0, UNIT_INACTIVE, "", fixture_time(2 * SEC));
        assert_body(s, render_ready, INDEX_NONE, false,
                    "{\"status\":\"ready\",\"checks\":{"
                    "\"orders/db\":{\"healthy\":true,\"latency_ms\":3.2}}}");
        assert_body(s, render_ready, 0, false,
                    "{\"status\":\"not_ready\",\"service\":\"batch\",\"reason\":\"inactive\","
                    "\"error\":\"Unit is not running\",\"checks\":{"
                    "\"db\":{\"healthy\":false,\"reason\":\"inactive\","
                    "\"error\":\"Unit is not running\"}}}");
}

/* A failure that does not count yet changes nothing, but there is no latency to show. */
static void test_undecided(void **state _unused_) {
        static const FixtureService services[] = { { "orders", .checks = { { "db" } } } };
        static const Story stories[] = { GOOD };
        _cleanup_(state_freep) State *s = make_state(services, 1, stories);

        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(2 * SEC));
        assert_body(s, render_ready, INDEX_NONE, true,
                    "{\"status\":\"ready\",\"checks\":{\"orders/db\":{\"healthy\":true}}}");
}

static void test_override(void **state _unused_) {
        static const FixtureService services[] = { { "orders", .checks = { { "db" } } } };
        static const Story stories[] = { GOOD };
        _cleanup_(state_freep) State *s = make_state(services, 1, stories);

        fixture_apply_override(s, 0, HEALTH_UNHEALTHY, USEC_INFINITY, fixture_time(2 * SEC));
        assert_body(s, render_ready, INDEX_NONE, false,
                    "{\"status\":\"not_ready\",\"checks\":{\"orders/db\":{\"healthy\":false,"
                    "\"reason\":\"overridden\",\"error\":\"Overridden\"}}}");
        assert_body(s, render_ready, INDEX_NONE, true,
                    "{\"status\":\"not_ready\",\"checks\":{\"orders/db\":{\"healthy\":false,"
                    "\"reason\":\"overridden\",\"error\":\"on purpose\"}}}");
}

static void test_metrics(void **state _unused_) {
        static const FixtureService services[] = { { "orders", .checks = { { "db" } } } };
        static const Story stories[] = { { OUTCOME_PASS, 3, 3240 } };
        static const char *const lines[] = {
                "# TYPE vitald_check_runs%s counter\n",
                "# TYPE vitald_http_requests%s counter\n",
        };
        static const char *const samples[] = {
                "\nvitald_check_healthy{service=\"orders\",check=\"db\"} 1\n",
                "\nvitald_check_state{service=\"orders\",check=\"db\",state=\"healthy\"} 1\n",
                "\nvitald_check_shadow{service=\"orders\",check=\"db\"} 0\n",
                "\nvitald_check_state{service=\"orders\",check=\"db\",state=\"pending\"} 0\n",
                ",check=\"db\",le=\"0.0025\"} 0\n",
                ",check=\"db\",le=\"0.005\"} 3\n",
                ",check=\"db\",le=\"+Inf\"} 3\n",
                "\nvitald_check_duration_seconds_sum{service=\"orders\",check=\"db\"} 0.009720\n",
                "\nvitald_check_duration_seconds_count{service=\"orders\",check=\"db\"} 3\n",
                "\nvitald_check_runs_total{service=\"orders\",check=\"db\",outcome=\"pass\"} 3\n",
                "\nvitald_probe_ok{service=\"\",probe=\"readiness\"} 1\n",
                "\nvitald_probe_ok{service=\"orders\",probe=\"startup\"} 1\n",
                "\nvitald_restart_budget_remaining 3\n",
                "\nvitald_http_requests_total{code=\"503\"} 7\n",
                "\nvitald_http_connection_events_total{event=\"evicted\"} 2\n",
                "\nvitald_loop_lag_seconds 0.001500\n",
                "\napp_health_dependency_status{service=\"orders\",component=\"db\"} 1\n",
        };
        static const HttpCounters http = { .evicted = 2, .answers = { [503] = 7 } };
        static const Actions actions = { .budget.burst = 3 };
        const MetricsStats stats = { .http = &http, .actions = &actions, .loop_lag_usec = 1500 };
        _cleanup_(state_freep) State *s = make_state(services, 1, stories);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot =
                fixture_need(snapshot_new(s, NULL, fixture_time(AT)));

        for (MetricsFormat f = METRICS_CLASSIC; f <= METRICS_OPENMETRICS; f++) {
                _cleanup_strbuf_ StrBuf out = {};

                metrics_render(snapshot, &stats, f, &out);
                assert_false(out.failed);
                for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                        if (!strstr(out.text, samples[i]))
                                print_error("%s", samples[i]);
                        assert_non_null(strstr(out.text, samples[i]));
                }
                for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                        const char *line = strchr(lines[i], '%');
                        char text[128];

                        snprintf(text, sizeof(text), "%.*s%s%s", (int) (line - lines[i]), lines[i],
                                 f == METRICS_CLASSIC ? "_total" : "", line + 2);
                        assert_non_null(strstr(out.text, text));
                }
                assert_int_equal(strstr(out.text, "# EOF\n") != NULL, f == METRICS_OPENMETRICS);
        }
}

/* What a driver calls its values is quoted. */
static void test_metrics_labels(void **state _unused_) {
        static const FixtureService services[] = { { "orders", .checks = { { "db" } } } };
        static const Story stories[] = { { OUTCOME_PASS, 0 } };
        static const HttpCounters http = {};
        static const Actions actions = {};
        const MetricsStats stats = { .http = &http, .actions = &actions };
        _cleanup_(state_freep) State *s = make_state(services, 1, stories);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        _cleanup_strbuf_ StrBuf out = {};
        Result r;

        result_pass(&r, "fine");
        result_add_value(&r, "a\"b\\c\nd", 0.1, "bytes");
        state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r }, fixture_time(SEC));
        snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        metrics_render(snapshot, &stats, METRICS_CLASSIC, &out);
        assert_non_null(strstr(out.text, "name=\"a\\\"b\\\\c\\nd\",unit=\"bytes\"} 0.1\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bodies_of_the_host),
                cmocka_unit_test(test_bodies_of_a_service),
                cmocka_unit_test(test_shadow),
                cmocka_unit_test(test_obstacles),
                cmocka_unit_test(test_inactive),
                cmocka_unit_test(test_undecided),
                cmocka_unit_test(test_override),
                cmocka_unit_test(test_metrics),
                cmocka_unit_test(test_metrics_labels),
        };

        return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
