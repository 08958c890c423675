/* SPDX-License-Identifier: MIT */
#pragma once

/* The whole of vitald: the only place that knows every layer. It carries results from the engine
 * into the state, makes one snapshot a loop turn, and hands it to the publisher. Called by main.c.
 */

#include "config/loader.h"
#include "output/bus.h"

typedef struct DaemonOptions {
        ConfigSources sources; /* where the configuration is */
        usec_t watchdog_usec;  /* of its unit, for the linter; 0: none */
        char *const *listen;   /* borrowed; instead of Listen= in vitald.conf; may be NULL */
        BusMode bus;
        const char *runtime_directory; /* borrowed; exists */
        const char *state_directory;   /* borrowed; made when it is needed. NULL: none */
} DaemonOptions;

/* Runs until SIGTERM or SIGINT. 0, or negative errno, logged, when it could not start or go on.
 * SIGTERM, SIGINT and SIGHUP are blocked by the caller before any thread is there. */
int daemon_run(const DaemonOptions *options);
