/* SPDX-License-Identifier: MIT */
#include "output/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "output/summary.h"

/* READY=1 waits for every check's first result, but no longer than this. */
#define CHECKED_MAX_USEC    (10 * USEC_PER_SEC)
#define EXTEND_EVERY_USEC   (5 * USEC_PER_SEC)
#define EXTEND_BY_USEC      (20 * USEC_PER_SEC)
#define STATUS_EVERY_USEC   USEC_PER_SEC
#define AGAIN_USEC          (100 * USEC_PER_MSEC)
#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)

struct Notify {
        Publisher *publisher; /* borrowed */
        int fd;               /* -1: nobody to tell */
        struct sockaddr_un address;
        socklen_t address_length;

        bool is_listening, is_ready, is_stopping;
        bool owes_ready; /* READY=1 has not been taken yet */
        NotifyReady mode;
        usec_t began_monotonic;
        sd_event_source *timer; /* owned: extends the start, or sends a status held back */
        usec_t status_monotonic;
        char status[SUMMARY_MAX]; /* as last sent */
};

static usec_t now_monotonic(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

static bool notify_send(Notify *n, const char *format, ...) _printf_(2, 3);

/* False when it has not been taken: a manager that is behind has a full queue. */
static bool notify_send(Notify *n, const char *format, ...) {
        char message[SUMMARY_MAX + 128];
        va_list ap;
        int length;
        ssize_t r;

        if (n->fd < 0)
                return true;
        va_start(ap, format);
        length = vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (length < 0 || (size_t) length >= sizeof(message))
                return true;
        r = sendto(n->fd, message, (size_t) length, MSG_DONTWAIT | MSG_NOSIGNAL,
                   (const struct sockaddr *) &n->address, n->address_length);
        if (r >= 0)
                return true;
        r = -errno;
        log_errno(LOG_DEBUG, (int) r, "Cannot tell the service manager");
        return r != -EAGAIN;
}

/* Fills in the address of $NOTIFY_SOCKET: a path, or @ for an abstract name. */
static bool notify_address(Notify *n, const char *e) {
        size_t length = strlen(e);

        if ((e[0] != '/' && e[0] != '@') || length < 2 || length >= sizeof(n->address.sun_path))
                return false;
        n->address.sun_family = AF_UNIX;
        memcpy(n->address.sun_path, e, length);
        if (e[0] == '@')
                n->address.sun_path[0] = 0;
        n->address_length =
                (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length + (e[0] == '/'));
        return true;
}

/* Whether every service without a unit has ended its start; one with a unit may wait for us. */
static bool services_have_started(const Snapshot *s) {
        for (size_t i = 0; i < s->config->n_services; i++)
                if (!s->config->services[i].unit && !s->config->services[i].defect &&
                    !s->config->services[i].is_shadow &&
                    s->services[i].verdict.started == STARTUP_STARTING)
                        return false;
        return true;
}

static bool notify_may_be_ready(const Notify *n, const Snapshot *s) {
        if (!n->is_listening || !s)
                return false;
        switch (n->mode) {
        case NOTIFY_READY_CHECKED:
                return s->n_never_run == 0 ||
                       now_monotonic() >= usec_add(n->began_monotonic, CHECKED_MAX_USEC);
        case NOTIFY_READY_LISTENING:
                return true;
        case NOTIFY_READY_STARTED:
                return services_have_started(s);
        }
        assert(false);
        return false;
}

/* What the start waits for. */
static void starting_format(char buf[static SUMMARY_MAX], const Snapshot *s) {
        const char *first = NULL;

        for (size_t i = 0; i < s->config->n_checks && !first; i++)
                if ((!s->checks[i]->has_result || s->checks[i]->is_restored) &&
                    check_type_has_runs(s->config->checks[i]->type))
                        first = s->config->checks[i]->id;
        if (first)
                snprintf(buf, SUMMARY_MAX,
                         "STARTING: waits for the first result of %s (%zu of %zu checks)", first,
                         s->n_never_run, s->config->n_checks);
        else
                snprintf(buf, SUMMARY_MAX, "STARTING: waits for services to start");
}

static void notify_arm(Notify *n, usec_t usec) {
        sd_event_source_set_time(n->timer, usec);
        sd_event_source_set_enabled(n->timer, SD_EVENT_ONESHOT);
}

/* Whether nothing is owed any more. */
static bool notify_send_ready(Notify *n) {
        if (n->owes_ready)
                n->owes_ready = !notify_send(n, "READY=1");
        if (n->owes_ready)
                notify_arm(n, usec_add(now_monotonic(), AGAIN_USEC));
        return !n->owes_ready;
}

/* Sends the status if it has changed, and what systemd waits for. */
static void notify_update(Notify *n) {
        const Snapshot *s = publisher_current(n->publisher);
        usec_t now = now_monotonic();
        char status[SUMMARY_MAX];

        if (!s || n->fd < 0 || n->is_stopping)
                return;
        if (!n->is_ready && notify_may_be_ready(n, s)) {
                n->is_ready = n->owes_ready = true;
                n->status_monotonic = 0;
        }
        if (!notify_send_ready(n))
                return;
        if (n->is_ready)
                summary_format(status, s, clock_usec(CLOCK_BOOTTIME));
        else
                starting_format(status, s);
        if (str_equal(status, n->status))
                return;
        if (n->status_monotonic > 0 && now < usec_add(n->status_monotonic, STATUS_EVERY_USEC)) {
                notify_arm(n, usec_add(n->status_monotonic, STATUS_EVERY_USEC));
                return;
        }
        n->status_monotonic = now;
        if (notify_send(n, "STATUS=%s", status))
                memcpy(n->status, status, sizeof(status));
        else
                notify_arm(n, usec_add(now, STATUS_EVERY_USEC));
}

static void notify_extend(Notify *n) {
        if (n->is_ready || n->is_stopping || n->fd < 0)
                return;
        notify_send(n, "EXTEND_TIMEOUT_USEC=%" PRIu64, EXTEND_BY_USEC);
        notify_arm(n, usec_add(now_monotonic(), EXTEND_EVERY_USEC));
}

static int on_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        Notify *n = userdata;

        notify_update(n);
        notify_extend(n);
        return 0;
}

static void on_snapshot(void *userdata, const Snapshot *old _unused_,
                        const Snapshot *new _unused_) {
        notify_update(userdata);
}

void notify_listening(Notify *n, NotifyReady mode) {
        n->is_listening = true;
        n->mode = mode;
        notify_update(n);
        notify_extend(n);
}

void notify_reloading(Notify *n) {
        notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_monotonic());
}

void notify_reloaded(Notify *n) {
        if (!n->is_ready)
                return;
        n->owes_ready = true;
        n->status_monotonic = 0;
        notify_update(n);
}

void notify_stopping(Notify *n) {
        n->is_stopping = true;
        notify_send(n, "STOPPING=1\nSTATUS=Stopping");
}

void notify_watchdog(Notify *n) {
        notify_send(n, "WATCHDOG=1");
}

Notify *notify_free(Notify *n) {
        if (!n)
                return NULL;
        sd_event_source_disable_unref(n->timer);
        fd_close(n->fd);
        free(n);
        return NULL;
}

int notify_new(sd_event *event, Publisher *publisher, Notify **ret) {
        _cleanup_(notify_freep) Notify *n = NULL;
        const char *e = getenv("NOTIFY_SOCKET");
        int r;

        n = calloc(1, sizeof(Notify));
        if (!n)
                return -ENOMEM;
        n->fd = -1;
        n->publisher = publisher;
        n->began_monotonic = now_monotonic();
        if (!str_is_empty(e) && notify_address(n, e)) {
                n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                if (n->fd < 0)
                        return -errno;
        }
        unsetenv("NOTIFY_SOCKET");
        r = sd_event_add_time(event, &n->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC, on_timer,
                              n);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(n->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = publisher_subscribe(publisher, on_snapshot, n);
        if (r < 0)
                return r;
        *ret = TAKE(n);
        return 0;
}
