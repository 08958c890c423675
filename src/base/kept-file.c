/* SPDX-License-Identifier: MIT */
#include "base/kept-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define HEADER_MAX     128
#define DIRECTORY_MODE 0700
#define FILE_MODE      0600

static uint64_t digest(const void *bytes, size_t n) {
        return hash_bytes(HASH_INIT, bytes, n);
}

/* -- writing ----------------------------------------------------------------------------------- */

/* With all that is above. path is written to and restored. */
static int directory_make(char *path) {
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                if (mkdir(path, DIRECTORY_MODE) < 0 && errno != EEXIST && errno != EROFS) {
                        *slash = '/';
                        return -errno;
                }
                *slash = '/';
        }
        return mkdir(path, DIRECTORY_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

static int directory_open(const char *path, int *ret) {
        char directory[PATH_MAX];
        const char *slash = strrchr(path, '/');
        int fd;

        if (!slash || slash == path || (size_t) (slash - path) >= sizeof(directory))
                return -EINVAL;
        snprintf(directory, sizeof(directory), "%.*s", (int) (slash - path), path);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                int r = directory_make(directory);

                if (r < 0)
                        return r;
                fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

static int write_all(int fd, const void *bytes, size_t n) {
        const char *p = bytes;

        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

static int file_fill(int fd, const char *header, const void *bytes, size_t n) {
        int r;

        r = write_all(fd, header, strlen(header));
        if (r >= 0)
                r = write_all(fd, bytes, n);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

int kept_file_write(const char *path, const char *kind, unsigned version, const void *bytes,
                    size_t n) {
        _cleanup_fd_ int directory = -1, fd = -1;
        char header[HEADER_MAX], name[NAME_MAX + 1], temporary[NAME_MAX + 1];
        int r;

        r = directory_open(path, &directory);
        if (r < 0)
                return r;
        if (snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1) >= (int) sizeof(name) ||
            snprintf(temporary, sizeof(temporary), "%s.new", name) >= (int) sizeof(temporary))
                return -ENAMETOOLONG;
        /* One that a crash left behind. */
        if (unlinkat(directory, temporary, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    FILE_MODE);
        if (fd < 0)
                return -errno;
        snprintf(header, sizeof(header), "%s %u %zu %016" PRIx64 "\n", kind, version, n,
                 digest(bytes, n));
        r = file_fill(fd, header, bytes, n);
        if (r >= 0 && renameat(directory, temporary, directory, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(directory, temporary, 0);
                return r;
        }
        return fsync(directory) < 0 ? -errno : 0;
}

/* -- reading ----------------------------------------------------------------------------------- */

/* How long the header is, or why it is none of ours. */
static int header_check(const char *text, size_t n, const char *kind, unsigned version) {
        char expected[HEADER_MAX];
        const char *line_end = memchr(text, '\n', MIN(n, (size_t) HEADER_MAX));
        int length;

        length = snprintf(expected, sizeof(expected), "%s %u ", kind, version);
        if (!line_end || (size_t) length >= n || memcmp(text, expected, (size_t) length) != 0)
                return -EPROTONOSUPPORT;
        length = (int) (line_end - text) + 1;
        n -= (size_t) length;
        snprintf(expected, sizeof(expected), "%s %u %zu %016" PRIx64 "\n", kind, version, n,
                 digest(text + length, n));
        if (strlen(expected) != (size_t) length || memcmp(text, expected, (size_t) length) != 0)
                return -EBADMSG;
        return length;
}

int kept_file_read(const char *path, const char *kind, unsigned version, size_t max, char **ret,
                   size_t *ret_n) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = file_read(path, max, &text, &n);
        if (r < 0)
                return r;
        r = header_check(text, n, kind, version);
        if (r < 0)
                return r;
        n -= (size_t) r;
        memmove(text, text + r, n + 1);
        *ret = TAKE(text);
        *ret_n = n;
        return 0;
}
