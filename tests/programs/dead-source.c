/* SPDX-License-Identifier: MIT */
/* Preloaded into a program with an sd-event loop, switches the source that is called $DEAD_SOURCE
 * off while the file $DEAD_WHILE exists. Compiled by tests/lib/preload.py. */

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

typedef int (*SetDescription)(sd_event_source *, const char *);
typedef int (*Prepare)(sd_event *);

static sd_event_source *source;
static bool is_dead;

int sd_event_source_set_description(sd_event_source *s, const char *name) {
        SetDescription real = (SetDescription) dlsym(RTLD_NEXT, "sd_event_source_set_description");

        if (strcmp(name, getenv("DEAD_SOURCE")) == 0)
                source = s;
        return real(s, name);
}

int sd_event_prepare(sd_event *event) {
        Prepare real = (Prepare) dlsym(RTLD_NEXT, "sd_event_prepare");
        bool shall_be_dead = access(getenv("DEAD_WHILE"), F_OK) == 0;

        if (source && shall_be_dead != is_dead) {
                is_dead = shall_be_dead;
                sd_event_source_set_enabled(source, is_dead ? SD_EVENT_OFF : SD_EVENT_ON);
        }
        return real(event);
}
