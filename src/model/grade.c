/* SPDX-License-Identifier: MIT */
#include "model/grade.h"

#include <stdio.h>

/* Turns a success into something worse and keeps what was measured. */
static void result_grade_down(Result *r, Outcome outcome, usec_t limit_usec) {
        char span[TIMESPAN_MAX];

        r->outcome = outcome;
        r->reason = REASON_THRESHOLD;
        result_set_detail(r, "latency");
        snprintf(r->message, sizeof(r->message), "Took %.1fms, limit %s",
                 (double) r->latency_usec / (double) USEC_PER_MSEC,
                 timespan_format(span, limit_usec));
}

static bool exceeds(usec_t latency_usec, usec_t limit_usec) {
        return limit_usec > 0 && latency_usec > limit_usec;
}

void result_grade(const CheckConfig *c, Result *r) {
        if (!outcome_is_success(r->outcome) || r->latency_usec == USEC_INFINITY)
                return;
        if (exceeds(r->latency_usec, c->max_latency_usec))
                result_grade_down(r, OUTCOME_FAIL, c->max_latency_usec);
        else if (exceeds(r->latency_usec, c->warn_latency_usec) && r->outcome == OUTCOME_PASS)
                result_grade_down(r, OUTCOME_WARN, c->warn_latency_usec);
}
