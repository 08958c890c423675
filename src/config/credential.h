/* SPDX-License-Identifier: MIT */
#pragma once

/* Secrets by name, from the directory that the service manager fills, see systemd.exec(5)
 * LoadCredential=. */

#include "model/config.h"

#define CREDENTIAL_MAX (64 * 1024) /* bytes of one secret */

typedef struct CredentialStore {
        const char *directory; /* borrowed; NULL: there is none */
        bool is_reload;        /* what is not there now needs a restart, and messages say so */
} CredentialStore;

/* A CredentialLookup with a CredentialStore as userdata. Reads NAME, or else vitald_NAME (what the
 * directory form LoadCredential=vitald:/etc/vitald/credentials makes of it), and drops one line end
 * at its end. -ENOENT, -ENODATA for an empty one, or why it cannot be read. */
int credential_lookup(void *userdata, const char *name, char **ret_secret,
                      char why[static OPTION_WHY_MAX]);

/* Fetches TokenCredential=. One that is not there is one that nobody has, and everything else goes
 * on: token_defect says why. 0 or -ENOMEM. */
int http_token_resolve(HttpConfig *http, CredentialStore *store);
