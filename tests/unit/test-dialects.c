/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "fixture.h"
#include "output/dialect.h"

#define AT (10 * SEC)

static HttpSlice slice(const char *text) {
        return (HttpSlice){ text, strlen(text) };
}

static RenderView view_of(const Snapshot *snapshot, size_t service, Probe probe) {
        RenderView v = {
                .snapshot = snapshot,
                .service = service,
                .check = INDEX_NONE,
                .probe = probe,
        };

        assert_int_equal(render_view_judge(&v), 0);
        v.status = dialect_grade(&v) == GRADE_FAIL ? 503 : 200;
        return v;
}

static void assert_said(const RenderView *v, const char *name, const char *expected) {
        const Dialect *dialect = NULL;
        _cleanup_strbuf_ StrBuf out = {};

        assert_true(dialect_find(slice(name), &dialect));
        dialect->render(v, &out);
        assert_false(out.failed);
        assert_string_equal(out.text, expected);
}

/* A unit that was stopped on purpose. */
static void test_inactive(void **state _unused_) {
        static const FixtureService services[] = {
                { "batch", .unit = "batch.service", .checks = { { "db" } } },
        };
        _cleanup_(state_freep) State *s = fixture_state(services);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        RenderView v;

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_unit(s, 0, UNIT_INACTIVE, "", fixture_time(2 * SEC));
        snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        v = view_of(snapshot, 0, PROBE_READINESS);
        assert_said(&v, "spring",
                    "{\"status\":\"OUT_OF_SERVICE\",\"components\":{"
                    "\"db\":{\"status\":\"UNKNOWN\",\"details\":{\"reason\":\"inactive\","
                    "\"error\":\"Unit is not running\"}},"
                    "\"readinessState\":{\"status\":\"OUT_OF_SERVICE\",\"details\":{"
                    "\"reason\":\"inactive\",\"error\":\"Unit is not running\"}}}}");
        assert_said(&v, "aspnet",
                    "{\"status\":\"Unhealthy\",\"totalDuration\":\"00:00:00.0000000\","
                    "\"entries\":{\"db\":{\"data\":{},\"description\":\"Unit is not running\","
                    "\"duration\":\"00:00:00.0000000\","
                    "\"status\":\"Unhealthy\",\"tags\":[\"readiness\"]},"
                    "\"vitald (inactive)\":{\"data\":{},\"description\":\"Unit is not running\","
                    "\"duration\":\"00:00:00.0000000\",\"status\":\"Unhealthy\",\"tags\":[]}}}");
        assert_said(&v, "ietf",
                    "{\"status\":\"fail\",\"serviceId\":\"batch\","
                    "\"output\":\"Unit is not running\",\"checks\":{\"db:responseTime\":["
                    "{\"componentType\":\"component\",\"status\":\"fail\","
                    "\"time\":\"2023-11-14T22:13:21.000Z\","
                    "\"output\":\"Unit is not running\"}]}}");
        assert_said(&v, "nagios",
                    "VITALD CRITICAL - inactive, Unit is not running, db: Unit is not running, "
                    "0 of 1 checks good\n");
        assert_said(&v, "text",
                    "[-]db failed: Unit is not running\n"
                    "[-]inactive failed: Unit is not running\nreadyz check failed\n");
        assert_said(&v, "azure", "{\"ApplicationHealthState\":\"Healthy\"}");
}

/* What nobody knows is no, and the words for it differ. */
static void test_without_results(void **state _unused_) {
        static const FixtureService services[] = { { "orders", .checks = { { "db" } } } };
        _cleanup_(state_freep) State *s = fixture_state(services);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot =
                fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        RenderView v = view_of(snapshot, INDEX_NONE, PROBE_STARTUP);

        assert_said(&v, "spring",
                    "{\"status\":\"OUT_OF_SERVICE\",\"components\":{\"orders\":{"
                    "\"status\":\"OUT_OF_SERVICE\",\"components\":{"
                    "\"db\":{\"status\":\"UNKNOWN\",\"details\":{\"error\":\"No result yet\"}}}}}"
                    "}");
        assert_said(&v, "nagios",
                    "VITALD CRITICAL - starting, Service is still initialising, "
                    "orders/db: No result yet, 0 of 1 checks good\n");
        assert_said(&v, "text",
                    "[-]orders/db failed: No result yet\n"
                    "[-]starting failed: Service is still initialising\nstartupz check failed\n");
}

/* A check may be called as a part that the dialect adds by itself. */
static void test_names_stand_once(void **state _unused_) {
        static const FixtureService services[] = { { "a", .checks = { { "readinessState" } } } };
        _cleanup_(state_freep) State *s = fixture_state(services);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        RenderView v;

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        v = view_of(snapshot, 0, PROBE_READINESS);
        assert_said(&v, "spring",
                    "{\"status\":\"UP\",\"components\":{\"readinessState\":{"
                    "\"status\":\"UP\",\"details\":{}}}}");
}

static void test_values_and_durations(void **state _unused_) {
        static const FixtureService services[] = { { "a", .checks = { { "disk" } } } };
        _cleanup_(state_freep) State *s = fixture_state(services);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        RenderView v;
        Result r;

        result_pass(&r, "fine");
        result_add_value(&r, "free", 0.1, "bytes");
        result_add_value(&r, "free", 7, "bytes");
        result_add_value(&r, "a\"b", -1e300, "");
        r.latency_usec = 26 * USEC_PER_HOUR + 61 * USEC_PER_SEC + 7;
        state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r }, fixture_time(SEC));
        snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(AT)));
        v = view_of(snapshot, 0, PROBE_READINESS);
        assert_said(&v, "aspnet",
                    "{\"status\":\"Healthy\",\"totalDuration\":\"1.02:01:01.0000070\","
                    "\"entries\":{\"disk\":{\"data\":{\"free\":0.1,\"a\\\"b\":-1e+300},"
                    "\"duration\":\"1.02:01:01.0000070\",\"status\":\"Healthy\","
                    "\"tags\":[\"readiness\"]}}}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_inactive),
                cmocka_unit_test(test_without_results),
                cmocka_unit_test(test_names_stand_once),
                cmocka_unit_test(test_values_and_durations),
        };

        return cmocka_run_group_tests_name("dialects", tests, NULL, NULL);
}
