/* SPDX-License-Identifier: MIT */
#pragma once

/* The process that stays beside a program and speaks to systemd for it: READY=1 when vitald says
 * that the service is started, EXTEND_TIMEOUT_USEC= until then, WATCHDOG=1 while it is not dead,
 * STATUS= with why. It ends with the program.
 *
 * It is fail-static: without a word of vitald nothing becomes ready, and nothing that runs is
 * starved. */

#include "io/bus-connection.h"
#include "run/verdict.h"

typedef struct CompanionSettings {
        Start start;
        BusScope scope;
        const char *socket_path;   /* borrowed: vitald's private socket, if this user may use it */
        usec_t watchdog_usec;      /* 0: systemd does not watch the unit */
        usec_t ready_without_usec; /* after so long without vitald READY=1 is sent all the same;
                                    * USEC_INFINITY: never */
} CompanionSettings;

/* Runs until the process of the pidfd has ended. Uses $NOTIFY_SOCKET. Returns the exit code. */
int companion_run(const CompanionSettings *settings, int pidfd);
