/* SPDX-License-Identifier: MIT */
#pragma once

/* The text in which the last picture outlasts vitald (base/kept-file.h keeps it): JSON with the
 * states of all checks and services, and no settings, of which there are digests alone. Written
 * from a snapshot, and read by somebody who believes nothing of it. What is added to a state of the
 * model is added here; that needs no new version, as what is not there is as it is at first. Pure.
 */

#include "base/strbuf.h"
#include "model/kept.h"
#include "output/absent-drains.h"

#define STATE_FILE_KIND      "vitald-state"
#define STATE_FILE_VERSION   1
#define STATE_FILE_MAX_BYTES ((size_t) 64 << 20)
#define STATE_FILE_WHY_MAX   160

#define DRAINS_FILE_KIND    "vitald-drains"
#define DRAINS_FILE_VERSION 1

/* boot: the id of this boot, to which all times belong. is_last: nobody is shown a later picture.
 * Only then are counters taken up again: one that went on from an older picture would go back,
 * which is worse than to begin anew. Errors are the buffer's. */
void state_file_format(StrBuf *out, const Snapshot *s, const char *boot, bool is_last);

/* What fits to this configuration: services by name, checks by name and by what they test. Or with
 * ret_why: -ESTALE: of another boot, -EBADMSG: nonsense; -ENOMEM. */
int state_file_parse(const char *text, size_t n, const char *boot, Config *config, Time now,
                     Kept **ret, char ret_why[static STATE_FILE_WHY_MAX]);

/* The drains of operators alone, that outlast a boot, with those of services that are not there for
 * now: their ends are those of CLOCK_REALTIME there. */
void drains_file_format(StrBuf *out, const Snapshot *s, const AbsentDrains *absent, Time now);

/* What is over is left out. As state_file_parse(); with an error some may have been handed out
 * already. */
typedef void (*DrainHandler)(void *userdata, const LastingDrain *drain);
int drains_file_parse(const char *text, size_t n, Time now, DrainHandler handler, void *userdata,
                      char ret_why[static STATE_FILE_WHY_MAX]);
