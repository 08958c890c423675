/* SPDX-License-Identifier: MIT */
#pragma once

/* Shared checks: checks/NAME.conf holds one [Check] that any number of services take with From=NAME
 * and that is run once for all of them. Called by the loader, before the services. */

#include "config/check-loader.h"
#include "config/document.h"
#include "config/last-good.h"

struct SharedCheck {
        char *name; /* owned */
        char *path; /* owned: of the file */
        Document document;
        Section section; /* borrows from the document */
        bool is_good;    /* else the diagnostics say why */
};

/* Zero-initialise; shared_checks_done() takes it in any state. */
typedef struct SharedChecks {
        SharedCheck *items; /* owned, sorted by name */
        size_t n;
} SharedChecks;

void shared_checks_done(SharedChecks *s);

/* Reads all of them. What is wrong is a diagnostic, each fault once. sources: types, credentials
 * and defaults. 0 or -ENOMEM. */
int shared_checks_load(const char *root, const CheckSources *sources, Diagnostics *d,
                       SharedChecks *ret);

/* The same of their last good copies. */
int shared_checks_load_copies(const LastGood *last_good, const CheckSources *sources,
                              Diagnostics *d, SharedChecks *ret);

/* What the section takes from elsewhere: 1 with the shared check, 0 if it takes nothing, -EBADMSG
 * if it cannot be had, which is a diagnostic. */
int shared_checks_find(const SharedChecks *s, const Section *section, Diagnostics *d,
                       const SharedCheck **ret);
