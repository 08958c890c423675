/* SPDX-License-Identifier: MIT */
#include "check/http-verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "base/text.h"
#include "check/tls-verdict.h"

static const char *verify_detail(const HttpReply *reply) {
        const char *detail = tls_verify_detail(reply->verify);

        if (detail)
                return detail;
        /* libcurl compares the name by itself, and leaves the verdict on the chain as it was. */
        return reply->verify <= X509_V_ERR_UNSPECIFIED ? "name" : "certificate";
}

/* libcurl's words, or its general ones. */
static const char *reply_text(const HttpReply *reply) {
        return reply->text[0] ? reply->text : curl_easy_strerror(reply->code);
}

static uint64_t reply_bytes(const HttpReply *reply) {
        return reply->head_bytes + reply->body_bytes;
}

/* -- one judge for each way to fail -------------------------------------------------------------
 */

static void judge_tls(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        const char *detail = reply->code == CURLE_PEER_FAILED_VERIFICATION
                                     ? verify_detail(reply)
                                     : tls_handshake_detail(reply->text);

        if (reply->lacks_certificate && (!detail || str_equal(detail, "name")))
                detail = "client-certificate";
        result_fail(ret, REASON_TLS, "%s%s", reply_text(reply),
                    reply->lacks_certificate ? "; the server asked for a client certificate" : "");
        result_set_detail(ret, detail ? detail : "handshake");
}

static void judge_connect(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        Address server = s->server;
        char address[ADDRESS_TEXT_MAX];

        if (s->resolve.is_set) {
                server.kind = ADDRESS_IP;
                server.ip = s->resolve.ip;
                memset(server.name, 0, sizeof(server.name));
        }
        if (reply->error == 0)
                result_fail(ret, REASON_UNREACHABLE, "%s", reply_text(reply));
        else
                result_errno(ret, reply->error, "%s",
                             s->unix_socket ? s->unix_socket : address_format(address, &server));
}

/* The connection broke while it was in use. */
static void judge_broken(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        bool is_refused = reply->lacks_certificate && reply_bytes(reply) == 0;

        if (s->is_tls && (is_refused || tls_handshake_detail(reply->text)))
                judge_tls(s, reply, ret);
        else if (reply->error == ECONNRESET || reply->error == EPIPE || reply->error == ENOTCONN)
                result_fail(ret, REASON_RESET, "Connection reset after %" PRIu64 " bytes",
                            reply_bytes(reply));
        else if (reply->error)
                result_errno(ret, reply->error, "After %" PRIu64 " bytes", reply_bytes(reply));
        else if (s->is_tls && strstr(reply->text, "SSL_"))
                judge_tls(s, reply, ret);
        else
                result_fail(ret, REASON_PROTOCOL, "%s", reply_text(reply));
}

static void judge_truncated(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        if (reply_bytes(reply) == 0)
                result_fail(ret, REASON_TRUNCATED, "Connection closed without a reply");
        else
                result_fail(ret, REASON_TRUNCATED,
                            "Connection closed after %" PRIu64 " bytes, before the reply's end",
                            reply_bytes(reply));
}

static void judge_write(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        if (reply->head_bytes > HTTP_HEAD_MAX)
                result_fail(ret, REASON_PROTOCOL, "The reply's head is longer than %d bytes",
                            HTTP_HEAD_MAX);
        else
                result_error(ret, REASON_RESOURCE, "%s", reply_text(reply));
}

static void judge_timeout(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        result_fail(ret, REASON_TIMEOUT, "%s", reply_text(reply));
}

static void judge_protocol(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        result_fail(ret, REASON_PROTOCOL, "%s", reply_text(reply));
}

static void judge_configuration(const HttpSettings *s _unused_, const HttpReply *reply,
                                Result *ret) {
        result_error(ret, REASON_CONFIGURATION, "%s", reply_text(reply));
}

static void judge_resource(const HttpSettings *s _unused_, const HttpReply *reply, Result *ret) {
        result_error(ret, REASON_RESOURCE, "%s", reply_text(reply));
}

static const struct {
        CURLcode code;
        void (*judge)(const HttpSettings *s, const HttpReply *reply, Result *ret);
} judges[] = {
        { CURLE_COULDNT_CONNECT, judge_connect },
        { CURLE_INTERFACE_FAILED, judge_connect },
        { CURLE_OPERATION_TIMEDOUT, judge_timeout },
        { CURLE_RECV_ERROR, judge_broken },
        { CURLE_SEND_ERROR, judge_broken },
        { CURLE_GOT_NOTHING, judge_truncated },
        { CURLE_PARTIAL_FILE, judge_truncated },
        { CURLE_WRITE_ERROR, judge_write },
        { CURLE_PEER_FAILED_VERIFICATION, judge_tls },
        { CURLE_SSL_CONNECT_ERROR, judge_tls },
        { CURLE_SSL_ISSUER_ERROR, judge_tls },
        { CURLE_SSL_CERTPROBLEM, judge_configuration },
        { CURLE_SSL_CIPHER, judge_configuration },
        { CURLE_SSL_CACERT_BADFILE, judge_configuration },
        { CURLE_SSL_CRL_BADFILE, judge_configuration },
        { CURLE_URL_MALFORMAT, judge_configuration },
        { CURLE_OUT_OF_MEMORY, judge_resource },
        { CURLE_ABORTED_BY_CALLBACK, judge_resource },
        { CURLE_FAILED_INIT, judge_resource },
};

/* -- entry point ------------------------------------------------------------------------------- */

void http_judge(const HttpSettings *s, const HttpReply *reply, Result *ret) {
        if (reply->code == CURLE_OK || (reply->code == CURLE_WRITE_ERROR && reply->is_cut)) {
                if (reply->is_head_complete)
                        http_judge_answer(s, reply, ret);
                else
                        judge_truncated(s, reply, ret);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(judges); i++)
                if (judges[i].code == reply->code) {
                        judges[i].judge(s, reply, ret);
                        return;
                }
        judge_protocol(s, reply, ret);
}
