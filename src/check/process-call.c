/* SPDX-License-Identifier: MIT */
#include "check/process-call.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "io/cgroup.h"

#define PID_FILE_MAX     256 /* bytes */
#define STAT_MAX         4096
#define PROCS_MAX        (1 << 20)
#define CGROUP_DEPTH_MAX 5

ProcessCall *process_call_new(const char *pid_file, const char *unit, const char *name) {
        ProcessCall *call = calloc(1, sizeof(ProcessCall));

        if (!call)
                return NULL;
        snprintf(call->pid_file, sizeof(call->pid_file), "%s", pid_file ? pid_file : "");
        snprintf(call->unit, sizeof(call->unit), "%s", unit ? unit : "");
        snprintf(call->name, sizeof(call->name), "%s", name ? name : "");
        call->has_memory = call->has_threads = call->has_files = true;
        return call;
}

/* -- one process ------------------------------------------------------------------------------- */

typedef struct ProcessStat {
        char comm[COMM_LENGTH + 1];
        char state;
        uint64_t threads, pages;
} ProcessStat;

/* The name stands in parentheses and may hold any character, so its end is the last one. */
static int stat_read(pid_t pid, ProcessStat *ret) {
        _cleanup_free_ char *text = NULL;
        const char *begin, *end;
        char path[64];
        size_t n;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        r = file_read(path, STAT_MAX, &text, &n);
        if (r < 0)
                return r;
        begin = strchr(text, '(');
        end = strrchr(text, ')');
        if (!begin || !end ||
            sscanf(end + 1,
                   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                   "%*d %*d %" SCNu64 " %*d %*u %*u %" SCNu64,
                   &ret->state, &ret->threads, &ret->pages) != 3)
                return -ENODATA;
        snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int) (end - begin - 1), begin + 1);
        return 0;
}

static void count_files(pid_t pid, ProcessCall *c) {
        struct dirent *entry;
        char path[64];
        DIR *d;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
        d = c->has_files ? opendir(path) : NULL;
        if (!d) {
                c->has_files = false;
                return;
        }
        while ((entry = readdir(d)))
                c->files += entry->d_name[0] != '.';
        closedir(d);
}

static bool has_name(const ProcessCall *c, const ProcessStat *s) {
        return !*c->name || strncmp(c->name, s->comm, COMM_LENGTH) == 0;
}

static bool is_dead(const ProcessStat *s) {
        return s->state == 'Z' || s->state == 'X';
}

/* Takes a process in if it lives and has the name. One that cannot be looked at counts where no
 * name is asked for. */
static void take(ProcessCall *c, pid_t pid) {
        ProcessStat s = {};
        int r;

        r = stat_read(pid, &s);
        if (r < 0 && (*c->name || (kill(pid, 0) < 0 && errno == ESRCH)))
                return;
        if (r < 0)
                c->has_memory = c->has_threads = false;
        else if (is_dead(&s) || !has_name(c, &s))
                return;
        c->count++;
        c->memory_bytes += s.pages * (uint64_t) sysconf(_SC_PAGESIZE);
        c->threads += s.threads;
        count_files(pid, c);
        if (c->n_pids < PROCESS_WATCHED_MAX)
                c->pids[c->n_pids++] = pid;
}

/* -- where they come from ---------------------------------------------------------------------- */

static bool may_see_others(void) {
        return access("/proc/1/stat", F_OK) == 0;
}

static void from_pid_file(ProcessCall *c) {
        _cleanup_free_ char *text = NULL;
        ProcessStat s;
        uint64_t pid;
        size_t n;
        int r;

        r = file_read(c->pid_file, PID_FILE_MAX, &text, &n);
        if (r < 0) {
                c->fault = r == -ENOENT ? PROCESS_NO_FILE : PROCESS_ERROR;
                c->error = -r;
                return;
        }
        text[strcspn(text, " \t\r\n")] = 0;
        if (parse_uint64(text, &pid) < 0 || pid == 0 || pid > INT_MAX) {
                c->fault = PROCESS_BAD_FILE;
                return;
        }
        take(c, (pid_t) pid);
        if (c->count > 0)
                return;
        c->fault = PROCESS_GONE;
        if (stat_read((pid_t) pid, &s) >= 0 && !is_dead(&s) && !has_name(c, &s))
                c->fault = PROCESS_OTHER;
}

static void from_cgroup(ProcessCall *c, const char *directory, unsigned depth) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *rest = NULL;
        struct dirent *entry;
        size_t n;
        DIR *d;

        snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
        if (file_read(path, PROCS_MAX, &text, &n) >= 0)
                for (char *line = strtok_r(text, "\n", &rest); line;
                     line = strtok_r(NULL, "\n", &rest))
                        take(c, (pid_t) atoi(line));
        d = depth > 0 ? opendir(directory) : NULL;
        while (d && (entry = readdir(d)))
                if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
                    snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) <
                            (int) sizeof(path))
                        from_cgroup(c, path, depth - 1);
        if (d)
                closedir(d);
}

/* What the unit's group counts itself is known also where the sandbox hides the processes. */
static void from_unit(ProcessCall *c) {
        _cleanup_free_ char *directory = NULL;
        uint64_t number;
        int r;

        r = cgroup_of_unit(c->unit, "cgroup.procs", &directory);
        if (r < 0) {
                c->fault = r == -ENOENT ? PROCESS_GONE : PROCESS_ERROR;
                c->error = -r;
                return;
        }
        snprintf(c->cgroup, sizeof(c->cgroup), "%s", directory);
        from_cgroup(c, directory, CGROUP_DEPTH_MAX);
        if (!*c->name && cgroup_read(directory, "memory.current", &number) >= 0) {
                c->memory_bytes = number;
                c->has_memory = true;
        }
        if (!*c->name && cgroup_read(directory, "pids.current", &number) >= 0) {
                c->threads = number;
                c->has_threads = true;
        }
}

static void from_proc(ProcessCall *c) {
        struct dirent *entry;
        uint64_t pid;
        DIR *d;

        d = opendir("/proc");
        if (!d) {
                c->fault = PROCESS_ERROR;
                c->error = errno;
                return;
        }
        while ((entry = readdir(d)))
                if (parse_uint64(entry->d_name, &pid) >= 0)
                        take(c, (pid_t) pid);
        closedir(d);
}

void process_call(void *data) {
        ProcessCall *c = data;

        if (*c->name && !may_see_others()) {
                c->fault = PROCESS_HIDDEN;
                return;
        }
        if (*c->pid_file)
                from_pid_file(c);
        else if (*c->unit)
                from_unit(c);
        else
                from_proc(c);
        if (c->fault == PROCESS_FOUND && c->count == 0)
                c->fault = PROCESS_GONE;
}
