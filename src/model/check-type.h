/* SPDX-License-Identifier: MIT */
#pragma once

/* What loader, model and outputs may know of a check type: its name, options, and which of its
 * facts can be told without running it. How it runs stands in check/driver.h. */

#include "model/health.h"
#include "model/option.h"
#include "model/result.h"

typedef struct CheckState CheckState;

#define CHECK_TARGET_MAX 272 /* takes what address_format() makes */

/* What the settings point at. */
typedef struct CheckTarget {
        char text[CHECK_TARGET_MAX]; /* for people: "cache.internal:6379", "/var"; never a secret */
        char host[CHECK_TARGET_MAX]; /* the host's name alone where there is one, else "" */
        bool is_remote; /* leaves this host: not loopback, unix socket or kernel interface */
} CheckTarget;

enum {
        CHECK_TYPE_PUSH = 1 << 0,     /* has no runs of its own: states are reported to it */
        CHECK_TYPE_COMBINED = 1 << 1, /* has no runs: derive() makes its state from others */
        CHECK_TYPE_TOLERANT = 1 << 2, /* combined, and may be good while some of those are not */
};

/* A URL that stands for a check without any configuration: vitald --probe redis://HOST:PORT. */
typedef struct CheckScheme {
        const char *scheme; /* "redis" */
        const char *key;    /* the option that takes what the URL says */
        bool takes_url;     /* all of it; else only what stands behind SCHEME:// */
} CheckScheme;

/* A value that the runs of a type may measure. */
typedef struct CheckValue {
        const char *name, *unit; /* as in Value */
} CheckValue;

typedef struct CheckType {
        const char *name; /* the value of Type= */
        unsigned flags;
        usec_t timeout_usec;        /* default of Timeout= */
        const CheckScheme *schemes; /* ends with an empty one; NULL: none */
        const CheckValue *values;   /* all there are, ends with an empty one; NULL: what is measured
                                     * depends on the settings or on the peer */
        Schema schema;
        size_t settings_size;

        /* What no single option shows, e.g. options that exclude each other. 0, or -EINVAL with
         * ret_key (an option of the schema) and why set. May normalise the settings. NULL: nothing.
         */
        int (*validate)(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);

        /* Push checks: whether what was reported stands beyond the unit's next start. NULL: no. */
        bool (*is_lasting)(const void *settings);

        /* Fills in what the settings point at. Never NULL. */
        void (*describe)(const void *settings, CheckTarget *ret);

        /* Combined checks only: the names of the checks of its service that it is made of, and its
         * state from theirs: n of the service's checks, by their index in needs; as they are
         * published, or as they are measured without overrides. ret: the state in words. */
        char *const *(*inputs)(const void *settings);
        Health (*derive)(const void *settings, CheckState *const checks[], const size_t needs[],
                         size_t n, bool is_measured, Result *ret);
} CheckType;

static inline bool check_type_has_runs(const CheckType *t) {
        return !(t->flags & (CHECK_TYPE_PUSH | CHECK_TYPE_COMBINED));
}

/* The types that this build knows, handed to the loader so that config/ need not know check/. */
typedef struct CheckTypes {
        const CheckType *const *built_in; /* ends with NULL */
        const char *const *modules;       /* names of those that load() brings, ends with NULL */

        /* Lasts as long as the process. NULL with why: what is missing, and the remedy. */
        const CheckType *(*load)(const char *name, char why[static OPTION_WHY_MAX]);
} CheckTypes;

/* The names, built-in ones first; NULL behind the last. */
const char *check_types_name(const CheckTypes *types, size_t i);

/* NULL with why: empty if there is no such name, else why a known type cannot be had. */
const CheckType *check_types_find(const CheckTypes *types, const char *name,
                                  char why[static OPTION_WHY_MAX]);
