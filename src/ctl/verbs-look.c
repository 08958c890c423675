/* SPDX-License-Identifier: MIT */
/* status, list, show, why: one picture, printed. */

#include <inttypes.h>

#include "ctl/json.h"
#include "ctl/restarts.h"
#include "ctl/status.h"
#include "ctl/table.h"
#include "ctl/words.h"

int verb_status(const Ctl *ctl) {
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *s = NULL;
        int r;

        r = ctl_open_service(ctl, NULL, &v, &s);
        if (r != 0)
                return r;
        if (ctl->json != JSON_OFF)
                r = json_print(ctl, s ? json_of_service(s) : json_of_view(v));
        else if (s)
                status_print_service(&ctl->screen, v, s);
        else
                status_print_host(&ctl->screen, v);
        return r != 0 ? r : status_exit_code(v, s);
}

/* -- list -------------------------------------------------------------------------------------- */

static int list_json(const Ctl *ctl, const View *v) {
        json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks; j++)
                        json_object_array_add(a, json_of_check(&v->services[i].checks[j]));
        return json_print(ctl, a);
}

static void list_check(Table *t, const CheckInfo *c, const View *v) {
        char text[TIMESPAN_MAX];

        table_cell(t, TONE_PLAIN, "%s", c->id);
        table_cell(t, state_tone(c->state), "%s%s", c->state, c->is_shadow ? " (shadow)" : "");
        table_cell(t, TONE_PLAIN, "%s", c->type);
        table_cell(t, TONE_PLAIN, "%s", latency_format(text, c->latency));
        table_cell(t, TONE_PLAIN, "%s", age_format(text, c->last_run, v->realtime));
        table_cell(t, TONE_PLAIN, "%s", c->target);
}

int verb_list(const Ctl *ctl) {
        static const char *const heading[] = {
                "CHECK", "STATE", "TYPE", "LATENCY", "LAST RUN", "TARGET",
        };
        _cleanup_table_ Table t = { .n_columns = ELEMENTSOF(heading) };
        _cleanup_(view_freep) View *v = NULL;
        int r;

        r = ctl_open_view(ctl, NULL, &v);
        if (r != 0)
                return r;
        if (ctl->json != JSON_OFF)
                return list_json(ctl, v);
        table_heading(&t, heading);
        for (size_t i = 0; i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks; j++)
                        list_check(&t, &v->services[i].checks[j], v);
        table_print(&t, &ctl->screen);
        return EXIT_YES;
}

/* -- why --------------------------------------------------------------------------------------- */

static void why_check(const Screen *screen, const CheckInfo *c, const ServiceInfo *s,
                      const View *v) {
        _cleanup_strbuf_ StrBuf b = {};
        char age[TIMESPAN_MAX];

        strbuf_printf(&b, "%s: %s%s%s for %s: ", c->name, c->state, *c->reason ? ", " : "",
                      c->reason, age_format(age, c->state_since, v->realtime));
        check_describe(&b, c, v);
        if (c->is_overridden)
                strbuf_printf(&b, "; overridden by %s, measured %s", c->override_who,
                              c->measured_state);
        if (!c->blocking && !c->is_critical && !c->is_shadow)
                strbuf_append(&b, "; not critical");
        fputs("  ", screen->file);
        screen_wrap(screen, TONE_PLAIN, b.text ? b.text : "", 2, 4);
        strbuf_reset(&b);
        check_describe_first(&b, c, s, v);
        if (b.length == 0)
                return;
        fputs("    ", screen->file);
        screen_wrap(screen, TONE_FAINT, b.text, 4, 4);
}

static void why_heading(const Screen *screen, const char *name, const Verdicts *d, const View *v) {
        usec_t since = d->is_alive ? d->ready_since : d->alive_since;
        char age[TIMESPAN_MAX], at[TIMESTAMP_MAX], word[WORD_MAX];

        fprintf(screen->file, "%s is %s%s%s since %s (%s)\n", name,
                tone_begin(screen, state_tone(d->state)), state_word(word, d->state),
                tone_end(screen, state_tone(d->state)),
                timestamp_format_short(at, since, v->realtime),
                age_format(age, since, v->realtime));
}

/* Causes that are no check's. */
static void why_obstacle(const Screen *screen, const Verdicts *d, const char *defect,
                         const ServiceInfo *s, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        if (*defect)
                strbuf_printf(&b, "its configuration was refused: %s", defect);
        else if (d->is_draining)
                drain_describe(&b, d, v);
        else if (s && service_is_down(s))
                unit_describe(&b, s);
        else if (str_equal(d->reason, "unconfigured"))
                strbuf_append(&b, "no service is configured, see vitald.services(5)");
        if (!b.text)
                return;
        fputs("  ", screen->file);
        screen_wrap(screen, TONE_PLAIN, b.text, 2, 4);
}

static void why_restarts(const Screen *screen, const ServiceInfo *s, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        restart_describe(&b, s, v);
        if (!b.text)
                return;
        fputs("  ", screen->file);
        screen_wrap(screen, restart_tone(s), b.text, 2, 4);
}

static void why_service(const Screen *screen, const ServiceInfo *s, const View *v) {
        why_heading(screen, s->name, &s->verdicts, v);
        why_obstacle(screen, &s->verdicts, service_is_refused(s) ? s->defect : "", s, v);
        why_restarts(screen, s, v);
        for (CauseKind kind = 0; kind < CAUSE_KINDS && !service_is_down(s); kind++)
                for (size_t i = 0; i < s->n_checks; i++)
                        if (check_is_cause(&s->checks[i], kind))
                                why_check(screen, &s->checks[i], s, v);
}

static void why_host(const Screen *screen, const View *v) {
        char name[HOST_NAME_MAX_];

        why_heading(screen, host_name(name), &v->verdicts, v);
        why_obstacle(screen, &v->verdicts, v->copy_time == 0 ? v->defect : "", NULL, v);
        for (size_t i = 0; i < v->n_services; i++)
                if (!str_equal(v->services[i].verdicts.state, "ready"))
                        why_service(screen, &v->services[i], v);
}

static int why_json(const Ctl *ctl, const Verdicts *d) {
        json_object *o = json_object_new_object(), *a = json_object_new_array();

        STRV_FOREACH(i, d->why)
                if (a)
                        json_object_array_add(a, json_object_new_string(*i));
        if (o) {
                json_object_object_add(o, "State", json_object_new_string(d->state));
                json_object_object_add(o, "Why", a);
        } else
                json_object_put(a);
        return json_print(ctl, o);
}

int verb_why(const Ctl *ctl) {
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *s = NULL;
        int r;

        r = ctl_open_service(ctl, NULL, &v, &s);
        if (r != 0)
                return r;
        if (ctl->json != JSON_OFF)
                r = why_json(ctl, s ? &s->verdicts : &v->verdicts);
        else if (s)
                why_service(&ctl->screen, s, v);
        else
                why_host(&ctl->screen, v);
        return r != 0 ? r : status_exit_code(v, s);
}
