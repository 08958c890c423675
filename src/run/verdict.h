/* SPDX-License-Identifier: MIT */
#pragma once

/* What vitald says of one service, as far as a unit's start and watchdog depend on it: read from
 * the properties of org.vitald1.Service, see org.vitald1(5). A verdict counts only if it is about
 * this very start of the unit. */

#include <systemd/sd-bus.h>

#include "base/macro.h"

#define VITALD_NAME              "org.vitald1"
#define VITALD_SERVICE_PATH      "/org/vitald1/service"
#define VITALD_SERVICE_INTERFACE VITALD_NAME ".Service"

typedef enum Standing {
        STANDING_SILENT,   /* vitald cannot be reached, or knows nothing of this start yet */
        STANDING_MISTAKEN, /* it never will: there is no such service, or it is not of this unit */
        STANDING_STARTING,
        STANDING_LATE, /* not started within StartupTimeout= */
        STANDING_ALIVE,
        STANDING_DEAD, /* as measured: what a person overrides makes nothing restart */
} Standing;

#define VERDICT_TEXT_MAX 256

typedef struct Verdict {
        Standing standing;
        char text[VERDICT_TEXT_MAX]; /* for people: "not ready: redis: Connection refused" */
} Verdict;

/* Which start of which unit the verdict must be about; all borrowed. */
typedef struct Start {
        const char *service;
        const char *unit; /* NULL: not known, and not compared */
        const char *invocation_id;
} Start;

/* From the answer to GetAll(), be it an error. Whatever it holds, ret is set. */
void verdict_read(sd_bus_message *m, const Start *start, Verdict *ret);

void verdict_set(Verdict *v, Standing standing, const char *format, ...) _printf_(3, 4);
