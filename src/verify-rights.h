/* SPDX-License-Identifier: MIT */
#pragma once

/* Asks polkit whether the vitald that runs may restart units. polkit tells root alone what others
 * may, so that in all other cases nobody knows. Waits, for seconds at most: for --verify alone. */

#include <systemd/sd-bus.h>

#include "model/lint.h"

/* Zero-initialise. */
typedef struct VerifyRights {
        bool is_elsewhere; /* the files are those of another host */
        bool has_begun;
        bool is_root; /* vitald runs as root, whom polkit is not asked about */
        sd_bus *bus;  /* owned; NULL: nobody can be asked */
        char *vitald; /* owned: its unique name on the bus; NULL: it does not run */
} VerifyRights;

/* A LintFacts.restart_right; userdata: VerifyRights. */
LintRight verify_rights_ask(void *userdata, const char *unit);

void verify_rights_done(VerifyRights *v);
