/* SPDX-License-Identifier: MIT */
#pragma once

/* What was known of checks and services when vitald last ran: the states as they were published
 * last, matched with the configuration in force now. EVENT_RESTORE takes it: what has become too
 * old meanwhile is unknown, all else holds until it is contradicted. Pure; filled in by whoever
 * has read it somewhere, who believes nothing: kept_settle() is the judge of what can be. */

#include "model/snapshot.h"

typedef struct KeptService {
        ServiceState *state; /* owned reference; NULL: nothing is kept of it */
        bool has_same_unit;  /* Unit= is the same as then */
        bool had_defect;     /* its configuration was bad: only its drain is worth something */
        Verdict verdict;
        ProbeSince since[PROBE_COUNT_];
} KeptService;

typedef struct Kept {
        Config *config;        /* owned reference: what the indices mean */
        Time time;             /* of the picture that this was */
        CheckState **checks;   /* owned references; NULL where nothing is kept */
        KeptService *services; /* owned */
        Drain drain;           /* of the host */
        Verdict host;
        ProbeSince host_since[PROBE_COUNT_];
        size_t n_checks, n_services; /* of which something is kept; by kept_settle() */
} Kept;

/* Nothing kept yet; time is that of the picture. NULL without memory. */
Kept *kept_new(Config *config, Time time);
Kept *kept_free(Kept *k);
DEFINE_CLEANUP(Kept *, kept_free);

/* The state of a check or service, borrowed, to be filled in; as new at first. Of a check that is
 * what was measured, not what follows from that. NULL without memory. */
CheckState *kept_check(Kept *k, size_t check);
ServiceState *kept_service(Kept *k, size_t service);

/* Once all is filled in. 0; -EBADMSG with ret_why (constant) if this can never have been at any
 * time up to now; or -ENOMEM. */
int kept_settle(Kept *k, Time now, const char **ret_why);

/* Nobody will say what the units do: nothing is known of them. 0 or -ENOMEM. */
int kept_forget_units(Kept *k, Time now);

/* The picture as it was, for those who tell of changes: the snapshot before the first. NULL without
 * memory. */
Snapshot *kept_snapshot(const Kept *k);
