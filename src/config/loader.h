/* SPDX-License-Identifier: MIT */
#pragma once

/* Makes the typed configuration of the files: vitald.conf, services/NAME.conf, their drop-ins, the
 * credentials, and the built-in service "host". Called at start, on reload and by --verify.
 *
 * A load always gives a configuration that can be used: a service whose files are at fault has a
 * defect and no checks, a vitald.conf at fault puts its defect on the host and on all services.
 * With last good copies at hand those are run instead, and what is wrong is a fault of the service
 * or the host. Whether it may be used is the caller's decision: a start takes it, a reload only if
 * diagnostics_is_empty(). */

#include "config/last-good.h"
#include "config/places.h"
#include "model/config.h"

/* More are faults of the files that hold them. */
#define CONFIG_CHECKS_MAX 20000

/* All borrowed for the call, the types for as long as the configuration lives. */
typedef struct ConfigSources {
        const char *root;                  /* in front of the search path; NULL: none */
        const char *credentials_directory; /* NULL: there is none */
        const CheckTypes *types;
        Places *places;            /* where all keys stand is added to it; NULL: nobody asks */
        const LastGood *last_good; /* runs in place of what is at fault; NULL: nothing does */
        LastGood *loaded;          /* what is without fault is added to it; NULL: nobody asks */
        bool is_reload;            /* for messages: what only a restart can bring */
} ConfigSources;

/* 0 or -ENOMEM; everything else that is wrong stands in the configuration's diagnostics. */
int config_load(const ConfigSources *sources, Config **ret);

/* One service of that name (a valid one) made of a text, and nothing else: no vitald.conf, no
 * drop-ins, no built-in service. Otherwise like config_load(). */
int config_load_text(const ConfigSources *sources, const char *name, const char *text,
                     Config **ret);
