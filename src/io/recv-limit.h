/* SPDX-License-Identifier: MIT */
#pragma once

/* Limits what a library reads from the network during one call. Some read in a loop for as long as
 * more is there: against a peer that sends faster than we read such a call does not return before
 * memory is full. Between begin and end, recv(2) of this thread hands out no more than so many
 * bytes and then says that nothing is there; the library comes back to its caller.
 *
 * This is done by defining recv() here: the dynamic linker gives ours to the libraries as well. */

#include "base/macro.h"

/* What was read between begin and end. */
typedef struct RecvCount {
        size_t bytes;
        bool is_reset; /* the connection was reset by the peer */
} RecvCount;

/* Not nested. */
void recv_limit_begin(size_t max_bytes);
RecvCount recv_limit_end(void);
