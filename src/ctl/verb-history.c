/* SPDX-License-Identifier: MIT */
/* history: a check's last runs and changes of state. */

#include "ctl/json.h"
#include "ctl/past.h"
#include "ctl/table.h"
#include "ctl/words.h"

/* -- for people -------------------------------------------------------------------------------- */

#define LATENCY(t) latency_format((char[TIMESPAN_MAX]){}, t)
#define AT(t)      timestamp_format_short((char[TIMESTAMP_MAX]){}, t, v->realtime)

static void show_runs(const Screen *s, const Past *p, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        if (p->n_runs == 0) {
                fputs("  No runs yet\n", s->file);
                return;
        }
        sparkline_append(&b, s, p->runs, p->n_runs);
        fprintf(s->file, "  Runs     %s  %s to %s\n", b.failed ? "" : b.text, AT(p->times[0]),
                AT(p->times[p->n_runs - 1]));
        if (p->max != USEC_INFINITY)
                fprintf(s->file, "  Latency  p50 %s, p95 %s, p99 %s, max %s\n", LATENCY(p->p50),
                        LATENCY(p->p95), LATENCY(p->p99), LATENCY(p->max));
}

static void show_changes(const Screen *s, const Past *p, const View *v) {
        static const char *const heading[] = { "SINCE", "STATE", "REASON" };
        _cleanup_table_ Table t = { .n_columns = ELEMENTSOF(heading) };

        table_heading(&t, heading);
        for (size_t i = p->n_changes; i > 0; i--) {
                const Change *c = &p->changes[i - 1];

                table_cell(&t, TONE_PLAIN, "%s", AT(c->realtime));
                table_cell(&t, state_tone(c->state), "%s", c->state);
                table_cell(&t, TONE_PLAIN, "%s", c->reason);
        }
        table_print(&t, s);
}

/* -- JSON -------------------------------------------------------------------------------------- */

static json_object *latency_json(uint64_t latency) {
        return latency == USEC_INFINITY ? NULL : json_object_new_uint64(latency);
}

static json_object *runs_json(const Past *p) {
        json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < p->n_runs; i++) {
                json_object *o = json_object_new_object();

                json_object_object_add(o, "Timestamp", json_object_new_uint64(p->times[i]));
                json_object_object_add(o, "Outcome", json_object_new_string(p->outcomes[i]));
                json_object_object_add(o, "LatencyUSec", latency_json(p->runs[i].value));
                json_object_array_add(a, o);
        }
        return a;
}

static json_object *changes_json(const Past *p) {
        json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < p->n_changes; i++) {
                json_object *o = json_object_new_object();

                json_object_object_add(o, "Timestamp",
                                       json_object_new_uint64(p->changes[i].realtime));
                json_object_object_add(o, "State", json_object_new_string(p->changes[i].state));
                json_object_object_add(o, "Reason", json_object_new_string(p->changes[i].reason));
                json_object_array_add(a, o);
        }
        return a;
}

static json_object *past_json(const Past *p) {
        json_object *o = json_object_new_object(), *latency = json_object_new_object();

        json_object_object_add(latency, "P50USec", latency_json(p->p50));
        json_object_object_add(latency, "P95USec", latency_json(p->p95));
        json_object_object_add(latency, "P99USec", latency_json(p->p99));
        json_object_object_add(latency, "MaxUSec", latency_json(p->max));
        json_object_object_add(o, "Runs", runs_json(p));
        json_object_object_add(o, "Changes", changes_json(p));
        json_object_object_add(o, "Latency", latency);
        return o;
}

int verb_history(const Ctl *ctl) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        _cleanup_(past_freep) Past *p = NULL;
        const Screen *s = &ctl->screen;
        CheckInfo *check;
        int r;

        r = ctl_open_view(ctl, &c, &v);
        if (r == 0)
                r = ctl_find_check(v, ctl->arguments[0], &check);
        if (r != 0)
                return r;
        r = past_get(c, check->path, &error, &p);
        if (r < 0)
                return ctl_failed(ctl, r, &error);
        if (ctl->json != JSON_OFF)
                return json_print(ctl, past_json(p));
        fprintf(s->file, "%s: %s%s%s for %s\n", check->id, tone_begin(s, state_tone(check->state)),
                check->state, tone_end(s, state_tone(check->state)),
                age_format((char[TIMESPAN_MAX]){}, check->state_since, v->realtime));
        show_runs(s, p, v);
        show_changes(s, p, v);
        return EXIT_YES;
}
