/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-connection.h"

#include <errno.h>
#include <string.h>

#define POOL_PAGE_BYTES 1024
#define BEAT_ACCURACY   (10 * USEC_PER_MSEC)

int rabbit_connection_send(RabbitConnection *c, StrBuf *out, int r) {
        if (r >= 0)
                r = out->failed ? -ENOMEM : stream_write(c->stream, out->text, out->length);
        if (out->text)
                explicit_bzero(out->text, out->allocated);
        strbuf_done(out);
        return r;
}

/* -- heartbeats -------------------------------------------------------------------------------- */

static void beat_arm(RabbitConnection *c) {
        if (c->heartbeat_usec == 0)
                return;
        (void) sd_event_source_set_time_relative(c->beat, c->heartbeat_usec / 2);
        (void) sd_event_source_set_enabled(c->beat, SD_EVENT_ONESHOT);
}

static int on_beat(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        RabbitConnection *c = userdata;
        usec_t silent_usec = usec_sub(clock_usec(CLOCK_MONOTONIC), c->heard_usec);
        StrBuf out = {};

        rabbit_frame_append_heartbeat(&out);
        (void) rabbit_connection_send(c, &out, 0);
        beat_arm(c);
        if (silent_usec > 2 * c->heartbeat_usec)
                c->handlers->silent(c->userdata);
        return 0;
}

void rabbit_connection_beat(RabbitConnection *c, usec_t heartbeat_usec) {
        c->heartbeat_usec = heartbeat_usec;
        beat_arm(c);
}

/* -- frames ------------------------------------------------------------------------------------ */

/* Takes the whole frames off what came, as long as it is the same connection. */
static void take_frames(RabbitConnection *c) {
        unsigned n_ended = c->n_ended;
        size_t at = 0;
        RabbitFrame f;
        ssize_t n;

        for (;;) {
                n = rabbit_frame_take(c->in.text + at, c->in.length - at, &c->pool, &f);
                if (n <= 0)
                        break;
                at += (size_t) n;
                if (f.type == AMQP_FRAME_METHOD)
                        c->handlers->method(c->userdata, &f);
                if (c->n_ended != n_ended)
                        return;
                recycle_amqp_pool(&c->pool);
        }
        if (n < 0) {
                c->handlers->broken(c->userdata, (int) n, c->in.text + at, c->in.length - at);
                return;
        }
        c->in.length -= at;
        memmove(c->in.text, c->in.text + at, c->in.length);
}

void rabbit_connection_take(RabbitConnection *c, const void *bytes, size_t n) {
        c->heard_usec = clock_usec(CLOCK_MONOTONIC);
        strbuf_append_bytes(&c->in, bytes, n);
        if (c->in.failed)
                c->handlers->broken(c->userdata, -ENOMEM, NULL, 0);
        else
                take_frames(c);
}

/* -- the connection ---------------------------------------------------------------------------- */

int rabbit_connection_dial(RabbitConnection *c, PollSet *set, Resolver *resolver,
                           const Address *address, TlsContext *tls, const char *name) {
        int r;

        r = stream_dial(set, resolver, address, &c->handlers->stream, c->userdata, &c->stream);
        return r >= 0 && tls ? stream_use_tls(c->stream, tls, name) : r;
}

void rabbit_connection_end(RabbitConnection *c) {
        c->stream = stream_free(c->stream);
        (void) sd_event_source_set_enabled(c->beat, SD_EVENT_OFF);
        c->heartbeat_usec = 0;
        strbuf_done(&c->in);
        empty_amqp_pool(&c->pool);
        c->n_ended++;
}

int rabbit_connection_init(RabbitConnection *c, sd_event *event, const RabbitHandlers *handlers,
                           void *userdata) {
        int r;

        c->handlers = handlers;
        c->userdata = userdata;
        init_amqp_pool(&c->pool, POOL_PAGE_BYTES);
        r = sd_event_add_time(event, &c->beat, CLOCK_MONOTONIC, 0, BEAT_ACCURACY, on_beat, c);
        return r < 0 ? r : sd_event_source_set_enabled(c->beat, SD_EVENT_OFF);
}

void rabbit_connection_done(RabbitConnection *c) {
        rabbit_connection_end(c);
        c->beat = sd_event_source_disable_unref(c->beat);
}
