/* SPDX-License-Identifier: MIT */
#pragma once

/* The listening sockets of the HTTP server and of the agent: those that systemd passed, or else our
 * own. Called once at the start by daemon.c. */

#include "base/address.h"
#include "model/config.h"

/* FileDescriptorName= of the sockets that this version serves. A socket of a unit without a name
 * has the unit's. */
#define LISTEN_NAME_HTTP       "http"
#define LISTEN_NAME_HTTP_LOCAL "http-local"
#define LISTEN_NAME_AGENT      "agent" /* or with a service behind it: "agent-orders" */

typedef struct ListenSocket {
        int fd;          /* owned until taken */
        bool is_trusted; /* a unix socket: file permissions decided who may connect */
        bool is_agent;   /* answers HAProxy's agent-check, else HTTP */
        char service[NAME_LENGTH_MAX + 1]; /* of an agent's socket; empty: none */
        char text[ADDRESS_TEXT_MAX];       /* "127.0.0.1:9911", "/run/vitald/http.sock" */
} ListenSocket;

typedef struct ListenSockets {
        ListenSocket *items; /* owned */
        size_t n;
        bool are_passed; /* by systemd */
} ListenSockets;

void listen_sockets_done(ListenSockets *l);

/* Sockets passed by systemd win; what is no listening stream socket, or has a name that is not
 * known, is refused with a log message. Without any, addresses are bound: http (NULL:
 * 127.0.0.1:9911 and [::1]:9911, of which one suffices) and agent (NULL: none). Negative errno,
 * logged, when nothing can be listened on. */
int listen_sockets_open(char *const *http, char *const *agent, ListenSockets *ret);
