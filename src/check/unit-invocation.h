/* SPDX-License-Identifier: MIT */
#pragma once

/* Which start of its unit this is: the InvocationID, as systemd shows it to the journal in
 * /run/systemd/units. Needs no bus and no right. Where there is no systemd, nothing is known and
 * nothing happens. */

#include <systemd/sd-event.h>

#include "base/macro.h"

#define INVOCATION_TEXT_MAX 33

/* The present one, "" if the unit does not run or nothing is known. Returns buf. */
const char *unit_invocation_read(char buf[static INVOCATION_TEXT_MAX], const char *unit);

typedef struct InvocationWatch {
        int fd;                  /* 0: off */
        sd_event_source *source; /* owned */
        void (*handler)(void *userdata);
        void *userdata; /* borrowed */
} InvocationWatch;

/* Calls the handler whenever some unit has started or ended. w is all zero before. Negative errno
 * where that cannot be watched. */
int invocation_watch_begin(InvocationWatch *w, sd_event *event, void (*handler)(void *userdata),
                           void *userdata);
void invocation_watch_end(InvocationWatch *w);
