/* SPDX-License-Identifier: MIT */
/* The memory of one check's state: with many checks it is most of what there is, so that texts and
 * values take what they need and no more. */

#include <errno.h>

#include "base/text.h"
#include "model/state-internal.h"

CheckState *check_state_new(CheckConfig *config, Time now) {
        CheckState *s = calloc(1, sizeof(CheckState));

        if (!s)
                return NULL;
        s->n_ref = 1;
        s->config = check_config_ref(config);
        s->message = s->first_failure_message = s->last.message = "";
        s->since_realtime = now.realtime;
        s->since_boottime = now.boottime;
        return s;
}

static CheckState *check_state_free(CheckState *s) {
        check_config_unref(s->config);
        text_drop(&s->message);
        text_drop(&s->first_failure_message);
        text_drop(&s->last.message);
        free(s->last.values);
        free(s->override);
        free(s);
        return NULL;
}

CheckState *check_state_ref(CheckState *s) {
        s->n_ref++;
        return s;
}

CheckState *check_state_unref(CheckState *s) {
        if (!s)
                return NULL;
        assert(s->n_ref > 0);
        return --s->n_ref == 0 ? check_state_free(s) : NULL;
}

/* The values as they are; without memory there are none. */
static int check_state_keep_values(CheckState *s, const Value *values, size_t n) {
        if (n != s->last.n_values) {
                free(s->last.values);
                s->last.values = n > 0 ? malloc(n * sizeof(Value)) : NULL;
                s->last.n_values = s->last.values ? n : 0;
        }
        if (s->last.n_values > 0)
                memcpy(s->last.values, values, n * sizeof(Value));
        return s->last.n_values == n ? 0 : -ENOMEM;
}

int check_state_keep_last(CheckState *s, const Result *last) {
        int r, q;

        s->last.outcome = last->outcome;
        s->last.reason = last->reason;
        memcpy(s->last.detail, last->detail, sizeof(s->last.detail));
        s->last.latency_usec = last->latency_usec;
        s->last.retry_after_usec = last->retry_after_usec;
        r = text_keep(&s->last.message, last->message);
        q = check_state_keep_values(s, last->values, last->n_values);
        return r < 0 ? r : q;
}

static const Override override_none;

const Override *check_state_override(const CheckState *s) {
        return s->override ? s->override : &override_none;
}

int check_state_keep_override(CheckState *s, const Override *override) {
        Override *copy = malloc(sizeof(Override));

        if (!copy)
                return -ENOMEM;
        *copy = *override;
        free(s->override);
        s->override = copy;
        return 0;
}

/* Fills in what the copy of s must have memory of its own for. */
static int check_state_copy_texts(CheckState *copy, const CheckState *s) {
        int r;

        r = text_keep(&copy->message, s->message);
        if (r >= 0)
                r = text_keep(&copy->first_failure_message, s->first_failure_message);
        if (r >= 0)
                r = text_keep(&copy->last.message, s->last.message);
        if (r >= 0)
                r = check_state_keep_values(copy, s->last.values, s->last.n_values);
        if (r >= 0 && s->override)
                r = check_state_keep_override(copy, s->override);
        return r;
}

CheckState *check_state_copy(const CheckState *s) {
        CheckState *copy = malloc(sizeof(CheckState));

        if (!copy)
                return NULL;
        *copy = *s;
        copy->n_ref = 1;
        check_config_ref(copy->config);
        copy->message = copy->first_failure_message = copy->last.message = "";
        copy->last.values = NULL;
        copy->last.n_values = 0;
        copy->override = NULL;
        return check_state_copy_texts(copy, s) < 0 ? check_state_free(copy) : copy;
}
