/* SPDX-License-Identifier: MIT */
#include "check/grpc-verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"

/* The status codes of gRPC. */
static const struct {
        const char *name;
        Reason reason;
        const char *detail;
} statuses[] = {
        [0] = { "OK", REASON_NONE, "" },
        [1] = { "CANCELLED", REASON_STATUS, "cancelled" },
        [2] = { "UNKNOWN", REASON_STATUS, "unknown" },
        [3] = { "INVALID_ARGUMENT", REASON_STATUS, "invalid-argument" },
        [4] = { "DEADLINE_EXCEEDED", REASON_STATUS, "deadline-exceeded" },
        [5] = { "NOT_FOUND", REASON_STATUS, "not-found" },
        [6] = { "ALREADY_EXISTS", REASON_STATUS, "already-exists" },
        [7] = { "PERMISSION_DENIED", REASON_AUTH, "permission" },
        [8] = { "RESOURCE_EXHAUSTED", REASON_STATUS, "resource-exhausted" },
        [9] = { "FAILED_PRECONDITION", REASON_STATUS, "failed-precondition" },
        [10] = { "ABORTED", REASON_STATUS, "aborted" },
        [11] = { "OUT_OF_RANGE", REASON_STATUS, "out-of-range" },
        [12] = { "UNIMPLEMENTED", REASON_STATUS, "unimplemented" },
        [13] = { "INTERNAL", REASON_STATUS, "internal" },
        [14] = { "UNAVAILABLE", REASON_STATUS, "unavailable" },
        [15] = { "DATA_LOSS", REASON_STATUS, "data-loss" },
        [16] = { "UNAUTHENTICATED", REASON_AUTH, "missing" },
};

/* ServingStatus of grpc.health.v1. */
static const struct {
        const char *name, *detail;
} servings[] = {
        { "UNKNOWN", "unknown" },
        { "SERVING", "" },
        { "NOT_SERVING", "not-serving" },
        { "SERVICE_UNKNOWN", "service-unknown" },
};

enum { SERVING = 1 };

/* -- the head ---------------------------------------------------------------------------------- */

static bool header_is(const char *line, size_t n, const char *name, const char **ret_value,
                      size_t *ret_n) {
        size_t k = strlen(name);

        if (n <= k || line[k] != ':' || strncasecmp(line, name, k) != 0)
                return false;
        for (k++; k < n && line[k] == ' ';)
                k++;
        while (n > k && (line[n - 1] == '\r' || line[n - 1] == '\n'))
                n--;
        *ret_value = line + k;
        *ret_n = n - k;
        return true;
}

void grpc_take_header(GrpcReply *reply, const char *line, size_t n) {
        static const char kind[] = "application/grpc";
        char number[8];
        const char *value;
        uint64_t status;
        size_t length;

        if (header_is(line, n, "content-type", &value, &length))
                reply->is_grpc = length >= sizeof(kind) - 1 &&
                                 strncasecmp(value, kind, sizeof(kind) - 1) == 0;
        else if (header_is(line, n, "grpc-message", &value, &length))
                text_sanitize(reply->message, sizeof(reply->message), value, length);
        else if (header_is(line, n, "grpc-status", &value, &length)) {
                snprintf(number, sizeof(number), "%.*s", (int) MIN(length, sizeof(number)), value);
                reply->status = parse_uint64(number, &status) >= 0 ? (int) MIN(status, 99U) : 99;
        }
}

/* -- the message ------------------------------------------------------------------------------- */

static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) {
        uint64_t v = 0;

        for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
                uint8_t byte = *(*at)++;

                v |= (uint64_t) (byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = v;
                        return true;
                }
        }
        return false;
}

/* HealthCheckResponse { ServingStatus status = 1; }: fields that are not known are skipped, one
 * that is left out is 0. */
static bool message_parse(const uint8_t *at, const uint8_t *end, uint64_t *ret_serving) {
        uint64_t tag, value;

        *ret_serving = 0;
        while (at < end) {
                if (!take_varint(&at, end, &tag))
                        return false;
                switch (tag & 7) {
                case 0: /* a number */
                        if (!take_varint(&at, end, &value))
                                return false;
                        if (tag >> 3 == 1)
                                *ret_serving = value;
                        break;
                case 1: /* 8 bytes */
                case 5: /* 4 bytes */
                        value = (tag & 7) == 1 ? 8 : 4;
                        if (value > (uint64_t) (end - at))
                                return false;
                        at += value;
                        break;
                case 2: /* with its length */
                        if (!take_varint(&at, end, &value) || value > (uint64_t) (end - at))
                                return false;
                        at += value;
                        break;
                default:
                        return false;
                }
        }
        return true;
}

static bool body_parse(const GrpcReply *reply, uint64_t *ret_serving) {
        const uint8_t *b = reply->body;
        size_t n = (size_t) reply->http.body_bytes;

        if (n < GRPC_PREFIX_BYTES || b[0] != 0 || b[1] != 0 || b[2] != 0 ||
            n - GRPC_PREFIX_BYTES != (size_t) (b[3] << 8 | b[4]))
                return false;
        return message_parse(b + GRPC_PREFIX_BYTES, b + n, ret_serving);
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static void judge_serving(const GrpcReply *reply, Result *ret) {
        uint64_t serving;

        if (!body_parse(reply, &serving)) {
                result_fail(ret, REASON_PROTOCOL, "The answer is no message of grpc.health.v1");
                return;
        }
        if (serving == SERVING) {
                result_pass(ret, "SERVING");
                return;
        }
        if (serving < ELEMENTSOF(servings)) {
                result_fail(ret, REASON_STATUS, "%s", servings[serving].name);
                result_set_detail(ret, servings[serving].detail);
                return;
        }
        result_fail(ret, REASON_STATUS, "Serving status %" PRIu64, serving);
}

static void judge_status(const GrpcReply *reply, Result *ret) {
        if ((size_t) reply->status >= ELEMENTSOF(statuses)) {
                result_fail(ret, REASON_PROTOCOL, "No status code of gRPC in the answer");
                return;
        }
        result_fail(ret, statuses[reply->status].reason, "%s%s%s", statuses[reply->status].name,
                    reply->message[0] ? ": " : "", reply->message);
        result_set_detail(ret, statuses[reply->status].detail);
}

/* Something in between, or no gRPC server at all. */
static void judge_http(const GrpcReply *reply, Result *ret) {
        char code[8];

        if (reply->http.status == 200) {
                result_fail(ret, REASON_PROTOCOL, "The answer is not gRPC");
                return;
        }
        result_fail(ret, REASON_STATUS, "HTTP %ld", reply->http.status);
        snprintf(code, sizeof(code), "%ld", reply->http.status);
        result_set_detail(ret, code);
}

void grpc_judge(const Address *address, bool is_tls, const GrpcReply *reply, Result *ret) {
        Address server = *address;
        const HttpSettings as_http = {
                .server = server,
                .is_tls = is_tls,
                .unix_socket = server.kind == ADDRESS_UNIX ? server.name : NULL,
        };

        if (reply->http.is_cut)
                result_fail(ret, REASON_PROTOCOL, "The answer is longer than %d bytes",
                            GRPC_BODY_MAX);
        else if (reply->http.code != CURLE_OK)
                http_judge(&as_http, &reply->http, ret);
        else if (reply->http.version < CURL_HTTP_VERSION_2_0)
                result_fail(ret, REASON_PROTOCOL, "The server does not speak HTTP/2");
        else if (reply->http.status != 200 || !reply->is_grpc)
                judge_http(reply, ret);
        else if (reply->status == GRPC_STATUS_NONE)
                result_fail(ret, REASON_TRUNCATED, "The answer ends without a status");
        else if (reply->status == 0)
                judge_serving(reply, ret);
        else
                judge_status(reply, ret);
}
