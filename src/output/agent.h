/* SPDX-License-Identifier: MIT */
#pragma once

/* HAProxy's agent-check: a connection is answered with one line, which says whether the server is
 * up, drained, in maintenance or down, and what weight it gets, and is then closed. HAProxy may
 * send a line first (agent-send): the name of a service. */

#include <systemd/sd-event.h>

#include "output/http-probers.h"
#include "output/publisher.h"

typedef struct Agent Agent;

/* What a service (INDEX_NONE: the host) is to HAProxy: "up ready 100%", "down #redis refused".
 * Pure. */
#define AGENT_ANSWER_MAX 256
void agent_answer(char buf[static AGENT_ANSWER_MAX], const Snapshot *s, size_t service);

/* The publisher and the probers are borrowed. */
int agent_new(sd_event *event, Publisher *publisher, HttpProbers *probers, Agent **ret);

/* Closes everything, also the listeners. */
Agent *agent_free(Agent *a);
DEFINE_CLEANUP(Agent *, agent_free);

/* Serves a listening stream socket; on success, and only then, it is the agent's. service: for
 * which this socket answers; empty: for the one that the peer names, or else for the host. */
int agent_listen(Agent *a, int fd, const char *service);
