/* SPDX-License-Identifier: MIT */
#include "output/bus.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "output/bus-announce.h"
#include "output/bus-call.h"
#include "output/bus-link.h"
#include "output/bus-private.h"

static const char *const mode_names[] = {
        [BUS_MODE_SYSTEM] = "system",
        [BUS_MODE_USER] = "user",
        [BUS_MODE_NONE] = "none",
};

int bus_mode_from_string(const char *s, BusMode *ret) {
        for (size_t i = 0; i < ELEMENTSOF(mode_names); i++)
                if (str_equal(s, mode_names[i])) {
                        *ret = (BusMode) i;
                        return 0;
                }
        return -EINVAL;
}

static BusLink *link_of_bus(Bus *b) {
        LIST_FOREACH(i, &b->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (!l->is_peer)
                        return l;
        }
        return NULL;
}

static int on_setup(void *userdata, sd_bus *connection) {
        BusLink *l;

        return bus_link_new(userdata, connection, &l);
}

static void on_lost(void *userdata, _unused_ sd_bus *connection) {
        bus_link_free(link_of_bus(userdata));
}

static int on_reap(_unused_ sd_event_source *s, void *userdata) {
        Bus *b = userdata;

        LIST_FOREACH_SAFE(i, &b->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (!l->is_doomed)
                        continue;
                if (l->is_peer)
                        bus_link_free(l);
                else
                        bus_connection_drop(b->connection, "it does not take what is sent");
        }
        return 0;
}

/* Without memory for their paths, the objects of a new configuration are missing until somebody
 * asks for one. */
static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        _cleanup_(bus_paths_freep) BusPaths *gone = NULL;
        Bus *b = userdata;
        int r;

        if (!b->paths || b->paths->config != new->config) {
                gone = TAKE(b->paths);
                r = bus_paths_new(new->config, &b->paths);
                if (r < 0)
                        log_errno(LOG_ERR, r, "Cannot name the objects on the bus");
        }
        if (b->paths)
                bus_announce(b->announcer, gone, old, new);
}

static int bus_begin(Bus *b, const char *runtime_directory) {
        static const BusHandlers handlers = { .setup = on_setup, .lost = on_lost };
        Snapshot *current = publisher_current(b->context.publisher);
        int r;

        r = sd_event_add_defer(b->event, &b->reaper, on_reap, b);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(b->reaper, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = bus_announcer_new(b, &b->announcer);
        if (r < 0)
                return r;
        r = publisher_subscribe(b->context.publisher, on_snapshot, b);
        if (r < 0)
                return r;
        if (current)
                on_snapshot(b, NULL, current);
        if (runtime_directory) {
                r = bus_private_new(b, runtime_directory, &b->private);
                if (r < 0)
                        log_errno(LOG_WARNING, r, "Going on without the private socket in %s",
                                  runtime_directory);
        }
        if (b->mode == BUS_MODE_NONE)
                return 0;
        return bus_connection_new(b->event, b->mode == BUS_MODE_USER ? BUS_USER : BUS_SYSTEM,
                                  BUS_PRIORITY, BUS_NAME, &handlers, b, &b->connection);
}

void bus_service_changed(Bus *b, size_t service) {
        bus_announce_service(b->announcer, service);
}

Bus *bus_free(Bus *b) {
        if (!b)
                return NULL;
        bus_calls_abandon(b);
        bus_private_free(b->private);
        LIST_FOREACH_SAFE(i, &b->links)
                bus_link_free(list_item(i, BusLink, links));
        bus_connection_free(b->connection);
        bus_announcer_free(b->announcer);
        sd_event_source_disable_unref(b->reaper);
        bus_paths_free(b->paths);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}

int bus_new(sd_event *event, const BusContext *context, BusMode mode, const char *runtime_directory,
            Bus **ret) {
        _cleanup_(bus_freep) Bus *b = NULL;
        int r;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->event = sd_event_ref(event);
        b->context = *context;
        b->mode = mode;
        list_init(&b->links);
        list_init(&b->calls);
        r = bus_begin(b, runtime_directory);
        if (r < 0)
                return r;
        *ret = TAKE(b);
        return 0;
}
