/* SPDX-License-Identifier: MIT */
/* Type=clock: whether the wall clock is synchronised. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/clock-reading.h"
#include "check/driver.h"

#define DROP_IN "the drop-in clock.conf allows it"

typedef struct ClockSettings {
        usec_t max_offset_usec, max_error_usec; /* 0: no limit */
} ClockSettings;

static void clock_judge(const ClockSettings *s, const ClockReading *c, Result *ret) {
        usec_t offset_usec = (usec_t) (c->offset_usec < 0 ? -c->offset_usec : c->offset_usec);
        char have[TIMESPAN_MAX], limit[TIMESPAN_MAX];

        if (!c->is_synchronized)
                result_fail(ret, REASON_STATUS, "The clock is not synchronised");
        else if (s->max_error_usec > 0 && c->error_usec > s->max_error_usec)
                result_fail(ret, REASON_THRESHOLD,
                            "The clock may be wrong by %s, more than MaxError= (%s)",
                            timespan_format(have, c->error_usec),
                            timespan_format(limit, s->max_error_usec));
        else if (s->max_offset_usec > 0 && offset_usec > s->max_offset_usec)
                result_fail(ret, REASON_THRESHOLD,
                            "The clock is wrong by %s, more than MaxOffset= (%s)",
                            timespan_format(have, offset_usec),
                            timespan_format(limit, s->max_offset_usec));
        else
                result_pass(ret, "Synchronised, error at most %s%s",
                            timespan_format(have, c->error_usec + USEC_PER_MSEC - 1),
                            c->has_offset ? "" : ", by systemd-timesyncd's word");
        if (!c->is_synchronized)
                result_set_detail(ret, "unsynchronised");
        else
                result_add_value(ret, "error", (double) c->error_usec / USEC_PER_SEC, "seconds");
        if (c->has_offset)
                result_add_value(ret, "offset", (double) c->offset_usec / USEC_PER_SEC, "seconds");
}

static int clock_start(CheckRun *run) {
        const ClockSettings *s = check_run_settings(run);
        ClockReading reading = {};
        Result result;
        int r;

        r = clock_read(s->max_offset_usec == 0, &reading);
        if (r == -EPERM)
                result_error(&result, REASON_CONFIGURATION,
                             "The kernel may not be asked about the clock%s; " DROP_IN,
                             s->max_offset_usec > 0 ? ", and nobody else knows MaxOffset="
                                                    : ", and systemd-timesyncd has not set it");
        else if (r < 0)
                result_own_errno(&result, r, "adjtimex");
        else
                clock_judge(s, &reading, &result);
        check_run_finish(run, &result);
        return 0;
}

static void clock_stop(CheckRun *run _unused_) {}

static void clock_describe(const void *settings _unused_, CheckTarget *ret) {
        *ret = (CheckTarget){ .text = "clock" };
}

static const Option clock_options[] = {
        {
                .key = "MaxOffset",
                .type = &option_timespan,
                .offset = offsetof(ClockSettings, max_offset_usec),
                .max = USEC_PER_HOUR,
        },
        {
                .key = "MaxError",
                .type = &option_timespan,
                .offset = offsetof(ClockSettings, max_error_usec),
                .max = USEC_PER_HOUR,
        },
};

const CheckDriver clock_driver = {
        .type = {
                .name = "clock",
                .timeout_usec = USEC_PER_SEC,
                .schema = SCHEMA(clock_options),
                .settings_size = sizeof(ClockSettings),
                .describe = clock_describe,
        },
        .start = clock_start,
        .stop = clock_stop,
};
