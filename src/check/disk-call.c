/* SPDX-License-Identifier: MIT */
#include "check/disk-call.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define MOUNTINFO_PATH "/proc/self/mountinfo"
#define PROBE_NAME     ".vitald-write-test"
#define PROBE_SIZE     4096 /* bytes */

DiskCall *disk_call_new(const char *path, bool is_write_wanted) {
        size_t n = strlen(path) + 1;
        DiskCall *call = calloc(1, sizeof(DiskCall) + n);

        if (!call)
                return NULL;
        call->is_write_wanted = is_write_wanted;
        memcpy(call->path, path, n);
        return call;
}

/* Whether "ro" is among the options of the superblock, the last field. */
static bool line_is_read_only(const char *line) {
        const char *options = strstr(line, " - ");

        options = options ? strrchr(options, ' ') + 1 : "";
        return strncmp(options, "ro", 2) == 0 && strchr(",\n", options[2]);
}

/* statvfs(2) tells of the mount, and a sandbox mounts everything read-only. */
static bool is_read_only(const char *path) {
        _cleanup_free_ char *line = NULL;
        bool is_found = false;
        struct statx sx = {};
        size_t size = 0;
        uint64_t id;
        FILE *f;

        if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &sx) < 0 || !(sx.stx_mask & STATX_MNT_ID))
                return false;
        f = fopen(MOUNTINFO_PATH, "re");
        while (f && !is_found && getline(&line, &size, f) > 0)
                is_found = sscanf(line, "%" SCNu64, &id) == 1 && id == sx.stx_mnt_id;
        if (f)
                (void) fclose(f);
        return is_found && line_is_read_only(line);
}

/* A file without a name, or where the file system has no such files one that loses it at once. */
static int probe_open(const char *directory) {
        char path[PATH_MAX];
        int fd;

        fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0)
                return fd;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
                return -errno;
        if (snprintf(path, sizeof(path), "%s/" PROBE_NAME, directory) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST) { /* left behind by one that was killed */
                (void) unlink(path);
                fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        }
        if (fd < 0)
                return -errno;
        (void) unlink(path);
        return fd;
}

static int probe_write(const char *directory) {
        static const char block[PROBE_SIZE];
        _cleanup_fd_ int fd = -1;
        ssize_t n;

        fd = probe_open(directory);
        if (fd < 0)
                return -fd;
        n = write(fd, block, sizeof(block));
        if (n < 0)
                return errno;
        if ((size_t) n < sizeof(block))
                return ENOSPC;
        return fsync(fd) < 0 ? errno : 0;
}

void disk_call(void *data) {
        DiskCall *call = data;

        if (statvfs(call->path, &call->st) < 0) {
                call->error = errno;
                return;
        }
        call->is_read_only = is_read_only(call->path);
        if (call->is_write_wanted && !call->is_read_only)
                call->write_error = probe_write(call->path);
}
