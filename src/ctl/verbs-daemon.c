/* SPDX-License-Identifier: MIT */
/* verify, probe: what vitald does itself, without running as a daemon. */

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* WatchdogSec= of the vitald that is installed, for what the linter makes of it. Without systemd or
 * its bus it does without. */
static void tell_watchdog(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        char usec[32];
        uint64_t watchdog;

        if (getenv("WATCHDOG_USEC") || sd_bus_open_system(&bus) < 0)
                return;
        (void) sd_bus_set_method_call_timeout(bus, USEC_PER_SEC);
        if (sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1",
                                        "/org/freedesktop/systemd1/unit/vitald_2eservice",
                                        "org.freedesktop.systemd1.Service", "WatchdogUSec", NULL,
                                        't', &watchdog) < 0 ||
            watchdog == USEC_INFINITY)
                return;
        snprintf(usec, sizeof(usec), "%" PRIu64, watchdog);
        (void) setenv("WATCHDOG_USEC", usec, 0);
}

int verb_verify(const Ctl *ctl) {
        static const char *const formats[] = {
                [JSON_OFF] = "--json=off",
                [JSON_SHORT] = "--json=short",
                [JSON_PRETTY] = "--json=pretty",
        };
        char path[PATH_MAX];

        if (!ctl->root)
                tell_watchdog();
        find_vitald(path);
        execl(path, "vitald", "--verify", formats[ctl->json], "--root", ctl->root ? ctl->root : "",
              ctl->is_strict ? "--strict" : NULL, NULL);
        return failed_to_exec(path);
}

int verb_probe(const Ctl *ctl) {
        char path[PATH_MAX];

        find_vitald(path);
        execl(path, "vitald", "--probe", ctl->arguments[0], NULL);
        return failed_to_exec(path);
}
