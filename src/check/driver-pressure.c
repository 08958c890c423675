/* SPDX-License-Identifier: MIT */
/* Type=pressure: how long tasks wait for the processor, for memory or for disks, as the kernel
 * measures it (PSI).
 *
 * A trigger of the kernel says at once that tasks waited for longer than MaxStall= within Window=.
 * Where we may not have one of that window, a timer looks twice a window instead, and each result
 * says so. The trigger is a source of its own: to ask it is to take its word, so behind a second
 * epoll, such as a PollSet, it would be lost. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "check/driver.h"

#define PRESSURE_FILE_MAX 4096 /* bytes */
#define TIMER_ACCURACY    (5 * USEC_PER_MSEC)

static const char *const resource_words[] = { "cpu", "memory", "io", NULL };
static const char *const stalled_words[] = { "some", "full", NULL };

static const char *const resource_paths[] = {
        "/proc/pressure/cpu",
        "/proc/pressure/memory",
        "/proc/pressure/io",
};

typedef struct PressureSettings {
        unsigned resource, stalled; /* index into the words */
        usec_t max_stall_usec, window_usec;
} PressureSettings;

/* One line of the kernel's file. */
typedef struct Pressure {
        double avg10, avg60, avg300; /* percent */
        uint64_t total_usec;
} Pressure;

typedef struct PressureInstance {
        int trigger;             /* owned; -1: the timer looks */
        sd_event_source *source; /* owned */
        sd_event_source *timer;  /* owned: the next look, or the end of an alarm */
        uint64_t totals_usec[2]; /* of the last two looks, the older first */
        bool is_over;
} PressureInstance;

static int pressure_read(const PressureSettings *s, Pressure *ret) {
        _cleanup_free_ char *text = NULL;
        const char *line;
        size_t n;
        int r;

        r = file_read(resource_paths[s->resource], PRESSURE_FILE_MAX, &text, &n);
        if (r < 0)
                return r;
        line = strstr(text, stalled_words[s->stalled]);
        if (!line || sscanf(line, "%*s avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &ret->avg10,
                            &ret->avg60, &ret->avg300, &ret->total_usec) != 4)
                return -ENODATA;
        return 0;
}

/* -- noticing ---------------------------------------------------------------------------------- */

static void pressure_notice(Check *check, bool is_over) {
        PressureInstance *i = check_instance(check);
        bool is_news = is_over || i->is_over;

        i->is_over = is_over;
        if (is_news)
                check_trigger(check);
}

static void timer_arm(PressureInstance *i, usec_t usec) {
        (void) sd_event_source_set_time_relative(i->timer, usec);
        (void) sd_event_source_set_enabled(i->timer, SD_EVENT_ONESHOT);
}

/* The kernel says nothing when it is over; it repeats itself once a window while it is not. */
static int on_pressure(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                       void *userdata) {
        Check *check = userdata;
        PressureInstance *i = check_instance(check);
        const PressureSettings *s = check_settings(check);

        pressure_notice(check, true);
        timer_arm(i, s->window_usec + s->window_usec / 4);
        return 0;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Check *check = userdata;
        PressureInstance *i = check_instance(check);
        const PressureSettings *s = check_settings(check);
        Pressure now;

        if (i->trigger >= 0) {
                pressure_notice(check, false);
                return 0;
        }
        if (pressure_read(s, &now) >= 0) {
                pressure_notice(check, now.total_usec - i->totals_usec[0] > s->max_stall_usec);
                i->totals_usec[0] = i->totals_usec[1];
                i->totals_usec[1] = now.total_usec;
        }
        timer_arm(i, s->window_usec / 2);
        return 0;
}

static int trigger_open(const PressureSettings *s) {
        _cleanup_fd_ int fd = -1;
        char text[64];
        int n;

        fd = open(resource_paths[s->resource], O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        n = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64, stalled_words[s->stalled],
                     s->max_stall_usec, s->window_usec);
        /* With the final NUL, as the kernel wants it. */
        if (write(fd, text, (size_t) n + 1) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void pressure_close(Check *check) {
        PressureInstance *i = check_instance(check);

        i->source = sd_event_source_disable_unref(i->source);
        i->trigger = fd_close(i->trigger);
        i->timer = sd_event_source_disable_unref(i->timer);
}

static int pressure_open(Check *check) {
        PressureInstance *i = check_instance(check);
        const PressureSettings *s = check_settings(check);
        Engine *e = check_engine(check);
        Pressure now = {};
        int r;

        i->trigger = -1;
        r = sd_event_add_time_relative(engine_event(e), &i->timer, CLOCK_MONOTONIC, 0,
                                       TIMER_ACCURACY, on_timer, check);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(i->timer, SD_EVENT_OFF);
        i->trigger = trigger_open(s);
        if (i->trigger >= 0) {
                r = sd_event_add_io(engine_event(e), &i->source, i->trigger, EPOLLPRI, on_pressure,
                                    check);
                if (r < 0)
                        pressure_close(check);
                return r;
        }
        i->trigger = -1;
        if (pressure_read(s, &now) >= 0) {
                i->totals_usec[0] = i->totals_usec[1] = now.total_usec;
                timer_arm(i, s->window_usec / 2);
        }
        return 0;
}

/* -- runs -------------------------------------------------------------------------------------- */

static void pressure_judge(const PressureSettings *s, const PressureInstance *i, const Pressure *p,
                           Result *ret) {
        const char *resource = resource_words[s->resource], *stalled = stalled_words[s->stalled];
        const char *note = i->trigger >= 0 ? ""
                                           : "; polled, since the kernel gives triggers of this "
                                             "Window= only with the drop-in pressure.conf";
        char stall[TIMESPAN_MAX], window[TIMESPAN_MAX];

        if (i->is_over)
                result_fail(ret, REASON_THRESHOLD, "%s: %s tasks stalled for over %s within %s%s",
                            resource, stalled, timespan_format(stall, s->max_stall_usec),
                            timespan_format(window, s->window_usec), note);
        else
                result_pass(ret, "%s: %s tasks stalled for %.2f%% of the last 10s%s", resource,
                            stalled, p->avg10, note);
        result_add_value(ret, "avg10", p->avg10, "percent");
        result_add_value(ret, "avg60", p->avg60, "percent");
        result_add_value(ret, "avg300", p->avg300, "percent");
}

static int pressure_start(CheckRun *run) {
        const PressureSettings *s = check_run_settings(run);
        const char *path = resource_paths[s->resource];
        Pressure pressure;
        Result result;
        int r;

        r = pressure_read(s, &pressure);
        if (r == -EOPNOTSUPP || r == -ENOENT)
                result_error(&result, REASON_CONFIGURATION,
                             "%s: this kernel measures no pressure; psi=1 on its command line may "
                             "help",
                             path);
        else if (r < 0)
                result_own_errno(&result, r, "Cannot read %s", path);
        else
                pressure_judge(s, check_run_instance(run), &pressure, &result);
        check_run_finish(run, &result);
        return 0;
}

static void pressure_stop(CheckRun *run _unused_) {}

/* -- settings ---------------------------------------------------------------------------------- */

static int pressure_validate(void *settings, const char **ret_key,
                             char why[static OPTION_WHY_MAX]) {
        const PressureSettings *s = settings;

        if (s->max_stall_usec > s->window_usec) {
                *ret_key = "MaxStall";
                snprintf(why, OPTION_WHY_MAX, "MaxStall= is longer than Window=");
                return -EINVAL;
        }
        if (str_equal(resource_words[s->resource], "cpu") &&
            str_equal(stalled_words[s->stalled], "full")) {
                *ret_key = "Stalled";
                snprintf(why, OPTION_WHY_MAX,
                         "Stalled=full goes with Resource=memory and io: one task always has "
                         "the processor");
                return -EINVAL;
        }
        return 0;
}

static void pressure_describe(const void *settings, CheckTarget *ret) {
        const PressureSettings *s = settings;

        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s", resource_words[s->resource]);
}

static const Option pressure_options[] = {
        {
                .key = "Resource",
                .type = &option_word,
                .offset = offsetof(PressureSettings, resource),
                .words = resource_words,
                .fallback = "memory",
        },
        {
                .key = "Stalled",
                .type = &option_word,
                .offset = offsetof(PressureSettings, stalled),
                .words = stalled_words,
                .fallback = "some",
        },
        {
                .key = "MaxStall",
                .type = &option_timespan,
                .offset = offsetof(PressureSettings, max_stall_usec),
                .fallback = "400ms",
                .min = USEC_PER_MSEC,
                .max = 10 * USEC_PER_SEC,
        },
        {
                .key = "Window",
                .type = &option_timespan,
                .offset = offsetof(PressureSettings, window_usec),
                .fallback = "2s",
                .min = 500 * USEC_PER_MSEC,
                .max = 10 * USEC_PER_SEC,
        },
};

const CheckDriver pressure_driver = {
        .type = {
                .name = "pressure",
                .timeout_usec = USEC_PER_SEC,
                .schema = SCHEMA(pressure_options),
                .settings_size = sizeof(PressureSettings),
                .validate = pressure_validate,
                .describe = pressure_describe,
        },
        .instance_size = sizeof(PressureInstance),
        .open = pressure_open,
        .close = pressure_close,
        .start = pressure_start,
        .stop = pressure_stop,
};
