/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection to an AMQP 1.0 broker: qpid-proton's engine over a stream, which carries the bytes,
 * and a timer, by which idle connections are kept and lost ones noticed. What is said on it is the
 * driver's affair. One is part of each check, all zero before amqp_connection_init(), and dialled
 * any number of times, each time after the end of the one before. */

#include <proton/connection_driver.h>
#include <systemd/sd-event.h>

#include "io/stream.h"

typedef struct AmqpHandlers {
        StreamHandlers stream; /* received calls amqp_connection_take() */
        /* Something has happened in the engine. May end the connection and dial another. */
        void (*event)(void *userdata, pn_event_t *e);
} AmqpHandlers;

/* How to log in; all borrowed for the call. */
typedef struct AmqpLogin {
        const char *mechanism;           /* "PLAIN", "EXTERNAL", "ANONYMOUS" */
        const char *username, *password; /* PLAIN only */
        const char *container;           /* who we are */
        const char *hostname;            /* which of its hosts the server shall be */
        usec_t heartbeat_usec;           /* one that is silent for two is gone; 0: none */
} AmqpLogin;

typedef struct AmqpConnection {
        const AmqpHandlers *handlers; /* borrowed */
        void *userdata;
        Stream *stream;                /* owned; NULL: no connection */
        pn_connection_driver_t engine; /* of the stream, once amqp_connection_open() */
        bool has_engine;
        sd_event_source *timer; /* owned */
        unsigned n_ended;       /* connections before this one */
} AmqpConnection;

/* handlers are borrowed for good, and all of them call back with userdata. Negative errno. */
int amqp_connection_init(AmqpConnection *c, sd_event *event, const AmqpHandlers *handlers,
                         void *userdata);
void amqp_connection_done(AmqpConnection *c);

/* tls: NULL: in the clear; name: the certificate's. Negative errno. */
int amqp_connection_dial(AmqpConnection *c, PollSet *set, Resolver *resolver,
                         const Address *address, TlsContext *tls, const char *name);

/* Once the stream is open: begins to log in and to open. -ENOMEM. */
int amqp_connection_open(AmqpConnection *c, const AmqpLogin *login);

/* What the stream has received. */
void amqp_connection_take(AmqpConnection *c, const void *bytes, size_t n);

/* After each use of the engine: tells its events and sends what is to be sent. Negative errno when
 * the stream does not take it. */
int amqp_connection_pump(AmqpConnection *c);

/* Whether user and password have been sent and nothing has come back. */
bool amqp_connection_is_logging_in(const AmqpConnection *c);

/* Tells the server that nothing more will come; what it answers is an event. */
int amqp_connection_close(AmqpConnection *c);

/* Without a word. Nothing happens if there is none. */
void amqp_connection_end(AmqpConnection *c);

/* Keeps the library from the process's standard error, and from what the environment tells it to
 * write there. */
void amqp_silence(void);
