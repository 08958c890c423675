/* SPDX-License-Identifier: MIT */
#pragma once

/* One immutable picture of all checks and verdicts. Everything published comes from one, so that no
 * two outputs contradict each other under the same sequence number. Ref-counted; states that did
 * not change are shared with the snapshot before. */

#include "model/probe.h"

typedef struct ProbeSince {
        usec_t realtime, boottime;
} ProbeSince;

typedef struct ServiceView {
        ServiceState *state; /* owned reference */
        Verdict verdict;
        ProbeSince since[PROBE_COUNT_]; /* of each probe's present verdict */
        bool has_startup_checks;
        bool is_blank; /* in the picture from before a restart: it was not there */
} ServiceView;

typedef struct Snapshot {
        unsigned n_ref;
        uint64_t sequence; /* from 1 (0: from before a restart), one more with every snapshot */
        uint64_t revision; /* of the state */
        Time time;
        Config *config;        /* owned reference */
        CheckState **checks;   /* owned references, by index in config->checks */
        ServiceView *services; /* owned, by index in config->services */
        Verdict host;
        ProbeSince host_since[PROBE_COUNT_];
        Drain drain;        /* of the host: state_host_drain() */
        Drain own_drain;    /* of the host, without that of a shutdown: what is kept */
        char *reload_error; /* owned, or NULL */
        usec_t reload_realtime;
        size_t n_never_run;      /* checks without any result of this vitald yet, but for those that
                                  * nobody runs: pushed, combined, waiting, in shadow or of a unit
                                  * that is down */
        size_t n_restored;       /* checks that have no result since a restart of vitald */
        usec_t expires_boottime; /* when it stops being true by itself: make a TICK then */
} Snapshot;

/* A picture of the state as it is. old (borrowed, NULL for the first) gives sequence and
 * since-times. NULL without memory. */
Snapshot *snapshot_new(const State *state, const Snapshot *old, Time now);
Snapshot *snapshot_ref(Snapshot *s);
Snapshot *snapshot_unref(Snapshot *s);
DEFINE_CLEANUP(Snapshot *, snapshot_unref);

/* The states of a service's own checks. */
static inline CheckState *const *snapshot_checks_of(const Snapshot *s, size_t service) {
        return s->checks + s->config->services[service].first_check;
}

/* Whether this check is among the causes of its service's (not its own) bad verdict. */
bool snapshot_check_blocks(const Snapshot *s, size_t check, Probe p);

/* What the verdict of a service, or of the host (INDEX_NONE), would be if these checks (by index)
 * were not there. The states of others stay as they are, also of those made of them. 0 or -ENOMEM.
 */
int snapshot_verdict_without(const Snapshot *s, size_t service, const size_t checks[],
                             size_t n_checks, Verdict *ret);

typedef enum FlipType { FLIP_CHECK, FLIP_SERVICE, FLIP_HOST } FlipType;

/* One published change between two snapshots. */
typedef struct Flip {
        FlipType type;
        size_t index;     /* of the check or service in the new snapshot */
        size_t old_index; /* in the old one; INDEX_NONE: it is new */
        Probe probe;      /* of FLIP_SERVICE and FLIP_HOST: which verdict */
} Flip;

typedef void (*FlipHandler)(void *userdata, const Flip *flip, const Snapshot *old,
                            const Snapshot *new);

/* Calls the handler for every check whose published state and every service and host whose verdict
 * differs; what is new counts as changed, what is gone does not. Readiness differs also when its
 * reason, degraded or inactive changes, and liveness and startup by their answer alone. old may be
 * NULL. Checks come first, the host last. Services and checks are matched by name across a reload.
 */
void snapshot_diff(const Snapshot *old, const Snapshot *new, FlipHandler handler, void *userdata);
