/* SPDX-License-Identifier: MIT */
#pragma once

/* The socket by which reports come in as datagrams, and the log of those that are refused. */

#include "check/push-report.h"
#include "io/datagrams.h"
#include "model/sender.h"

#define PUSH_SOCKET_NAME "notify"

typedef struct PushDoor {
        Datagrams *socket; /* owned, or NULL */
        int (*handler)(void *userdata, const PushReport *report, const Sender *sender);
        void *userdata;   /* borrowed */
        usec_t told_usec; /* of the latest refusal in the log */
        unsigned n_untold;
} PushDoor;

/* Opens the socket in that directory. The handler takes a report or refuses it: -ENOENT, there is
 * no such check; -EACCES, not from this sender. d is all zero before; negative errno. */
int push_door_open(PushDoor *d, sd_event *event, const char *directory,
                   int (*handler)(void *userdata, const PushReport *report, const Sender *sender),
                   void *userdata);
void push_door_close(PushDoor *d);

/* Takes in what waits, within bounds. */
void push_door_drain(PushDoor *d);
