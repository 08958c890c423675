/* SPDX-License-Identifier: MIT */
/* Keeps the last good configuration in the state directory, for a start with files at fault. */

#include <errno.h>
#include <string.h>

#include "base/kept-file.h"
#include "base/log.h"
#include "daemon-internal.h"

#define FILE_NAME      "configuration"
#define KIND           "vitald-configuration"
#define FORMAT_VERSION 1
#define PAUSE_USEC     (200 * USEC_PER_MSEC)
#define PATH_LENGTH    4096

static void write_text(void *userdata, StrBuf *out) {
        const Daemon *d = userdata;

        last_good_format(&d->last_good, out);
}

static int read_kept(const char *path, LastGood *ret) {
        _cleanup_free_ char *bytes = NULL;
        size_t n;
        int r;

        r = kept_file_read(path, KIND, FORMAT_VERSION, LAST_GOOD_MAX, &bytes, &n);
        return r < 0 ? r : last_good_parse(bytes, n, ret);
}

/* What cannot be read is not believed, and written anew. */
static int open_kept(Daemon *d, const char *path) {
        const KeptFile file = {
                .path = path,
                .kind = KIND,
                .version = FORMAT_VERSION,
                .what = "Copies of the last good configuration",
        };
        int r;

        r = read_kept(path, &d->last_good);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT)
                log_errno(LOG_WARNING, r, "%s holds no last good configuration and is left aside",
                          path);
        return kept_writer_new(d->event, engine_workers(d->engine), &file, write_text, d,
                               &d->last_good_writer);
}

int daemon_open_last_good(Daemon *d) {
        char path[PATH_LENGTH];
        int r;

        if (!d->options->state_directory)
                return 0;
        if (snprintf(path, sizeof(path), "%s/" FILE_NAME, d->options->state_directory) >=
            (int) sizeof(path))
                return 0;
        r = open_kept(d, path);
        return r < 0 ? log_errno(LOG_ERR, r, "Cannot keep the last good configuration") : 0;
}

void daemon_keep_last_good(Daemon *d, LastGood *loaded, const Config *c) {
        if (!d->last_good_writer)
                return;
        if (!last_good_merge(&d->last_good, loaded, c, clock_usec(CLOCK_REALTIME)))
                return;
        if (last_good_size(&d->last_good) > LAST_GOOD_MAX)
                log_warning("The configuration is larger than %d MiB and is not kept for a start "
                            "with files at fault",
                            LAST_GOOD_MAX / (1024 * 1024));
        else
                kept_writer_touch(d->last_good_writer, PAUSE_USEC);
}

void daemon_close_last_good(Daemon *d) {
        kept_writer_free(d->last_good_writer);
        last_good_done(&d->last_good);
}
