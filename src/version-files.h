/* SPDX-License-Identifier: MIT */
#pragma once

/* What VersionFile= of each service says. The files are looked at every two seconds, by helper
 * threads, and read when they have changed: a path may lead through links that another release
 * changes, and into a file system that hangs. Used by daemon.c. */

#include "io/workers.h"
#include "model/state.h"

typedef struct VersionFiles VersionFiles;

/* Another text; "" while there is none. */
typedef void (*VersionHandler)(void *userdata, size_t service, const char *version);

/* The workers are borrowed. */
int version_files_new(sd_event *event, Workers *workers, VersionHandler handler, void *userdata,
                      VersionFiles **ret);
VersionFiles *version_files_free(VersionFiles *f);
DEFINE_CLEANUP(VersionFiles *, version_files_free);

/* Those of this configuration from now on; each is looked at at once. */
int version_files_configure(VersionFiles *f, const Config *config);
