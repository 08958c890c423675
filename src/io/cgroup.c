/* SPDX-License-Identifier: MIT */
#include "io/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"

#define SLICE_DEPTH_MAX 8
#define UNIT_DEPTH_MAX  5
#define PROCS_MAX       (1 << 20) /* bytes */
#define FILE_MAX        65536     /* bytes */

/* Version 2 alone, version 2 beside 1, and version 1's controllers that are of use. */
static const char *const roots[] = {
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/systemd",
};

static bool is_slice(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return entry->d_type == DT_DIR && n > 6 && str_equal(entry->d_name + n - 6, ".slice");
}

/* Units lie below slices and nowhere else. path grows and shrinks in place. */
static int find_below(char path[static PATH_MAX], const char *unit, const char *file,
                      unsigned depth) {
        size_t n = strlen(path);
        struct dirent *entry;
        int r = -ENOENT;
        DIR *d;

        if (snprintf(path + n, PATH_MAX - n, "/%s/%s", unit, file) < (int) (PATH_MAX - n) &&
            access(path, F_OK) == 0) {
                path[n + 1 + strlen(unit)] = 0;
                return 0;
        }
        path[n] = 0;
        d = depth > 0 ? opendir(path) : NULL;
        while (d && r < 0 && (entry = readdir(d)))
                if (is_slice(entry) && n + 1 + strlen(entry->d_name) < PATH_MAX) {
                        snprintf(path + n, PATH_MAX - n, "/%s", entry->d_name);
                        r = find_below(path, unit, file, depth - 1);
                        if (r < 0)
                                path[n] = 0;
                }
        if (d)
                closedir(d);
        return r;
}

int cgroup_of_unit(const char *unit, const char *file, char **ret) {
        char path[PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(roots); i++) {
                snprintf(path, sizeof(path), "%s", roots[i]);
                if (find_below(path, unit, file, SLICE_DEPTH_MAX) < 0)
                        continue;
                *ret = strdup(path);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

static bool has_line(const char *text, pid_t pid) {
        for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
                if (atoi(p) == pid)
                        return true;
        return false;
}

/* directory grows and shrinks in place. */
static bool has_process(char directory[static PATH_MAX], pid_t pid, unsigned depth) {
        size_t n = strlen(directory), n_text;
        _cleanup_free_ char *text = NULL;
        struct dirent *entry;
        bool found = false;
        DIR *d;

        if (snprintf(directory + n, PATH_MAX - n, "/cgroup.procs") < (int) (PATH_MAX - n) &&
            file_read(directory, PROCS_MAX, &text, &n_text) >= 0)
                found = has_line(text, pid);
        directory[n] = 0;
        if (found || depth == 0)
                return found;
        d = opendir(directory);
        if (!d)
                return false;
        while (!found && (entry = readdir(d)))
                if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
                    snprintf(directory + n, PATH_MAX - n, "/%s", entry->d_name) <
                            (int) (PATH_MAX - n))
                        found = has_process(directory, pid, depth - 1);
        directory[n] = 0;
        closedir(d);
        return found;
}

bool cgroup_has_process(const char *unit, pid_t pid) {
        _cleanup_free_ char *found = NULL;
        char directory[PATH_MAX];

        if (cgroup_of_unit(unit, "cgroup.procs", &found) < 0)
                return false;
        snprintf(directory, sizeof(directory), "%s", found);
        return has_process(directory, pid, UNIT_DEPTH_MAX);
}

static int read_text(const char *directory, const char *file, char **ret) {
        char path[PATH_MAX];
        size_t n;

        if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        return file_read(path, FILE_MAX, ret, &n);
}

static int number_parse(const char *text, uint64_t *ret) {
        char number[24] = "";

        (void) sscanf(text, "%23s", number);
        if (str_equal(number, "max")) {
                *ret = UINT64_MAX;
                return 0;
        }
        return parse_uint64(number, ret) < 0 ? -ENODATA : 0;
}

int cgroup_read(const char *directory, const char *file, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_text(directory, file, &text);
        return r < 0 ? r : number_parse(text, ret);
}

int cgroup_read_key(const char *directory, const char *file, const char *key, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        size_t n = strlen(key);
        int r;

        r = read_text(directory, file, &text);
        if (r < 0)
                return r;
        for (const char *line = text; line;
             line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (strncmp(line, key, n) == 0 && line[n] == ' ')
                        return number_parse(line + n, ret);
        return -ENODATA;
}
