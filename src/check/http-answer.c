/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/http-profile.h"
#include "check/http-verdict.h"
#include "check/tls-verdict.h"
#include "model/schedule.h"

#define STATUS_UNAUTHORIZED 401
#define STATUS_FORBIDDEN    403
#define STATUS_TOO_MANY     429

/* Shorter ones may stand anywhere, and hide nothing. */
#define SECRET_MIN 4

/* Longer than what is shown, so that no secret is cut in two before it is hidden. */
#define ERROR_TEXT_MAX 1024

/* -- a status that is not expected ------------------------------------------------------------- */

static void hide_secret(char *text, const Credential *c) {
        size_t n = c->secret ? strlen(c->secret) : 0;

        if (n < SECRET_MIN)
                return;
        for (char *p = text; (p = strstr(p, c->secret)); p++)
                memset(p, '*', n);
}

/* A server may repeat what it was told. */
static void hide_secrets(char *text, const HttpSettings *s) {
        hide_secret(text, &s->key);
        hide_secret(text, &s->bearer);
        hide_secret(text, &s->password);
        for (size_t i = 0; i < s->header_credentials.n; i++)
                hide_secret(text, &s->header_credentials.items[i].credential);
}

static bool has_credentials(const HttpSettings *s) {
        return s->key.name || s->bearer.name || s->password.name || s->header_credentials.n > 0;
}

/* Only APIs that are known are quoted: others may say in a page of theirs what is nobody's
 * business.
 */
static void answer_text(const HttpSettings *s, const HttpReply *reply, size_t size, char *buf) {
        buf[0] = 0;
        if (!http_profile(s->profile))
                return;
        http_error_text(reply->body, reply->n_body, size, buf);
        hide_secrets(buf, s);
}

static void judge_status(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        const char *from = s->server.kind == ADDRESS_NAME ? s->server.name : NULL;
        char address[ADDRESS_TEXT_MAX], text[ERROR_TEXT_MAX], code[8];
        bool is_refusal = reply->status == STATUS_UNAUTHORIZED || reply->status == STATUS_FORBIDDEN;
        const char *colon;

        if (!from)
                from = address_format(address, &s->server);
        answer_text(s, reply, sizeof(text), text);
        colon = text[0] ? ": " : "";
        if (reply->status == STATUS_TOO_MANY)
                result_warn(ret, REASON_STATUS, "HTTP %ld from %s%s%s", reply->status, from, colon,
                            text);
        else
                result_fail(ret, is_refusal && has_credentials(s) ? REASON_AUTH : REASON_STATUS,
                            "HTTP %ld from %s%s%s", reply->status, from, colon, text);
        snprintf(code, sizeof(code), "%ld", reply->status);
        result_set_detail(ret, code);
}

/* -- what is in the body ----------------------------------------------------------------------- */

static void judge_text(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        char bytes[BYTES_TEXT_MAX];
        int r;

        r = pattern_search(&s->expect_body, reply->body ? reply->body : "", reply->n_body);
        if (r > 0)
                return;
        if (r == -ENOMEM)
                result_error(ret, REASON_RESOURCE, "No memory to search the body");
        else if (r < 0)
                result_fail(ret, REASON_MISMATCH,
                            "HTTP %ld, but to search the body for ExpectBody= takes too many steps",
                            reply->status);
        else
                result_fail(ret, REASON_MISMATCH,
                            "HTTP %ld, but ExpectBody= is not in the %s%s of its body",
                            reply->status, reply->is_cut ? "first " : "",
                            bytes_format(bytes, reply->n_body));
        if (ret->outcome == OUTCOME_FAIL)
                result_set_detail(ret, "body");
}

static void judge_no_json(const HttpReply *reply, const JsonFault *fault, Result *ret) {
        if (reply->is_cut)
                result_fail(ret, REASON_TRUNCATED,
                            "HTTP %ld, but its body is longer than MaxReply= and no JSON that can "
                            "be read",
                            reply->status);
        else
                result_fail(ret, REASON_PROTOCOL,
                            "HTTP %ld, but its body is no JSON: %s, line %zu, column %zu",
                            reply->status, fault->text, fault->line, fault->column);
        result_set_detail(ret, "json");
}

static void judge_json(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        _cleanup_json_ json_object *tree = NULL;
        char why[JSON_EXPECT_WHY_MAX];
        JsonFault fault;
        int r;

        r = json_tree_parse(reply->body ? reply->body : "", reply->n_body, &tree, &fault);
        if (r == -EINVAL) {
                judge_no_json(reply, &fault, ret);
                return;
        }
        if (r >= 0)
                r = json_expectations_hold(&s->expect_json, tree, why);
        if (r < 0)
                result_error(ret, REASON_RESOURCE, "No memory to read the body");
        else if (r == 0) {
                result_fail(ret, REASON_MISMATCH, "HTTP %ld, but %s", reply->status, why);
                result_set_detail(ret, "json");
        }
}

/* -- entry point ------------------------------------------------------------------------------- */

static bool is_version_right(const HttpSettings *s, const HttpReply *reply) {
        return !s->is_http2 || reply->version >= CURL_HTTP_VERSION_2_0;
}

static void judge_pause(const HttpReply *reply, Result *ret) {
        usec_t most = reply->status == STATUS_TOO_MANY ? SCHEDULE_RETRY_AFTER_MAX_USEC
                                                       : reply->interval_usec;
        usec_t pause = MIN(reply->retry_after_usec, most);
        char span[TIMESPAN_MAX];
        size_t n = strlen(ret->message);

        ret->retry_after_usec = pause;
        if (pause > 0 && ret->outcome == OUTCOME_WARN)
                snprintf(ret->message + n, sizeof(ret->message) - n, ", asked again after %s",
                         timespan_format(span, pause));
}

void http_judge_answer(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        if (!is_version_right(s, reply))
                result_fail(ret, REASON_PROTOCOL, "The server speaks HTTP/1 only");
        else if (!status_set_has(&s->expect_status, reply->status))
                judge_status(s, reply, ret);
        else {
                result_pass(ret, "HTTP %ld", reply->status);
                if (s->expect_body.text)
                        judge_text(s, reply, ret);
                if (s->expect_json.n > 0 && ret->outcome == OUTCOME_PASS)
                        judge_json(s, reply, ret);
        }
        judge_pause(reply, ret);
        result_add_value(ret, "body", (double) reply->body_bytes, "bytes");
        if (reply->expires_usec > 0)
                result_certificate(ret, reply->subject, reply->expires_usec, reply->now_realtime,
                                   s->certificate_warn_usec, s->certificate_fail_usec);
}
