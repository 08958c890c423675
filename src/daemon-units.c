/* SPDX-License-Identifier: MIT */
#include "daemon-units.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "io/unit-watch.h"

/* How long checks wait for the first word of their unit, e.g. while the bus hangs. */
#define AWAIT_USEC          USEC_PER_SEC
#define AWAIT_ACCURACY_USEC (10 * USEC_PER_MSEC)

typedef struct Follow {
        Units *units;     /* borrowed */
        size_t service;   /* in the configuration */
        char *name;       /* owned: the service's */
        UnitWatch *watch; /* owned */
        bool is_awaited;
} Follow;

struct Units {
        sd_event *event;      /* owned reference */
        SystemdLink *systemd; /* borrowed; or NULL */
        const UnitsHandler *handler;
        void *userdata;
        Config *config;         /* owned reference; NULL before the first */
        Follow **follows;       /* owned: by service; NULL without a unit */
        sd_event_source *await; /* owned */
        bool is_loss_logged;
};

static const struct {
        const char *active;
        UnitState state;
} states[] = {
        { "active", UNIT_ACTIVE },
        { "reloading", UNIT_RELOADING },
        { "refreshing", UNIT_RELOADING },
        { "activating", UNIT_ACTIVATING },
        { "deactivating", UNIT_DEACTIVATING },
        { "inactive", UNIT_INACTIVE },
        { "failed", UNIT_FAILED },
        { "maintenance", UNIT_FAILED },
};

/* A unit that is not there at all is a fault, not a decision. */
static UnitState state_of(const UnitStatus *s) {
        if (str_equal(s->active, "inactive") && str_equal(s->load, "not-found"))
                return UNIT_FAILED;
        if (str_starts_with(s->sub, "auto-restart"))
                return UNIT_AUTO_RESTART;
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (str_equal(s->active, states[i].active))
                        return states[i].state;
        return UNIT_UNFOLLOWED;
}

static Follow *follow_free(Follow *f) {
        if (!f)
                return NULL;
        unit_watch_free(f->watch);
        free(f->name);
        free(f);
        return NULL;
}
DEFINE_CLEANUP(Follow *, follow_free);

/* -- what the units do ------------------------------------------------------------------------- */

/* One line when they are lost, and one when they are back. */
static void units_log_loss(Units *u, bool is_lost) {
        const char *obstacle = systemd_link_obstacle(u->systemd);

        if (is_lost == u->is_loss_logged)
                return;
        u->is_loss_logged = is_lost;
        if (is_lost)
                log_warning("The units of services cannot be followed (%s); their last states stay",
                            obstacle ? obstacle : "the connection was lost");
        else
                log_notice("The units of services are followed again");
}

static void follow_tell(Follow *f) {
        const UnitStatus *s = unit_watch_status(f->watch);
        Units *u = f->units;

        u->handler->changed(u->userdata, f->service, state_of(s), s->invocation_id);
}

static void follow_release(Follow *f) {
        bool was_awaited = f->is_awaited;

        f->is_awaited = false;
        if (was_awaited)
                f->units->handler->released(f->units->userdata);
}

static void on_changed(void *userdata) {
        Follow *f = userdata;
        const UnitStatus *s = unit_watch_status(f->watch);

        units_log_loss(f->units, !unit_watch_is_current(f->watch));
        if (!s || !unit_watch_is_current(f->watch))
                return;
        if (str_equal(s->load, "not-found"))
                log_warning("%s: there is no unit %s", f->name,
                            f->units->config->services[f->service].unit);
        follow_tell(f);
        follow_release(f);
}

static int on_await(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        Units *u = userdata;

        for (size_t i = 0; i < u->config->n_services; i++)
                if (u->follows[i])
                        u->follows[i]->is_awaited = false;
        u->handler->released(u->userdata);
        return 0;
}

/* -- which units ------------------------------------------------------------------------------- */

static int follow_new(Units *u, const ServiceConfig *service, Follow **ret) {
        static const UnitWatchHandlers handlers = { .changed = on_changed };
        _cleanup_(follow_freep) Follow *f = calloc(1, sizeof(Follow));
        int r;

        if (!f)
                return -ENOMEM;
        f->units = u;
        f->is_awaited = true;
        f->name = strdup(service->name);
        if (!f->name)
                return -ENOMEM;
        r = unit_watch_new(u->systemd, service->unit, &handlers, f, &f->watch);
        if (r < 0)
                return r;
        *ret = TAKE(f);
        return 0;
}

/* Takes what follows the same unit for the same service out of the old ones. */
static Follow *units_take(Units *u, const ServiceConfig *service) {
        size_t old = u->config ? config_find_service(u->config, service->name) : INDEX_NONE;

        if (old == INDEX_NONE || !u->follows[old] ||
            !str_equal(u->config->services[old].unit, service->unit))
                return NULL;
        return TAKE(u->follows[old]);
}

static void units_drop(Units *u) {
        for (size_t i = 0; u->follows && i < u->config->n_services; i++)
                follow_free(u->follows[i]);
        free(u->follows);
        u->follows = NULL;
        config_unref(u->config);
}

static void units_await(Units *u) {
        (void) sd_event_source_set_time_relative(u->await, AWAIT_USEC);
        (void) sd_event_source_set_enabled(u->await, SD_EVENT_ONESHOT);
}

/* What a reload may have made forget. */
static void units_tell_again(Units *u) {
        for (size_t i = 0; i < u->config->n_services; i++) {
                if (u->config->services[i].unit && !u->systemd)
                        log_warning("%s: without a bus %s cannot be followed",
                                    u->config->services[i].name, u->config->services[i].unit);
                if (u->follows[i] && unit_watch_is_current(u->follows[i]->watch))
                        follow_tell(u->follows[i]);
        }
}

int units_configure(Units *u, Config *config) {
        Follow **follows = calloc(MAX(config->n_services, (size_t) 1), sizeof(Follow *));
        int r = 0;

        if (!follows)
                return -ENOMEM;
        for (size_t i = 0; u->systemd && i < config->n_services; i++) {
                const ServiceConfig *service = config->services + i;

                if (!service->unit || service->defect)
                        continue;
                follows[i] = units_take(u, service);
                if (!follows[i]) {
                        r = follow_new(u, service, &follows[i]);
                        if (r < 0)
                                break;
                }
                follows[i]->service = i;
        }
        units_drop(u);
        u->follows = follows;
        u->config = config_ref(config);
        units_await(u);
        units_tell_again(u);
        return r;
}

bool units_is_awaited(const Units *u, const Config *config, size_t service) {
        return u->config == config && u->follows[service] && u->follows[service]->is_awaited &&
               !systemd_link_obstacle(u->systemd);
}

Units *units_free(Units *u) {
        if (!u)
                return NULL;
        units_drop(u);
        sd_event_source_disable_unref(u->await);
        sd_event_unref(u->event);
        free(u);
        return NULL;
}

int units_new(sd_event *event, SystemdLink *systemd, const UnitsHandler *handler, void *userdata,
              Units **ret) {
        _cleanup_(units_freep) Units *u = calloc(1, sizeof(Units));
        int r;

        if (!u)
                return -ENOMEM;
        u->event = sd_event_ref(event);
        u->systemd = systemd;
        u->handler = handler;
        u->userdata = userdata;
        r = sd_event_add_time(event, &u->await, CLOCK_MONOTONIC, 0, AWAIT_ACCURACY_USEC, on_await,
                              u);
        if (r >= 0)
                r = sd_event_source_set_enabled(u->await, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(u);
        return 0;
}
