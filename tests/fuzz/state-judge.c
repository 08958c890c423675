/* SPDX-License-Identifier: MIT */
#include "state-judge.h"

#include <errno.h>
#include <math.h>

#include "../unit/fixture.h"
#include "output/history-file.h"
#include "output/state-file.h"

static const FixtureService services[] = {
        {
                .name = "orders",
                .unit = "orders.service",
                .checks = {
                        { .name = "app", .probes = READINESS | LIVENESS | STARTUP },
                        { .name = "db", .failure_threshold = 3 },
                        { .name = "later", .after = 1 << 1 },
                        { .name = "reports", .type_flags = CHECK_TYPE_PUSH },
                        { .name = "some", .of = 1 << 0 | 1 << 1 },
                },
        },
        { .name = "search", .checks = { { .name = "cache", .is_uncritical = true } } },
        { .name = "wrong", .defect = "wrong.conf:1: Unknown key" },
};

static Config *make_config(void) {
        return fixture_config(services, ELEMENTSOF(services));
}

/* -- what must hold ---------------------------------------------------------------------------- */

static void verify_text(const char *text) {
        FUZZ_ASSERT(utf8_is_valid(text, strlen(text)));
        for (const char *p = text; *p; p++)
                FUZZ_ASSERT((unsigned char) *p >= 0x20 && *p != 0x7f);
}

static void verify_check(const CheckState *c, Time now) {
        uint64_t n = 0;

        verify_text(c->message);
        verify_text(c->detail);
        verify_text(c->first_failure_message);
        verify_text(c->last.message);
        verify_text(check_state_override(c)->note);
        verify_text(check_state_override(c)->who);
        FUZZ_ASSERT(c->last.n_values <= RESULT_VALUES_MAX);
        for (size_t i = 0; i < c->last.n_values; i++)
                FUZZ_ASSERT(isfinite(c->last.values[i].number));
        for (Outcome o = OUTCOME_PASS; o <= OUTCOME_ERROR; o++)
                n += c->n_by_outcome[o];
        FUZZ_ASSERT(n == c->n_runs);
        FUZZ_ASSERT(c->since_boottime <= now.boottime && c->since_realtime <= now.realtime);
        if (check_config_is_combined(c->config))
                return;
        FUZZ_ASSERT(check_state_override(c)->is_active || c->state == c->measured);
        FUZZ_ASSERT(c->failures_in_row == 0 || c->successes_in_row == 0);
        if (!health_is_good(c->measured))
                return;
        FUZZ_ASSERT(c->fresh_boottime > 0 && c->fresh_boottime <= now.boottime);
        FUZZ_ASSERT(now.boottime < c->fresh_boottime + c->config->max_age_usec + c->pause_usec);
}

static void verify_snapshot(const Snapshot *s) {
        for (size_t i = 0; i < s->config->n_checks; i++)
                verify_check(s->checks[i], s->time);
        for (size_t i = 0; i < s->config->n_services; i++) {
                verify_text(s->services[i].state->invocation_id);
                verify_text(s->services[i].state->version);
                verify_text(s->services[i].state->drain.note);
                for (Probe p = 0; p < PROBE_COUNT_; p++)
                        FUZZ_ASSERT(s->services[i].since[p].boottime <= s->time.boottime);
        }
        FUZZ_ASSERT(s->expires_boottime > s->time.boottime);
}

/* What is taken can be written and read again, and nothing stays green by itself. */
static void verify_kept(Config *config, const Kept *k, Time now) {
        _cleanup_(snapshot_unrefp) Snapshot *before = fixture_need(kept_snapshot(k));
        _cleanup_(snapshot_unrefp) Snapshot *first = NULL, *last = NULL;
        _cleanup_(state_freep) State *s = fixture_need(state_new(config, now));
        _cleanup_(kept_freep) Kept *again = NULL;
        _cleanup_strbuf_ StrBuf text = {};
        char why[STATE_FILE_WHY_MAX];

        FUZZ_ASSERT(state_apply(s, &(Event){ .type = EVENT_RESTORE, .kept = k }, now) == 0);
        first = fixture_need(snapshot_new(s, before, now));
        verify_snapshot(first);
        state_file_format(&text, first, JUDGE_BOOT, true);
        FUZZ_ASSERT(state_file_parse(text.text, text.length, JUDGE_BOOT, config, now, &again,
                                     why) == 0);

        now.boottime += 400 * USEC_PER_DAY;
        now.monotonic += 400 * USEC_PER_DAY;
        now.realtime += 400 * USEC_PER_DAY;
        FUZZ_ASSERT(state_apply(s, &(Event){ .type = EVENT_TICK }, now) == 0);
        last = fixture_need(snapshot_new(s, first, now));
        verify_snapshot(last);
        for (size_t i = 0; i < config->n_checks; i++)
                FUZZ_ASSERT(!health_is_good(last->checks[i]->measured));
}

/* -- the parsers ------------------------------------------------------------------------------- */

static bool judge_state(Config *config, const char *text, size_t n, Time now) {
        _cleanup_(kept_freep) Kept *k = NULL;
        char why[STATE_FILE_WHY_MAX] = "";
        int r = state_file_parse(text, n, JUDGE_BOOT, config, now, &k, why);

        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -ESTALE);
        FUZZ_ASSERT((r == 0) == (k != NULL));
        if (r < 0)
                verify_text(why);
        else
                verify_kept(config, k, now);
        return r == 0;
}

static bool judge_history(Config *config, const char *text, size_t n, Time now) {
        _cleanup_(publisher_freep) Publisher *publisher = fixture_need(publisher_new());
        _cleanup_(history_freep) History *h = NULL;
        char why[STATE_FILE_WHY_MAX] = "";
        int r;

        FUZZ_ASSERT(history_new(publisher, &h) == 0);
        r = history_parse(h, text, n, JUDGE_BOOT, config, now, why);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -ESTALE);
        for (size_t i = 0; i < config->n_checks; i++) {
                HistoryRun runs[HISTORY_RUNS_MAX];
                HistoryFlip flips[HISTORY_FLIPS_MAX];
                size_t n_runs = history_runs(h, i, runs), n_flips = history_flips(h, i, flips);

                FUZZ_ASSERT(r == 0 || n_runs + n_flips == 0);
                for (size_t k = 0; k < n_runs; k++)
                        FUZZ_ASSERT(runs[k].realtime < now.realtime + SEC &&
                                    runs[k].outcome <= OUTCOME_ERROR);
                for (size_t k = 0; k < n_flips; k++)
                        FUZZ_ASSERT(flips[k].realtime < now.realtime + SEC &&
                                    flips[k].state < HEALTH_COUNT_ &&
                                    flips[k].reason < REASON_COUNT_);
        }
        return r == 0;
}

static void on_drain(void *userdata, const LastingDrain *lasting) {
        const Time *now = userdata;
        const Drain *d = &lasting->drain;

        FUZZ_ASSERT(!*lasting->service || name_is_valid(lasting->service));
        FUZZ_ASSERT(d->is_active && !d->ends_with_invocation);
        FUZZ_ASSERT(d->until_boottime > now->boottime && d->since_realtime <= now->realtime);
        verify_text(d->note);
        verify_text(d->who);
}

static bool judge_drains(const char *text, size_t n, Time now) {
        char why[STATE_FILE_WHY_MAX] = "";
        int r = drains_file_parse(text, n, now, on_drain, &now, why);

        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        return r == 0;
}

bool judge(JudgeFile file, const char *text, size_t n) {
        _cleanup_(config_unrefp) Config *config = make_config();
        Time now = fixture_time(2 * USEC_PER_MINUTE);
        bool is_taken[JUDGE_FILES_];

        is_taken[JUDGE_STATE] = judge_state(config, text, n, now);
        is_taken[JUDGE_HISTORY] = judge_history(config, text, n, now);
        is_taken[JUDGE_DRAINS] = judge_drains(text, n, now);
        return is_taken[file];
}

/* -- an example -------------------------------------------------------------------------------- */

static void add_results(State *s, Publisher *p) {
        static const Outcome outcomes[][3] = {
                { OUTCOME_PASS, OUTCOME_FAIL, OUTCOME_FAIL },
                { OUTCOME_PASS, OUTCOME_WARN, OUTCOME_PASS },
                { OUTCOME_PASS, OUTCOME_PASS, OUTCOME_ERROR },
        };

        for (unsigned n = 0; n < 9; n++)
                for (size_t i = 0; i < s->config->n_checks; i++) {
                        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
                        Result r = fixture_result(outcomes[i % 3][n / 3]);
                        Time now = fixture_time((n * 10 + i) * SEC);

                        if (check_config_is_combined(s->config->checks[i]))
                                continue;
                        r.latency_usec = 1000 * n;
                        r.retry_after_usec = n == 8 ? 3 * SEC : 0;
                        result_add_value(&r, "free", 1.5e9 / (n + 1), "bytes");
                        result_add_value(&r, "queue", n, "");
                        FUZZ_ASSERT(
                                state_apply(
                                        s,
                                        &(Event){ .type = EVENT_RESULT, .check = i, .result = &r },
                                        now) == 0);
                        snapshot = fixture_need(snapshot_new(s, publisher_current(p), now));
                        publisher_publish(p, snapshot);
                }
}

static void add_decisions(State *s) {
        Time now = fixture_time(95 * SEC);

        FUZZ_ASSERT(fixture_apply_unit(s, 0, UNIT_ACTIVE, "0123456789abcdef", now) == 0);
        FUZZ_ASSERT(fixture_apply_override(s, 1, HEALTH_HEALTHY, now.boottime + 90 * SEC, now) ==
                    0);
        FUZZ_ASSERT(fixture_apply_drain(s, 1, USEC_INFINITY, false, now) == 0);
        FUZZ_ASSERT(fixture_apply_drain(s, INDEX_NONE, now.boottime + 90 * SEC, false, now) == 0);
}

static const char empty[] =
        "{\"boot\":\"" JUDGE_BOOT "\",\"began\":1,\"began_boottime\":2,\"checks\":[]}";

char *judge_example(JudgeFile file) {
        _cleanup_(config_unrefp) Config *config = make_config();
        _cleanup_(state_freep) State *s = fixture_need(state_new(config, fixture_time(0)));
        _cleanup_(publisher_freep) Publisher *publisher = fixture_need(publisher_new());
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        _cleanup_(history_freep) History *h = NULL;
        _cleanup_strbuf_ StrBuf b = {};
        Time now = fixture_time(96 * SEC);
        LastingDrain gone = {
                .service = "gone",
                .absent_realtime = now.realtime,
                .drain = {
                        .is_active = true,
                        .since_realtime = now.realtime,
                        .until_boottime = USEC_INFINITY,
                },
        };
        AbsentDrains absent = { .items = &gone, .n = 1 };
        char why[STATE_FILE_WHY_MAX], *text;

        FUZZ_ASSERT(history_new(publisher, &h) == 0);
        FUZZ_ASSERT(history_parse(h, empty, strlen(empty), JUDGE_BOOT, config, now, why) == 0);
        FUZZ_ASSERT(fixture_apply_unit(s, 0, UNIT_ACTIVE, "0123456789abcdef", fixture_time(0)) ==
                    0);
        add_results(s, publisher);
        add_decisions(s);
        snapshot = fixture_need(snapshot_new(s, publisher_current(publisher), now));
        if (file == JUDGE_STATE)
                state_file_format(&b, snapshot, JUDGE_BOOT, true);
        else if (file == JUDGE_HISTORY)
                history_format(h, JUDGE_BOOT, &b);
        else
                drains_file_format(&b, snapshot, &absent, now);
        FUZZ_ASSERT(strbuf_finish(&b, &text) == 0);
        return text;
}
