/* SPDX-License-Identifier: MIT */
#include "io/bus-connection.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strbuf.h"

#define RETRY_ACCURACY_USEC (10 * USEC_PER_MSEC)

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

/* Of org.freedesktop.DBus.RequestName() */
enum { NAME_IN_QUEUE = 2 };

struct BusConnection {
        sd_event *event;       /* owned reference */
        sd_event_source *next; /* owned: the timer of the next attempt */
        sd_bus *bus;           /* owned; NULL between attempts */
        bool is_connected;
        bool is_absence_logged;
        BusScope scope;
        int64_t priority;
        const char *name;        /* borrowed, constant; or NULL */
        const char *socket_path; /* borrowed; or NULL */
        BusHandlers handlers;
        void *userdata; /* borrowed */
        usec_t pause_usec;
};

static const char *scope_name(BusScope scope) {
        return scope == BUS_SYSTEM ? "system bus" : "user bus";
}

/* The path as the value of an address: only what D-Bus lets stand for itself is not escaped. */
static void address_append_path(StrBuf *b, const char *path) {
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-_/.*";

        for (; *path; path++)
                if (strchr(plain, *path))
                        strbuf_append_bytes(b, path, 1);
                else
                        strbuf_printf(b, "%%%02x", (unsigned char) *path);
}

static int bus_address(BusScope scope, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};
        const char *e;

        e = secure_getenv(scope == BUS_SYSTEM ? "DBUS_SYSTEM_BUS_ADDRESS"
                                              : "DBUS_SESSION_BUS_ADDRESS");
        if (e)
                strbuf_append(&b, e);
        else if (scope == BUS_SYSTEM)
                strbuf_append(&b, SYSTEM_BUS_ADDRESS);
        else {
                e = secure_getenv("XDG_RUNTIME_DIR");
                if (!e)
                        return -ENOENT;
                strbuf_append(&b, "unix:path=");
                address_append_path(&b, e);
                strbuf_append(&b, "/bus");
        }
        return strbuf_finish(&b, ret);
}

/* Where to connect to now, and whether that is a bus. */
static int choose_address(const BusConnection *c, bool *ret_is_bus, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};

        *ret_is_bus = !c->socket_path || access(c->socket_path, R_OK | W_OK) < 0;
        if (*ret_is_bus)
                return bus_address(c->scope, ret);
        strbuf_append(&b, "unix:path=");
        address_append_path(&b, c->socket_path);
        return strbuf_finish(&b, ret);
}

static void plan_next(BusConnection *c) {
        uint64_t now;
        int r;

        r = sd_event_now(c->event, CLOCK_MONOTONIC, &now);
        if (r >= 0)
                r = sd_event_source_set_time(c->next, usec_add(now, c->pause_usec));
        if (r >= 0)
                r = sd_event_source_set_enabled(c->next, SD_EVENT_ONESHOT);
        if (r < 0)
                log_errno(LOG_ERR, r, "Cannot plan the next attempt at the %s",
                          scope_name(c->scope));
        c->pause_usec = MIN(2 * c->pause_usec, BUS_RETRY_MAX_USEC);
}

/* Who owns no name tells its own users what is missing. */
static int log_level_of(const BusConnection *c) {
        return c->name ? LOG_NOTICE : LOG_DEBUG;
}

/* One line when the bus goes or is not there, and one when it is there (again). */
static void log_absence(BusConnection *c, const char *why) {
        if (!c->is_absence_logged)
                log_line(log_level_of(c),
                         "The %s is not there (%s); going on without it until it is",
                         scope_name(c->scope), why);
        c->is_absence_logged = true;
}

static void give_up(BusConnection *c, const char *why) {
        sd_bus *bus = TAKE(c->bus);

        c->is_connected = false;
        log_absence(c, why);
        sd_bus_close(bus);
        c->handlers.lost(c->userdata, bus);
        sd_bus_unref(bus);
        plan_next(c);
}

static int on_disconnected(_unused_ sd_bus_message *m, void *userdata,
                           _unused_ sd_bus_error *ret_error) {
        BusConnection *c = userdata;

        give_up(c, c->is_connected ? "connection lost" : "it does not answer");
        return 0;
}

static int on_name_requested(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        BusConnection *c = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        uint32_t answer;

        if (e) {
                /* Also answers that never came, when the connection is lost meanwhile. */
                if (sd_bus_is_open(sd_bus_message_get_bus(m)) > 0)
                        log_error("Cannot own the name %s on the %s: %s", c->name,
                                  scope_name(c->scope), e->message);
                return 0;
        }
        if (sd_bus_message_read(m, "u", &answer) >= 0 && answer == NAME_IN_QUEUE)
                log_warning("The name %s on the %s belongs to another process; waiting for it",
                            c->name, scope_name(c->scope));
        return 0;
}

static int on_name_acquired(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        BusConnection *c = userdata;
        const char *name;

        if (sd_bus_message_read(m, "s", &name) >= 0 && c->name && strcmp(name, c->name) == 0)
                log_info("Reachable as %s on the %s", name, scope_name(c->scope));
        return 0;
}

static int request_name(BusConnection *c, sd_bus *bus) {
        static const char driver[] = "org.freedesktop.DBus";
        int r;

        r = sd_bus_match_signal_async(bus, NULL, driver, NULL, driver, "NameAcquired",
                                      on_name_acquired, NULL, c);
        if (r < 0)
                return r;
        return sd_bus_request_name_async(bus, NULL, c->name, SD_BUS_NAME_QUEUE, on_name_requested,
                                         c);
}

static int on_connected(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        BusConnection *c = userdata;
        sd_bus *bus = sd_bus_message_get_bus(m);
        int r;

        c->is_connected = true;
        if (c->is_absence_logged)
                log_line(log_level_of(c), "The %s is there now", scope_name(c->scope));
        c->is_absence_logged = false;
        c->pause_usec = BUS_RETRY_MIN_USEC;
        if (c->name) {
                r = request_name(c, bus);
                if (r < 0)
                        log_errno(LOG_ERR, r, "Cannot request the name %s", c->name);
        }
        if (c->handlers.connected)
                c->handlers.connected(c->userdata, bus);
        return 0;
}

static int add_matches(BusConnection *c, sd_bus *bus) {
        static const char local[] = "org.freedesktop.DBus.Local";
        int r;

        r = sd_bus_match_signal_async(bus, NULL, local, NULL, local, "Connected", on_connected,
                                      NULL, c);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(bus, NULL, local, NULL, local, "Disconnected",
                                         on_disconnected, NULL, c);
}

static int start(BusConnection *c) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *address = NULL;
        bool is_bus;
        int r;

        r = choose_address(c, &is_bus, &address);
        if (r < 0)
                return r;
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        if ((r = sd_bus_set_address(bus, address)) < 0 ||
            (r = sd_bus_set_bus_client(bus, is_bus)) < 0 ||
            (r = sd_bus_set_description(bus, scope_name(c->scope))) < 0 ||
            (r = sd_bus_set_connected_signal(bus, true)) < 0 ||
            (r = sd_bus_set_method_call_timeout(bus, BUS_CALL_TIMEOUT_USEC)) < 0 ||
            (r = add_matches(c, bus)) < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, c->event, (int) c->priority);
        if (r < 0)
                return r;
        r = c->handlers.setup(c->userdata, bus);
        if (r < 0)
                return r;
        c->bus = TAKE(bus);
        return 0;
}

static void attempt(BusConnection *c) {
        int r;

        r = start(c);
        if (r < 0) {
                log_absence(c, strerror(-r));
                plan_next(c);
        }
}

static int on_next(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        attempt(userdata);
        return 0;
}

sd_bus *bus_connection_get(BusConnection *c) {
        return c->is_connected ? c->bus : NULL;
}

void bus_connection_drop(BusConnection *c, const char *why) {
        if (c->bus)
                give_up(c, why);
}

BusConnection *bus_connection_free(BusConnection *c) {
        if (!c)
                return NULL;
        sd_event_source_disable_unref(c->next);
        sd_bus_close_unref(c->bus);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

static int connection_new(sd_event *event, const BusConnection *pattern, BusConnection **ret) {
        _cleanup_(bus_connection_freep) BusConnection *c = NULL;
        int r;

        c = malloc(sizeof(*c));
        if (!c)
                return -ENOMEM;
        *c = *pattern;
        c->event = sd_event_ref(event);
        c->pause_usec = BUS_RETRY_MIN_USEC;
        r = sd_event_add_time(event, &c->next, CLOCK_MONOTONIC, 0, RETRY_ACCURACY_USEC, on_next, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->next, SD_EVENT_OFF);
        if (r < 0)
                return r;
        attempt(c);
        *ret = TAKE(c);
        return 0;
}

int bus_connection_new(sd_event *event, BusScope scope, int64_t priority, const char *name,
                       const BusHandlers *handlers, void *userdata, BusConnection **ret) {
        const BusConnection pattern = {
                .scope = scope,
                .priority = priority,
                .name = name,
                .handlers = *handlers,
                .userdata = userdata,
        };

        return connection_new(event, &pattern, ret);
}

int bus_connection_new_client(sd_event *event, BusScope scope, const char *socket_path,
                              const BusHandlers *handlers, void *userdata, BusConnection **ret) {
        const BusConnection pattern = {
                .scope = scope,
                .socket_path = socket_path,
                .handlers = *handlers,
                .userdata = userdata,
        };

        return connection_new(event, &pattern, ret);
}

int bus_add_matches(sd_bus *bus, const BusMatch matches[], size_t n, void *userdata) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_add_match_async(bus, NULL, matches[i].rule, matches[i].handler, NULL,
                                           userdata);
        return r;
}
