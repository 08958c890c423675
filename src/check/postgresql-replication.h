/* SPDX-License-Identifier: MIT */
#pragma once

/* How far a replica is behind its primary, as far as the replica itself can know. Pure. The age of
 * the last transaction that was replayed is not it: it grows too while the primary has nothing to
 * do, or writes one long transaction. So it is bounded by the time since the replica was seen to
 * have replayed all that its primary had told it of. */

#include "base/clock.h"

/* What a server says of itself. */
typedef struct ServerState {
        bool is_replica;
        bool is_read_only; /* default_transaction_read_only */

        /* Of replicas, where replication is asked for. */
        bool is_paused;     /* replay */
        bool is_linked;     /* a primary is sending */
        bool has_positions; /* both of: */
        uint64_t known;     /* as far as the primary is known to have written, in bytes */
        uint64_t replayed;
        double age_sec; /* of the last transaction replayed; NaN: unknown */
} ServerState;

/* What is remembered of one server. All zero: nothing. Times are CLOCK_MONOTONIC. */
typedef struct ReplicationMemory {
        usec_t caught_up_usec; /* when everything known had been replayed; 0: never seen */
        uint64_t mark;         /* what was known then; */
        usec_t mark_usec;      /* 0: no mark */
} ReplicationMemory;

typedef struct ReplicationLag {
        double seconds, bytes; /* NaN: unknown; 0 for a primary */
} ReplicationLag;

ReplicationLag replication_measure(ReplicationMemory *m, const ServerState *s, usec_t now_usec);
