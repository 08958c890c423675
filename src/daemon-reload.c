/* SPDX-License-Identifier: MIT */
/* Loading the configuration again: all of it is taken, or nothing. */

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "config/logind.h"
#include "daemon-shutdown.h"
#include "model/lint.h"

/* Reloads by signal are this far apart at least; signals that come meanwhile make one. */
#define RELOAD_EVERY_USEC (500 * USEC_PER_MSEC)

void daemon_configure_outputs(Daemon *d, const Config *c) {
        HttpServerLimits limits = HTTP_SERVER_LIMITS_DEFAULT;

        limits.connections = (unsigned) c->http.max_connections;
        limits.connections_per_address = (unsigned) c->http.max_connections_per_address;
        limits.header_usec = c->http.header_timeout_usec;
        limits.idle_usec = c->http.idle_timeout_usec;
        http_server_set_limits(d->http, &limits);
        if (version_files_configure(d->versions, c) < 0)
                log_warning("VersionFile=: out of memory");
        if (c->http.token_defect)
                log_warning("TokenCredential=: %s; no token is accepted", c->http.token_defect);
}

void daemon_log_diagnostics(const Config *c) {
        for (size_t i = 0; i < c->diagnostics.n; i++)
                log_error("%s:%u: %s", c->diagnostics.items[i].file, c->diagnostics.items[i].line,
                          c->diagnostics.items[i].text);
}

void daemon_log_findings(const Daemon *d, const Config *c) {
        _cleanup_(findings_done) Findings f = {};
        LintFacts facts = { .watchdog_usec = d->options->watchdog_usec };

        if (logind_delay_max(d->options->sources.root, &facts.shutdown_delay_usec) < 0 ||
            lint_config(c, &facts, &f) < 0 || f.n_warnings + f.n_hints == 0)
                return;
        log_notice("%zu warning%s and %zu hint%s on the configuration, see vitalctl verify",
                   f.n_warnings, f.n_warnings == 1 ? "" : "s", f.n_hints,
                   f.n_hints == 1 ? "" : "s");
}

/* Refuses a reload: the configuration in force stays, and the picture says why. */
static int daemon_refuse_reload(Daemon *d, int error, char *text, char **ret_error) {
        size_t n = strlen(text);

        if (n > 0 && text[n - 1] == '\n')
                text[n - 1] = 0;
        log_error("Reload refused, the configuration in force stays: %.*s",
                  (int) strcspn(text, "\n"), text);
        daemon_apply(d, &(Event){ .type = EVENT_CONFIG, .reload_error = text });
        daemon_publish(d);
        *ret_error = text;
        return error;
}

/* What is read once, at the start. */
static void log_what_needs_restart(const Daemon *d, const Config *old, const Config *new) {
        if ((!d->options->listen && !strv_equal(old->http.listen, new->http.listen)) ||
            !strv_equal(old->agent.listen, new->agent.listen))
                log_notice("Listen= has changed, which needs a restart of vitald");
}

/* What can fail for lack of memory comes first: then nothing has changed. */
static int daemon_take_config(Daemon *d, Config *c) {
        _cleanup_(config_unrefp) Config *old = config_ref(d->state->config);
        _cleanup_(lineup_freep) Lineup *lineup = NULL;
        int r;

        r = engine_prepare(d->engine, c, &lineup);
        if (r < 0)
                return r;
        r = state_apply(d->state, &(Event){ .type = EVENT_CONFIG, .config = c }, time_now());
        if (r < 0)
                return r;
        log_what_needs_restart(d, old, c);
        daemon_fail_waiters(d, -ECANCELED, "The configuration was reloaded before the run ended");
        engine_take(d->engine, c, TAKE(lineup));
        daemon_return_drains(d);
        (void) daemon_follow_units(d);
        if (shutdown_configure(d) < 0)
                log_warning("DrainOnShutdown=: out of memory");
        daemon_configure_outputs(d, c);
        daemon_publish(d);
        return 0;
}

static int daemon_load_and_take(Daemon *d, char **ret_error) {
        _cleanup_(last_good_done) LastGood loaded = {};
        _cleanup_(config_unrefp) Config *c = NULL;
        ConfigSources sources = d->options->sources;
        char *text = NULL;
        int r;

        sources.is_reload = true;
        sources.loaded = &loaded;
        r = config_load(&sources, &c);
        if (r >= 0 && diagnostics_is_empty(&c->diagnostics)) {
                r = daemon_take_config(d, c);
                if (r >= 0)
                        daemon_keep_last_good(d, &loaded, c);
        } else if (r >= 0) {
                daemon_log_diagnostics(c);
                r = diagnostics_format(&c->diagnostics, &text);
                if (r >= 0)
                        return daemon_refuse_reload(d, -EBADMSG, text, ret_error);
        }
        if (r >= 0)
                return 0;
        text = strdup(strerror(-r));
        return text ? daemon_refuse_reload(d, r, text, ret_error) : -ENOMEM;
}

int daemon_reload(Daemon *d, char **ret_error) {
        int r;

        notify_reloading(d->notify);
        r = daemon_load_and_take(d, ret_error);
        if (r >= 0) {
                log_info("Configuration reloaded: %zu services, %zu checks",
                         d->state->config->n_services, d->state->config->n_checks);
                daemon_log_findings(d, d->state->config);
        }
        notify_reloaded(d->notify);
        return r;
}

static void daemon_reload_by_signal(Daemon *d) {
        _cleanup_free_ char *error = NULL;

        if (d->is_stopping)
                return;
        /* Signal and timer may be due together. */
        sd_event_source_set_enabled(d->reload_timer, SD_EVENT_OFF);
        d->reload_monotonic = clock_usec(CLOCK_MONOTONIC);
        daemon_reload(d, &error);
}

int daemon_on_reload_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        daemon_reload_by_signal(userdata);
        return 0;
}

int daemon_on_sighup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_,
                     void *userdata) {
        Daemon *d = userdata;
        usec_t next = usec_add(d->reload_monotonic, RELOAD_EVERY_USEC);

        if (d->reload_monotonic == 0 || clock_usec(CLOCK_MONOTONIC) >= next) {
                daemon_reload_by_signal(d);
                return 0;
        }
        sd_event_source_set_time(d->reload_timer, next);
        sd_event_source_set_enabled(d->reload_timer, SD_EVENT_ONESHOT);
        return 0;
}
