/* SPDX-License-Identifier: MIT */
#pragma once

/* Keeps something in a file (base/kept-file.h) while it changes: written by a helper thread, some
 * time after a change, so that changes close together are one write and the loop never waits for a
 * disk. That the disk fails or hangs is told once, as is its end, and changes nothing else. */

#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "io/workers.h"

typedef struct KeptWriter KeptWriter;

typedef struct KeptFile {
        const char *path; /* copied */
        const char *kind; /* constant */
        unsigned version;
        const char *what; /* constant, for the log, begins a sentence: "Reports of checks" */
} KeptFile;

/* Writes what is to be kept now. Errors are the buffer's. */
typedef void (*KeptText)(void *userdata, StrBuf *out);

/* workers, text's userdata and event are borrowed and must live as long. */
int kept_writer_new(sd_event *event, Workers *workers, const KeptFile *file, KeptText text,
                    void *userdata, KeptWriter **ret);

/* Something has changed: it is written within pause_usec. */
void kept_writer_touch(KeptWriter *w, usec_t pause_usec);

/* How often writing has failed, or was seen to hang. */
uint64_t kept_writer_n_failures(const KeptWriter *w);

/* Writes what is not written yet, for as long as job_wait() does. */
KeptWriter *kept_writer_free(KeptWriter *w);
DEFINE_CLEANUP(KeptWriter *, kept_writer_free);
