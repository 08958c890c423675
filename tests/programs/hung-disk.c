/* SPDX-License-Identifier: MIT */
/* Preloaded into a program, lets fsync(2) of what is in $HUNG_DIRECTORY hang while the file
 * $HUNG_WHILE exists. Compiled by tests/lib/preload.py. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_in(int fd, const char *directory) {
        char link[32], path[4096] = "";

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        return readlink(link, path, sizeof(path) - 1) > 0 &&
               strncmp(path, directory, strlen(directory)) == 0;
}

int fsync(int fd) {
        int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");

        while (access(getenv("HUNG_WHILE"), F_OK) == 0 && is_in(fd, getenv("HUNG_DIRECTORY")))
                (void) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        return real(fd);
}
