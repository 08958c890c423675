/* SPDX-License-Identifier: MIT */
#pragma once

/* What vitald tells of itself over D-Bus, as structs: one consistent picture, from which all verbs
 * print. Words stay words (see org.vitald1(5)); times are
 * CLOCK_REALTIME in microseconds, 0 for "never", USEC_INFINITY for "for ever". */

#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/text.h"

#define VITALD_NAME              "org.vitald1"
#define VITALD_PATH              "/org/vitald1"
#define VITALD_MANAGER_INTERFACE VITALD_NAME ".Manager"
#define VITALD_SERVICE_INTERFACE VITALD_NAME ".Service"
#define VITALD_CHECK_INTERFACE   VITALD_NAME ".Check"

typedef enum FieldType {
        FIELD_STRING,  /* char *, never NULL */
        FIELD_STRINGS, /* char **, NULL: none */
        FIELD_BOOL,
        FIELD_NUMBER,  /* uint64_t */
        FIELD_TIME,    /* usec_t, a date */
        FIELD_SPAN,    /* usec_t, a duration */
        FIELD_VALUES,  /* MeasuredList */
        FIELD_PROBERS, /* ProberList */
} FieldType;

/* One property, which is a key of --json= as well, and where it goes. */
typedef struct Field {
        const char *property;
        FieldType type;
        size_t offset;
} Field;

typedef struct Fields {
        const Field *items;
        size_t n;
} Fields;

typedef struct Measured {
        char *name, *unit; /* owned */
        double number;
} Measured;

typedef struct MeasuredList {
        Measured *items; /* owned */
        size_t n;
} MeasuredList;

/* Somebody who asks vitald for readiness, and what he was told. */
typedef struct ProberInfo {
        char *address, *route, *agent; /* owned */
        usec_t seen;
        usec_t interval;      /* 0: has asked once */
        uint64_t status;      /* of the last answer */
        uint64_t n_not_ready; /* answers in a row that said so */
} ProberInfo;

typedef struct ProberList {
        ProberInfo *items; /* owned */
        size_t n;
} ProberList;

/* How many have been told so that often at least. */
size_t probers_told(const ProberList *l, uint64_t times);

/* What host and services have in common: the three verdicts, and a drain. */
typedef struct Verdicts {
        char *state;  /* owned: one word for all: "ready", "degraded", "draining", "starting" */
        char *reason; /* owned: of not being ready where no check is the cause, else "" */
        bool is_alive, is_ready, is_started;
        usec_t alive_since, ready_since, started_since;
        uint64_t http_status; /* what probes of readiness are answered now */
        char **why;           /* owned: one line for each cause */
        bool is_draining;
        usec_t drain_since, drain_until;
        char *drain_who, *drain_note; /* owned */
        ProberList probers;           /* recent ones of those whom a drain is for */
} Verdicts;

/* Spans of 0 are not set, USEC_INFINITY is "none" for latency and next run. */
typedef struct CheckInfo {
        char *service, *name, *id, *path;                  /* owned; id: "orders/database" */
        char *type, *target, *description, *documentation; /* owned */
        char *shared; /* owned: the shared check that it is taken from, or "" */
        char *state, *measured_state, *reason, *message; /* owned */
        char *first_message, *last_outcome;              /* owned */
        char **probes, **blocking; /* owned: verdicts that it feeds, and those it spoils now */
        bool is_critical, is_shadow;
        usec_t state_since, first_failure, last_run;
        usec_t next_run; /* CLOCK_MONOTONIC */
        usec_t latency;
        MeasuredList values;
        uint64_t successes_in_row, failures_in_row;
        uint64_t n_runs, n_pass, n_warn, n_fail, n_error, n_void;
        usec_t interval, retry_interval, initial_delay, timeout, max_age;
        usec_t warn_latency, max_latency, worst_case;
        char **warn, **fail; /* owned: ranges of values */
        char **after;        /* owned: the checks that it waits for */
        uint64_t failure_threshold, success_threshold, liveness_failure_threshold;
        bool is_overridden;
        usec_t override_since, override_until;
        char *override_who, *override_note; /* owned */
} CheckInfo;

typedef struct ServiceInfo {
        char *name, *path;                        /* owned */
        char *description, *documentation, *unit; /* owned */
        char *defect;                             /* owned: what is wrong with its files */
        usec_t copy_time; /* of the last good copy that runs in their place; 0: none does */
        char *unit_state, *on_liveness_failure; /* owned */
        char *invocation_id; /* owned: of the unit's start that the verdicts are about */
        char *version;       /* owned: the application's */
        bool counts_for_host, is_shadow;
        char *on_startup_failure, *restart_state, *restart_held_by; /* owned */
        uint64_t n_restarts, n_restarts_in_row, restart_limit;
        usec_t restart_reset_after;
        usec_t last_restart, next_restart, static_since; /* 0: never */
        Verdicts verdicts;
        CheckInfo *checks; /* owned, by name */
        size_t n_checks;
} ServiceInfo;

typedef struct View {
        usec_t realtime, monotonic; /* when it was fetched */
        char *version;              /* owned */
        uint64_t sequence;
        Verdicts verdicts;
        char *defect;       /* owned: what is wrong with vitald.conf, "" for nothing */
        usec_t copy_time;   /* of its last good copy that is in force; 0: none is */
        char *reload_error; /* owned: why the last reload was refused; "" if it was not */
        usec_t reload_time;
        usec_t start_time, restored_time;   /* restored: 0 for nothing */
        char *restore_error;                /* owned: why nothing was; "" if there was nothing */
        uint64_t n_restored;                /* checks of which nothing is known since the start */
        char **listening;                   /* owned */
        char *load_balancer;                /* owned */
        usec_t load_balancer_notice;        /* 0: not known */
        uint64_t load_balancer_threshold;   /* 0: not known */
        uint64_t budget_burst, budget_left; /* restarts */
        usec_t budget_interval, budget_next;
        ServiceInfo *services; /* owned, by name */
        size_t n_services;
} View;

extern const Fields host_fields, service_fields, check_fields;

View *view_free(View *v);
DEFINE_CLEANUP(View *, view_free);

void service_info_done(ServiceInfo *s);
void check_info_done(CheckInfo *c);

/* From the answer of GetManagedObjects(): all but the fields of the host. */
int view_parse(sd_bus_message *m, View **ret);

/* From the answer of GetAll() for one interface, into a struct of zeros; for the host without
 * services, for a service without checks. */
int fields_parse(sd_bus_message *m, const Fields *fields, void *ret);

/* NULL if there is none. */
ServiceInfo *view_find_service(const View *v, const char *name);

/* "SERVICE/CHECK", or "CHECK" in the service "default". */
CheckInfo *view_find_check(const View *v, const char *name);
