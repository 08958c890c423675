/* SPDX-License-Identifier: MIT */
#pragma once

/* The typed configuration: what the loader makes of the files and all others read. Immutable once
 * made and ref-counted: snapshots, engine and outputs each hold references, so a reload frees the
 * old one when the last of them lets go. Checks are counted one by one, so that an unchanged check
 * can be carried over. */

#include "base/network.h"
#include "model/check-type.h"
#include "model/diagnostics.h"
#include "model/range.h"

#define NAME_LENGTH_MAX 64
#define CHECK_ID_MAX    (2 * NAME_LENGTH_MAX + 2)

/* The service whose checks go by their bare name at host level. */
#define SERVICE_BARE "default"

/* [A-Za-z0-9_.@:-]{1,64} without a leading dot. */
bool name_is_valid(const char *s);

typedef enum Probe { PROBE_READINESS, PROBE_LIVENESS, PROBE_STARTUP, PROBE_COUNT_ } Probe;

const char *probe_to_string(Probe p); /* "readiness" */

/* The words of Probes= in the order of the enum; ends with NULL. */
extern const char *const probe_words[];

typedef struct CheckConfig {
        unsigned n_ref;
        char *name;            /* owned: "database" */
        char *service;         /* owned: "orders" */
        char *id;              /* owned: "orders/database" */
        char *public_name;     /* owned: at host level; id, or the bare name in SERVICE_BARE */
        const CheckType *type; /* borrowed, constant */
        void *settings;        /* owned: type->settings_size bytes, fields by type->schema */
        char *canonical;       /* owned: type and settings; equal texts test the same thing */
        char *shared;          /* owned: From=, the shared check whose runs are this one's; or NULL
                                */
        bool is_shared_copy;   /* what From= names is the last good copy of it, not its file */
        struct {
                char *text, *host; /* owned, never NULL */
                bool is_remote;
        } target; /* as CheckTarget */

        /* Set when the check cannot run as configured (a credential that is not there): each run
         * fails with this reason and text instead. REASON_NONE otherwise. */
        Reason defect_reason;
        char *defect; /* owned, or NULL */

        /* [Check] options common to all types */
        char *description;   /* owned, may be NULL */
        char *documentation; /* owned, may be NULL: a URL */
        unsigned probes;     /* bit mask: 1 << Probe */
        bool is_critical;
        bool is_shadow; /* Shadow=: measured and shown, and counts for no verdict */
        bool allow_remote_liveness;
        usec_t interval_usec, timeout_usec, retry_interval_usec, initial_delay_usec, max_age_usec;
        usec_t connection_max_age_usec;
        usec_t warn_latency_usec, max_latency_usec; /* 0: not graded */
        Limits warn, fail;
        uint64_t failure_threshold, success_threshold, liveness_failure_threshold;
        char **after; /* owned: After=, names of checks of the service */

        /* The checks that its state hangs on: those of After=, or those that it is made of; by
         * their index among the service's checks. */
        size_t *needs; /* owned */
        size_t n_needs;
} CheckConfig;

extern const Schema check_schema; /* fields of CheckConfig */

/* One with the common options' defaults and nothing else; NULL without memory. */
CheckConfig *check_config_new(void);
int check_config_set_target(CheckConfig *c, const CheckTarget *target); /* 0 or -ENOMEM */
CheckConfig *check_config_ref(CheckConfig *c);
CheckConfig *check_config_unref(CheckConfig *c);
DEFINE_CLEANUP(CheckConfig *, check_config_unref);

static inline bool check_config_feeds(const CheckConfig *c, Probe p) {
        return c->probes & (1U << p);
}

/* The same of what has a say in the verdict. */
static inline bool check_config_counts(const CheckConfig *c, Probe p) {
        return !c->is_shadow && check_config_feeds(c, p);
}

/* Its state follows from those of others alone. */
static inline bool check_config_is_combined(const CheckConfig *c) {
        return c->type->flags & CHECK_TYPE_COMBINED;
}

/* Has no runs: its state is reported to it. */
static inline bool check_config_is_pushed(const CheckConfig *c) {
        return c->type->flags & CHECK_TYPE_PUSH;
}

/* What was reported stands beyond the unit's next start. */
static inline bool check_config_is_lasting(const CheckConfig *c) {
        return c->type->is_lasting && c->type->is_lasting(c->settings);
}

/* Its state hangs on that of others, also. */
bool check_config_is_derived(const CheckConfig *c);

/* Names of checks, separated by blanks. */
extern const OptionType option_names; /* char ** (owned) */

/* Whether b tests the same thing as a in the same way, so that a's state is b's. */
bool check_config_same_target(const CheckConfig *a, const CheckConfig *b);

typedef enum OnLivenessFailure {
        ON_LIVENESS_FAILURE_NONE,
        ON_LIVENESS_FAILURE_WATCHDOG,
        ON_LIVENESS_FAILURE_RESTART,
} OnLivenessFailure;

/* The words of OnLivenessFailure= in the order of the enum; ends with NULL. */
extern const char *const on_liveness_failure_words[];

typedef enum OnStartupFailure {
        ON_STARTUP_FAILURE_NONE,
        ON_STARTUP_FAILURE_RESTART,
} OnStartupFailure;

extern const char *const on_startup_failure_words[]; /* likewise */

typedef struct ServiceConfig {
        char *name;          /* owned */
        char *description;   /* owned, may be NULL */
        char *documentation; /* owned, may be NULL: a URL */
        char *unit;          /* owned, may be NULL */
        char *version;       /* owned, may be NULL: of the application, */
        char *version_file;  /* owned, may be NULL: or where it stands */
        usec_t startup_timeout_usec;
        unsigned on_liveness_failure; /* OnLivenessFailure */
        unsigned on_startup_failure;  /* OnStartupFailure */
        usec_t restart_backoff_usec, restart_backoff_max_usec;
        usec_t restart_reset_after_usec; /* of health, until restarts are forgotten */
        uint64_t restart_limit;          /* without a cure, until the unit is left running */
        char *on_flip;        /* owned, may be NULL: OnFlip=, a unit with %s in its name */
        bool counts_for_host; /* Host=; no for the built-in service and in shadow */
        bool is_shadow;       /* Shadow=: its verdicts are shown and nothing follows */
        bool is_builtin;
        char *defect; /* owned; "FILE:LINE: text" of the first fault, or NULL. Then it has no
                         checks. */
        char *fault;  /* owned; the same, but it runs the last good copy of its files, or NULL */
        usec_t copy_realtime;         /* with a fault: when that copy was taken */
        size_t first_check, n_checks; /* its slice of Config.checks */
        size_t *derived; /* owned: those of its checks that hang on others, by their index among
                          * them, each behind those that it needs */
        size_t n_derived;
} ServiceConfig;

extern const Schema service_schema; /* fields of ServiceConfig */

void service_config_done(ServiceConfig *s);

typedef enum NotifyReady {
        NOTIFY_READY_CHECKED,
        NOTIFY_READY_LISTENING,
        NOTIFY_READY_STARTED,
} NotifyReady;

typedef struct DaemonConfig {
        unsigned notify_ready; /* NotifyReady */
        uint64_t max_concurrent_checks;
        bool drain_on_shutdown; /* readiness ends before the host goes down */
        char *on_flip;          /* owned, may be NULL: as that of services, for the host */
        uint64_t restart_budget_burst;
        usec_t restart_budget_interval_usec;
} DaemonConfig;

extern const Schema daemon_schema; /* fields of DaemonConfig */

typedef enum HttpLayout { HTTP_LAYOUT_STANDARD, HTTP_LAYOUT_COMPONENTS } HttpLayout;

/* Alias=PATH TARGET: requests for path are answered like target, one of the known routes, perhaps
 * with "?format=NAME". */
typedef struct HttpAlias {
        char *path, *target; /* owned */
} HttpAlias;

typedef struct HttpAliases {
        HttpAlias *items; /* owned */
        size_t n;
} HttpAliases;

extern const OptionType option_http_alias; /* HttpAliases */

typedef struct Networks {
        IpNetwork *items; /* owned */
        size_t n;
} Networks;

extern const OptionType option_networks; /* Networks */

/* In the order of the words; what each is stands in model/load-balancer.c. */
typedef enum LoadBalancerKind {
        LOAD_BALANCER_NONE,
        LOAD_BALANCER_AWS_ALB,
        LOAD_BALANCER_AWS_NLB,
        LOAD_BALANCER_GCP,
        LOAD_BALANCER_AZURE,
        LOAD_BALANCER_HAPROXY,
        LOAD_BALANCER_NGINX,
        LOAD_BALANCER_OTHER,
} LoadBalancerKind;

/* The words of LoadBalancer= in the order of the enum; ends with NULL. */
extern const char *const load_balancer_words[];

typedef struct HttpConfig {
        char **listen;   /* owned: addresses used when no socket is passed */
        unsigned layout; /* HttpLayout */
        HttpAliases aliases;
        uint64_t down_status;     /* /health/status when not ready: 503 or 500 */
        uint64_t degraded_status; /* readiness when ready but degraded: 200 or 503 */
        uint64_t max_connections, max_connections_per_address;
        usec_t header_timeout_usec, idle_timeout_usec;
        Networks allow_from; /* empty: from everywhere */
        uint64_t rate_limit; /* requests a second; 0: any number */
        Credential token;    /* whose bearers see full messages */
        char *token_defect;  /* owned: why there is none although it is named; or NULL */

        /* Who probes: what the linter and drains know of it. Nothing else depends on it. */
        unsigned load_balancer;             /* LoadBalancerKind */
        usec_t load_balancer_interval_usec; /* 0: as its maker has it, as the next */
        uint64_t load_balancer_threshold;
} HttpConfig;

extern const Schema http_schema; /* fields of HttpConfig */

typedef struct AgentConfig {
        char **listen;            /* owned: as that of HttpConfig */
        uint64_t degraded_weight; /* percent that HAProxy gives to a ready but degraded server */
} AgentConfig;

extern const Schema agent_schema; /* fields of AgentConfig */

/* How a check hangs together with others that one run serves. */
typedef struct CheckShare {
        size_t runs_as; /* whose run it is: the first of them */
        size_t next;    /* the next of them; INDEX_NONE: it is the last */
} CheckShare;

typedef struct Config {
        unsigned n_ref;
        DaemonConfig daemon;
        HttpConfig http;
        AgentConfig agent;
        ServiceConfig *services; /* owned, sorted by name */
        size_t n_services;
        CheckConfig **checks; /* owned references: service by service, in file order within each. A
                               * check's index here is its handle everywhere while this Config is in
                               * force. */
        size_t n_checks;
        CheckShare *shares; /* owned, by check; NULL: each check has runs of its own */
        char *defect; /* owned; set when vitald.conf itself is bad: the whole host is not ready */
        char *fault;  /* owned; vitald.conf is bad and its last good copy is in force; or NULL */
        usec_t copy_realtime; /* with a fault: when that copy was taken */
        char **masked; /* owned: names of services whose files lead to /dev/null, without which
                        * there is nobody who would want them back; NULL: none */
        Diagnostics diagnostics;
} Config;

/* An empty configuration with all defaults; NULL without memory. */
Config *config_new(void);
Config *config_ref(Config *c);
Config *config_unref(Config *c);
DEFINE_CLEANUP(Config *, config_unref);

#define INDEX_NONE SIZE_MAX

/* A last good copy that is in force, as the files are at fault. All borrowed. */
typedef struct ConfigCopy {
        const char *service; /* NULL: vitald.conf */
        const char *fault;
        usec_t realtime; /* when the copy was taken */
} ConfigCopy;

/* The first one from index i on, INDEX_NONE if there is none; vitald.conf is 0, then come the
 * services. */
size_t config_find_copy(const Config *c, size_t i, ConfigCopy *ret);

#define CONFIG_FOREACH_COPY(i, copy, c)                                     \
        for (size_t i = config_find_copy((c), 0, &(copy)); i != INDEX_NONE; \
             i = config_find_copy((c), i + 1, &(copy)))

/* Finds out which checks are served by one run, once all are there. 0 or -ENOMEM. */
int config_share(Config *c);

/* The check whose runs are this one's: itself, if it is not shared. */
static inline size_t config_runs_as(const Config *c, size_t check) {
        return c->shares ? c->shares[check].runs_as : check;
}

/* Walks over all checks that a run serves, beginning with the one that it is of. */
#define CONFIG_FOREACH_SERVED(i, c, check)        \
        for (size_t i = (check); i != INDEX_NONE; \
             i = (c)->shares ? (c)->shares[i].next : INDEX_NONE)

/* Finds out in which order the states of a service's checks follow from each other, once all have
 * their needs. 0, -ENOMEM, or -ELOOP with a check (among the service's) that hangs on itself. */
int config_order(Config *c, size_t service, size_t *ret_cyclic);

/* The check that runs for all that say From=NAME. */
size_t config_find_shared(const Config *c, const char *name);

/* Whether it may ever restart its unit. */
bool service_config_restarts(const ServiceConfig *s);

/* INDEX_NONE if there is none of that name. */
size_t config_find_service(const Config *c, const char *name);
size_t config_find_check(const Config *c, const char *service, const char *check);

/* The service that a check belongs to. */
size_t config_service_of(const Config *c, size_t check);

/* Whether the check is in shadow, by itself or with its service. */
bool config_check_is_shadow(const Config *c, size_t check);

/* The URL to show beside a failure of the check: its own, or its service's; or NULL. Borrowed. */
const char *config_documentation(const Config *c, size_t check);

/* Whether any service was configured by the administrator (good or bad). */
bool config_has_services(const Config *c);
