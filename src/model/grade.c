/* SPDX-License-Identifier: MIT */
#include "model/grade.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

#define NUMBER_TEXT_MAX 48

/* Turns a success into something worse and keeps what was measured. */
static void _printf_(4, 5)
        result_grade_down(Result *r, Outcome outcome, const char *value, const char *format, ...) {
        char message[RESULT_MESSAGE_MAX];
        va_list ap;
        int n;

        r->outcome = outcome;
        r->reason = REASON_THRESHOLD;
        result_set_detail(r, value);
        va_start(ap, format);
        n = vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        text_sanitize(r->message, sizeof(r->message), message,
                      MIN((size_t) MAX(n, 0), sizeof(message) - 1));
}

/* -- WarnLatency=, MaxLatency= ----------------------------------------------------------------- */

static bool grade_latency(Result *r, Outcome outcome, usec_t limit_usec) {
        char span[TIMESPAN_MAX];

        if (limit_usec == 0 || r->latency_usec == USEC_INFINITY || r->latency_usec <= limit_usec)
                return false;
        result_grade_down(r, outcome, "latency", "Took %.1fms, limit %s",
                          (double) r->latency_usec / (double) USEC_PER_MSEC,
                          timespan_format(span, limit_usec));
        return true;
}

/* -- Warn=, Fail= ------------------------------------------------------------------------------ */

static const Value *find_value(const Result *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (!*name || str_equal(r->values[i].name, name))
                        return &r->values[i];
        return NULL;
}

static const char *value_format(char buf[static NUMBER_TEXT_MAX], const Value *v) {
        char bytes[BYTES_TEXT_MAX];

        if (str_equal(v->unit, "bytes") && v->number >= 1024 && v->number < (double) UINT64_MAX)
                snprintf(buf, NUMBER_TEXT_MAX, "%s", bytes_format(bytes, (uint64_t) v->number));
        else
                snprintf(buf, NUMBER_TEXT_MAX, "%.6g%s%s", v->number, *v->unit ? " " : "", v->unit);
        return buf;
}

static bool grade_values(Result *r, Outcome outcome, const Limits *limits) {
        char number[NUMBER_TEXT_MAX];

        for (size_t i = 0; i < limits->n; i++) {
                const Limit *limit = &limits->items[i];
                const Value *v = find_value(r, limit->name);

                if (!v || !range_is_bad(&limit->range, v->number))
                        continue;
                result_grade_down(r, outcome, v->name, "%s is %s, limit %s", v->name,
                                  value_format(number, v), limit->text);
                return true;
        }
        return false;
}

static bool grade_missing(Result *r, const Limits *limits) {
        for (size_t i = 0; i < limits->n; i++) {
                const Limit *limit = &limits->items[i];

                if (find_value(r, limit->name))
                        continue;
                result_grade_down(r, OUTCOME_WARN, "unknown-value",
                                  "Limit %s is for the value %s, which was not measured",
                                  limit->text, *limit->name ? limit->name : "of the check");
                return true;
        }
        return false;
}

void result_grade(const CheckConfig *c, Result *r) {
        if (!outcome_is_success(r->outcome))
                return;
        if (grade_latency(r, OUTCOME_FAIL, c->max_latency_usec) ||
            grade_values(r, OUTCOME_FAIL, &c->fail) || r->outcome != OUTCOME_PASS)
                return;
        if (grade_latency(r, OUTCOME_WARN, c->warn_latency_usec) ||
            grade_values(r, OUTCOME_WARN, &c->warn) || grade_missing(r, &c->fail))
                return;
        grade_missing(r, &c->warn);
}
