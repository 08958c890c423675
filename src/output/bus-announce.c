/* SPDX-License-Identifier: MIT */
#include "output/bus-announce.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"

#define ANNOUNCE_ACCURACY_USEC (5 * USEC_PER_MSEC)

/* What listeners know of one object. */
typedef struct Announced {
        usec_t next_usec;  /* CLOCK_MONOTONIC: not to be told of before; 0: whenever */
        const char *state; /* constant: the word that was told last */
        bool is_dirty;     /* there is more to tell */
        bool is_new;       /* listeners do not know that it exists */
} Announced;

/* An object that a reload took away. */
typedef struct Removed {
        char *path; /* owned */
        BusObject type;
} Removed;

struct BusAnnouncer {
        Bus *bus;
        sd_event_source *timer; /* owned */
        Config *config;         /* owned reference: what the indices below mean */
        Announced manager;
        Announced *services, *checks; /* owned */
        Removed *removed;             /* owned */
        size_t n_removed, n_removed_told;
        bool has_news; /* anything is dirty or removed and not told */
};

/* One round of telling. */
typedef struct Round {
        BusAnnouncer *announcer;
        const Snapshot *snapshot;
        usec_t now, next; /* next: when there is more to do */
        unsigned left;    /* of the batch */
} Round;

static const char *const interfaces[] = {
        [BUS_OBJECT_MANAGER] = BUS_INTERFACE_MANAGER,
        [BUS_OBJECT_SERVICE] = BUS_INTERFACE_SERVICE,
        [BUS_OBJECT_CHECK] = BUS_INTERFACE_CHECK,
};

static void tell_state_changed(sd_bus *bus, BusObject type, size_t index, const char *path,
                               const char *before, const char *state, const Snapshot *s) {
        switch (type) {
        case BUS_OBJECT_SERVICE:
                (void) sd_bus_emit_signal(bus, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER,
                                          "ServiceStateChanged", "osss", path,
                                          s->config->services[index].name, state, before);
                break;
        case BUS_OBJECT_CHECK: {
                const CheckState *c = s->checks[index];
                char reason[REASON_WORD_MAX];

                reason_format(reason, c->reason, c->detail);
                (void) sd_bus_emit_signal(bus, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER,
                                          "CheckStateChanged", "osssss", path, c->config->id, state,
                                          before, reason, bus_text(c->message));
                break;
        }
        case BUS_OBJECT_MANAGER:
        case BUS_OBJECT_COUNT_:
                break;
        }
}

/* Nothing here fails for good: a link that takes no more is ended by its queue. */
static void tell(const Round *r, Announced *a, BusObject type, size_t index, const char *path,
                 const char *state) {
        LIST_FOREACH(i, &r->announcer->bus->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (!bus_link_is_ready(l))
                        continue;
                if (a->is_new)
                        (void) sd_bus_emit_object_added(l->connection, path);
                else
                        (void) sd_bus_emit_properties_changed_strv(l->connection, path,
                                                                   interfaces[type], NULL);
                if (!str_equal(a->state, state))
                        tell_state_changed(l->connection, type, index, path, a->state, state,
                                           r->snapshot);
        }
}

/* Tells of one object if there is something to tell, it is time, and the batch has room. */
static void visit(Round *r, Announced *a, BusObject type, size_t index, const char *path,
                  const char *state) {
        if (!a->is_dirty)
                return;
        if (r->left == 0)
                r->next = MIN(r->next, r->now + BUS_ANNOUNCE_PAUSE_USEC);
        else if (a->next_usec > r->now)
                r->next = MIN(r->next, a->next_usec);
        else {
                tell(r, a, type, index, path, state);
                *a = (Announced){ .next_usec = r->now + BUS_ANNOUNCE_USEC, .state = state };
                r->left--;
        }
}

static void tell_removed(Round *r, const Removed *gone) {
        LIST_FOREACH(i, &r->announcer->bus->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (bus_link_is_ready(l))
                        (void) sd_bus_emit_interfaces_removed(
                                l->connection, gone->path, "org.freedesktop.DBus.Introspectable",
                                "org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Properties",
                                interfaces[gone->type], NULL);
        }
}

static void removed_clear(BusAnnouncer *a) {
        for (size_t i = 0; i < a->n_removed; i++)
                free(a->removed[i].path);
        free(a->removed);
        a->removed = NULL;
        a->n_removed = a->n_removed_told = 0;
}

static void visit_all(Round *r) {
        BusAnnouncer *a = r->announcer;
        const Snapshot *s = r->snapshot;
        const BusPaths *paths = a->bus->paths;

        for (; a->n_removed_told < a->n_removed && r->left > 0; r->left--)
                tell_removed(r, &a->removed[a->n_removed_told++]);
        if (a->n_removed_told < a->n_removed)
                r->next = r->now + BUS_ANNOUNCE_PAUSE_USEC;
        else
                removed_clear(a);
        for (size_t i = 0; i < s->config->n_checks; i++)
                visit(r, &a->checks[i], BUS_OBJECT_CHECK, i, paths->checks[i],
                      health_to_string(s->checks[i]->state));
        for (size_t i = 0; i < s->config->n_services; i++)
                visit(r, &a->services[i], BUS_OBJECT_SERVICE, i, paths->services[i],
                      verdict_summary(&s->services[i].verdict));
        visit(r, &a->manager, BUS_OBJECT_MANAGER, INDEX_NONE, BUS_PATH_MANAGER,
              verdict_summary(&s->host));
}

static void flush(BusAnnouncer *a) {
        Round round = {
                .announcer = a,
                .snapshot = publisher_current(a->bus->context.publisher),
                .now = clock_usec(CLOCK_MONOTONIC),
                .next = USEC_INFINITY,
                .left = BUS_ANNOUNCE_BATCH,
        };
        int r;

        if (!a->has_news || !round.snapshot || !a->bus->paths ||
            a->config != round.snapshot->config)
                return;
        visit_all(&round);
        LIST_FOREACH(i, &a->bus->links)
                bus_link_check_queue(list_item(i, BusLink, links));
        a->has_news = round.next != USEC_INFINITY;
        if (!a->has_news)
                return;
        r = sd_event_source_set_time(a->timer, round.next);
        if (r >= 0)
                r = sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_errno(LOG_ERR, r, "Cannot plan signals on the bus");
}

static int on_timer(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        flush(userdata);
        return 0;
}

static void mark(BusAnnouncer *a, Announced *what) {
        what->is_dirty = true;
        a->has_news = true;
}

static void on_flip(void *userdata, const Flip *flip, _unused_ const Snapshot *old,
                    _unused_ const Snapshot *new) {
        BusAnnouncer *a = userdata;

        switch (flip->type) {
        case FLIP_CHECK:
                mark(a, &a->checks[flip->index]);
                break;
        case FLIP_SERVICE:
                mark(a, &a->services[flip->index]);
                break;
        case FLIP_HOST:
                mark(a, &a->manager);
                break;
        }
}

/* What changes no verdict of its own and yet is a property that says when it changes. Under the
 * same configuration indices are the same. */
static void mark_decisions(BusAnnouncer *a, const Snapshot *old, const Snapshot *new) {
        for (size_t i = 0; i < new->config->n_checks; i++)
                if (old->checks[i] != new->checks[i] &&
                    check_state_override(old->checks[i])->is_active !=
                            check_state_override(new->checks[i])->is_active)
                        mark(a, &a->checks[i]);
        for (size_t i = 0; i < new->config->n_services; i++)
                if (old->services[i].state->drain.is_active !=
                            new->services[i].state->drain.is_active ||
                    old->services[i].verdict.is_degraded != new->services[i].verdict.is_degraded)
                        mark(a, &a->services[i]);
        if (old->drain.is_active != new->drain.is_active ||
            old->host.is_degraded != new->host.is_degraded ||
            old->reload_realtime != new->reload_realtime)
                mark(a, &a->manager);
}

/* The paths that are no longer; an object that keeps its name keeps its path. */
static int collect_removed(BusAnnouncer *a, const BusPaths *gone) {
        Removed *removed;

        removed = reallocarray(a->removed, a->n_removed + gone->n, sizeof(*removed));
        if (!removed)
                return -ENOMEM;
        a->removed = removed;
        for (size_t i = 0; i < gone->n; i++) {
                if (bus_paths_find(a->bus->paths, gone->items[i].path))
                        continue;
                removed[a->n_removed].path = strdup(gone->items[i].path);
                if (!removed[a->n_removed].path)
                        return -ENOMEM;
                removed[a->n_removed++].type = gone->items[i].type;
        }
        return 0;
}

static Announced carried(const Announced *before, size_t index, const char *state) {
        if (!before)
                return (Announced){ .state = state }; /* the first of all */
        if (index == INDEX_NONE)
                return (Announced){ .state = state, .is_dirty = true, .is_new = true };
        return before[index];
}

static int take_config(BusAnnouncer *a, const BusPaths *gone, const Snapshot *s) {
        const Config *config = s->config, *before = a->config;
        _cleanup_free_ Announced *services = NULL, *checks = NULL;
        int r;

        services = calloc(config->n_services + 1, sizeof(*services));
        checks = calloc(config->n_checks + 1, sizeof(*checks));
        if (!services || !checks)
                return -ENOMEM;
        r = gone ? collect_removed(a, gone) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_services; i++)
                services[i] =
                        carried(a->services,
                                before ? config_find_service(before, config->services[i].name) : 0,
                                verdict_summary(&s->services[i].verdict));
        for (size_t i = 0; i < config->n_checks; i++)
                checks[i] = carried(a->checks,
                                    before ? config_find_check(before, config->checks[i]->service,
                                                               config->checks[i]->name)
                                           : 0,
                                    health_to_string(s->checks[i]->state));
        free(a->services);
        free(a->checks);
        a->services = TAKE(services);
        a->checks = TAKE(checks);
        config_unref(a->config);
        a->config = config_ref(s->config);
        return 0;
}

void bus_announce(BusAnnouncer *a, const BusPaths *gone, const Snapshot *old, const Snapshot *new) {
        bool is_first = !a->config;
        int r;

        if (a->config != new->config) {
                r = take_config(a, gone, new);
                if (r < 0) {
                        log_errno(LOG_ERR, r, "Cannot tell of the reload on the bus");
                        return;
                }
                mark(a, &a->manager);
        }
        if (is_first || !old) {
                a->manager = (Announced){ .state = verdict_summary(&new->host) };
                return;
        }
        snapshot_diff(old, new, on_flip, a);
        if (old->config == new->config)
                mark_decisions(a, old, new);
        flush(a);
}

/* Before the announcer knows of a new configuration it has nothing to tell of the old one. */
void bus_announce_service(BusAnnouncer *a, size_t service) {
        const Snapshot *s = publisher_current(a->bus->context.publisher);

        if (!s || a->config != s->config)
                return;
        mark(a, &a->services[service]);
        flush(a);
}

BusAnnouncer *bus_announcer_free(BusAnnouncer *a) {
        if (!a)
                return NULL;
        sd_event_source_disable_unref(a->timer);
        removed_clear(a);
        free(a->services);
        free(a->checks);
        config_unref(a->config);
        free(a);
        return NULL;
}

int bus_announcer_new(Bus *b, BusAnnouncer **ret) {
        _cleanup_(bus_announcer_freep) BusAnnouncer *a = NULL;
        int r;

        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->bus = b;
        r = sd_event_add_time(b->event, &a->timer, CLOCK_MONOTONIC, 0, ANNOUNCE_ACCURACY_USEC,
                              on_timer, a);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(a->timer, BUS_PRIORITY);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(a);
        return 0;
}
