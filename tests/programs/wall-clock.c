/* SPDX-License-Identifier: MIT */
/* Preloaded into a program, moves its CLOCK_REALTIME by the seconds in the file $WALL_CLOCK (eight
 * bytes, may change at any time). Unlike libfaketime it leaves timers alone, as a clock that is
 * set does. Compiled by tests/lib/preload.py. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

typedef int (*ClockGettime)(clockid_t, struct timespec *);

static const volatile int64_t *offset;
static ClockGettime real;

__attribute__((constructor)) static void wall_clock_init(void) {
        const char *path = getenv("WALL_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *p;

        real = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
        if (fd < 0)
                abort();
        p = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                abort();
        offset = p;
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r;

        if (!real)
                real = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ret->tv_sec += *offset;
        return r;
}

time_t time(time_t *ret) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME_COARSE, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
        struct timespec ts;

        (void) zone;
        clock_gettime(CLOCK_REALTIME, &ts);
        *ret = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
        return 0;
}
