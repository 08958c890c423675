/* SPDX-License-Identifier: MIT */
#include "check/clock-reading.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/timex.h>

#define TIMESYNC_PATH       "/run/systemd/timesync/synchronized"
#define ERROR_PPM           500
#define ERROR_UNSYNCED_USEC (16 * USEC_PER_SEC)

/* In timex the offset is in the unit that the status says, errors are in microseconds. */
static int kernel_read(ClockReading *ret) {
        struct timex t = {};
        int state;

        state = adjtimex(&t);
        if (state < 0)
                return errno == EACCES || errno == ENOSYS ? -EPERM : -errno;
        *ret = (ClockReading){
                .is_synchronized = state != TIME_ERROR && !(t.status & STA_UNSYNC),
                .has_offset = true,
                .offset_usec = t.status & STA_NANO ? t.offset / 1000 : t.offset,
                .error_usec = (usec_t) MAX(t.maxerror, 0),
        };
        return 0;
}

/* The kernel's own rule: the error grows by 500 ppm, and a clock whose error exceeds 16 s is not
 * synchronised. */
static int timesync_read(ClockReading *ret) {
        usec_t now = clock_usec(CLOCK_REALTIME), then;
        struct stat st;

        if (stat(TIMESYNC_PATH, &st) < 0)
                return -EPERM;
        then = (usec_t) st.st_mtim.tv_sec * USEC_PER_SEC;
        *ret = (ClockReading){ .error_usec = usec_sub(now, then) / 1000000 * ERROR_PPM };
        ret->is_synchronized = ret->error_usec < ERROR_UNSYNCED_USEC;
        return 0;
}

int clock_read(bool may_stand_in, ClockReading *ret) {
        int r;

        r = kernel_read(ret);
        return r == -EPERM && may_stand_in ? timesync_read(ret) : r;
}
