/* SPDX-License-Identifier: MIT */
#include "io/inhibitor.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "io/bus-connection.h"

#define LOGIND_NAME    "org.freedesktop.login1"
#define LOGIND_PATH    "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"

/* logind asks polkit, which may have to be started first. */
#define TAKE_TIMEOUT_USEC (30 * USEC_PER_SEC)

/* How long who has refused is left alone. */
#define RETRY_USEC          USEC_PER_MINUTE
#define RETRY_ACCURACY_USEC (100 * USEC_PER_MSEC)

/* How long nobody wonders that there is no logind. */
#define ABSENT_USEC (2 * USEC_PER_SEC)

/* Its default; until it has said otherwise. */
#define MAX_DEFAULT_USEC (5 * USEC_PER_SEC)

enum { CALL_MAX, CALL_PREPARING, CALL_TAKE, CALL_COUNT_ };

struct Inhibitor {
        BusConnection *connection; /* owned */
        const char *who, *why;     /* borrowed, constant */
        const InhibitorHandlers *handlers;
        void *userdata;                  /* borrowed */
        int lock;                        /* owned; -1: none */
        usec_t max_usec;                 /* InhibitDelayMaxSec= */
        sd_bus_slot *calls[CALL_COUNT_]; /* owned: those under way */
        sd_event_source *retry;          /* owned */
        bool is_preparing;
        bool is_missed; /* there was no logind, when last asked */
        bool is_refusal_logged, is_lock_logged;
};

/* -- the lock ---------------------------------------------------------------------------------- */

void inhibitor_release(Inhibitor *i) {
        i->lock = fd_close(i->lock);
}

static void inhibitor_retry(Inhibitor *i, usec_t usec) {
        (void) sd_event_source_set_time_relative(i->retry, usec);
        (void) sd_event_source_set_enabled(i->retry, SD_EVENT_ONESHOT);
}

static void inhibitor_refused(Inhibitor *i, const char *why) {
        if (!i->is_refusal_logged)
                log_notice("A shutdown of this host will not wait for %s: %s", i->who, why);
        i->is_refusal_logged = true;
        i->is_lock_logged = false;
        inhibitor_retry(i, RETRY_USEC);
}

/* logind comes a moment after the bus. */
static void inhibitor_missed(Inhibitor *i) {
        bool is_first = !i->is_missed;

        i->is_missed = true;
        if (is_first)
                inhibitor_retry(i, ABSENT_USEC);
        else
                inhibitor_refused(i, "there is no logind");
}

static void inhibitor_took(Inhibitor *i, int lock) {
        char span[TIMESPAN_MAX];

        fd_close(i->lock);
        i->lock = lock;
        if (!i->is_lock_logged)
                log_info("A shutdown of this host will wait for %s, %s%s", i->who,
                         i->max_usec == USEC_INFINITY ? "however long" : "for up to ",
                         i->max_usec == USEC_INFINITY ? "" : timespan_format(span, i->max_usec));
        i->is_lock_logged = true;
        i->is_refusal_logged = false;
}

static int on_taken(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Inhibitor *i = userdata;
        int r, fd;

        i->calls[CALL_TAKE] = sd_bus_slot_unref(i->calls[CALL_TAKE]);
        /* Too late: the host is going down. If that is cancelled it is asked for again. */
        if (e && sd_bus_error_has_name(e, "org.freedesktop.login1.OperationInProgress"))
                return 0;
        if (e && (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                  sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))) {
                inhibitor_missed(i);
                return 0;
        }
        i->is_missed = false;
        if (e) {
                inhibitor_refused(i, e->message);
                return 0;
        }
        r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0) {
                r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = r < 0 ? -errno : r;
        }
        if (r < 0)
                inhibitor_refused(i, strerror(-r));
        else
                inhibitor_took(i, r);
        return 0;
}

/* -- what logind says -------------------------------------------------------------------------- */

static void inhibitor_tell(Inhibitor *i, bool is_preparing) {
        if (is_preparing == i->is_preparing)
                return;
        i->is_preparing = is_preparing;
        if (is_preparing)
                i->handlers->preparing(i->userdata, i->lock < 0 ? 0 : i->max_usec);
        else
                i->handlers->cancelled(i->userdata);
}

static int on_max(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        Inhibitor *i = userdata;
        uint64_t usec;

        if (!sd_bus_message_is_method_error(m, NULL) &&
            sd_bus_message_read(m, "v", "t", &usec) >= 0)
                i->max_usec = usec;
        return 0;
}

/* It may have begun, or have been cancelled, while nobody listened. */
static int on_preparing(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        int is_preparing;

        if (!sd_bus_message_is_method_error(m, NULL) &&
            sd_bus_message_read(m, "v", "b", &is_preparing) >= 0)
                inhibitor_tell(userdata, is_preparing);
        return 0;
}

/* -- asking ------------------------------------------------------------------------------------ */

static int call(sd_bus *bus, sd_bus_slot **ret_slot, const char *interface, const char *method,
                sd_bus_message_handler_t handler, Inhibitor *i, usec_t timeout_usec,
                const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, LOGIND_NAME, LOGIND_PATH, interface, method);
        if (r < 0)
                return r;
        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call_async(bus, ret_slot, m, handler, i, timeout_usec);
        return r;
}

static void inhibitor_forget_calls(Inhibitor *i) {
        for (size_t k = 0; k < ELEMENTSOF(i->calls); k++)
                i->calls[k] = sd_bus_slot_unref(i->calls[k]);
        (void) sd_event_source_set_enabled(i->retry, SD_EVENT_OFF);
}

/* A lock that is held is replaced: whether logind still knows it cannot be told. */
static void inhibitor_ask(Inhibitor *i) {
        static const char properties[] = "org.freedesktop.DBus.Properties";
        sd_bus *bus = bus_connection_get(i->connection);
        int r;

        inhibitor_forget_calls(i);
        if (!bus)
                return;
        r = call(bus, &i->calls[CALL_MAX], properties, "Get", on_max, i, 0, "ss", LOGIND_MANAGER,
                 "InhibitDelayMaxUSec");
        if (r >= 0)
                r = call(bus, &i->calls[CALL_PREPARING], properties, "Get", on_preparing, i, 0,
                         "ss", LOGIND_MANAGER, "PreparingForShutdown");
        if (r >= 0)
                r = call(bus, &i->calls[CALL_TAKE], LOGIND_MANAGER, "Inhibit", on_taken, i,
                         TAKE_TIMEOUT_USEC, "ssss", "shutdown", i->who, i->why, "delay");
        if (r < 0)
                inhibitor_refused(i, strerror(-r));
}

static int on_prepare(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        Inhibitor *i = userdata;
        int is_preparing;

        if (sd_bus_message_read(m, "b", &is_preparing) < 0)
                return 0;
        inhibitor_tell(i, is_preparing);
        if (!is_preparing)
                inhibitor_ask(i);
        return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0 || !str_equal(name, LOGIND_NAME))
                return 0;
        if (*new)
                inhibitor_ask(userdata);
        else
                inhibitor_forget_calls(userdata);
        return 0;
}

static int on_retry(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        inhibitor_ask(userdata);
        return 0;
}

/* -- the connection ---------------------------------------------------------------------------- */

static int on_setup(void *userdata, sd_bus *bus) {
        static const BusMatch matches[] = {
                { "type='signal',sender='" LOGIND_NAME "',path='" LOGIND_PATH
                  "',interface='" LOGIND_MANAGER "',member='PrepareForShutdown'",
                  on_prepare },
                { BUS_MATCH_OWNER(LOGIND_NAME), on_owner_changed },
        };

        return bus_add_matches(bus, matches, ELEMENTSOF(matches), userdata);
}

static void on_connected(void *userdata, sd_bus *bus _unused_) {
        inhibitor_ask(userdata);
}

static void on_lost(void *userdata, sd_bus *bus _unused_) {
        inhibitor_forget_calls(userdata);
}

Inhibitor *inhibitor_free(Inhibitor *i) {
        if (!i)
                return NULL;
        if (i->retry)
                inhibitor_forget_calls(i);
        bus_connection_free(i->connection);
        sd_event_source_disable_unref(i->retry);
        fd_close(i->lock);
        free(i);
        return NULL;
}

int inhibitor_new(sd_event *event, const char *who, const char *why,
                  const InhibitorHandlers *handlers, void *userdata, Inhibitor **ret) {
        static const BusHandlers bus_handlers = {
                .setup = on_setup,
                .connected = on_connected,
                .lost = on_lost,
        };
        _cleanup_(inhibitor_freep) Inhibitor *i = calloc(1, sizeof(Inhibitor));
        int r;

        if (!i)
                return -ENOMEM;
        *i = (Inhibitor){
                .who = who,
                .why = why,
                .handlers = handlers,
                .userdata = userdata,
                .lock = -1,
                .max_usec = MAX_DEFAULT_USEC,
        };
        r = sd_event_add_time(event, &i->retry, CLOCK_MONOTONIC, 0, RETRY_ACCURACY_USEC, on_retry,
                              i);
        if (r >= 0)
                r = sd_event_source_set_enabled(i->retry, SD_EVENT_OFF);
        if (r >= 0)
                r = bus_connection_new(event, BUS_SYSTEM, SD_EVENT_PRIORITY_NORMAL, NULL,
                                       &bus_handlers, i, &i->connection);
        if (r < 0)
                return r;
        *ret = TAKE(i);
        return 0;
}
