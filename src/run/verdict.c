/* SPDX-License-Identifier: MIT */
#include "run/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

/* What is read; texts are the message's. */
typedef struct Answer {
        const char *unit, *invocation_id, *state, *defect;
        const char *cause; /* the first line of Why */
        unsigned n_causes;
        uint64_t copy_realtime; /* 0: no last good copy runs in the place of files with a defect */
        int is_measured_alive, is_started, is_ready, is_shadow;
} Answer;

static const struct Property {
        const char *name, *signature;
        size_t offset;
} properties[] = {
        { "Unit", "s", offsetof(Answer, unit) },
        { "UnitInvocationID", "s", offsetof(Answer, invocation_id) },
        { "State", "s", offsetof(Answer, state) },
        { "ConfigurationError", "s", offsetof(Answer, defect) },
        { "LastGoodTimestamp", "t", offsetof(Answer, copy_realtime) },
        { "Why", "as", 0 },
        { "MeasuredLive", "b", offsetof(Answer, is_measured_alive) },
        { "Started", "b", offsetof(Answer, is_started) },
        { "Ready", "b", offsetof(Answer, is_ready) },
        { "Shadow", "b", offsetof(Answer, is_shadow) },
};

void verdict_set(Verdict *v, Standing standing, const char *format, ...) {
        char raw[VERDICT_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        vsnprintf(raw, sizeof(raw), format, ap);
        va_end(ap);
        text_sanitize(v->text, sizeof(v->text), raw, strlen(raw));
        v->standing = standing;
}

/* -- reading ----------------------------------------------------------------------------------- */

static int read_causes(sd_bus_message *m, Answer *a) {
        const char *line;
        int r;

        if ((r = sd_bus_message_enter_container(m, 'v', "as")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "s")) < 0)
                return r;
        while ((r = sd_bus_message_read(m, "s", &line)) > 0)
                if (a->n_causes++ == 0)
                        a->cause = line;
        if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

/* A vitald of another version may have other properties, or other types of them. */
static int read_value(sd_bus_message *m, const char *name, Answer *a) {
        const char *signature;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &signature);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                const struct Property *p = properties + i;

                if (!str_equal(p->name, name) || !str_equal(p->signature, signature))
                        continue;
                if (*signature == 'a')
                        return read_causes(m, a);
                return sd_bus_message_read(m, "v", signature, (char *) a + p->offset);
        }
        return sd_bus_message_skip(m, "v");
}

static int read_answer(sd_bus_message *m, Answer *a) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
                if ((r = sd_bus_message_read(m, "s", &name)) < 0 ||
                    (r = read_value(m, name, a)) < 0 || (r = sd_bus_message_exit_container(m)) < 0)
                        return r;
        return r;
}

/* -- judging ----------------------------------------------------------------------------------- */

/* "redis: Connection refused and 2 more", or the state where there is no cause. */
static const char *causes(const Answer *a, char buf[static VERDICT_TEXT_MAX]) {
        if (a->n_causes == 0)
                snprintf(buf, VERDICT_TEXT_MAX, "%s", a->state);
        else if (a->n_causes == 1)
                snprintf(buf, VERDICT_TEXT_MAX, "%.200s", a->cause);
        else
                snprintf(buf, VERDICT_TEXT_MAX, "%.200s, and %u more", a->cause, a->n_causes - 1);
        return buf;
}

/* Why the service's verdicts are not about this start. */
static void judge_other(const Answer *a, const Start *start, Verdict *v) {
        if (!str_is_empty(a->defect) && a->copy_realtime == 0)
                verdict_set(v, STANDING_SILENT, "the configuration of %s is wrong: %s",
                            start->service, a->defect);
        else if (str_is_empty(a->unit))
                verdict_set(v, STANDING_MISTAKEN,
                            "service %s has no Unit=, so that vitald cannot tell its starts apart",
                            start->service);
        else if (start->unit && !str_equal(a->unit, start->unit))
                verdict_set(v, STANDING_MISTAKEN, "service %s stands for %s, not for %s",
                            start->service, a->unit, start->unit);
        else
                verdict_set(v, STANDING_SILENT, "vitald has not seen this start of %s yet",
                            a->unit);
}

static void judge(const Answer *a, const Start *start, Verdict *v) {
        char why[VERDICT_TEXT_MAX];

        causes(a, why);
        if (a->is_shadow)
                verdict_set(v, STANDING_ALIVE, "service %s is in shadow and not counted",
                            start->service);
        else if (!str_equal(a->invocation_id, start->invocation_id))
                judge_other(a, start, v);
        else if (!a->is_started)
                verdict_set(v, str_equal(a->state, "failed") ? STANDING_LATE : STANDING_STARTING,
                            "%s", why);
        else if (!a->is_measured_alive)
                verdict_set(v, STANDING_DEAD, "%s", why);
        else if (a->is_ready)
                verdict_set(v, STANDING_ALIVE, "%s", a->state);
        else
                verdict_set(v, STANDING_ALIVE, "not ready: %s", why);
}

static void judge_error(const sd_bus_error *e, const Start *start, Verdict *v) {
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
            sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_INTERFACE))
                verdict_set(v, STANDING_MISTAKEN, "vitald knows no service %s", start->service);
        else if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                 sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                verdict_set(v, STANDING_SILENT, "vitald does not run");
        else if (sd_bus_error_get_errno(e) == ETIMEDOUT ||
                 sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY))
                verdict_set(v, STANDING_SILENT, "vitald does not answer");
        else
                verdict_set(v, STANDING_SILENT, "vitald cannot be asked: %s",
                            e->message ? e->message : e->name);
}

void verdict_read(sd_bus_message *m, const Start *start, Verdict *ret) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Answer a = { .invocation_id = "", .state = "", .is_measured_alive = true };

        if (e)
                judge_error(e, start, ret);
        else if (read_answer(m, &a) < 0)
                verdict_set(ret, STANDING_SILENT, "vitald gives an answer that makes no sense");
        else
                judge(&a, start, ret);
}
