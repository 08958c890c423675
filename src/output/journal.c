/* SPDX-License-Identifier: MIT */
#include "output/journal.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "output/summary.h"

/* What can be said of a service or the host. */
typedef enum Kind {
        KIND_READY,
        KIND_NOT_READY,
        KIND_ALIVE,
        KIND_DEAD,
        KIND_STARTING,
        KIND_STARTED,
        KIND_START_FAILED,
        KIND_COUNT_,
} Kind;

/* How a message of some kind looks. The MESSAGE_IDs never change: others filter by them. */
typedef struct Style {
        const char *message_id;
        int level;
        const char *text; /* behind the name */
} Style;

static const Style check_styles[] = {
        [HEALTH_PENDING] = { "4ba89c9eeb454dd089b86e43d62a8af1", LOG_INFO, "is pending" },
        [HEALTH_HEALTHY] = { "95825f584b044d90b2cbb3d124dd8ca9", LOG_INFO, "is healthy" },
        [HEALTH_DEGRADED] = { "8d0e16f4d9fa4deaae6192ed633282d5", LOG_NOTICE, "is degraded" },
        [HEALTH_UNHEALTHY] = { "ea6ef0a68cb7449b9fb98b076f0daeaa", LOG_WARNING, "is unhealthy" },
        [HEALTH_UNKNOWN] = { "beb563be6b35483f9d02051aa6d2faa9", LOG_WARNING, "is unknown" },
        [HEALTH_SKIPPED] = { "4ba89c9eeb454dd089b86e43d62a8af1", LOG_INFO, "is skipped" },
};

static const Style service_styles[] = {
        [KIND_READY] = { "3df911a5738b4f90b1266367da0a8b67", LOG_NOTICE, "is ready" },
        [KIND_NOT_READY] = { "2e2a9dba964d462ebdfc8de4c054e1a0", LOG_WARNING, "is not ready" },
        [KIND_ALIVE] = { "527f2d2bb5af43988c804b9ecd00cdff", LOG_NOTICE, "is alive again" },
        [KIND_DEAD] = { "33a8731264d240e2a4ebb653c7788596", LOG_ERR, "is dead" },
        [KIND_STARTING] = { "82515d24839543eeb288ed2f25491214", LOG_INFO, "is starting" },
        [KIND_STARTED] = { "954142ea4d2e4e49a942a055cb5ca351", LOG_INFO, "has started" },
        [KIND_START_FAILED] = { "7b31304f81c143d298ae1fa5926da2af", LOG_ERR,
                                "has not started in time" },
};

static const Style host_styles[] = {
        [KIND_READY] = { "24a38ed1a636461b9db2eb5e851b3463", LOG_NOTICE, "is ready" },
        [KIND_NOT_READY] = { "a6988beb67b348ac9004c56356788f7d", LOG_WARNING, "is not ready" },
        [KIND_ALIVE] = { "3485203ce4c74d38bc9e04875b325bf3", LOG_NOTICE, "is alive again" },
        [KIND_DEAD] = { "e3ef0affdbb74b9baae03eff9193d595", LOG_ERR, "is dead" },
        [KIND_STARTING] = { "c99bb10ee1984302929422e78ac58e8a", LOG_INFO, "is starting" },
        [KIND_STARTED] = { "500767098a2d4e349741cd0039c466da", LOG_INFO, "has started" },
        [KIND_START_FAILED] = { "def11ed35b364b749bd85b33772c697e", LOG_ERR,
                                "has not started in time" },
};

/* -- checks ------------------------------------------------------------------------------------ */

/* ": Connection refused", " after 2min 14s", " (overridden by root: maintenance)" */
static void append_check_detail(StrBuf *b, const CheckState *c, const CheckState *before) {
        char age[TIMESPAN_MAX], reason[REASON_WORD_MAX];
        const Override *o = check_state_override(c);
        const char *why = c->message;

        if (!*why)
                why = reason_format(reason, c->reason, c->detail);
        if (c->state != HEALTH_HEALTHY && *why)
                strbuf_printf(b, ": %s", why);
        if (c->state == HEALTH_HEALTHY && before && before->state != HEALTH_PENDING)
                strbuf_printf(
                        b, " again, was %s for %s", health_to_string(before->state),
                        timespan_format(age, usec_sub(c->since_boottime, before->since_boottime)));
        if (o->is_active)
                strbuf_printf(b, " (overridden by %s%s%s)", o->who, *o->note ? ": " : "", o->note);
}

static void log_check(const Flip *flip, const Snapshot *old, const Snapshot *new) {
        const CheckState *c = new->checks[flip->index];
        const CheckState *before =
                flip->old_index == INDEX_NONE ? NULL : old->checks[flip->old_index];
        const Style *style = &check_styles[c->state];
        _cleanup_strbuf_ StrBuf detail = {};
        char reason[REASON_WORD_MAX];
        bool is_shadow = config_check_is_shadow(new->config, flip->index);
        int level = style->level;

        if (!before && c->state == HEALTH_PENDING)
                return;
        append_check_detail(&detail, c, before);
        if (is_shadow)
                strbuf_append(&detail, " (shadow)");

        const LogField fields[] = {
                { "MESSAGE_ID", style->message_id },
                { "VITALD_SERVICE", c->config->service },
                { "VITALD_CHECK", c->config->name },
                { "VITALD_STATE", health_to_string(c->state) },
                { "VITALD_PREVIOUS_STATE", before ? health_to_string(before->state) : NULL },
                { "VITALD_REASON", reason_format(reason, c->reason, c->detail)[0] ? reason : NULL },
                { "VITALD_TARGET", *c->config->target.text ? c->config->target.text : NULL },
                { "DOCUMENTATION", health_is_good(c->state)
                                           ? NULL
                                           : config_documentation(new->config, flip->index) },
        };
        if (before && c->state == HEALTH_HEALTHY && before->state != HEALTH_PENDING)
                level = LOG_NOTICE;
        log_fields(is_shadow ? LOG_INFO : level, fields, ELEMENTSOF(fields), "%s %s%s",
                   c->config->id, style->text, detail.text ? detail.text : "");
}

/* -- overrides --------------------------------------------------------------------------------- */

static bool override_is_same(const Override *a, const Override *b) {
        return a->is_active == b->is_active &&
               (!a->is_active ||
                (a->since_realtime == b->since_realtime && a->until_boottime == b->until_boottime &&
                 a->state == b->state && str_equal(a->note, b->note)));
}

/* "orders/db is shown as healthy by decision of root, for 10min: ticket 7; measured unhealthy" */
static void append_override(StrBuf *b, const CheckState *c, Time now) {
        const Override *o = check_state_override(c);
        char span[TIMESPAN_MAX];

        strbuf_printf(b, "shown as %s by decision of %s, ", health_to_string(o->state), o->who);
        if (o->until_boottime == USEC_INFINITY)
                strbuf_append(b, "until that is cleared");
        else
                strbuf_printf(b, "for %s",
                              timespan_format(span, usec_sub(o->until_boottime, now.boottime)));
        if (*o->note)
                strbuf_printf(b, ": %s", o->note);
        strbuf_printf(b, "; measured %s", health_to_string(c->measured));
}

static void append_override_end(StrBuf *b, const CheckState *c) {
        const char *who = check_state_override(c)->who;

        if (*who)
                strbuf_printf(b, "no longer overridden, cleared by %s: ", who);
        else
                strbuf_append(b, "no longer overridden, as its time is over: ");
        strbuf_append(b, health_to_string(c->state));
}

/* What people decide is told also where it changes nothing yet. */
static void log_override(const CheckState *c, const CheckState *before, Time now) {
        const Override *o = check_state_override(c);
        _cleanup_strbuf_ StrBuf text = {};

        if (c == before || override_is_same(o, check_state_override(before)))
                return;
        if (o->is_active)
                append_override(&text, c, now);
        else
                append_override_end(&text, c);

        const LogField fields[] = {
                { "MESSAGE_ID", o->is_active ? "f48c440365ad45f4be63440975ea9d3a"
                                             : "88a6ceb3079a4c3e83230c2d8d3cc02c" },
                { "VITALD_SERVICE", c->config->service },
                { "VITALD_CHECK", c->config->name },
                { "VITALD_STATE", health_to_string(c->state) },
        };
        log_fields(LOG_NOTICE, fields, ELEMENTSOF(fields), "%s is %s", c->config->id,
                   text.text ? text.text : "");
}

static void log_overrides(const Snapshot *old, const Snapshot *new) {
        for (size_t i = 0; old && i < new->config->n_checks; i++) {
                const CheckState *c = new->checks[i];
                size_t k = old->config == new->config
                                   ? i
                                   : config_find_check(old->config, c->config->service,
                                                       c->config->name);

                if (k != INDEX_NONE)
                        log_override(c, old->checks[k], new->time);
        }
}

/* -- services and the host --------------------------------------------------------------------- */

typedef struct Subject {
        const char *name;                /* "orders", "Host" */
        const char *service;             /* NULL for the host */
        const Verdict *verdict, *before; /* before: NULL if it is new */
        const Drain *drain;              /* the one in force, or NULL */
        const char *defect;              /* or NULL */
        bool is_shadow;
        const char *cause; /* the name of what is worst, or NULL */
        const Style *styles;
} Subject;

static const Drain *drain_in_force(const Drain *own, const Drain *host) {
        if (own->is_active)
                return own;
        return host->is_active ? host : NULL;
}

static Subject subject_of_service(const Flip *flip, const Snapshot *old, const Snapshot *new) {
        const ServiceConfig *config = &new->config->services[flip->index];
        const ServiceView *view = &new->services[flip->index];
        size_t worst = summary_worst_check(new, flip->index);

        return (Subject){
                .name = config->name,
                .service = config->name,
                .verdict = &view->verdict,
                .before = flip->old_index == INDEX_NONE ? NULL
                                                        : &old->services[flip->old_index].verdict,
                .drain = drain_in_force(&view->state->drain, &new->drain),
                .defect = config->defect,
                .is_shadow = config->is_shadow,
                .cause = worst == INDEX_NONE ? NULL : new->config->checks[worst]->name,
                .styles = service_styles,
        };
}

static Subject subject_of_host(const Snapshot *old, const Snapshot *new) {
        size_t worst = summary_worst_service(new);

        return (Subject){
                .name = "Host",
                .verdict = &new->host,
                .before = old ? &old->host : NULL,
                .drain = new->drain.is_active ? &new->drain : NULL,
                .defect = new->config->defect,
                .cause = worst == INDEX_NONE ? NULL : new->config->services[worst].name,
                .styles = host_styles,
        };
}

static Kind subject_kind(const Subject *s, Probe p) {
        switch (p) {
        case PROBE_READINESS:
                return s->verdict->ready == READINESS_READY ? KIND_READY : KIND_NOT_READY;
        case PROBE_LIVENESS:
                return s->verdict->live == LIVENESS_ALIVE ? KIND_ALIVE : KIND_DEAD;
        case PROBE_STARTUP:
                if (s->verdict->started == STARTUP_STARTED)
                        return KIND_STARTED;
                return s->verdict->started == STARTUP_FAILED ? KIND_START_FAILED : KIND_STARTING;
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return KIND_COUNT_;
}

/* Whether this is how everything begins. */
static bool subject_just_begins(const Subject *s, Kind kind) {
        if (s->before)
                return false;
        return kind == KIND_ALIVE || kind == KIND_STARTING ||
               (kind == KIND_NOT_READY && s->verdict->reason == REASON_NONE);
}

/* " because of redis", ", but degraded", ": drained by root: kernel update". What the host has from
 * a service is explained where that service is. */
static void append_subject_detail(StrBuf *b, const Subject *s, Kind kind) {
        if (kind == KIND_READY && s->verdict->is_degraded)
                strbuf_append(b, ", but degraded");
        if (kind == KIND_DEAD && s->cause)
                strbuf_printf(b, " because of %s", s->cause);
        if (kind != KIND_NOT_READY)
                return;
        if (s->defect)
                strbuf_printf(b, ": %s", s->defect);
        else if (s->verdict->reason == REASON_DRAINED && s->drain)
                strbuf_printf(b, ": drained by %s%s%s", s->drain->who, *s->drain->note ? ": " : "",
                              s->drain->note);
        else if (s->verdict->reason != REASON_NONE && !(s->cause && !s->service))
                strbuf_printf(b, ": %s", reason_to_string(s->verdict->reason));
        else if (s->cause)
                strbuf_printf(b, " because of %s", s->cause);
        else if (s->verdict->started != STARTUP_STARTED)
                strbuf_printf(b, ": %s", startup_to_string(s->verdict->started));
}

static const char *subject_state(const Subject *s, Probe p) {
        if (p == PROBE_LIVENESS)
                return liveness_to_string(s->verdict->live);
        if (p == PROBE_STARTUP)
                return startup_to_string(s->verdict->started);
        return readiness_to_string(s->verdict->ready);
}

/* What people did on purpose is no warning. */
static int subject_level(const Subject *s, const Style *style) {
        bool is_meant =
                s->verdict->reason == REASON_DRAINED || s->verdict->reason == REASON_INACTIVE;

        if (s->is_shadow)
                return LOG_INFO;
        return is_meant ? MAX(style->level, LOG_NOTICE) : style->level;
}

static void log_subject(const Subject *s, Probe p) {
        Kind kind = subject_kind(s, p);
        const Style *style = &s->styles[kind];
        _cleanup_strbuf_ StrBuf detail = {};

        if (subject_just_begins(s, kind))
                return;
        append_subject_detail(&detail, s, kind);
        if (s->is_shadow)
                strbuf_append(&detail, " (shadow)");

        const LogField fields[] = {
                { "MESSAGE_ID", style->message_id },
                { "VITALD_SERVICE", s->service },
                { "VITALD_PROBE", probe_to_string(p) },
                { "VITALD_STATE", subject_state(s, p) },
                { "VITALD_REASON",
                  s->verdict->reason == REASON_NONE ? NULL : reason_to_string(s->verdict->reason) },
                { "VITALD_CAUSE", s->cause },
        };
        log_fields(subject_level(s, style), fields, ELEMENTSOF(fields), "%s %s%s", s->name,
                   style->text, detail.text ? detail.text : "");
}

/* -- both -------------------------------------------------------------------------------------- */

void journal_log_flip(_unused_ void *userdata, const Flip *flip, const Snapshot *old,
                      const Snapshot *new) {
        Subject subject;

        switch (flip->type) {
        case FLIP_CHECK:
                log_check(flip, old, new);
                return;
        case FLIP_SERVICE:
                /* The built-in service has checks to look at, but nobody acts on its verdict. */
                if (new->config->services[flip->index].is_builtin)
                        return;
                subject = subject_of_service(flip, old, new);
                log_subject(&subject, flip->probe);
                return;
        case FLIP_HOST:
                subject = subject_of_host(old, new);
                log_subject(&subject, flip->probe);
                return;
        }
        assert(false);
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        journal_log_copies(old, new);
        log_overrides(old, new);
        snapshot_diff(old, new, journal_log_flip, userdata);
}

int journal_subscribe(Publisher *p) {
        return publisher_subscribe(p, on_snapshot, NULL);
}
