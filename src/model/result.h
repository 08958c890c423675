/* SPDX-License-Identifier: MIT */
#pragma once

/* What one run of a check found. Drivers fill it in; everything behind them only reads it. A plain
 * value without owned memory: copied freely, never freed. */

#include <string.h>

#include "base/clock.h"

typedef enum Outcome {
        OUTCOME_PASS,
        OUTCOME_WARN,
        OUTCOME_FAIL,
        OUTCOME_ERROR, /* vitald could not run the check: says nothing about the thing checked */
} Outcome;

/* Stable machine words, see vitald-http(7). */
typedef enum Reason {
        REASON_NONE,
        REASON_TIMEOUT,
        REASON_REFUSED,
        REASON_RESET,
        REASON_UNREACHABLE,
        REASON_DNS,
        REASON_TLS,
        REASON_AUTH,
        REASON_CREDENTIAL,
        REASON_PROTOCOL,
        REASON_STATUS,
        REASON_MISMATCH,
        REASON_THRESHOLD,
        REASON_MISSING,
        REASON_TRUNCATED,
        REASON_EXIT_CODE,
        REASON_SIGNAL,
        REASON_EXEC,
        REASON_STUCK,
        REASON_CLOSED,
        REASON_STALE,
        REASON_LATE,
        REASON_RESOURCE,
        REASON_SKIPPED,
        REASON_DRAINED,
        REASON_OVERRIDDEN,
        REASON_INACTIVE,
        REASON_CONFIGURATION,
        REASON_UNCONFIGURED,
        REASON_INTERNAL,
        REASON_COUNT_,
} Reason;

#define RESULT_MESSAGE_MAX 256
#define RESULT_DETAIL_MAX  24
#define RESULT_VALUES_MAX  12
#define REASON_WORD_MAX    48

typedef struct Value {
        char name[24];
        char unit[8]; /* "" for a plain number, else "bytes", "seconds", "percent", ... */
        double number;
} Value;

typedef struct Result {
        Outcome outcome;
        Reason reason; /* REASON_NONE if and only if the outcome is pass, or a warn without one */
        char detail[RESULT_DETAIL_MAX];   /* the word after the slash: "expired"; "" for none */
        char message[RESULT_MESSAGE_MAX]; /* one line of valid UTF-8, never a secret; "" for none */
        usec_t latency_usec;              /* USEC_INFINITY: none measured */
        usec_t age_usec;         /* found so long ago; 0: just now. Only what was kept is older */
        usec_t retry_after_usec; /* the peer asked to be left alone so long; 0: it did not */
        size_t n_values;
        Value values[RESULT_VALUES_MAX];
} Result;

const char *outcome_to_string(Outcome o); /* "pass" */
const char *reason_to_string(Reason r);   /* "timeout"; "" for REASON_NONE */

/* "tls/expired", "timeout" or "". Returns buf. */
const char *reason_format(char buf[static REASON_WORD_MAX], Reason r, const char *detail);

/* The inverse of reason_to_string(), without detail; -EINVAL. */
int reason_from_string(const char *s, Reason *ret);

/* Each begins a result anew (no values, no latency) and sets its message, sanitised and cut. */
void result_pass(Result *ret, const char *format, ...) _printf_(2, 3);
void result_warn(Result *ret, Reason reason, const char *format, ...) _printf_(3, 4);
void result_fail(Result *ret, Reason reason, const char *format, ...) _printf_(3, 4);
void result_error(Result *ret, Reason reason, const char *format, ...) _printf_(3, 4);

/* What a failed system call towards the thing checked means: ECONNREFUSED is a fail `refused`,
 * ECONNRESET and EPIPE `reset`, EHOSTUNREACH, ENETUNREACH and ENETDOWN `unreachable`, ETIMEDOUT
 * `timeout`, ENOENT `missing`; EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL and EAGAIN are our
 * own lack: an error `resource`. Others fail `internal`. error is positive or negative errno. The
 * message is the text, then ": " and the errno's text. */
void result_errno(Result *ret, int error, const char *format, ...) _printf_(3, 4);

/* The same for what vitald itself should be able to do: always an error, of reason `resource` where
 * it lacks something, else `internal`. */
void result_own_errno(Result *ret, int error, const char *format, ...) _printf_(3, 4);

/* Sets the word after the slash; characters other than [A-Za-z0-9_.-] become '-'. */
void result_set_detail(Result *r, const char *detail);

/* Adds a measured value; beyond RESULT_VALUES_MAX, and for NaN or infinity, nothing happens. */
void result_add_value(Result *r, const char *name, double number, const char *unit);

static inline bool outcome_is_success(Outcome o) {
        return o == OUTCOME_PASS || o == OUTCOME_WARN;
}
