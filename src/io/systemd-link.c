/* SPDX-License-Identifier: MIT */
#include "io/systemd-link.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

/* A bus lets one connection wait for 128 answers; a follower has a dozen questions at most. */
#define ASKING_MAX 8

/* How long what could not be learnt is left alone. */
#define RETRY_USEC          USEC_PER_SEC
#define RETRY_ACCURACY_USEC (50 * USEC_PER_MSEC)

typedef enum LinkState {
        LINK_NO_BUS,
        LINK_CONNECTING,
        LINK_NO_MANAGER,
        LINK_FOLLOWING,
        LINK_STATE_COUNT_,
} LinkState;

struct SystemdLink {
        sd_event *event; /* owned reference */
        BusScope scope;
        BusConnection *connection; /* owned; NULL without followers */
        LinkState state;
        sd_bus_slot *subscribing; /* owned: the call under way */
        sd_event_source *turn;    /* owned: lets those who wait ask */
        sd_event_source *retry;   /* owned */
        List followers, waiting;  /* of SystemdFollower */
        size_t n_asking;
};

/* -- asking ------------------------------------------------------------------------------------ */

static sd_bus *link_bus(const SystemdLink *l) {
        return l->connection ? bus_connection_get(l->connection) : NULL;
}

static void link_wake(SystemdLink *l) {
        if (l->state == LINK_FOLLOWING && l->n_asking < ASKING_MAX && !list_is_empty(&l->waiting))
                (void) sd_event_source_set_enabled(l->turn, SD_EVENT_ONESHOT);
}

static void link_retry_later(SystemdLink *l) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(l->retry, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time_relative(l->retry, RETRY_USEC);
        (void) sd_event_source_set_enabled(l->retry, SD_EVENT_ONESHOT);
}

void systemd_follower_ask(SystemdFollower *f) {
        if (f->is_asking)
                f->is_wanted_again = true;
        else if (!list_is_linked(&f->waiting))
                list_append(&f->link->waiting, &f->waiting);
        link_wake(f->link);
}

void systemd_follower_asked(SystemdFollower *f, int error) {
        SystemdLink *l = f->link;

        f->is_asking = false;
        l->n_asking--;
        f->has_failed = error < 0;
        if (!f->has_failed)
                f->is_known = true;
        else
                link_retry_later(l);
        if (f->is_wanted_again)
                systemd_follower_ask(f);
        link_wake(l);
}

static int on_turn(sd_event_source *s _unused_, void *userdata) {
        SystemdLink *l = userdata;
        sd_bus *bus = link_bus(l);
        SystemdFollower *f;
        int r;

        while (bus && l->state == LINK_FOLLOWING && l->n_asking < ASKING_MAX &&
               (f = list_first(&l->waiting, SystemdFollower, waiting))) {
                list_unlink(&f->waiting);
                f->is_asking = true;
                f->is_wanted_again = false;
                l->n_asking++;
                r = f->handlers->ask(f, bus);
                if (r < 0)
                        systemd_follower_asked(f, r);
        }
        return 0;
}

static void link_ask_anew(SystemdLink *l) {
        LIST_FOREACH(i, &l->followers) {
                SystemdFollower *f = list_item(i, SystemdFollower, all);

                f->is_known = false;
                systemd_follower_ask(f);
        }
}

/* What was being asked has no answer any more. */
static void link_lose(SystemdLink *l, LinkState state) {
        bool was_following = l->state == LINK_FOLLOWING;

        l->state = state;
        l->subscribing = sd_bus_slot_unref(l->subscribing);
        if (!was_following)
                return;
        LIST_FOREACH(i, &l->followers) {
                SystemdFollower *f = list_item(i, SystemdFollower, all);

                f->is_known = f->is_wanted_again = f->has_failed = false;
                list_unlink(&f->waiting);
                f->handlers->lost(f);
                if (f->is_asking) {
                        f->is_asking = false;
                        l->n_asking--;
                }
        }
}

/* -- the subscription -------------------------------------------------------------------------- */

int systemd_reply_errno(sd_bus_message *m) {
        int r = sd_bus_message_get_errno(m);

        return r > 0 ? -r : -EIO;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        SystemdLink *l = userdata;

        l->subscribing = sd_bus_slot_unref(l->subscribing);
        if (e && (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                  sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))) {
                l->state = LINK_NO_MANAGER;
                return 0;
        }
        if (e && !sd_bus_error_has_name(e, "org.freedesktop.systemd1.AlreadySubscribed")) {
                log_debug("Cannot subscribe to systemd's signals: %s", e->message);
                link_retry_later(l);
                return 0;
        }
        l->state = LINK_FOLLOWING;
        link_ask_anew(l);
        return 0;
}

/* Nobody is started in systemd's place. */
static void link_subscribe(SystemdLink *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = link_bus(l);
        int r;

        if (!bus)
                return;
        l->subscribing = sd_bus_slot_unref(l->subscribing);
        l->state = LINK_CONNECTING;
        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                           "Subscribe");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call_async(bus, &l->subscribing, m, on_subscribed, l, 0);
        if (r < 0) {
                log_errno(LOG_WARNING, r, "Cannot subscribe to systemd's signals");
                link_retry_later(l);
        }
}

static int on_retry(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        SystemdLink *l = userdata;

        if (l->state == LINK_CONNECTING && !l->subscribing)
                link_subscribe(l);
        LIST_FOREACH(i, &l->followers) {
                SystemdFollower *f = list_item(i, SystemdFollower, all);

                if (f->has_failed)
                        systemd_follower_ask(f);
        }
        return 0;
}

/* -- signals ----------------------------------------------------------------------------------- */

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        SystemdLink *l = userdata;

        if (l->state != LINK_FOLLOWING)
                return 0;
        LIST_FOREACH(i, &l->followers) {
                SystemdFollower *f = list_item(i, SystemdFollower, all);

                (void) sd_bus_message_rewind(m, true);
                f->handlers->signalled(f, m);
        }
        return 0;
}

/* The units may be others when it has ended. */
static int on_reloading(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        SystemdLink *l = userdata;
        int is_active;

        if (sd_bus_message_read(m, "b", &is_active) >= 0 && !is_active &&
            l->state == LINK_FOLLOWING)
                link_ask_anew(l);
        return 0;
}

/* systemd comes and goes when it executes itself anew. */
static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const char *name, *old, *new;
        SystemdLink *l = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0 || !str_equal(name, SYSTEMD_NAME))
                return 0;
        link_lose(l, LINK_NO_MANAGER);
        if (*new)
                link_subscribe(l);
        return 0;
}

static int on_setup(void *userdata, sd_bus *bus) {
        static const BusMatch matches[] = {
                { "type='signal',sender='" SYSTEMD_NAME "',path_namespace='" SYSTEMD_PATH
                  "',interface='" DBUS_PROPERTIES "',member='PropertiesChanged'",
                  on_signal },
                { "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                  "',interface='" SYSTEMD_MANAGER "',member='StartupFinished'",
                  on_signal },
                { "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                  "',interface='" SYSTEMD_MANAGER "',member='Reloading'",
                  on_reloading },
                { BUS_MATCH_OWNER(SYSTEMD_NAME), on_owner_changed },
        };
        SystemdLink *l = userdata;
        int r;

        r = bus_add_matches(bus, matches, ELEMENTSOF(matches), l);
        if (r < 0)
                return r;
        l->state = LINK_CONNECTING;
        return 0;
}

static void on_connected(void *userdata, sd_bus *bus _unused_) {
        link_subscribe(userdata);
}

static void on_lost(void *userdata, sd_bus *bus _unused_) {
        link_lose(userdata, LINK_NO_BUS);
}

/* -- followers --------------------------------------------------------------------------------- */

static int link_connect(SystemdLink *l) {
        static const BusHandlers handlers = {
                .setup = on_setup,
                .connected = on_connected,
                .lost = on_lost,
        };

        if (l->connection)
                return 0;
        return bus_connection_new(l->event, l->scope, SD_EVENT_PRIORITY_NORMAL, NULL, &handlers, l,
                                  &l->connection);
}

static void link_disconnect(SystemdLink *l) {
        l->subscribing = sd_bus_slot_unref(l->subscribing);
        l->connection = bus_connection_free(l->connection);
        l->state = LINK_NO_BUS;
        (void) sd_event_source_set_enabled(l->turn, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(l->retry, SD_EVENT_OFF);
}

int systemd_follower_begin(SystemdFollower *f, SystemdLink *l,
                           const SystemdFollowerHandlers *handlers) {
        int r;

        r = link_connect(l);
        if (r < 0)
                return r;
        f->link = l;
        f->handlers = handlers;
        list_append(&l->followers, &f->all);
        systemd_follower_ask(f);
        return 0;
}

void systemd_follower_end(SystemdFollower *f) {
        SystemdLink *l = f->link;

        if (!l || !list_is_linked(&f->all))
                return;
        if (f->is_asking) {
                l->n_asking--;
                link_wake(l);
        }
        list_unlink(&f->waiting);
        list_unlink(&f->all);
        if (list_is_empty(&l->followers))
                link_disconnect(l);
}

bool systemd_follower_is_on(const SystemdFollower *f) {
        return f->link->state == LINK_FOLLOWING;
}

const char *systemd_link_obstacle(const SystemdLink *l) {
        static const char *const texts[][LINK_STATE_COUNT_] = {
                [BUS_SYSTEM] = {
                        [LINK_NO_BUS] = "the system bus is not there; it comes with dbus.service",
                        [LINK_NO_MANAGER] = "no systemd is on the system bus; a host that runs it "
                                            "is needed",
                },
                [BUS_USER] = {
                        [LINK_NO_BUS] = "the user bus is not there; it comes with the user's "
                                        "dbus.service",
                        [LINK_NO_MANAGER] = "no systemd is on the user bus; the user's manager is "
                                            "needed, see user@.service(5)",
                },
        };

        return texts[l->scope][l->state];
}

SystemdLink *systemd_link_free(SystemdLink *l) {
        if (!l)
                return NULL;
        assert(list_is_empty(&l->followers));
        link_disconnect(l);
        sd_event_source_disable_unref(l->turn);
        sd_event_source_disable_unref(l->retry);
        sd_event_unref(l->event);
        free(l);
        return NULL;
}

int systemd_link_new(sd_event *event, BusScope scope, SystemdLink **ret) {
        _cleanup_(systemd_link_freep) SystemdLink *l = calloc(1, sizeof(SystemdLink));
        int r;

        if (!l)
                return -ENOMEM;
        list_init(&l->followers);
        list_init(&l->waiting);
        l->event = sd_event_ref(event);
        l->scope = scope;
        r = sd_event_add_defer(event, &l->turn, on_turn, l);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->turn, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &l->retry, CLOCK_MONOTONIC, 0, RETRY_ACCURACY_USEC,
                                      on_retry, l);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->retry, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(l);
        return 0;
}
