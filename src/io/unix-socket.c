/* SPDX-License-Identifier: MIT */
#include "io/unix-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* It is in the way of bind(2). Whatever else has this name is not ours. */
static void unlink_if_stale(const struct sockaddr_un *address, int type) {
        _cleanup_fd_ int fd = -1;
        struct stat st;

        if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return;
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 &&
            errno == ECONNREFUSED)
                (void) unlink(address->sun_path);
}

int unix_socket_bind(const char *path, int type, mode_t mode, int *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_fd_ int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        unlink_if_stale(&address, type);
        /* The file has the mode of the socket when it appears, and the whole of it a moment later,
         * whatever the umask. */
        if (fchmod(fd, mode) < 0 ||
            bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        if (chmod(path, mode) < 0) {
                int r = -errno;

                (void) unlink(path);
                return r;
        }
        *ret = TAKE_FD(fd);
        return 0;
}
