/* SPDX-License-Identifier: MIT */
/* Type=memory: how much memory and swap programs can still get: all of them, as the kernel
 * estimates it, or those of one control group, by its limits and those above it. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/text.h"
#include "check/driver.h"
#include "io/cgroup.h"

#define MEMINFO_PATH "/proc/meminfo"
#define MEMINFO_MAX  65536 /* bytes */

typedef struct MemorySettings {
        Amount min_available, min_swap_free;
        char *unit, *cgroup; /* at most one of them */
} MemorySettings;

typedef struct Room {
        uint64_t total, available; /* bytes */
} Room;

typedef struct Memory {
        Room memory, swap;
} Memory;

/* The files of both versions of control groups. Version 1 has no limit of swap alone. */
typedef struct CgroupFiles {
        const char *limit, *used, *inactive_key, *swap_limit, *swap_used;
} CgroupFiles;

static const CgroupFiles cgroup_files[] = {
        { "memory.max", "memory.current", "inactive_file", "memory.swap.max",
          "memory.swap.current" },
        { "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", NULL, NULL },
};

/* -- this host --------------------------------------------------------------------------------- */

static int meminfo_find(const char *meminfo, const char *key, uint64_t *ret_bytes) {
        const char *line = strstr(meminfo, key);
        uint64_t kib;

        if (!line || sscanf(line + strlen(key), ": %" SCNu64 " kB", &kib) != 1)
                return -ENODATA;
        *ret_bytes = kib * 1024;
        return 0;
}

static int meminfo_read(Memory *ret) {
        _cleanup_free_ char *meminfo = NULL;
        size_t n;
        int r;

        r = file_read(MEMINFO_PATH, MEMINFO_MAX, &meminfo, &n);
        if (r < 0)
                return r;
        r = meminfo_find(meminfo, "MemTotal", &ret->memory.total);
        if (r < 0)
                return r;
        r = meminfo_find(meminfo, "MemAvailable", &ret->memory.available);
        if (r < 0)
                return r;
        r = meminfo_find(meminfo, "SwapTotal", &ret->swap.total);
        if (r < 0)
                return r;
        return meminfo_find(meminfo, "SwapFree", &ret->swap.available);
}

/* -- one control group ------------------------------------------------------------------------- */

static void room_limit(Room *room, uint64_t limit, uint64_t used) {
        uint64_t left = limit > used ? limit - used : 0;

        room->total = MIN(room->total, limit);
        room->available = MIN(room->available, left);
}

/* What a group's limits leave. File pages that nobody has touched for long are given back before
 * anybody gets less. -ENOENT at the root, which has none. */
static int level_read(const char *directory, const CgroupFiles *files, Memory *memory) {
        uint64_t limit, used, inactive;
        int r;

        r = cgroup_read(directory, files->limit, &limit);
        if (r < 0)
                return r;
        r = cgroup_read(directory, files->used, &used);
        if (r < 0)
                return r;
        if (cgroup_read_key(directory, "memory.stat", files->inactive_key, &inactive) >= 0)
                used -= MIN(used, inactive);
        room_limit(&memory->memory, limit, used);
        if (files->swap_limit && cgroup_read(directory, files->swap_limit, &limit) >= 0 &&
            cgroup_read(directory, files->swap_used, &used) >= 0)
                room_limit(&memory->swap, limit, used);
        return 0;
}

/* Narrows what the host has by the limits of a directory and of those above it. */
static int cgroup_narrow(const char *directory, Memory *memory) {
        _cleanup_free_ char *path = strdup(directory);
        size_t version = 0;
        int r;

        if (!path)
                return -ENOMEM;
        r = level_read(path, &cgroup_files[version], memory);
        if (r == -ENOENT)
                r = level_read(path, &cgroup_files[++version], memory);
        if (r < 0)
                return r;
        for (char *slash; r >= 0 && (slash = strrchr(path, '/')) && slash > path;) {
                *slash = 0;
                r = level_read(path, &cgroup_files[version], memory);
        }
        return 0;
}

static int cgroup_find(const MemorySettings *s, char **ret) {
        int r = -ENOENT;

        for (size_t i = 0; r == -ENOENT && i < ELEMENTSOF(cgroup_files); i++)
                r = cgroup_of_unit(s->unit, cgroup_files[i].used, ret);
        return r;
}

/* Whether there is a result already: the group is not there or tells nothing. */
static bool cgroup_refuse(const MemorySettings *s, int error, Result *ret) {
        _cleanup_free_ char *directory = NULL;

        if (error >= 0)
                return false;
        if (error != -ENOENT)
                result_own_errno(ret, error, "Cannot read the memory of %s",
                                 s->unit ? s->unit : s->cgroup);
        else if (s->cgroup)
                result_fail(ret, REASON_MISSING, "%s: no such control group, or without memory",
                            s->cgroup);
        else if (cgroup_of_unit(s->unit, "cgroup.procs", &directory) >= 0)
                result_error(ret, REASON_CONFIGURATION,
                             "The memory of %s is not counted: it needs MemoryAccounting=yes",
                             s->unit);
        else
                result_fail(ret, REASON_MISSING, "%s does not run", s->unit);
        return true;
}

static bool cgroup_apply(const MemorySettings *s, Memory *memory, Result *ret) {
        _cleanup_free_ char *found = NULL;
        int r = 0;

        if (s->unit)
                r = cgroup_find(s, &found);
        if (r >= 0 && (s->unit || s->cgroup))
                r = cgroup_narrow(found ? found : s->cgroup, memory);
        return cgroup_refuse(s, r, ret);
}

/* -- runs -------------------------------------------------------------------------------------- */

static void memory_judge(const MemorySettings *s, const Memory *m, Result *ret) {
        uint64_t wanted = amount_of(&s->min_available, m->memory.total);
        uint64_t wanted_swap = amount_of(&s->min_swap_free, m->swap.total);
        char have[BYTES_TEXT_MAX], total[BYTES_TEXT_MAX], want[BYTES_TEXT_MAX];

        bytes_format(have, m->memory.available);
        bytes_format(total, m->memory.total);
        if (m->memory.available < wanted)
                result_fail(ret, REASON_THRESHOLD,
                            "%s of %s available, less than MinAvailable= (%s)", have, total,
                            bytes_format(want, wanted));
        else if (m->swap.available < wanted_swap)
                result_fail(ret, REASON_THRESHOLD,
                            "%s of %s of swap free, less than MinSwapFree= (%s)",
                            bytes_format(have, m->swap.available),
                            bytes_format(total, m->swap.total), bytes_format(want, wanted_swap));
        else
                result_pass(ret, "%s of %s available", have, total);
        result_add_value(ret, "available", (double) m->memory.available, "bytes");
        result_add_value(ret, "total", (double) m->memory.total, "bytes");
        result_add_value(ret, "swap_free", (double) m->swap.available, "bytes");
        result_add_value(ret, "swap_total", (double) m->swap.total, "bytes");
}

static int memory_start(CheckRun *run) {
        const MemorySettings *s = check_run_settings(run);
        Memory memory;
        Result result;
        int r;

        r = meminfo_read(&memory);
        if (r < 0)
                result_own_errno(&result, r, "Cannot read %s", MEMINFO_PATH);
        else if (!cgroup_apply(s, &memory, &result))
                memory_judge(s, &memory, &result);
        check_run_finish(run, &result);
        return 0;
}

static void memory_stop(CheckRun *run _unused_) {}

/* -- settings ---------------------------------------------------------------------------------- */

static int memory_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const MemorySettings *s = settings;

        if (!s->unit || !s->cgroup)
                return 0;
        *ret_key = "Cgroup";
        snprintf(why, OPTION_WHY_MAX, "Cgroup= and Unit= exclude each other");
        return -EINVAL;
}

static void memory_describe(const void *settings, CheckTarget *ret) {
        const MemorySettings *s = settings;

        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s",
                 s->unit     ? s->unit
                 : s->cgroup ? s->cgroup
                             : "memory");
}

static const Option memory_options[] = {
        {
                .key = "MinAvailable",
                .type = &option_amount,
                .offset = offsetof(MemorySettings, min_available),
                .fallback = "5%",
        },
        {
                .key = "MinSwapFree",
                .type = &option_amount,
                .offset = offsetof(MemorySettings, min_swap_free),
        },
        {
                .key = "Unit",
                .type = &option_unit,
                .offset = offsetof(MemorySettings, unit),
        },
        {
                .key = "Cgroup",
                .type = &option_path,
                .offset = offsetof(MemorySettings, cgroup),
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
                .validate = memory_validate,
                .describe = memory_describe,
        },
        .start = memory_start,
        .stop = memory_stop,
};
