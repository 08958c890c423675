/* SPDX-License-Identifier: MIT */
/* verify, probe: what vitald does itself, without running as a daemon. */

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/ctl.h"

/* The vitald beside this program, so that the two are of one version; else the installed one. */
static void find_vitald(char path[static PATH_MAX]) {
        static const char name[] = "vitald";
        ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(name));
        char *slash;

        if (n > 0) {
                path[n] = 0;
                slash = strrchr(path, '/');
                if (slash) {
                        memcpy(slash + 1, name, sizeof(name));
                        if (access(path, X_OK) >= 0)
                                return;
                }
        }
        snprintf(path, PATH_MAX, "%s/%s", BINDIR, name);
}

static int failed_to_exec(const char *path) {
        fprintf(stderr, "vitalctl: cannot run %s: %m\n", path);
        return EXIT_ERROR;
}

int verb_verify(const Ctl *ctl) {
        char path[PATH_MAX];

        find_vitald(path);
        if (ctl->root)
                execl(path, "vitald", "--verify", "--root", ctl->root, NULL);
        else
                execl(path, "vitald", "--verify", NULL);
        return failed_to_exec(path);
}

int verb_probe(const Ctl *ctl) {
        char path[PATH_MAX];

        find_vitald(path);
        execl(path, "vitald", "--probe", ctl->arguments[0], NULL);
        return failed_to_exec(path);
}
