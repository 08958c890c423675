/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "check/driver.h"
#include "daemon-shutdown.h"

/* How long connections may take to end after SIGTERM. */
#define STOP_MAX_USEC USEC_PER_SEC

#define TIMER_ACCURACY_USEC (5 * USEC_PER_MSEC)

/* -- signals ----------------------------------------------------------------------------------- */

static int on_stop_timer(sd_event_source *s, usec_t usec _unused_, void *userdata _unused_) {
        sd_event_exit(sd_event_source_get_event(s), 0);
        return 0;
}

static void on_http_stopped(void *userdata) {
        Daemon *d = userdata;

        sd_event_exit(d->event, 0);
}

/* Answers in flight are finished; the listeners stay with systemd. */
static int on_sigterm(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_,
                      void *userdata) {
        Daemon *d = userdata;

        if (d->is_stopping)
                return 0;
        d->is_stopping = true;
        log_info("Stopping");
        notify_stopping(d->notify);
        sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, STOP_MAX_USEC,
                                   TIMER_ACCURACY_USEC, on_stop_timer, NULL);
        http_server_stop(d->http, on_http_stopped, d);
        return 0;
}

static int daemon_watch_signals(Daemon *d) {
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = {
                { SIGTERM, on_sigterm },
                { SIGINT, on_sigterm },
                { SIGHUP, daemon_on_sighup },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(d->event, &d->signals[i], signals[i].signal,
                                        signals[i].handler, d);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* -- the watchdog's question ------------------------------------------------------------------- */

static void on_kick(void *userdata) {
        Daemon *d = userdata;

        engine_kick(d->engine);
        http_server_kick(d->http);
}

static const char *on_stuck(void *userdata) {
        Daemon *d = userdata;
        const char *overdue;

        if (!engine_has_progressed(d->engine))
                return "the check engine";
        if (!http_server_has_progressed(d->http))
                return "the HTTP server";
        overdue = engine_overdue(d->engine);
        return overdue;
}

static const WatchdogHandler watchdog_handler = {
        .kick = on_kick,
        .stuck = on_stuck,
};

/* -- parts ------------------------------------------------------------------------------------- */

static usec_t on_next_run(void *userdata, size_t check) {
        Daemon *d = userdata;

        return engine_next_run_usec(d->engine, check);
}

static char *const *on_listening(void *userdata) {
        Daemon *d = userdata;

        return d->listening;
}

static void on_stats(void *userdata, MetricsStats *ret) {
        Daemon *d = userdata;

        *ret = (MetricsStats){
                .http = http_server_counters(d->http),
                .n_connections = http_server_n_connections(d->http),
                .loop_lag_usec = loop_lag_recent_usec(&d->lag),
                .lateness_usec = loop_lag_recent_usec(&d->lateness),
                .actions = unit_actions_get(d->actions),
                .log_dropped = log_dropped(),
                .n_stalls = d->n_stalls,
                .restored_realtime = keeper_restoration(d->keeper)->restored_realtime,
                .state_write_failures = keeper_n_failures(d->keeper),
        };
}

static int daemon_add_timers(Daemon *d) {
        const struct {
                sd_event_source **source;
                clockid_t clock;
                sd_event_time_handler_t handler;
        } timers[] = {
                { &d->expiry, CLOCK_BOOTTIME, daemon_on_expiry },
                { &d->quiet, CLOCK_MONOTONIC, daemon_on_quiet },
                { &d->reload_timer, CLOCK_MONOTONIC, daemon_on_reload_timer },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(timers); i++) {
                r = sd_event_add_time(d->event, timers[i].source, timers[i].clock, 0,
                                      TIMER_ACCURACY_USEC, timers[i].handler, d);
                if (r < 0)
                        return r;
                sd_event_source_set_enabled(*timers[i].source, SD_EVENT_OFF);
        }
        /* After a stall nobody may be answered from what has expired meanwhile. It runs dry at
         * once: the next expiry lies ahead. */
        return sd_event_source_set_priority(d->expiry, SD_EVENT_PRIORITY_IMPORTANT);
}

/* Loads what is there; in place of a bad file its last good copy runs, and without one it makes its
 * service not ready and nothing else. */
static int daemon_load_first(Daemon *d) {
        _cleanup_(last_good_done) LastGood loaded = {};
        _cleanup_(config_unrefp) Config *c = NULL;
        ConfigSources sources = d->options->sources;
        int r;

        sources.last_good = &d->last_good;
        sources.loaded = &loaded;
        r = config_load(&sources, &c);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot load the configuration");
        daemon_log_diagnostics(c);
        daemon_log_findings(d, c);
        daemon_keep_last_good(d, &loaded, c);
        d->state = state_new(c, time_now());
        return d->state ? daemon_restore(d) : -ENOMEM;
}

static int daemon_listen(Daemon *d, ListenSocket *s) {
        int r;

        if (s->is_agent)
                r = agent_listen(d->agent, s->fd, s->service);
        else {
                r = strv_append(&d->listening, s->text);
                if (r >= 0)
                        r = http_server_listen(d->http, s->fd, s->is_trusted);
        }
        if (r >= 0)
                s->fd = -1;
        return r;
}

static int daemon_start_listening(Daemon *d) {
        _cleanup_(listen_sockets_done) ListenSockets l = {};
        char *const *addresses =
                d->options->listen ? d->options->listen : d->state->config->http.listen;
        int r;

        r = listen_sockets_open(addresses, d->state->config->agent.listen, &l);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                r = daemon_listen(d, &l.items[i]);
                if (r < 0)
                        return log_errno(LOG_ERR, r, "Cannot listen on %s", l.items[i].text);
                log_info("Listening on %s%s%s", l.items[i].text,
                         l.items[i].is_agent ? " for agent checks" : "",
                         l.are_passed ? " (passed by systemd)" : "");
        }
        return 0;
}

static void on_version(void *userdata, size_t service, const char *version) {
        Daemon *d = userdata;

        if (str_equal(d->state->services[service]->version, version))
                return;
        daemon_apply(d, &(Event){ .type = EVENT_VERSION, .service = service, .version = version });
        daemon_publish(d);
}

static void on_restarts_changed(void *userdata, size_t service) {
        Daemon *d = userdata;

        if (d->bus)
                bus_service_changed(d->bus, service);
}

static void on_notice_stall(void *userdata) {
        Daemon *d = userdata;

        engine_notice_stall(d->engine);
}

static int daemon_make_actions(Daemon *d) {
        const UnitActionsContext context = {
                .event = d->event,
                .publisher = d->publisher,
                .systemd = d->systemd,
                .workers = engine_workers(d->engine),
                .runtime_directory = d->options->runtime_directory,
                .notice_stall = on_notice_stall,
                .changed = on_restarts_changed,
                .userdata = d,
        };

        return unit_actions_new(&context, &d->actions);
}

/* In the order in which a snapshot goes through them: those that push to the service manager first.
 */
static int daemon_make_outputs(Daemon *d) {
        int r;

        r = notify_new(d->event, d->publisher, &d->notify);
        if (r < 0)
                return r;
        r = journal_subscribe(d->publisher);
        if (r < 0)
                return r;
        r = history_new(d->publisher, &d->history);
        if (r < 0)
                return r;
        d->probers = http_probers_new();
        if (!d->probers)
                return -ENOMEM;
        r = keeper_follow(d->keeper, d->state->config, d->history, d->probers);
        if (r < 0)
                return r;
        r = http_routes_new(d->publisher, d->history, d->probers, on_stats, d, &d->routes);
        if (r < 0)
                return r;
        r = http_server_new(d->event, &HTTP_SERVER_LIMITS_DEFAULT, http_routes_handle, d->routes,
                            &d->http);
        if (r < 0)
                return r;
        r = http_events_new(d->event, d->publisher, d->http, &d->events);
        if (r < 0)
                return r;
        r = agent_new(d->event, d->publisher, d->probers, &d->agent);
        if (r < 0)
                return r;
        r = version_files_new(d->event, engine_workers(d->engine), on_version, d, &d->versions);
        if (r < 0)
                return r;
        r = hooks_new(d->event, d->publisher, d->systemd, d->options->runtime_directory, &d->hooks);
        if (r < 0)
                return r;
        r = daemon_make_actions(d);
        if (r < 0)
                return r;
        return watchdog_new(d->event, d->publisher, d->notify, d->options->runtime_directory,
                            &watchdog_handler, d, &d->watchdog);
}

static int daemon_start(Daemon *d) {
        int r;

        r = daemon_make_outputs(d);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up the outputs");
        daemon_configure_outputs(d, d->state->config);
        daemon_publish(d);
        r = daemon_start_listening(d);
        if (r < 0)
                return r;
        d->bus_context = (BusContext){
                .publisher = d->publisher,
                .control = &d->control,
                .history = d->history,
                .probers = d->probers,
                .actions = unit_actions_get(d->actions),
                .restoration = keeper_restoration(d->keeper),
                .next_run = on_next_run,
                .listening = on_listening,
                .userdata = d,
        };
        r = bus_new(d->event, &d->bus_context, d->options->bus, d->options->runtime_directory,
                    &d->bus);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up D-Bus");
        r = engine_configure(d->engine, d->state->config);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up the checks");
        r = daemon_follow_units(d);
        if (r < 0)
                return r;
        r = shutdown_configure(d);
        if (r < 0)
                return r;
        notify_listening(d->notify, d->state->config->daemon.notify_ready);
        return 0;
}

static void daemon_done(Daemon *d) {
        /* The bus and the routes read the snapshot, the engine's checks hold the configuration. */
        daemon_fail_waiters(d, -ESHUTDOWN, "vitald is stopping");
        shutdown_free(d->shutdown);
        bus_free(d->bus);
        version_files_free(d->versions);
        watchdog_free(d->watchdog);
        hooks_free(d->hooks);
        unit_actions_free(d->actions);
        http_events_free(d->events);
        http_server_free(d->http);
        agent_free(d->agent);
        http_routes_free(d->routes);
        keeper_free(d->keeper);
        http_probers_free(d->probers);
        history_free(d->history);
        units_free(d->units);
        daemon_close_last_good(d);
        engine_free(d->engine);
        systemd_link_free(d->systemd);
        notify_free(d->notify);
        publisher_free(d->publisher);
        state_free(d->state);
        strv_free(d->listening);
        sd_event_source_disable_unref(d->expiry);
        sd_event_source_disable_unref(d->quiet);
        sd_event_source_disable_unref(d->reload_timer);
        for (size_t i = 0; i < ELEMENTSOF(d->signals); i++)
                sd_event_source_disable_unref(d->signals[i]);
        sd_event_unref(d->event);
}

static int daemon_make_engine(Daemon *d) {
        int r = 0;

        if (d->options->bus != BUS_MODE_NONE)
                r = systemd_link_new(d->event,
                                     d->options->bus == BUS_MODE_USER ? BUS_USER : BUS_SYSTEM,
                                     &d->systemd);
        if (r >= 0)
                r = engine_new(d->event, &daemon_engine_handler, d, &d->engine);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up the check engine");
        engine_set_systemd(d->engine, d->systemd);
        engine_set_directories(d->engine, d->options->runtime_directory,
                               d->options->state_directory);
        return daemon_make_units(d);
}

static int daemon_init(Daemon *d, const DaemonOptions *options) {
        int r;

        d->options = options;
        daemon_control_init(d);
        r = sd_event_new(&d->event);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot make an event loop");
        d->publisher = publisher_new();
        if (!d->publisher)
                return -ENOMEM;
        r = daemon_watch_signals(d);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot watch signals");
        r = daemon_add_timers(d);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up timers");
        r = daemon_make_engine(d);
        if (r < 0)
                return r;
        r = daemon_open_last_good(d);
        return r < 0 ? r : daemon_load_first(d);
}

int daemon_run(const DaemonOptions *options) {
        _cleanup_(daemon_done) Daemon d = {};
        int r;

        r = daemon_init(&d, options);
        if (r < 0)
                return r;
        r = daemon_start(&d);
        if (r < 0)
                return r;
        return loop_run(d.event, &d.lag);
}
