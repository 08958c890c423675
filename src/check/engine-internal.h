/* SPDX-License-Identifier: MIT */
#pragma once

/* What engine.c (schedule, requests), engine-configure.c (checks come and go) and run.c (the life
 * of one run) share. Not for drivers. */

#include "base/list.h"
#include "check/engine.h"

/* The loop is seen to turn at least so often. */
#define ENGINE_HEARTBEAT_USEC USEC_PER_SEC

typedef struct Shared {
        const CheckDriver *driver; /* borrowed, constant */
        size_t n_users;
        void *memory; /* owned */
        ListLink link;
} Shared;

struct CheckRun {
        Check *check; /* borrowed */
        bool is_finished;
        bool is_expired; /* finished by its deadline: what the driver says meanwhile is too late */
        bool is_void;    /* a stall fell into it */
        bool has_grace;  /* the deadline was noticed late, and passed once more */
        uint64_t serial;
        usec_t started_usec, deadline_usec;
        usec_t started_boottime;
        usec_t lost_usec;  /* of its time: we were not there to look */
        const char *phase; /* borrowed */
        Result result;
        ListLink ready;
        max_align_t data[]; /* the driver's run_size bytes */
};

struct Check {
        Engine *engine;            /* borrowed */
        size_t index;              /* in the configuration in force */
        CheckConfig *config;       /* owned reference */
        CheckConfig *opened_with;  /* owned reference: what the driver may have pointers into */
        const CheckDriver *driver; /* borrowed, constant */
        Shared *shared;            /* borrowed; NULL while it is not open */
        void *instance;            /* owned */
        CheckRun *run;             /* owned; NULL while none is active */
        int open_error;            /* 0, or why open() failed */
        bool is_open, is_closing;
        bool is_held;              /* waits for another check */
        bool is_served;            /* has its results from the runs of another check */
        bool is_wanted_again;      /* asked for during the present run */
        uint64_t serial;           /* of the latest run started */
        usec_t trigger_usec;       /* when the latest triggered run was due */
        usec_t trigger_pause_usec; /* between that and the one before */
        bool has_failed;           /* since the latest trigger, and not recovered by itself yet */
        usec_t planned_usec;       /* when the latest run was due */
        usec_t peace_until_usec;   /* the peer asked for no run before */
        ListLink waiting;          /* due, but no run may be started at present */
};

struct Engine {
        sd_event *event;                            /* owned reference */
        const EngineHandler *handler;               /* borrowed */
        void *userdata;                             /* borrowed */
        usec_t (*clock)(const Engine *, clockid_t); /* tests put in their own */
        PollSet *poll_set;                          /* owned */
        Resolver *resolver;                         /* owned */
        Workers *workers;                           /* owned */
        SystemdLink *systemd;                       /* borrowed; NULL: no bus */
        List shared;                                /* of Shared, owned */

        const char *runtime_directory, *state_directory; /* borrowed, or NULL */

        Config *config; /* owned reference; NULL before the first */
        Check **checks; /* owned */
        size_t n_checks;
        /* By check index, CLOCK_MONOTONIC: when its run is due to begin or, while one is active, to
         * be looked at. USEC_INFINITY: neither. Compact, because each wake-up scans it. */
        usec_t *due_usec; /* owned */

        sd_event_source *timer;    /* owned */
        sd_event_source *deferred; /* owned: drains ready */
        usec_t armed_usec;
        List ready;   /* of CheckRun: finished, result not handed on yet */
        List waiting; /* of Check */
        size_t n_running;

        usec_t seen_monotonic, seen_boottime; /* when the loop was last seen to turn */
        usec_t stalled_usec; /* CLOCK_MONOTONIC: when the latest stall was noticed; 0: never */
        bool is_kicked, has_progressed;
};

/* The clock of the present loop turn. */
usec_t engine_now(const Engine *e);

/* What the timer does: ends runs whose deadline has passed, starts what is due, arms itself. */
void engine_tick(Engine *e);

/* Makes sure that the timer fires at usec or before. */
void engine_arm(Engine *e, usec_t usec);

/* Closes all checks that the engine still has. */
void engine_close_checks(Engine *e);

static inline bool check_has_runs(const Check *c) {
        return !c->is_served && check_type_has_runs(c->config->type);
}

/* The loop turns. */
void engine_see_loop(Engine *e);

/* When an active run is to be looked at: some times on its way, and at its deadline. */
usec_t check_run_next_look_usec(const CheckRun *run, usec_t now);

/* Looks at a run, which was to be done at `due`. Returns whether it goes on, and until when: to the
 * next look; behind a deadline that was noticed late a moment more, for what has come meanwhile. */
bool check_run_look(CheckRun *run, usec_t due, usec_t *ret_next);

/* Whether so much of the run's time was lost to our own lateness that it tells nothing by not being
 * done, and not how long it took. */
bool check_run_is_late(const CheckRun *run);

/* Lets the driver set the check up. What goes wrong is told by each of its runs, each of which
 * tries again: what was short may be there by then. A check without runs is tried each second. */
void check_open(Check *c);

/* Starts a run; beyond MaxConcurrentChecks= the check waits its turn. */
void check_begin(Check *c);

/* Ends an active run without a result. */
void check_cancel(Check *c);

/* Finishes a run whose deadline has passed. */
void check_run_expire(CheckRun *run);

/* Hands all finished results to the handler, then ends the turn. */
void engine_drain(Engine *e);
