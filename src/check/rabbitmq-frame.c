/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define HEAD_BYTES   7 /* type, channel, size */
#define METHOD_BYTES 4

static uint32_t get_u32(const char *at) {
        uint32_t n;

        memcpy(&n, at, sizeof(n));
        return be32toh(n);
}

static uint16_t get_u16(const char *at) {
        uint16_t n;

        memcpy(&n, at, sizeof(n));
        return be16toh(n);
}

static int method_decode(char *payload, size_t n, amqp_pool_t *pool, RabbitFrame *ret) {
        amqp_bytes_t encoded = { .len = n - METHOD_BYTES, .bytes = payload + METHOD_BYTES };
        int status;

        if (n < METHOD_BYTES)
                return -EPROTO;
        ret->method = get_u32(payload);
        status = amqp_decode_method(ret->method, pool, encoded, &ret->decoded);
        if (status == AMQP_STATUS_NO_MEMORY)
                return -ENOMEM;
        return status < 0 ? -EPROTO : 0;
}

ssize_t rabbit_frame_take(char *bytes, size_t n, amqp_pool_t *pool, RabbitFrame *ret) {
        RabbitFrame f = {};
        size_t size;
        int r;

        if (n == 0)
                return 0;
        f.type = (uint8_t) bytes[0];
        if (f.type < AMQP_FRAME_METHOD || f.type > AMQP_FRAME_HEARTBEAT)
                return -EPROTO;
        if (n < HEAD_BYTES)
                return 0;
        f.channel = get_u16(bytes + 1);
        size = get_u32(bytes + 3);
        if (size > RABBIT_FRAME_MAX - HEAD_BYTES - 1)
                return -EPROTO;
        if (n < HEAD_BYTES + size + 1)
                return 0;
        if ((uint8_t) bytes[HEAD_BYTES + size] != AMQP_FRAME_END)
                return -EPROTO;
        if (f.type == AMQP_FRAME_METHOD) {
                r = method_decode(bytes + HEAD_BYTES, size, pool, &f);
                if (r < 0)
                        return r;
        }
        *ret = f;
        return (ssize_t) (HEAD_BYTES + size + 1);
}

static void append_head(StrBuf *out, uint8_t type, uint16_t channel, uint32_t size) {
        uint16_t channel_be = htobe16(channel);
        uint32_t size_be = htobe32(size);

        strbuf_append_bytes(out, &type, sizeof(type));
        strbuf_append_bytes(out, &channel_be, sizeof(channel_be));
        strbuf_append_bytes(out, &size_be, sizeof(size_be));
}

static void append_end(StrBuf *out) {
        strbuf_append_bytes(out, &(uint8_t){ AMQP_FRAME_END }, 1);
}

int rabbit_frame_append(StrBuf *out, uint16_t channel, amqp_method_number_t method, void *decoded) {
        char buf[RABBIT_FRAME_MAX - HEAD_BYTES - METHOD_BYTES - 1];
        amqp_bytes_t encoded = { .len = sizeof(buf), .bytes = buf };
        uint32_t method_be = htobe32(method);
        int n;

        n = amqp_encode_method(method, decoded, encoded);
        if (n >= 0) {
                append_head(out, AMQP_FRAME_METHOD, channel, METHOD_BYTES + (uint32_t) n);
                strbuf_append_bytes(out, &method_be, sizeof(method_be));
                strbuf_append_bytes(out, buf, (size_t) n);
                append_end(out);
        }
        explicit_bzero(buf, sizeof(buf)); /* it may have held a password */
        if (n < 0 && n != AMQP_STATUS_NO_MEMORY)
                return -EMSGSIZE;
        return n < 0 || out->failed ? -ENOMEM : 0;
}

void rabbit_frame_append_empty_content(StrBuf *out, uint16_t channel) {
        static const char class_weight_size_flags[14] = { 0, AMQP_BASIC_CLASS };

        append_head(out, AMQP_FRAME_HEADER, channel, sizeof(class_weight_size_flags));
        strbuf_append_bytes(out, class_weight_size_flags, sizeof(class_weight_size_flags));
        append_end(out);
}

void rabbit_frame_append_heartbeat(StrBuf *out) {
        append_head(out, AMQP_FRAME_HEARTBEAT, 0, 0);
        append_end(out);
}
