/* SPDX-License-Identifier: MIT */
#pragma once

/* The last good configuration: the texts of the files as they were when they were last in force and
 * without fault. At a start the loader runs them in place of files that are at fault; who loads the
 * configuration keeps them from one start to the next. Secrets never stand in these files, so the
 * texts hold none. Pure. */

#include "config/document.h"
#include "model/config.h"

/* All of it, as bytes. A configuration that is larger is not kept. */
#define LAST_GOOD_MAX (32 * 1024 * 1024)

/* The name of the one entry that is no service and no shared check. */
#define LAST_GOOD_MAIN "vitald"

/* One service, one shared check, or vitald.conf. */
typedef struct GoodEntry {
        char *key;             /* owned: "services/orders", "checks/db", LAST_GOOD_MAIN */
        usec_t since_realtime; /* when these texts were first taken */
        FileText *files; /* owned: the main file, if there was one, and its drop-ins in order */
        size_t n_files;
} GoodEntry;

/* Zero-initialise; last_good_done() takes it in any state. */
typedef struct LastGood {
        GoodEntry *items; /* owned, sorted by key */
        size_t n, n_allocated;
} LastGood;

void last_good_done(LastGood *l);

/* Notes what a load has found without fault. 0 or -ENOMEM. l may be NULL: nobody asks. */
int last_good_add(LastGood *l, const char *folder, const char *name, const Document *d);

/* The entry, or NULL; folder "" for vitald.conf. l may be NULL. */
const GoodEntry *last_good_find(const LastGood *l, const char *folder, const char *name);

/* After the load of a configuration that was taken: kept becomes what to keep from now on, loaded
 * is used up. What was without fault replaces what was kept, in place of what is at fault the old
 * stays, and what is gone from the configuration is gone. As long as a service runs its last good
 * copy, the vitald.conf and the shared checks of that time stay too. */
bool last_good_merge(LastGood *kept, LastGood *loaded, const Config *config, usec_t now_realtime);

/* Bytes for a file, and what they say. -EBADMSG: that is no last good configuration; nothing of it
 * is believed. -ENOMEM. */
void last_good_format(const LastGood *l, StrBuf *out);
size_t last_good_size(const LastGood *l); /* about so many they are */
int last_good_parse(const char *bytes, size_t n, LastGood *ret);
