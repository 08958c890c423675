/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REPLY_SUCCESS 200

static const amqp_bytes_t nothing;

/* To be read only, like all that is encoded. */
static amqp_bytes_t bytes_of(const char *s) {
        return amqp_cstring_bytes(s);
}

void rabbit_append_greeting(StrBuf *out) {
        strbuf_append_bytes(out, "AMQP\0\0\x9\1", 8);
}

static amqp_table_entry_t yes(const char *key) {
        return (amqp_table_entry_t){ .key = bytes_of(key),
                                     .value = { .kind = AMQP_FIELD_KIND_BOOLEAN,
                                                .value.boolean = 1 } };
}

static amqp_table_entry_t text(const char *key, const char *value) {
        return (amqp_table_entry_t){ .key = bytes_of(key),
                                     .value = { .kind = AMQP_FIELD_KIND_UTF8,
                                                .value.bytes = bytes_of(value) } };
}

int rabbit_append_start_ok(StrBuf *out, const char *username, const char *password,
                           const char *name) {
        /* With these the server says why it closes, and when it takes no messages. */
        amqp_table_entry_t capabilities[] = { yes("authentication_failure_close"),
                                              yes("connection.blocked") };
        amqp_table_entry_t properties[] = {
                text("product", "vitald"),
                text("connection_name", name),
                { .key = bytes_of("capabilities"),
                  .value = { .kind = AMQP_FIELD_KIND_TABLE,
                             .value.table = { ELEMENTSOF(capabilities), capabilities } } },
        };
        amqp_connection_start_ok_t m = {
                .client_properties = { ELEMENTSOF(properties), properties },
                .mechanism = bytes_of(username ? "PLAIN" : "EXTERNAL"),
                .locale = bytes_of("en_US"),
        };
        StrBuf response = {};
        int r;

        if (username) {
                strbuf_append_bytes(&response, "", 1);
                strbuf_append_bytes(&response, username, strlen(username) + 1);
                strbuf_append(&response, password);
                m.response = (amqp_bytes_t){ response.length, response.text };
        }
        r = response.failed ? -ENOMEM
                            : rabbit_frame_append(out, 0, AMQP_CONNECTION_START_OK_METHOD, &m);
        if (response.text)
                explicit_bzero(response.text, response.allocated);
        strbuf_done(&response);
        return r;
}

int rabbit_append_tune_ok(StrBuf *out, uint32_t frame_max, uint16_t heartbeat_sec) {
        amqp_connection_tune_ok_t m = {
                .channel_max = RABBIT_CHANNEL,
                .frame_max = frame_max,
                .heartbeat = heartbeat_sec,
        };

        return rabbit_frame_append(out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &m);
}

int rabbit_append_open(StrBuf *out, const char *virtual_host) {
        amqp_connection_open_t m = { .virtual_host = bytes_of(virtual_host) };

        return rabbit_frame_append(out, 0, AMQP_CONNECTION_OPEN_METHOD, &m);
}

int rabbit_append_channel_open(StrBuf *out) {
        amqp_channel_open_t m = { .out_of_band = nothing };

        return rabbit_frame_append(out, RABBIT_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &m);
}

/* The default exchange hands it to the queue of this name, which cannot be one of a queue. */
int rabbit_append_publish(StrBuf *out) {
        amqp_basic_publish_t m = { .routing_key = nothing };
        int r;

        r = rabbit_frame_append(out, RABBIT_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &m);
        if (r >= 0)
                rabbit_frame_append_empty_content(out, RABBIT_CHANNEL);
        return r;
}

int rabbit_append_question(StrBuf *out, const char *queue) {
        amqp_basic_qos_t qos = { .prefetch_count = 1 };
        amqp_queue_declare_t declare = { .passive = 1 };

        if (!queue)
                return rabbit_frame_append(out, RABBIT_CHANNEL, AMQP_BASIC_QOS_METHOD, &qos);
        declare.queue = bytes_of(queue);
        return rabbit_frame_append(out, RABBIT_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

int rabbit_append_channel_close_ok(StrBuf *out) {
        amqp_channel_close_ok_t m = {};

        return rabbit_frame_append(out, RABBIT_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &m);
}

int rabbit_append_close(StrBuf *out) {
        amqp_connection_close_t m = { .reply_code = REPLY_SUCCESS };

        return rabbit_frame_append(out, 0, AMQP_CONNECTION_CLOSE_METHOD, &m);
}

int rabbit_append_close_ok(StrBuf *out) {
        amqp_connection_close_ok_t m = {};

        return rabbit_frame_append(out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &m);
}
