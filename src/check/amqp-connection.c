/* SPDX-License-Identifier: MIT */
#include "check/amqp-connection.h"

#include <errno.h>
#include <proton/connection.h>
#include <proton/logger.h>
#include <proton/sasl.h>
#include <proton/transport.h>

#include "base/clock.h"

#define FRAME_MAX      16384
#define CHANNEL_MAX    63
#define TIMER_ACCURACY (10 * USEC_PER_MSEC)

/* -- time -------------------------------------------------------------------------------------- */

/* By the engine's clock, which counts in milliseconds and not from 0. */
static int64_t now_msec(void) {
        return (int64_t) (clock_usec(CLOCK_MONOTONIC) / USEC_PER_MSEC) + 1;
}

static void timer_arm(AmqpConnection *c, int64_t deadline_msec) {
        if (deadline_msec <= 0) {
                (void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time(c->timer, (usec_t) deadline_msec * USEC_PER_MSEC);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        (void) amqp_connection_pump(userdata);
        return 0;
}

/* -- bytes and events -------------------------------------------------------------------------- */

static int flush(AmqpConnection *c) {
        pn_bytes_t bytes = pn_connection_driver_write_buffer(&c->engine);
        int r;

        while (bytes.size > 0) {
                r = stream_write(c->stream, bytes.start, bytes.size);
                if (r < 0)
                        return r;
                bytes = pn_connection_driver_write_done(&c->engine, bytes.size);
        }
        return 0;
}

/* Whether it is still the same connection. */
static bool tell_events(AmqpConnection *c) {
        unsigned n_ended = c->n_ended;
        pn_event_t *e;

        while ((e = pn_connection_driver_next_event(&c->engine))) {
                c->handlers->event(c->userdata, e);
                if (c->n_ended != n_ended)
                        return false;
        }
        return true;
}

/* To send may be an event itself. */
int amqp_connection_pump(AmqpConnection *c) {
        int r;

        if (!c->has_engine)
                return 0;
        timer_arm(c, pn_transport_tick(c->engine.transport, now_msec()));
        do {
                if (!tell_events(c))
                        return 0;
                r = flush(c);
                if (r < 0)
                        return r;
        } while (pn_connection_driver_has_event(&c->engine));
        return 0;
}

void amqp_connection_take(AmqpConnection *c, const void *bytes, size_t n) {
        unsigned n_ended = c->n_ended;
        const char *at = bytes;
        ssize_t k;

        while (n > 0 && c->has_engine) {
                k = pn_transport_push(c->engine.transport, at, n);
                if (amqp_connection_pump(c) < 0 || c->n_ended != n_ended || k <= 0)
                        return;
                at += k;
                n -= (size_t) k;
        }
}

/* -- the connection ---------------------------------------------------------------------------- */

int amqp_connection_dial(AmqpConnection *c, PollSet *set, Resolver *resolver,
                         const Address *address, TlsContext *tls, const char *name) {
        int r;

        r = stream_dial(set, resolver, address, &c->handlers->stream, c->userdata, &c->stream);
        return r >= 0 && tls ? stream_use_tls(c->stream, tls, name) : r;
}

static void engine_set_up(pn_connection_driver_t *e, const AmqpLogin *login) {
        pn_sasl_t *sasl = pn_sasl(e->transport);

        pn_sasl_allowed_mechs(sasl, login->mechanism);
        /* Whether the stream is encrypted is not known to the library. */
        pn_sasl_set_allow_insecure_mechs(sasl, true);
        pn_connection_set_container(e->connection, login->container);
        pn_connection_set_hostname(e->connection, login->hostname);
        if (login->username) {
                pn_connection_set_user(e->connection, login->username);
                pn_connection_set_password(e->connection, login->password);
        }
        pn_transport_set_max_frame(e->transport, FRAME_MAX);
        (void) pn_transport_set_channel_max(e->transport, CHANNEL_MAX);
        pn_transport_set_idle_timeout(e->transport,
                                      (pn_millis_t) (2 * login->heartbeat_usec / USEC_PER_MSEC));
}

int amqp_connection_open(AmqpConnection *c, const AmqpLogin *login) {
        if (pn_connection_driver_init(&c->engine, NULL, NULL) != 0)
                return -ENOMEM;
        c->has_engine = true;
        engine_set_up(&c->engine, login);
        if (pn_connection_driver_bind(&c->engine) != 0)
                return -ENOMEM;
        pn_connection_open(c->engine.connection);
        return amqp_connection_pump(c);
}

bool amqp_connection_is_logging_in(const AmqpConnection *c) {
        pn_sasl_t *sasl = c->has_engine ? pn_sasl(c->engine.transport) : NULL;

        return sasl && pn_sasl_get_mech(sasl) && pn_sasl_outcome(sasl) == PN_SASL_NONE;
}

int amqp_connection_close(AmqpConnection *c) {
        pn_connection_close(c->engine.connection);
        return flush(c);
}

void amqp_connection_end(AmqpConnection *c) {
        c->stream = stream_free(c->stream);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (c->has_engine)
                pn_connection_driver_destroy(&c->engine);
        c->has_engine = false;
        c->n_ended++;
}

int amqp_connection_init(AmqpConnection *c, sd_event *event, const AmqpHandlers *handlers,
                         void *userdata) {
        int r;

        c->handlers = handlers;
        c->userdata = userdata;
        r = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY, on_timer, c);
        return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

void amqp_connection_done(AmqpConnection *c) {
        amqp_connection_end(c);
        c->timer = sd_event_source_disable_unref(c->timer);
}

/* -- logging ----------------------------------------------------------------------------------- */

static void log_nothing(intptr_t context _unused_, pn_log_subsystem_t subsystem _unused_,
                        pn_log_level_t level _unused_, const char *message _unused_) {}

void amqp_silence(void) {
        pn_logger_t *logger = pn_default_logger();

        pn_logger_reset_mask(logger, (uint16_t) PN_SUBSYSTEM_ALL, (uint16_t) PN_LEVEL_ALL);
        pn_logger_set_log_sink(logger, log_nothing, 0);
}
