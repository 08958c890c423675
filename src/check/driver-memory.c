/* SPDX-License-Identifier: MIT */
/* Type=memory: how much memory programs can still get, as the kernel estimates it. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/text.h"
#include "check/driver.h"

#define MEMINFO_PATH "/proc/meminfo"
#define MEMINFO_MAX  65536 /* bytes */

typedef struct MemorySettings {
        Amount min_available;
} MemorySettings;

static int meminfo_find(const char *meminfo, const char *key, uint64_t *ret_bytes) {
        const char *line = strstr(meminfo, key);
        uint64_t kib;

        if (!line || sscanf(line + strlen(key), ": %" SCNu64 " kB", &kib) != 1)
                return -ENODATA;
        *ret_bytes = kib * 1024;
        return 0;
}

static int meminfo_read(uint64_t *ret_total, uint64_t *ret_available) {
        _cleanup_free_ char *meminfo = NULL;
        size_t n;
        int r;

        r = file_read(MEMINFO_PATH, MEMINFO_MAX, &meminfo, &n);
        if (r < 0)
                return r;
        r = meminfo_find(meminfo, "MemTotal", ret_total);
        if (r < 0)
                return r;
        return meminfo_find(meminfo, "MemAvailable", ret_available);
}

static void memory_judge(const MemorySettings *s, uint64_t total, uint64_t available, Result *ret) {
        uint64_t wanted = amount_of(&s->min_available, total);
        char have_text[BYTES_TEXT_MAX], total_text[BYTES_TEXT_MAX], wanted_text[BYTES_TEXT_MAX];

        bytes_format(have_text, available);
        bytes_format(total_text, total);
        if (available < wanted)
                result_fail(ret, REASON_THRESHOLD,
                            "%s of %s available, less than MinAvailable= (%s)", have_text,
                            total_text, bytes_format(wanted_text, wanted));
        else
                result_pass(ret, "%s of %s available", have_text, total_text);
        result_add_value(ret, "available", (double) available, "bytes");
        result_add_value(ret, "total", (double) total, "bytes");
}

static int memory_start(CheckRun *run) {
        uint64_t total, available;
        Result result;
        int r;

        r = meminfo_read(&total, &available);
        if (r < 0)
                result_error(&result, REASON_INTERNAL, "Cannot read %s: %s", MEMINFO_PATH,
                             strerror(-r));
        else
                memory_judge(check_run_settings(run), total, available, &result);
        check_run_finish(run, &result);
        return 0;
}

static void memory_stop(CheckRun *run _unused_) {}

static void memory_describe(const void *settings _unused_, CheckTarget *ret) {
        *ret = (CheckTarget){ .text = "memory" };
}

static const Option memory_options[] = {
        {
                .key = "MinAvailable",
                .type = &option_amount,
                .offset = offsetof(MemorySettings, min_available),
                .fallback = "5%",
        },
};

static const CheckValue memory_values[] = {
        { "available", "bytes" },
        { "total", "bytes" },
        {},
};

const CheckDriver memory_driver = {
        .type = {
                .name = "memory",
                .timeout_usec = USEC_PER_SEC,
                .values = memory_values,
                .schema = SCHEMA(memory_options),
                .settings_size = sizeof(MemorySettings),
                .describe = memory_describe,
        },
        .start = memory_start,
        .stop = memory_stop,
};
