/* SPDX-License-Identifier: MIT */
#pragma once

/* The start of a program with a companion beside it. The companion is forked twice, so that it is
 * no child of the program's, and in a session of its own, so that what the program sends its
 * process group does not reach it. The program then replaces this process: PID, signal mask and
 * dispositions, descriptors and environment are as they came, but for what is the companion's. */

#include "base/clock.h"
#include "io/bus-connection.h"

typedef struct Launch {
        const char *service; /* borrowed; NULL: called as the unit */
        BusScope scope;
        const char *runtime_directory; /* borrowed: of vitald, with its private socket */
        usec_t ready_without_usec;
        char **program; /* borrowed: with its arguments, ends with NULL */
        int argc;       /* the whole command line, as it lies in memory */
        char **argv;
} Launch;

/* As systemd has them for what it cannot execute. */
#define EXIT_CANNOT_EXECUTE 203

/* Returns only if the program could not be executed: the exit code, with the fault said on standard
 * error. */
int launch(const Launch *l);
