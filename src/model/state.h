/* SPDX-License-Identifier: MIT */
#pragma once

/* What is known of every check and service, and the only way to change it: state_apply(). Here is
 * the only hysteresis of the project: thresholds, streaks, staleness, latches. Pure: no clock is
 * read, nothing is logged.
 *
 * The states of single checks and services are ref-counted and shared with snapshots: state_apply()
 * copies one before it changes it, if a snapshot holds it too. So a snapshot never changes. */

#include "model/config.h"
#include "model/health.h"

#define NOTE_MAX 128 /* a reason given by a person */
#define WHO_MAX  64

/* A decision of a person that stands over what is measured. Ages on CLOCK_BOOTTIME. */
typedef struct Override {
        bool is_active;
        Health state;
        usec_t since_realtime, until_boottime; /* until: USEC_INFINITY for "until cleared" */
        char note[NOTE_MAX];
        char who[WHO_MAX]; /* not active: who cleared the last one; "" if it ran out */
} Override;

typedef struct Drain {
        bool is_active;
        bool ends_with_invocation; /* made by ExecStop=: the unit's next start ends it */
        usec_t since_realtime, until_boottime;
        char note[NOTE_MAX], who[WHO_MAX];
} Drain;

/* Of a person, who said for how long: nothing that comes and goes ends it. */
static inline bool drain_is_lasting(const Drain *d) {
        return d->is_active && !d->ends_with_invocation;
}

/* Upper bounds of the latency histogram; the last bucket of the counters has none. */
#define LATENCY_BUCKETS 12
extern const usec_t latency_bounds_usec[LATENCY_BUCKETS];

/* The latest result of any outcome, in the memory that it needs. */
typedef struct LastResult {
        Outcome outcome;
        Reason reason;
        char detail[RESULT_DETAIL_MAX];
        const char *message; /* owned, see text_keep() */
        usec_t latency_usec, retry_after_usec;
        size_t n_values;
        Value *values; /* owned; NULL: none */
} LastResult;

/* What every snapshot asks of every check comes first, so that with many checks it costs two lines
 * of the processor's cache each. Texts and values have memory of their own, as most are empty most
 * of the time. */
typedef struct CheckState {
        unsigned n_ref;
        Health state;        /* as published: an override stands over what is measured */
        CheckConfig *config; /* owned reference */
        Health measured;     /* by thresholds and age alone, without any override; skipped while it
                              * waits */
        Health combined;     /* of combined checks: from others as published */
        bool is_dead; /* measured: failures reached LivenessFailureThreshold=, and no recovery yet
                       */
        bool has_been_good; /* healthy or degraded once since the service's start */
        bool has_result;
        bool is_restored; /* what is known comes from before a restart of vitald: no result since */
        usec_t joins_until_boottime; /* a reload of a ready service would have withdrawn readiness
                                      * because of this check: until a result or a person decides
                                      * its state, at most until then, it counts as not critical.
                                      * 0: no */
        usec_t fresh_boottime;       /* of the latest result that was not an error; 0: none */
        usec_t pause_usec;           /* for which the peer asked with it: it keeps so much longer */
        uint64_t successes_in_row, failures_in_row;
        Override *override; /* owned; NULL: none, and none was cleared */

        /* Why the measured state is not healthy; REASON_NONE when it is. */
        Reason reason;
        char detail[RESULT_DETAIL_MAX];
        const char *message; /* owned, see text_keep() */

        /* The failure that began the present streak; the time is 0 without one. */
        const char *first_failure_message; /* owned, see text_keep() */
        usec_t first_failure_realtime;

        LastResult last;
        usec_t last_realtime, last_boottime;
        usec_t since_realtime, since_boottime; /* of the published state's last change */

        uint64_t n_runs, n_by_outcome[4], n_void;
        uint64_t latency_counts[LATENCY_BUCKETS + 1], latency_sum_usec;
} CheckState;

CheckState *check_state_ref(CheckState *s);
CheckState *check_state_unref(CheckState *s);
DEFINE_CLEANUP(CheckState *, check_state_unref);

/* The override; never NULL: without one it is not active, and nobody has cleared it. */
const Override *check_state_override(const CheckState *s);

/* For who fills in a state that was kept (kept.h): copies what has memory of its own. 0 or -ENOMEM.
 */
int check_state_keep_last(CheckState *s, const Result *last);
int check_state_keep_override(CheckState *s, const Override *override);

/* Why the published state is not healthy: `overridden` and the note under an override, else why the
 * measured one is not; REASON_NONE if it is. ret_detail and ret_message (borrowed, never NULL) may
 * be NULL. */
Reason check_state_reason(const CheckState *s, const char **ret_detail, const char **ret_message);

/* Takes no readiness away for now, see joins_until_boottime. */
bool check_state_is_joining(const CheckState *s, Time now);

/* Counts against liveness: as published, and as measured. */
bool check_state_is_dead(const CheckState *s);

/* A streak that has not reached its threshold yet: look again after RetryInterval=. */
bool check_state_is_undecided(const CheckState *s);

/* CLOCK_BOOTTIME at which the state changes by itself if nothing happens (stale, end of an override
 * or of joining), or USEC_INFINITY. */
usec_t check_state_expires(const CheckState *s);

typedef enum UnitState {
        UNIT_UNFOLLOWED, /* no Unit=, or not seen yet */
        UNIT_ACTIVATING,
        UNIT_AUTO_RESTART, /* activating, between two attempts */
        UNIT_ACTIVE,
        UNIT_RELOADING,
        UNIT_DEACTIVATING,
        UNIT_INACTIVE,
        UNIT_FAILED,
} UnitState;

/* "active"; "" while not followed. */
const char *unit_state_to_string(UnitState u);

/* Checks and the startup clock run: the unit is up or on its way there, or not followed. */
bool unit_state_is_up(UnitState u);

#define INVOCATION_ID_MAX 33
#define VERSION_MAX       64

typedef struct ServiceState {
        unsigned n_ref;
        bool is_started;             /* latched */
        bool has_startup_failed;     /* StartupTimeout= passed; not final */
        usec_t startup_boottime;     /* when the startup clock began; USEC_INFINITY: not running */
        usec_t joins_until_boottime; /* a reload would have made a ready host not ready because of
                                      * this service: until it is ready or a check that it needs is
                                      * unhealthy, at most until then, the host does without it.
                                      * 0: no */
        UnitState unit;
        char invocation_id[INVOCATION_ID_MAX];
        char version[VERSION_MAX]; /* as its file says; "" if it says nothing */
        Drain drain;
} ServiceState;

/* Which version of the application runs, by its file or else by Version=; "" if nobody knows. */
const char *service_state_version(const ServiceState *s, const ServiceConfig *config);

ServiceState *service_state_ref(ServiceState *s);
ServiceState *service_state_unref(ServiceState *s);
DEFINE_CLEANUP(ServiceState *, service_state_unref);

/* As check_state_expires(): deadline of the start, end of a drain or of joining. */
usec_t service_state_expires(const ServiceState *s, const ServiceConfig *config);

typedef struct State {
        Config *config;          /* owned reference */
        CheckState **checks;     /* owned references, by index in config->checks */
        ServiceState **services; /* owned references, by index in config->services */
        Drain drain;             /* of the whole host */
        Drain shutdown;          /* the same while the host is going down; beside an operator's, so
                                  * that each ends by itself, and never kept */
        char *reload_error;      /* owned: why the last reload was refused, or NULL */
        usec_t reload_realtime;  /* of the last load, good or bad */
        usec_t expires_boottime; /* nothing changes by itself before */
        uint64_t revision;       /* another one after each event, unless that changed nothing but
                                  * numbers: a pass after a pass */
} State;

/* The drain of the host that is in force, if one is: what people are told. */
const Drain *state_host_drain(const State *s);

/* Every check pending, every startup clock begun at now. NULL without memory. */
State *state_new(Config *config, Time now);
State *state_free(State *s);
DEFINE_CLEANUP(State *, state_free);

typedef enum EventType {
        EVENT_RESULT,   /* check, result: graded already */
        EVENT_UNIT,     /* service, unit, invocation_id */
        EVENT_DRAIN,    /* service (INDEX_NONE: the host), drain; not active: undrain */
        EVENT_SHUTDOWN, /* drain: of the host, which goes down; not active: it does not, after all
                         */
        EVENT_OVERRIDE, /* check, override; not active: clear */
        EVENT_FORGET,   /* check: what was reported to it says nothing any more */
        EVENT_VOID,     /* check: a run that a stall of the host made worthless */
        EVENT_VERSION,  /* service, version */
        EVENT_TICK,     /* time passed: what expired changes */
        EVENT_RESTORE,  /* kept: what was known before a restart; the first of all events */
        EVENT_CONFIG,   /* config: taken; or reload_error: refused, and why */
} EventType;

/* One thing that happened. Everything pointed at is borrowed for the call. */
typedef struct Event {
        EventType type;
        size_t check, service;
        const Result *result;
        UnitState unit;
        const char *invocation_id, *version;
        const Drain *drain;
        const Override *override;
        Config *config;
        const char *reload_error;
        const struct Kept *kept;
} Event;

/* Whatever the event, what has expired at now changes first: what is too old never shows, even if
 * the tick comes late. 0, or -ENOMEM with the state as it was. A message or values of a result for
 * which alone there is no memory are missing; what follows from the result is right. */
int state_apply(State *s, const Event *e, Time now);
