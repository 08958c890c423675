/* SPDX-License-Identifier: MIT */
#pragma once

/* What daemon.c (the parts), daemon-flow.c (the way of a result through them), daemon-hold.c,
 * daemon-last-good.c, daemon-reload.c and daemon-control.c (requests from outside) share. */

#include "base/list.h"
#include "check/engine.h"
#include "config/last-good.h"
#include "daemon-units.h"
#include "daemon.h"
#include "io/kept-writer.h"
#include "listen.h"
#include "loop-lag.h"
#include "model/control.h"
#include "output/agent.h"
#include "output/bus.h"
#include "output/hooks.h"
#include "output/http-events.h"
#include "output/http-routes.h"
#include "output/http-server.h"
#include "output/journal.h"
#include "output/keeper.h"
#include "output/notify.h"
#include "output/publisher.h"
#include "output/unit-actions.h"
#include "output/watchdog.h"
#include "version-files.h"

typedef struct Shutdown Shutdown;

typedef struct Daemon {
        const DaemonOptions *options; /* borrowed */
        sd_event *event;              /* owned reference */
        State *state;                 /* owned: what the next snapshot is made of */
        SystemdLink *systemd;         /* owned; NULL with --bus=none */
        Engine *engine;               /* owned */
        Units *units;                 /* owned */
        Publisher *publisher;         /* owned */
        Notify *notify;               /* owned */
        Watchdog *watchdog;           /* owned */
        HttpProbers *probers;         /* owned */
        Hooks *hooks;                 /* owned */
        UnitActions *actions;         /* owned */
        HttpRoutes *routes;           /* owned */
        HttpServer *http;             /* owned */
        HttpEvents *events;           /* owned */
        Agent *agent;                 /* owned */
        History *history;             /* owned */
        Keeper *keeper;               /* owned */
        Bus *bus;                     /* owned */
        VersionFiles *versions;       /* owned */
        Shutdown *shutdown;           /* owned; NULL without DrainOnShutdown= */
        LastGood last_good;           /* owned: what is kept for a start with files at fault */
        KeptWriter *last_good_writer; /* owned; NULL: there is no state directory */
        char **listening;             /* owned: texts of the HTTP listeners */
        LoopLag lag, lateness;        /* of turns of the loop; of its timers */
        uint64_t n_stalls;
        BusContext bus_context;
        Control control;

        bool has_numbers;              /* that the current snapshot does not hold */
        sd_event_source *quiet;        /* owned: makes the snapshot that holds them */
        sd_event_source *expiry;       /* owned: when the snapshot stops being true by itself */
        sd_event_source *signals[3];   /* owned */
        sd_event_source *reload_timer; /* owned: a reload by signal that had to wait */
        usec_t reload_monotonic;       /* of the last one by signal */
        bool is_stopping;

        List waiters; /* of Waiter: requests whose answer is a run's end */
} Daemon;

/* Puts one event through the state. Ends the daemon when there is no memory for it. */
void daemon_apply(Daemon *d, const Event *e);

/* Holds the checks that are not to be run at present and lets go of the others: all, or those that
 * hang on others. */
void daemon_hold_all(Daemon *d);
void daemon_hold_derived(Daemon *d);

/* Makes d->keeper and takes up what it has kept, before anything is published. */
int daemon_restore(Daemon *d);

/* Services that have come back with a new configuration are drained if they were when they went. */
void daemon_return_drains(Daemon *d);

/* Makes d->units. */
int daemon_make_units(Daemon *d);

/* The units of this configuration are followed, and checks that had better wait do so. */
int daemon_follow_units(Daemon *d);

/* Makes a snapshot of the state now and publishes it. */
void daemon_publish(Daemon *d);

/* What the engine reports goes that way. */
extern const EngineHandler daemon_engine_handler;

/* Timers: a snapshot for numbers that have waited; and when the current one stops being true. */
int daemon_on_quiet(sd_event_source *s, usec_t usec, void *userdata);
int daemon_on_expiry(sd_event_source *s, usec_t usec, void *userdata);

/* Loads the configuration again and takes it if all of it is good. ret_error is a text of the
 * caller's, set when it is not; the current snapshot holds the effect either way. */
int daemon_reload(Daemon *d, char **ret_error);

/* SIGHUP: the same without a verdict; a storm of them makes few reloads. */
int daemon_on_sighup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata);
int daemon_on_reload_timer(sd_event_source *s, usec_t usec, void *userdata);

/* The last good configuration: read before the first load, kept after each that was taken (loaded
 * is used up). */
int daemon_open_last_good(Daemon *d);
void daemon_keep_last_good(Daemon *d, LastGood *loaded, const Config *c);
void daemon_close_last_good(Daemon *d);

/* Tells the outputs of settings of theirs that have changed. */
void daemon_configure_outputs(Daemon *d, const Config *c);

void daemon_log_diagnostics(const Config *c);

/* How much the linter finds, in one line; nothing when it finds nothing. */
void daemon_log_findings(const Daemon *d, const Config *c);

/* Fills in d->control. */
void daemon_control_init(Daemon *d);

/* A run of this check has ended: requests that wait for it are answered with the next snapshot. */
void daemon_note_run(Daemon *d, size_t check, uint64_t serial);

/* Answers what can be answered with the current snapshot. */
void daemon_answer_waiters(Daemon *d);

/* The same with an error for those that wait for this check. */
void daemon_fail_waiters_of(Daemon *d, size_t check, int error, const char *text);

/* Answers all that wait with this error: check indices are about to change, or vitald stops. */
void daemon_fail_waiters(Daemon *d, int error, const char *text);
