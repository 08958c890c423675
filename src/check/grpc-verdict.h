/* SPDX-License-Identifier: MIT */
#pragma once

/* What a gRPC server's answer to a health check means: bytes and libcurl's findings in, a result
 * out. Pure. */

#include "base/address.h"
#include "check/http-verdict.h"

#define GRPC_PREFIX_BYTES 5   /* before each message: a flag and its length */
#define GRPC_BODY_MAX     256 /* a health message has two bytes */
#define GRPC_MESSAGE_MAX  160
#define GRPC_STATUS_NONE  (-1)

typedef struct GrpcReply {
        HttpReply http;
        int status;                     /* grpc-status, or GRPC_STATUS_NONE */
        bool is_grpc;                   /* by its content-type */
        char message[GRPC_MESSAGE_MAX]; /* grpc-message, fit to be shown */
        uint8_t body[GRPC_BODY_MAX];    /* http.body_bytes of it */
} GrpcReply;

/* Takes one line of the head or of the trailers. */
void grpc_take_header(GrpcReply *reply, const char *line, size_t n);

void grpc_judge(const Address *address, bool is_tls, const GrpcReply *reply, Result *ret);
