/* SPDX-License-Identifier: MIT */
/* That last good copies of configuration files are in force, and that they are no longer. */

#include "base/log.h"
#include "output/journal.h"

#define ID_RUNS_COPY  "48890809a0944eb0934df861b25cf429"
#define ID_RUNS_FILES "20da187d8ef54367822bc512fdfaaad5"

static const char *subject(const ConfigCopy *copy) {
        return copy->service ? copy->service : "Host";
}

static void log_copy(const ConfigCopy *copy, usec_t now) {
        const LogField fields[] = {
                { "MESSAGE_ID", ID_RUNS_COPY },
                { "VITALD_SERVICE", copy->service },
        };
        char at[TIMESTAMP_MAX];

        log_fields(LOG_ERR, fields, ELEMENTSOF(fields),
                   "%s runs the last good copy of %s from %s, as what there is now is at fault: %s",
                   subject(copy), copy->service ? "its configuration" : "vitald.conf",
                   timestamp_format_short(at, copy->realtime, now), copy->fault);
}

static void log_files(const ConfigCopy *copy) {
        const LogField fields[] = {
                { "MESSAGE_ID", ID_RUNS_FILES },
                { "VITALD_SERVICE", copy->service },
        };

        log_fields(LOG_NOTICE, fields, ELEMENTSOF(fields), "%s runs what %s now, no longer a copy",
                   subject(copy), copy->service ? "its files say" : "vitald.conf says");
}

/* Copies are taken at a start, which is told also where the picture from before it is taken up; a
 * reload that is taken ends them all. */
void journal_log_copies(const Snapshot *old, const Snapshot *new) {
        ConfigCopy copy;

        if (old && old->sequence > 0 && old->config == new->config)
                return;
        CONFIG_FOREACH_COPY(i, copy, new->config)
                log_copy(&copy, new->time.realtime);
        if (!old || old->config == new->config)
                return;
        CONFIG_FOREACH_COPY(i, copy, old->config)
                if (!copy.service || config_find_service(new->config, copy.service) != INDEX_NONE)
                        log_files(&copy);
}
