/* SPDX-License-Identifier: MIT */
#pragma once

/* A unix datagram socket that everybody may write to, each datagram with the kernel's word on who
 * sent it. File descriptors that come along are never taken in: the kernel lets go of them, which
 * is all that sd_notify_barrier(3) waits for, and nobody can make us close what hangs in closing.
 *
 * A flood costs a bounded share of the processor: at most DATAGRAMS_BATCH a turn of the loop, and
 * so many turns in DATAGRAMS_PAUSE_USEC; meanwhile senders wait in the kernel. */

#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

#define DATAGRAM_MAX         4096 /* bytes; longer ones are refused */
#define DATAGRAMS_BATCH      16
#define DATAGRAMS_TURNS      30
#define DATAGRAMS_PAUSE_USEC 100000

typedef struct Datagrams Datagrams;

/* bytes are the caller's; NULL: it was longer than DATAGRAM_MAX. A pid of 0: of another pid
 * namespace. */
typedef void (*DatagramHandler)(void *userdata, const char *bytes, size_t n,
                                const struct ucred *sender);

/* Removes a socket that is left at path and nothing else. Negative errno of bind(2) and others. */
int datagrams_new(sd_event *event, const char *path, DatagramHandler handler, void *userdata,
                  Datagrams **ret);

/* Hands on what waits, a batch at most. */
void datagrams_drain(Datagrams *d);

/* Removes the socket. */
Datagrams *datagrams_free(Datagrams *d);
DEFINE_CLEANUP(Datagrams *, datagrams_free);
