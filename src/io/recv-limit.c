/* SPDX-License-Identifier: MIT */
#include "io/recv-limit.h"

#include <errno.h>
#include <sys/socket.h>

/* No global state, since it is nothing outside of one call. */
static _Thread_local struct {
        bool is_on;
        size_t left_bytes;
        RecvCount count;
} limit;

void recv_limit_begin(size_t max_bytes) {
        assert(!limit.is_on);
        limit.is_on = true;
        limit.left_bytes = max_bytes;
        limit.count = (RecvCount){};
}

RecvCount recv_limit_end(void) {
        limit.is_on = false;
        return limit.count;
}

ssize_t recv(int fd, void *buf, size_t size, int flags) {
        ssize_t n;

        if (!limit.is_on)
                return recvfrom(fd, buf, size, flags, NULL, NULL);
        if (limit.left_bytes == 0) {
                errno = EAGAIN;
                return -1;
        }
        n = recvfrom(fd, buf, MIN(size, limit.left_bytes), flags, NULL, NULL);
        if (n > 0) {
                limit.left_bytes -= (size_t) n;
                limit.count.bytes += (size_t) n;
        } else if (n < 0 && errno == ECONNRESET)
                limit.count.is_reset = true;
        return n;
}
