/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int fd_close(int fd) {
        int saved = errno;

        if (fd >= 0)
                close(fd);
        errno = saved;
        return -1;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_fd_ int fd = -1;
        _cleanup_free_ char *buf = NULL;
        size_t used = 0;
        struct stat st;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EBADFD;
        if (st.st_size > 0 && (uint64_t) st.st_size > max)
                return -EFBIG;

        /* One byte more than allowed, so that a file that grows meanwhile is noticed. */
        buf = malloc(max + 1);
        if (!buf)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(fd, buf + used, max + 1 - used);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t) n;
                if (used > max)
                        return -EFBIG;
        }
        buf[used] = 0;
        *ret = TAKE(buf);
        *ret_size = used;
        return 0;
}
