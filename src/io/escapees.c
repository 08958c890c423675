/* SPDX-License-Identifier: MIT */
#include "io/escapees.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS "/proc/self/task"

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

static void fclosep(FILE **f) {
        if (*f)
                (void) fclose(*f);
}

/* Whether it still lives. */
static bool child_kill(pid_t pid) {
        siginfo_t status = {};

        (void) kill(pid, SIGKILL);
        return waitid(P_PID, (id_t) pid, &status, WEXITED | WNOHANG) == 0 && status.si_pid == 0;
}

unsigned escapees_end(bool (*is_known)(void *userdata, pid_t session), void *userdata) {
        _cleanup_(closedirp) DIR *tasks = opendir(TASKS);
        pid_t own = getsid(0), session;
        const struct dirent *entry;
        char path[sizeof(TASKS) + NAME_MAX + sizeof("/children")];
        unsigned left = 0;
        int pid;

        /* Each is a child of the thread that was found for it. */
        while (tasks && (entry = readdir(tasks))) {
                _cleanup_(fclosep) FILE *children = NULL;

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), TASKS "/%s/children", entry->d_name);
                children = fopen(path, "re");
                while (children && fscanf(children, "%d", &pid) == 1) {
                        session = getsid(pid);
                        if (session > 0 && session != own && !is_known(userdata, session))
                                left += child_kill(pid);
                }
        }
        return left;
}
