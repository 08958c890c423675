/* SPDX-License-Identifier: MIT */
#include "output/watchdog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"

/* Pings in one watchdog period: one that is missed by chance costs nothing. */
#define PINGS_PER_PERIOD 4

#define EPISODE_PREFIX "starved-"

struct Watchdog {
        Publisher *publisher;           /* borrowed */
        Notify *notify;                 /* borrowed */
        const char *runtime_directory;  /* borrowed; NULL: episodes are not remembered */
        const WatchdogHandler *handler; /* borrowed */
        void *userdata;                 /* borrowed */
        usec_t period_usec;             /* 0: systemd does not watch us */
        sd_event_source *timer;         /* owned */
        bool is_stuck;
        char starving[NAME_LENGTH_MAX + 1]; /* the dead service for which pings stop; "" for none */
};

static bool episode_path(const Watchdog *w, const char *service, char *path, size_t size) {
        return w->runtime_directory && snprintf(path, size, "%s/" EPISODE_PREFIX "%s",
                                                w->runtime_directory, service) < (int) size;
}

static bool episode_is_remembered(const Watchdog *w, const char *service) {
        char path[4096];

        return episode_path(w, service, path, sizeof(path)) && access(path, F_OK) == 0;
}

static void episode_remember(const Watchdog *w, const char *service) {
        _cleanup_fd_ int fd = -1;
        char path[4096];

        if (!episode_path(w, service, path, sizeof(path)))
                return;
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                log_errno(LOG_WARNING, -errno,
                          "Cannot remember in %s that the watchdog was starved", path);
}

static void episode_forget(const Watchdog *w, const char *service) {
        char path[4096];

        if (episode_path(w, service, path, sizeof(path)))
                unlink(path);
}

/* Of services that are gone. Who could not be read may come back. */
static void episodes_forget_gone(const Watchdog *w, const Config *config) {
        DIR *directory;

        if (!w->runtime_directory || config->defect)
                return;
        directory = opendir(w->runtime_directory);
        if (!directory)
                return;
        for (struct dirent *e = readdir(directory); e; e = readdir(directory)) {
                const char *service = e->d_name + strlen(EPISODE_PREFIX);

                if (str_starts_with(e->d_name, EPISODE_PREFIX) &&
                    config_find_service(config, service) == INDEX_NONE)
                        episode_forget(w, service);
        }
        closedir(directory);
}

static bool wants_watchdog(const ServiceConfig *service) {
        return service->on_liveness_failure == ON_LIVENESS_FAILURE_WATCHDOG && !service->is_shadow;
}

/* Evidence that the episode is over: every liveness check was run and found good. */
static bool liveness_is_proven(const Snapshot *s, size_t service) {
        CheckState *const *checks = snapshot_checks_of(s, service);

        for (size_t i = 0; i < s->config->services[service].n_checks; i++)
                if (check_config_counts(checks[i]->config, PROBE_LIVENESS) &&
                    !health_is_good(checks[i]->measured))
                        return false;
        return true;
}

/* A service has died, in an episode that starved nothing yet. */
static void watchdog_starve(Watchdog *w, const char *service) {
        episode_remember(w, service);
        snprintf(w->starving, sizeof(w->starving), "%s", service);
        if (w->period_usec > 0)
                log_error(
                        "%s: liveness failed; as OnLivenessFailure=watchdog says, the watchdog is "
                        "no longer fed and systemd restarts vitald",
                        service);
        else
                log_error("%s: liveness failed, but OnLivenessFailure=watchdog has no effect: "
                          "systemd "
                          "watches vitald only with WatchdogSec= in its unit",
                          service);
}

static void watchdog_look(Watchdog *w, const Snapshot *s, size_t service) {
        const char *name = s->config->services[service].name;

        if (s->services[service].verdict.is_measured_dead) {
                if (!*w->starving && !episode_is_remembered(w, name))
                        watchdog_starve(w, name);
                return;
        }
        if (str_equal(w->starving, name))
                w->starving[0] = 0;
        if (liveness_is_proven(s, service))
                episode_forget(w, name);
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        Watchdog *w = userdata;

        if (!old || old->sequence == 0 || old->config != new->config)
                episodes_forget_gone(w, new->config);
        if (*w->starving && config_find_service(new->config, w->starving) == INDEX_NONE)
                w->starving[0] = 0;
        for (size_t i = 0; i < new->config->n_services; i++)
                if (wants_watchdog(&new->config->services[i]))
                        watchdog_look(w, new, i);
}

/* What is stuck. Who was asked can have answered only while the loop turned: behind a time without
 * processor, such as a stall of the host, whatever is due may come after this timer. So nobody is
 * blamed who had less than his time; that the loop turns is shown by being here. */
static const char *watchdog_ask(const Watchdog *w, usec_t due_usec) {
        const char *stuck = w->handler->stuck(w->userdata);
        usec_t late = usec_sub(clock_usec(CLOCK_MONOTONIC), due_usec);

        return late < w->period_usec / PINGS_PER_PERIOD / 2 ? stuck : NULL;
}

static int on_timer(sd_event_source *s, usec_t usec, void *userdata) {
        Watchdog *w = userdata;
        const char *stuck = watchdog_ask(w, usec);

        if (stuck && !w->is_stuck)
                log_error("vitald is stuck: %s made no progress since the last watchdog ping; if "
                          "that "
                          "stays so, systemd kills and restarts vitald",
                          stuck);
        else if (!stuck && w->is_stuck)
                log_notice("vitald is no longer stuck");
        w->is_stuck = stuck;
        if (!stuck && !*w->starving)
                notify_watchdog(w->notify);
        w->handler->kick(w->userdata);
        sd_event_source_set_time_relative(s, w->period_usec / PINGS_PER_PERIOD);
        sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

/* The first ping asks nothing: no sign was asked for yet. */
static int watchdog_start(Watchdog *w, sd_event *event) {
        usec_t every = w->period_usec / PINGS_PER_PERIOD;

        notify_watchdog(w->notify);
        w->handler->kick(w->userdata);
        return sd_event_add_time_relative(event, &w->timer, CLOCK_MONOTONIC, every, every / 8,
                                          on_timer, w);
}

Watchdog *watchdog_free(Watchdog *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->timer);
        free(w);
        return NULL;
}

int watchdog_new(sd_event *event, Publisher *publisher, Notify *notify,
                 const char *runtime_directory, const WatchdogHandler *handler, void *userdata,
                 Watchdog **ret) {
        _cleanup_(watchdog_freep) Watchdog *w = NULL;
        uint64_t period = 0;
        int r;

        w = calloc(1, sizeof(Watchdog));
        if (!w)
                return -ENOMEM;
        w->publisher = publisher;
        w->notify = notify;
        w->runtime_directory = runtime_directory;
        w->handler = handler;
        w->userdata = userdata;
        r = sd_watchdog_enabled(1, &period);
        if (r > 0) {
                w->period_usec = period;
                r = watchdog_start(w, event);
                if (r < 0)
                        return r;
        }
        r = publisher_subscribe(publisher, on_snapshot, w);
        if (r < 0)
                return r;
        *ret = TAKE(w);
        return 0;
}
