/* SPDX-License-Identifier: MIT */
#pragma once

/* What failed liveness, or a failed start, does to a service's unit: when it is restarted, and when
 * no longer. actions_decide() looks at each snapshot, and again when it says; who carries it out
 * (output/unit-actions) reports back. Pure.
 *
 * Restarts go by what is measured; overrides, which change what is published, neither cause nor
 * prevent one. The first is at once, each further one waits, doubling, until the service was
 * healthy for long enough; after so many without that the unit is left as it is (fail-static).
 * All units together have a budget. In doubt nothing is restarted: while somebody drains, while
 * the unit is on its way somewhere, and on the word of nothing older than this process, the last
 * stall of the host and the connection to systemd. */

#include "model/restart-budget.h"
#include "model/snapshot.h"

/* After the beginning, a stall, or a bus that was away: the host had better find its feet. */
#define ACTIONS_SETTLE_USEC (10 * USEC_PER_SEC)

/* Between the finding and the deed: what has just woken up learns in this time that it slept. */
#define ACTIONS_GRACE_USEC USEC_PER_SEC

typedef enum RestartCause {
        RESTART_CAUSE_NONE,
        RESTART_CAUSE_LIVENESS,
        RESTART_CAUSE_STARTUP,
} RestartCause;

typedef enum RestartState {
        RESTART_OFF,         /* nothing is configured */
        RESTART_IDLE,        /* nothing to do */
        RESTART_HELD,        /* would be due, but for something else: see hold */
        RESTART_BACKOFF,     /* due, after the delay */
        RESTART_BUDGET,      /* due, when the host may restart one more */
        RESTART_UNDER_WAY,   /* systemd was asked */
        RESTART_WATCHED,     /* restarted; healthy, or on its way there, not long enough yet */
        RESTART_REFUSED,     /* systemd says no, or polkit */
        RESTART_FAIL_STATIC, /* did not help: left running */
        RESTART_STATE_COUNT_,
} RestartState;

typedef enum RestartHold {
        RESTART_HOLD_NONE,
        RESTART_HOLD_SETTLING,
        RESTART_HOLD_DRAINED,
        RESTART_HOLD_NO_SYSTEMD,
} RestartHold;

const char *restart_state_to_string(RestartState s); /* "fail-static" */
const char *restart_hold_to_string(RestartHold h);   /* "drained"; "" for none */

/* What outlives vitald. */
typedef struct RestartCounts {
        uint64_t n_total;  /* since the host was booted */
        uint64_t n_in_row; /* since the service was last healthy for RestartResetAfter= */
        usec_t last_boottime, last_realtime;     /* of the last one; 0: none */
        usec_t static_boottime, static_realtime; /* since when it is left running; 0: it is not */
} RestartCounts;

/* Of one service. */
typedef struct Restart {
        char *name; /* owned */
        RestartState state;
        RestartCause cause;
        RestartHold hold;
        RestartCounts counts, before;          /* before: the one that is under way */
        usec_t next_boottime;                  /* not earlier than; 0: whenever */
        usec_t due_boottime;                   /* since when it wants to be; 0: it does not */
        usec_t good_boottime;                  /* since when health is proven; 0: it is not */
        usec_t taken_boottime;                 /* the token of the one under way */
        usec_t ended_boottime;                 /* when the last one was over */
        char invocation_id[INVOCATION_ID_MAX]; /* that it ended */
        bool is_refused;                       /* in this episode */
        unsigned told;                         /* in this episode: bit mask of ActionType */
        RestartState announced;                /* the caller's: what others know */
} Restart;

typedef enum ActionType {
        ACTION_RESTART,     /* to be done; the rest is to be told */
        ACTION_TELL_DELAY,  /* dead again, and the delay is not over */
        ACTION_TELL_BUDGET, /* the host's budget is spent */
        ACTION_TELL_HELD,   /* no systemd */
        ACTION_TELL_STATIC, /* restarts have not helped */
        ACTION_TELL_CURED,  /* healthy for long enough after restarts */
} ActionType;

typedef struct Action {
        ActionType type;
        size_t service;
} Action;

typedef struct Actions {
        Config *config;    /* owned reference: what the indices mean; NULL before the first */
        Restart *restarts; /* owned: by service */
        size_t n;
        RestartBudget budget;
        usec_t settled_boottime;  /* nothing is done before */
        usec_t evidence_boottime; /* results from before are not acted on */
        usec_t startup_boottime;  /* clocks of starts had better begin here */
        bool is_dirty;            /* what is to be kept has changed */
        Action *out;              /* owned: what was decided last */
        size_t n_out, n_allocated;
} Actions;

/* With a full budget, at the beginning of a process. */
Actions *actions_new(Time now);
Actions *actions_free(Actions *a);
DEFINE_CLEANUP(Actions *, actions_free);

/* Another configuration: who is still there, with the same unit, keeps what is known. 0, or -ENOMEM
 * with all as it was. */
int actions_configure(Actions *a, Config *config);

/* What was kept of a service, after the first configuration; nobody believes that it is from the
 * future. */
void actions_restore(Actions *a, const char *name, const RestartCounts *counts, Time now);

/* The host, or vitald, stood still; or systemd is there (again). */
void actions_stalled(Actions *a, Time now);
void actions_connected(Actions *a, Time now);

/* Looks at everything. What is to be done and told stands in a->out until the next call; the caller
 * answers each ACTION_RESTART by one of the following. Returns the CLOCK_BOOTTIME at which to look
 * again, or USEC_INFINITY. Without memory for a->out less is done. */
usec_t actions_decide(Actions *a, const Snapshot *s, bool has_systemd, Time now);

/* The restart under way is over: the unit is being started, or nobody knows. */
void actions_ended(Actions *a, size_t service, Time now);

/* Somebody has repaired the service: what its restarts have not mended is forgotten, and if it is
 * dead nevertheless its unit is restarted as for the first time. */
void actions_reset(Actions *a, size_t service);

/* It was refused, so that nothing has happened. is_passing: worth another try soon. */
void actions_refused(Actions *a, size_t service, bool is_passing, Time now);
