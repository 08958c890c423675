/* SPDX-License-Identifier: MIT */
#include "run/companion.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/text.h"

/* How often vitald is asked; it signals changes besides. */
#define STARTING_EVERY_USEC USEC_PER_SEC
#define RUNNING_EVERY_USEC  (30 * USEC_PER_SEC)

#define PINGS_PER_PERIOD    3
#define ANSWER_MAX_USEC     (5 * USEC_PER_SEC)
#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)

#define EXTEND_EVERY_USEC (2 * USEC_PER_SEC)
#define EXTEND_BY_USEC    (20 * USEC_PER_SEC)

/* A restart of vitald is no news. */
#define SILENCE_LOG_USEC (10 * USEC_PER_SEC)
#define UNCONNECTED_USEC USEC_PER_SEC

#define STATUS_MAX (VERDICT_TEXT_MAX + 64)

typedef struct Companion {
        const CompanionSettings *settings; /* borrowed */
        sd_event *event;                   /* owned */
        sd_event_source *end, *timer;      /* owned */
        BusConnection *bus;                /* owned */
        char *path;                        /* owned: of the service's object */
        sd_bus_slot *question;             /* owned; NULL: none under way */
        bool is_to_ask_again;
        Verdict verdict;
        char status[STATUS_MAX]; /* as systemd knows it */
        bool is_ready, is_silence_logged, is_notify_failure_logged;
        usec_t began, extended; /* CLOCK_MONOTONIC; extended: 0 for never */
        usec_t silent_since;    /* 0: vitald gives verdicts */
        usec_t lost;            /* when the connection was; 0: there is one */
} Companion;

static usec_t now_monotonic(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

/* -- towards systemd --------------------------------------------------------------------------- */

_printf_(2, 3) static void notify(Companion *c, const char *format, ...) {
        char text[STATUS_MAX + 64];
        va_list ap;
        int r;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        r = sd_notify(false, text);
        if (r < 0 && !c->is_notify_failure_logged) {
                c->is_notify_failure_logged = true;
                log_errno(LOG_ERR, r, "systemd cannot be told of %s, by way of $NOTIFY_SOCKET%s",
                          c->settings->start.service,
                          r == -EAFNOSUPPORT ? " (RestrictAddressFamilies= without AF_UNIX?)" : "");
        }
}

static void feed(Companion *c) {
        if (c->settings->watchdog_usec > 0 && c->is_ready && c->verdict.standing != STANDING_DEAD)
                notify(c, "WATCHDOG=1");
}

static void status_format(const Companion *c, char buf[static STATUS_MAX]) {
        static const char *const starting[] = {
                [STANDING_SILENT] = "Starting",   [STANDING_MISTAKEN] = "Starting",
                [STANDING_STARTING] = "Starting", [STANDING_LATE] = "Not started in time",
                [STANDING_ALIVE] = "Alive",       [STANDING_DEAD] = "DEAD",
        };
        static const char *const running[] = {
                [STANDING_SILENT] = "No verdict",
                [STANDING_MISTAKEN] = "No verdict",
                [STANDING_STARTING] = "Starting again",
                [STANDING_LATE] = "Not started in time",
                [STANDING_ALIVE] = "Alive",
                [STANDING_DEAD] = "DEAD",
        };
        bool is_starved = c->verdict.standing == STANDING_DEAD && c->settings->watchdog_usec > 0;

        snprintf(buf, STATUS_MAX, "%s%s: %s",
                 (c->is_ready ? running : starting)[c->verdict.standing],
                 is_starved ? ", the watchdog is not fed" : "", c->verdict.text);
}

static void tell_status(Companion *c) {
        char status[STATUS_MAX];

        status_format(c, status);
        if (str_equal(status, c->status))
                return;
        memcpy(c->status, status, sizeof(status));
        notify(c, "STATUS=%s", status);
}

/* What nobody will mend by waiting is left to TimeoutStartSec=. */
static bool is_worth_waiting(Standing s) {
        return s == STANDING_SILENT || s == STANDING_STARTING;
}

static void extend(Companion *c) {
        usec_t now = now_monotonic();

        if (c->is_ready || !is_worth_waiting(c->verdict.standing) ||
            (c->extended > 0 && now < usec_add(c->extended, EXTEND_EVERY_USEC)))
                return;
        c->extended = now;
        notify(c, "EXTEND_TIMEOUT_USEC=%" PRIu64, EXTEND_BY_USEC);
}

static void become_ready(Companion *c) {
        const char *service = c->settings->start.service;
        char took[TIMESPAN_MAX];

        timespan_format(took, now_monotonic() - c->began);
        if (c->verdict.standing == STANDING_SILENT)
                log_warning(
                        "%s: after %s still no verdict (%s): the unit counts as started without "
                        "one, as --ready-without-vitald= says",
                        service, took, c->verdict.text);
        else
                log_info("%s is started, after %s", service, took);
        c->is_ready = true;
        notify(c, "READY=1");
        feed(c);
}

static bool may_be_ready(const Companion *c) {
        Standing s = c->verdict.standing;

        if (s == STANDING_SILENT && c->silent_since > 0)
                return now_monotonic() >=
                       usec_add(c->silent_since, c->settings->ready_without_usec);
        return s == STANDING_ALIVE || s == STANDING_DEAD;
}

static void act(Companion *c) {
        if (!c->is_ready && may_be_ready(c))
                become_ready(c);
        tell_status(c);
        extend(c);
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static void log_verdict(Companion *c, const Verdict *old) {
        const char *service = c->settings->start.service, *text = c->verdict.text;
        bool is_dead = c->verdict.standing == STANDING_DEAD;
        char period[TIMESPAN_MAX];

        if (c->verdict.standing == STANDING_MISTAKEN && !str_equal(text, old->text))
                log_error("No verdict for this unit: %s", text);
        if (c->verdict.standing == STANDING_LATE && old->standing != STANDING_LATE)
                log_error("%s has not started in time: %s", service, text);
        if (is_dead == (old->standing == STANDING_DEAD))
                return;
        if (!is_dead)
                log_notice("%s is no longer dead", service);
        else if (c->settings->watchdog_usec > 0)
                log_error("%s is dead: %s; the watchdog is no longer fed, and acts within %s",
                          service, text, timespan_format(period, c->settings->watchdog_usec));
        else
                log_error("%s is dead: %s; nothing follows, as the unit has no WatchdogSec=",
                          service, text);
}

static void log_silence(Companion *c) {
        bool is_silent = c->verdict.standing == STANDING_SILENT;

        if (is_silent && c->silent_since == 0)
                c->silent_since = now_monotonic();
        if (!is_silent)
                c->silent_since = 0;
        if (is_silent == c->is_silence_logged ||
            (is_silent && now_monotonic() < usec_add(c->silent_since, SILENCE_LOG_USEC)))
                return;
        c->is_silence_logged = is_silent;
        if (is_silent)
                log_warning("%s: no verdict (%s); %s", c->settings->start.service, c->verdict.text,
                            c->is_ready ? "the unit is left alone meanwhile"
                                        : "the start waits for one");
        else
                log_notice("%s: there are verdicts again", c->settings->start.service);
}

static void take(Companion *c, const Verdict *v) {
        Verdict old = c->verdict;

        c->verdict = *v;
        log_verdict(c, &old);
        log_silence(c);
        if (old.standing == STANDING_DEAD)
                feed(c);
        act(c);
}

static void take_silence(Companion *c, const char *why) {
        Verdict v;

        verdict_set(&v, STANDING_SILENT, "%s", why);
        take(c, &v);
}

/* -- towards vitald ---------------------------------------------------------------------------- */

static void plan(Companion *c, usec_t usec) {
        (void) sd_event_source_set_time_relative(c->timer, usec);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int on_answer(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Companion *c = userdata;
        Verdict v;

        c->question = sd_bus_slot_unref(c->question);
        verdict_read(m, &c->settings->start, &v);
        take(c, &v);
        if (c->is_to_ask_again)
                plan(c, 0);
        return 0;
}

static int send_question(Companion *c, sd_bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *to = sd_bus_is_bus_client(bus) ? VITALD_NAME : NULL;
        int r;

        if ((r = sd_bus_message_new_method_call(bus, &m, to, c->path,
                                                "org.freedesktop.DBus.Properties", "GetAll")) < 0 ||
            (r = sd_bus_message_append(m, "s", VITALD_SERVICE_INTERFACE)) < 0 ||
            (r = sd_bus_message_set_auto_start(m, false)) < 0)
                return r;
        return sd_bus_call_async(bus, &c->question, m, on_answer, c, ANSWER_MAX_USEC);
}

static void ask(Companion *c) {
        sd_bus *bus = bus_connection_get(c->bus);
        int r;

        c->is_to_ask_again = c->question;
        if (!bus || c->question)
                return;
        r = send_question(c, bus);
        if (r < 0)
                log_errno(LOG_DEBUG, r, "Cannot ask vitald");
}

static int on_changed(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        ask(userdata);
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        const char *name, *before, *now;

        if (sd_bus_message_read(m, "sss", &name, &before, &now) < 0)
                return 0;
        if (*now)
                ask(userdata);
        else
                take_silence(userdata, "vitald does not run");
        return 0;
}

static int on_setup(void *userdata, sd_bus *bus) {
        bool is_bus = sd_bus_is_bus_client(bus);
        Companion *c = userdata;
        int r;

        r = sd_bus_match_signal_async(bus, NULL, is_bus ? VITALD_NAME : NULL, c->path,
                                      "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                      on_changed, NULL, c);
        if (r < 0 || !is_bus)
                return r;
        return sd_bus_add_match_async(bus, NULL, BUS_MATCH_OWNER(VITALD_NAME), on_owner, NULL, c);
}

static void on_connected(void *userdata, _unused_ sd_bus *bus) {
        Companion *c = userdata;

        c->lost = 0;
        plan(c, 0);
}

static void on_lost(void *userdata, _unused_ sd_bus *bus) {
        Companion *c = userdata;

        c->question = sd_bus_slot_unref(c->question);
        if (c->lost > 0)
                return;
        c->lost = now_monotonic();
        take_silence(c, "vitald cannot be reached");
}

/* Not just a restart of vitald. */
static void look_at_connection(Companion *c) {
        Verdict v;

        if (c->lost == 0 || now_monotonic() < usec_add(c->lost, UNCONNECTED_USEC))
                return;
        verdict_set(&v, STANDING_SILENT, "neither the bus nor %s takes this user in",
                    c->settings->socket_path);
        take(c, &v);
}

/* -- life -------------------------------------------------------------------------------------- */

static usec_t tick_usec(const Companion *c) {
        usec_t watchdog = c->settings->watchdog_usec;

        if (!c->is_ready)
                return STARTING_EVERY_USEC;
        return watchdog > 0 ? MIN(watchdog / PINGS_PER_PERIOD, RUNNING_EVERY_USEC)
                            : RUNNING_EVERY_USEC;
}

/* A ping stands on the verdict of the tick before, or on what was signalled since. */
static int on_timer(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        Companion *c = userdata;

        feed(c);
        look_at_connection(c);
        log_silence(c);
        act(c);
        ask(c);
        plan(c, tick_usec(c));
        return 0;
}

static int on_end(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events,
                  void *userdata) {
        Companion *c = userdata;

        return sd_event_exit(c->event, 0);
}

static void companion_done(Companion *c) {
        sd_bus_slot_unref(c->question);
        bus_connection_free(c->bus);
        sd_event_source_disable_unref(c->timer);
        sd_event_source_disable_unref(c->end);
        sd_event_unref(c->event);
        free(c->path);
}

static int companion_loop(Companion *c, int pidfd) {
        static const BusHandlers handlers = {
                .setup = on_setup,
                .connected = on_connected,
                .lost = on_lost,
        };
        int r;

        if ((r = sd_bus_path_encode(VITALD_SERVICE_PATH, c->settings->start.service, &c->path)) <
                    0 ||
            (r = sd_event_new(&c->event)) < 0 ||
            (r = sd_event_add_io(c->event, &c->end, pidfd, EPOLLIN, on_end, c)) < 0 ||
            (r = sd_event_add_time(c->event, &c->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC,
                                   on_timer, c)) < 0 ||
            (r = bus_connection_new_client(c->event, c->settings->scope, c->settings->socket_path,
                                           &handlers, c, &c->bus)) < 0)
                return r;
        take_silence(c, "vitald is being asked");
        return sd_event_loop(c->event);
}

int companion_run(const CompanionSettings *settings, int pidfd) {
        _cleanup_(companion_done) Companion c = { .settings = settings, .began = now_monotonic() };
        int r;

        c.lost = c.began;
        r = companion_loop(&c, pidfd);
        if (r < 0)
                log_errno(LOG_ERR, r, "Cannot stay beside %s", settings->start.service);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
