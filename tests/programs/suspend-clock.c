/* SPDX-License-Identifier: MIT */
/* Preloaded into a program, moves its CLOCK_BOOTTIME forward by the seconds in the file $BOOT_CLOCK
 * (eight bytes, may grow at any time), and with it the timers on that clock: what a program sees of
 * a suspend. Compiled by tests/lib/preload.py. */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMERS_MAX 1024 /* by file descriptor */

typedef int (*ClockGettime)(clockid_t, struct timespec *);
typedef int (*TimerfdCreate)(int, int);
typedef int (*TimerfdSettime)(int, int, const struct itimerspec *, struct itimerspec *);

static const volatile int64_t *offset;
static ClockGettime real_gettime;
static TimerfdCreate real_create;
static TimerfdSettime real_settime;

/* What was asked for of each timer on CLOCK_BOOTTIME, absolute, by the clock that is shown. */
static struct {
        bool is_boottime;
        struct itimerspec wanted;
} timers[TIMERS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int arm(int fd, struct itimerspec *ret_before) {
        struct itimerspec t = timers[fd].wanted;

        if (t.it_value.tv_sec > *offset)
                t.it_value.tv_sec -= *offset;
        else if (t.it_value.tv_sec > 0)
                t.it_value = (struct timespec){ .tv_nsec = 1 };
        return real_settime(fd, TFD_TIMER_ABSTIME, &t, ret_before);
}

/* The kernel fires what has come due in a suspend when that ends. */
static void *watch(void *unused) {
        int64_t seen = *offset;

        (void) unused;
        for (;; usleep(2000)) {
                if (*offset == seen)
                        continue;
                seen = *offset;
                pthread_mutex_lock(&lock);
                for (int fd = 0; fd < TIMERS_MAX; fd++)
                        if (timers[fd].is_boottime)
                                arm(fd, NULL);
                pthread_mutex_unlock(&lock);
        }
        return NULL;
}

__attribute__((constructor)) static void suspend_clock_init(void) {
        const char *path = getenv("BOOT_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        sigset_t all, before;
        pthread_t thread;
        void *p;

        real_gettime = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
        real_create = (TimerfdCreate) dlsym(RTLD_NEXT, "timerfd_create");
        real_settime = (TimerfdSettime) dlsym(RTLD_NEXT, "timerfd_settime");
        p = fd >= 0 ? mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (p == MAP_FAILED)
                abort();
        offset = p;
        close(fd);
        /* Signals are for the program's own threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        if (pthread_create(&thread, NULL, watch, NULL) != 0)
                abort();
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r;

        if (!real_gettime)
                real_gettime = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
        r = real_gettime(clock, ret);
        if (r == 0 && offset && clock == CLOCK_BOOTTIME)
                ret->tv_sec += *offset;
        return r;
}

int timerfd_create(int clock, int flags) {
        int fd = real_create(clock, flags);

        if (fd >= TIMERS_MAX)
                abort();
        if (fd < 0)
                return fd;
        pthread_mutex_lock(&lock);
        timers[fd].is_boottime = clock == CLOCK_BOOTTIME;
        timers[fd].wanted = (struct itimerspec){};
        pthread_mutex_unlock(&lock);
        return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *ret_before) {
        int r;

        if (!timers[fd].is_boottime || !(flags & TFD_TIMER_ABSTIME))
                return real_settime(fd, flags, t, ret_before);
        pthread_mutex_lock(&lock);
        timers[fd].wanted = *t;
        r = arm(fd, ret_before);
        pthread_mutex_unlock(&lock);
        return r;
}
