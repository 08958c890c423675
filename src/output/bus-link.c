/* SPDX-License-Identifier: MIT */
#include "output/bus-link.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "output/bus-authorize.h"

const char *bus_text(const char *s) {
        if (!s)
                return "";
        return utf8_is_valid(s, strlen(s)) ? s : "(text is not valid UTF-8)";
}

bool bus_link_is_ready(const BusLink *l) {
        return !l->is_doomed && sd_bus_is_ready(l->connection) > 0;
}

void bus_link_doom(BusLink *l) {
        int r;

        l->is_doomed = true;
        r = sd_event_source_set_enabled(l->bus->reaper, SD_EVENT_ONESHOT);
        if (r < 0)
                log_errno(LOG_ERR, r, "Cannot end a connection");
}

int bus_link_answered(BusLink *l, int r) {
        if (r == -ENOMEM)
                bus_link_doom(l);
        return 0;
}

void bus_link_check_queue(BusLink *l) {
        uint64_t n;

        if (l->is_doomed || sd_bus_get_n_queued_write(l->connection, &n) < 0)
                return;
        if (n > BUS_SIGNALS_QUEUED_MAX)
                bus_link_doom(l);
}

int bus_link_find(BusLink *l, const char *path, BusObject type, BusTarget *ret) {
        const Snapshot *s = publisher_current(l->bus->context.publisher);
        const BusPath *object;
        int r;

        if (!s)
                return 0;
        r = l->bus->paths ? 0 : bus_paths_new(s->config, &l->bus->paths);
        if (r < 0)
                return r;
        object = bus_paths_find(l->bus->paths, path);
        if (!object || object->type != type)
                return 0;
        *ret = (BusTarget){ .link = l, .snapshot = s, .index = object->index };
        return 1;
}

/* Sees every message before the objects do. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusLink *l = userdata;
        uint64_t n = 0;

        if (sd_bus_message_is_method_call(m, NULL, NULL) <= 0)
                return 0;
        if (l->is_doomed)
                return 1;
        l->used_usec = clock_usec(CLOCK_MONOTONIC);
        bus_link_check_queue(l);
        if (sd_bus_get_n_queued_write(l->connection, &n) >= 0 && n > BUS_CALLS_QUEUED_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many answers have not been read yet");
        return 0;
}

static int on_children(_unused_ sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                       _unused_ sd_bus_error *error) {
        BusLink *l = userdata;

        *ret_nodes = NULL;
        return l->bus->paths ? bus_paths_below(l->bus->paths, prefix, ret_nodes) : 0;
}

static int on_no_children(_unused_ sd_bus *bus, _unused_ const char *prefix,
                          _unused_ void *userdata, char ***ret_nodes,
                          _unused_ sd_bus_error *error) {
        *ret_nodes = NULL;
        return 0;
}

/* Without memory half-way to an object sd-bus 252 forgets the nodes that it has made on the way,
 * and aborts when the connection is freed. So they are made one by one, each with something of its
 * own.
 */
static int bus_link_make_way(BusLink *l) {
        static const char *const ways[] = { "/", "/org", "/org/freedesktop" };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                r = sd_bus_add_node_enumerator(l->connection, NULL, ways[i], on_no_children, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

BusLink *bus_link_free(BusLink *l) {
        if (!l)
                return NULL;
        list_unlink(&l->links);
        bus_authorize_done(l);
        sd_bus_close_unref(l->connection);
        for (size_t i = 0; i < ELEMENTSOF(l->rows); i++)
                free(l->rows[i]);
        free(l);
        return NULL;
}

int bus_link_new(Bus *b, sd_bus *connection, BusLink **ret) {
        _cleanup_(bus_link_freep) BusLink *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->bus = b;
        l->connection = sd_bus_ref(connection);
        l->used_usec = clock_usec(CLOCK_MONOTONIC);
        list_init(&l->queries);
        list_init(&l->polkit);
        list_append(&b->links, &l->links);
        if ((r = sd_bus_add_filter(connection, NULL, on_message, l)) < 0 ||
            (r = bus_link_make_way(l)) < 0 ||
            (r = sd_bus_add_object_manager(connection, NULL, BUS_PATH_MANAGER)) < 0 ||
            (r = sd_bus_add_node_enumerator(connection, NULL, BUS_PATH_SERVICES, on_children, l)) <
                    0 ||
            (r = bus_manager_add(l)) < 0 || (r = bus_service_add(l)) < 0 ||
            (r = bus_check_add(l)) < 0 || (r = bus_log_control_add(l)) < 0)
                return r;
        *ret = TAKE(l);
        return 0;
}
