/* SPDX-License-Identifier: MIT */
#include "check/postgresql-verdict.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

#define SQLSTATE_LENGTH 5

/* -- errors of the server ---------------------------------------------------------------------- */

/* A SQLSTATE, or a class of them by its first two characters; the first match counts. The texts
 * tell apart what shares one. */
static const struct {
        const char *sqlstate, *words;
        Reason reason;
        const char *detail;
} states[] = {
        { "57P03", "shutting down", REASON_STATUS, "stopping" },
        { "57P03", "recovery", REASON_STATUS, "recovery" },
        { "57P03", "is not accepting", REASON_STATUS, "recovery" },
        { "57P03", NULL, REASON_STATUS, "starting" },
        { "57P01", NULL, REASON_STATUS, "stopping" },
        { "57P02", NULL, REASON_STATUS, "crashed" },
        { "57014", "user request", REASON_STATUS, "cancelled" },
        { "57014", NULL, REASON_TIMEOUT, "statement" },
        { "53300", NULL, REASON_STATUS, "too-many-connections" },
        { "28P01", NULL, REASON_AUTH, "password" },
        { "28", NULL, REASON_AUTH, "rejected" },
        { "3D000", NULL, REASON_MISSING, "database" },
};

void postgresql_error_set(PostgresqlError *e, const char *sqlstate, const char *text) {
        *e = (PostgresqlError){};
        if (sqlstate && strlen(sqlstate) == SQLSTATE_LENGTH)
                snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", sqlstate);
        if (text)
                text_sanitize(e->text, sizeof(e->text), text, strlen(text));
}

/* "28P01: text" */
static bool is_sqlstate_and_text(const char *s) {
        for (size_t i = 0; i < SQLSTATE_LENGTH; i++)
                if (!isdigit((unsigned char) s[i]) && !isupper((unsigned char) s[i]))
                        return false;
        return s[SQLSTATE_LENGTH] == ':' && s[SQLSTATE_LENGTH + 1] == ' ';
}

bool postgresql_error_find(PostgresqlError *e, const char *message) {
        const char *found = NULL;
        char sqlstate[SQLSTATE_LENGTH + 1];

        /* "...: FATAL:  28P01: password authentication failed", the severity in any language. */
        for (const char *p = message; (p = strstr(p, ":  ")); p += 3)
                if (is_sqlstate_and_text(p + 3))
                        found = p + 3;
        if (!found)
                return false;
        snprintf(sqlstate, sizeof(sqlstate), "%.*s", SQLSTATE_LENGTH, found);
        *e = (PostgresqlError){};
        memcpy(e->sqlstate, sqlstate, sizeof(sqlstate));
        found += SQLSTATE_LENGTH + 2;
        text_sanitize(e->text, sizeof(e->text), found, strcspn(found, "\n"));
        return true;
}

bool postgresql_error_is_passing(const PostgresqlError *e) {
        return str_equal(e->sqlstate, "57P03");
}

void postgresql_judge_error(const PostgresqlError *e, Result *ret) {
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (str_starts_with(e->sqlstate, states[i].sqlstate) &&
                    (!states[i].words || strstr(e->text, states[i].words))) {
                        result_fail(ret, states[i].reason, "%s", e->text);
                        result_set_detail(ret, states[i].detail);
                        return;
                }
        result_fail(ret, REASON_STATUS, "%s", e->text);
        result_set_detail(ret, e->sqlstate);
}

/* -- failures that libpq sees -------------------------------------------------------------------
 */

/* libpq names a failed system call by its text alone. */
static const int errnos[] = {
        ECONNREFUSED, ECONNRESET, EPIPE,  EHOSTUNREACH, ENETUNREACH,
        ENETDOWN,     ETIMEDOUT,  ENOENT, EACCES,       EPERM,
        EMFILE,       ENFILE,     ENOMEM, ENOBUFS,      EADDRNOTAVAIL,
};

static const struct {
        const char *words;
        Outcome outcome;
        Reason reason;
        const char *detail;
} complaints[] = {
        { "no password supplied", OUTCOME_FAIL, REASON_AUTH, "no-password" },
        { "out of memory", OUTCOME_ERROR, REASON_RESOURCE, NULL },
        { "root certificate file", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "could not read root certificate", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "could not read certificate file", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "could not open certificate file", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "private key file", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "invalid sslmode value", OUTCOME_ERROR, REASON_CONFIGURATION, NULL },
        { "does not match host name", OUTCOME_FAIL, REASON_TLS, "name" },
        { "certificate verify failed", OUTCOME_FAIL, REASON_TLS, "certificate" },
        { "server does not support SSL", OUTCOME_FAIL, REASON_TLS, "refused" },
        { "wrong version number", OUTCOME_FAIL, REASON_TLS, "plaintext" },
        { "protocol version", OUTCOME_FAIL, REASON_TLS, "version" },
        { "unsupported protocol", OUTCOME_FAIL, REASON_TLS, "version" },
        { "response to SSL negotiation", OUTCOME_FAIL, REASON_PROTOCOL, NULL },
        { "SSL", OUTCOME_FAIL, REASON_TLS, "handshake" },
        { "authentication method", OUTCOME_FAIL, REASON_AUTH, "method" },
        { "SCRAM", OUTCOME_FAIL, REASON_AUTH, "scram" },
        { "session is", OUTCOME_FAIL, REASON_MISMATCH, "session" },
        { "hot standby", OUTCOME_FAIL, REASON_MISMATCH, "session" },
};

/* The last complaint alone: what stands behind "failed: ", up to the line's end. */
static void loss_text(const char *message, char *buf, size_t size) {
        const char *text = message;
        size_t n;

        for (const char *p = message; (p = strstr(p, " failed: ")); p += 9)
                text = p + 9;
        n = strcspn(text, "\n");
        text_sanitize(buf, size, text, n);
}

static void judge_closed(const PostgresqlLoss *loss, Result *ret) {
        if (loss->is_reset)
                result_fail(ret, REASON_RESET, "Connection reset after %" PRIu64 " bytes",
                            loss->received_bytes);
        else if (loss->received_bytes == 0)
                result_fail(ret, REASON_TRUNCATED, "Connection closed without a reply");
        else
                result_fail(ret, REASON_TRUNCATED,
                            "Connection closed after %" PRIu64 " bytes, before the reply's end",
                            loss->received_bytes);
}

static bool judge_errno(const PostgresqlLoss *loss, const char *text, Result *ret) {
        char address[ADDRESS_TEXT_MAX];

        for (size_t i = 0; i < ELEMENTSOF(errnos); i++)
                if (strstr(text, strerrordesc_np(errnos[i]))) {
                        result_errno(ret, errnos[i], "%s", address_format(address, loss->server));
                        return true;
                }
        return false;
}

static bool judge_complaint(const char *text, Result *ret) {
        for (size_t i = 0; i < ELEMENTSOF(complaints); i++)
                if (strstr(text, complaints[i].words)) {
                        result_fail(ret, complaints[i].reason, "%s", text);
                        ret->outcome = complaints[i].outcome;
                        if (complaints[i].detail)
                                result_set_detail(ret, complaints[i].detail);
                        return true;
                }
        return false;
}

void postgresql_judge_loss(const PostgresqlLoss *loss, Result *ret) {
        char text[RESULT_MESSAGE_MAX];
        PostgresqlError error;

        if (postgresql_error_find(&error, loss->message)) {
                postgresql_judge_error(&error, ret);
                return;
        }
        loss_text(loss->message, text, sizeof(text));
        if (!*text || strstr(text, "closed the connection unexpectedly") ||
            strstr(text, "has been closed unexpectedly") || strstr(text, "EOF detected"))
                judge_closed(loss, ret);
        else if (!judge_errno(loss, text, ret) && !judge_complaint(text, ret))
                result_fail(ret, REASON_PROTOCOL, "%s", text);
}
