/* SPDX-License-Identifier: MIT */
#pragma once

/* Many file descriptors behind one source of the event loop. The loop dispatches one source a turn
 * and asks the kernel again for each; descriptors that become ready together are handled together
 * here, at most POLL_SET_BATCH of them before other sources get their turn.
 *
 * A watch lives in its holder's memory, all zero before its first use. Handlers may add, change and
 * drop any watch of the set, also their own; a dropped watch's handler is not called any more. */

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

#define POLL_SET_BATCH 64

typedef struct PollSet PollSet;

typedef void (*PollHandler)(void *userdata, uint32_t events);

typedef struct PollWatch {
        PollSet *set; /* borrowed; NULL: watches nothing */
        int fd;       /* borrowed */
        uint32_t events;
        PollHandler handler;
        void *userdata;
} PollWatch;

/* event is referenced. */
int poll_set_new(sd_event *event, PollSet **ret);

/* All watches must have been dropped. */
PollSet *poll_set_free(PollSet *s);
DEFINE_CLEANUP(PollSet *, poll_set_free);

sd_event *poll_set_event(const PollSet *s); /* borrowed */

/* Calls the handler whenever any of events (EPOLLIN …) is there, or EPOLLERR, EPOLLHUP. Negative
 * errno of epoll_ctl(2). */
int poll_watch_add(PollWatch *w, PollSet *s, int fd, uint32_t events, PollHandler handler,
                   void *userdata);

/* Costs nothing if they are the same. */
int poll_watch_change(PollWatch *w, uint32_t events);

/* Before the descriptor is closed. Nothing happens if it watches nothing. */
void poll_watch_drop(PollWatch *w);

static inline bool poll_watch_is_on(const PollWatch *w) {
        return w->set;
}
