/* SPDX-License-Identifier: MIT */
#pragma once

/* Where each key of the configuration stands. Only --verify keeps it, to say of what is found in
 * the typed configuration where to change it; a running daemon does without. */

#include "config/document.h"

typedef struct KeyPlace {
        char *folder;   /* owned: "services", "checks", or "" for vitald.conf */
        char *owner;    /* owned: the service's or shared check's name, or "" */
        char *kind;     /* owned: the section's, "Check"; "" for the file as a whole */
        char *argument; /* owned: the section's name, or "" */
        char *key;      /* owned; "" for the header of the section */
        char *file;     /* owned */
        unsigned line;  /* 0: the file as a whole */
} KeyPlace;

/* Zero-initialise; places_done() takes it in any state. */
typedef struct Places {
        KeyPlace *items; /* owned; what counts stands behind what it replaces */
        size_t n, n_allocated;
} Places;

void places_done(Places *p);

/* All of a document. p may be NULL. 0 or -ENOMEM. */
int places_add(Places *p, const char *folder, const char *owner, const Document *d);

/* Where the key of that section was set last, or NULL; argument may be NULL. */
const KeyPlace *places_find(const Places *p, const char *folder, const char *owner,
                            const char *kind, const char *argument, const char *key);
