/* SPDX-License-Identifier: MIT */
#include "model/result.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

/* Room for a text before it is made fit to show, which may shorten it. */
#define RAW_MESSAGE_MAX (4 * RESULT_MESSAGE_MAX)

static const char *const outcome_words[] = {
        [OUTCOME_PASS] = "pass",
        [OUTCOME_WARN] = "warn",
        [OUTCOME_FAIL] = "fail",
        [OUTCOME_ERROR] = "error",
};

static const char *const reason_words[REASON_COUNT_] = {
        [REASON_NONE] = "",
        [REASON_TIMEOUT] = "timeout",
        [REASON_REFUSED] = "refused",
        [REASON_RESET] = "reset",
        [REASON_UNREACHABLE] = "unreachable",
        [REASON_DNS] = "dns",
        [REASON_TLS] = "tls",
        [REASON_AUTH] = "auth",
        [REASON_CREDENTIAL] = "credential",
        [REASON_PROTOCOL] = "protocol",
        [REASON_STATUS] = "status",
        [REASON_MISMATCH] = "mismatch",
        [REASON_THRESHOLD] = "threshold",
        [REASON_MISSING] = "missing",
        [REASON_TRUNCATED] = "truncated",
        [REASON_EXIT_CODE] = "exit-code",
        [REASON_SIGNAL] = "signal",
        [REASON_EXEC] = "exec",
        [REASON_STUCK] = "stuck",
        [REASON_CLOSED] = "closed",
        [REASON_STALE] = "stale",
        [REASON_LATE] = "late",
        [REASON_RESOURCE] = "resource",
        [REASON_SKIPPED] = "skipped",
        [REASON_DRAINED] = "drained",
        [REASON_OVERRIDDEN] = "overridden",
        [REASON_INACTIVE] = "inactive",
        [REASON_CONFIGURATION] = "configuration",
        [REASON_UNCONFIGURED] = "unconfigured",
        [REASON_INTERNAL] = "internal",
};

static const struct ErrnoMeaning {
        int error;
        Outcome outcome;
        Reason reason;
} errno_meanings[] = {
        { ECONNREFUSED, OUTCOME_FAIL, REASON_REFUSED },
        { ECONNRESET, OUTCOME_FAIL, REASON_RESET },
        { EPIPE, OUTCOME_FAIL, REASON_RESET },
        { EHOSTUNREACH, OUTCOME_FAIL, REASON_UNREACHABLE },
        { ENETUNREACH, OUTCOME_FAIL, REASON_UNREACHABLE },
        { ENETDOWN, OUTCOME_FAIL, REASON_UNREACHABLE },
        { ETIMEDOUT, OUTCOME_FAIL, REASON_TIMEOUT },
        { ENOENT, OUTCOME_FAIL, REASON_MISSING },
        { EMFILE, OUTCOME_ERROR, REASON_RESOURCE },
        { ENFILE, OUTCOME_ERROR, REASON_RESOURCE },
        { ENOMEM, OUTCOME_ERROR, REASON_RESOURCE },
        { ENOBUFS, OUTCOME_ERROR, REASON_RESOURCE },
        { EADDRNOTAVAIL, OUTCOME_ERROR, REASON_RESOURCE },
        { EAGAIN, OUTCOME_ERROR, REASON_RESOURCE },
};

const char *outcome_to_string(Outcome o) {
        return outcome_words[o];
}

const char *reason_to_string(Reason r) {
        assert(r < REASON_COUNT_);
        return reason_words[r];
}

const char *reason_format(char buf[static REASON_WORD_MAX], Reason r, const char *detail) {
        const char *word = reason_to_string(r);

        if (str_is_empty(word) || str_is_empty(detail))
                snprintf(buf, REASON_WORD_MAX, "%s", word);
        else
                snprintf(buf, REASON_WORD_MAX, "%s/%s", word, detail);
        return buf;
}

int reason_from_string(const char *s, Reason *ret) {
        for (Reason r = REASON_TIMEOUT; r < REASON_COUNT_; r++)
                if (str_equal(reason_words[r], s)) {
                        *ret = r;
                        return 0;
                }
        return -EINVAL;
}

static void result_begin(Result *ret, Outcome outcome, Reason reason) {
        memset(ret, 0, sizeof(*ret));
        ret->outcome = outcome;
        ret->reason = reason;
        ret->latency_usec = USEC_INFINITY;
}

static void _printf_(3, 0)
        result_set_message(Result *r, const char *errno_text, const char *format, va_list ap) {
        char raw[RAW_MESSAGE_MAX];
        size_t length;
        int n;

        n = vsnprintf(raw, sizeof(raw), format, ap);
        length = n < 0 ? 0 : MIN((size_t) n, sizeof(raw) - 1);
        if (errno_text) {
                n = snprintf(raw + length, sizeof(raw) - length, ": %s", errno_text);
                length = MIN(length + (size_t) n, sizeof(raw) - 1);
        }
        text_sanitize(r->message, sizeof(r->message), raw, length);
}

void result_pass(Result *ret, const char *format, ...) {
        va_list ap;

        result_begin(ret, OUTCOME_PASS, REASON_NONE);
        va_start(ap, format);
        result_set_message(ret, NULL, format, ap);
        va_end(ap);
}

void result_warn(Result *ret, Reason reason, const char *format, ...) {
        va_list ap;

        result_begin(ret, OUTCOME_WARN, reason);
        va_start(ap, format);
        result_set_message(ret, NULL, format, ap);
        va_end(ap);
}

void result_fail(Result *ret, Reason reason, const char *format, ...) {
        va_list ap;

        assert(reason != REASON_NONE);
        result_begin(ret, OUTCOME_FAIL, reason);
        va_start(ap, format);
        result_set_message(ret, NULL, format, ap);
        va_end(ap);
}

void result_error(Result *ret, Reason reason, const char *format, ...) {
        va_list ap;

        assert(reason != REASON_NONE);
        result_begin(ret, OUTCOME_ERROR, reason);
        va_start(ap, format);
        result_set_message(ret, NULL, format, ap);
        va_end(ap);
}

static struct ErrnoMeaning errno_meaning(int error) {
        struct ErrnoMeaning meaning = { abs(error), OUTCOME_FAIL, REASON_INTERNAL };

        for (size_t i = 0; i < ELEMENTSOF(errno_meanings); i++)
                if (errno_meanings[i].error == meaning.error)
                        return errno_meanings[i];
        return meaning;
}

static const char *errno_text(int error) {
        const char *text = strerrordesc_np(abs(error));

        return text ? text : "unknown error";
}

void result_errno(Result *ret, int error, const char *format, ...) {
        struct ErrnoMeaning meaning = errno_meaning(error);
        va_list ap;

        result_begin(ret, meaning.outcome, meaning.reason);
        va_start(ap, format);
        result_set_message(ret, errno_text(error), format, ap);
        va_end(ap);
}

void result_own_errno(Result *ret, int error, const char *format, ...) {
        bool is_lack = errno_meaning(error).reason == REASON_RESOURCE;
        va_list ap;

        result_begin(ret, OUTCOME_ERROR, is_lack ? REASON_RESOURCE : REASON_INTERNAL);
        va_start(ap, format);
        result_set_message(ret, errno_text(error), format, ap);
        va_end(ap);
}

void result_set_detail(Result *r, const char *detail) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789_.-";
        size_t n = 0;

        for (; detail[n] && n < sizeof(r->detail) - 1; n++)
                r->detail[n] = strchr(allowed, detail[n]) ? detail[n] : '-';
        r->detail[n] = 0;
}

void result_add_value(Result *r, const char *name, double number, const char *unit) {
        Value *v;

        if (r->n_values == RESULT_VALUES_MAX || !isfinite(number))
                return;
        v = r->values + r->n_values++;
        snprintf(v->name, sizeof(v->name), "%s", name);
        snprintf(v->unit, sizeof(v->unit), "%s", unit);
        v->number = number;
}
