/* SPDX-License-Identifier: MIT */
#include "output/unit-actions.h"

#include <errno.h>
#include <systemd/sd-id128.h>

#include "base/kept-file.h"
#include "base/log.h"
#include "base/text.h"
#include "io/kept-writer.h"
#include "output/journal-restarts.h"
#include "output/restart-kept.h"

#define KIND           "vitald-restarts"
#define FORMAT_VERSION 1
#define FILE_MAX_BYTES ((size_t) 1 << 20)

/* polkit may ask somebody; systemd's own limit is 25 s as well. */
#define CALL_TIMEOUT_USEC (25 * USEC_PER_SEC)

/* A unit that takes longer to stop and start is not waited for. */
#define JOB_TIMEOUT_USEC (5 * USEC_PER_MINUTE)

#define TIMER_ACCURACY_USEC (50 * USEC_PER_MSEC)

/* A restart under way. */
typedef struct Errand {
        ListLink link;
        UnitActions *actions; /* borrowed */
        char *service, *unit; /* owned: its name, which stays the same over a reload */
        sd_bus_slot *call;    /* owned */
        char *job;            /* owned: its path, once systemd has made it */
        usec_t until_boottime;
        bool is_done; /* the unit has been started; how the job ends is still to be told */
} Errand;

struct UnitActions {
        SystemdFollower follower;
        UnitActionsContext context;
        Actions *model;     /* owned */
        KeptWriter *writer; /* owned; or NULL */
        char boot[SD_ID128_STRING_MAX];
        char *path;             /* owned: of the file; NULL once it has been read */
        List errands;           /* of Errand, owned */
        sd_event_source *timer; /* owned: when to look again */
        sd_bus *bus;            /* borrowed until lost() */
        sd_bus_slot *match;     /* owned: the ends of jobs */
        bool is_following;
};

/* -- errands ----------------------------------------------------------------------------------- */

static Errand *errand_free(Errand *e) {
        if (!e)
                return NULL;
        list_unlink(&e->link);
        sd_bus_slot_unref(e->call);
        free(e->service);
        free(e->unit);
        free(e->job);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Errand *, errand_free);

static size_t errand_service(const Errand *e) {
        const Actions *a = e->actions->model;

        return a->config ? config_find_service(a->config, e->service) : INDEX_NONE;
}

/* Done, or nobody knows. */
static void errand_done(Errand *e) {
        size_t service = errand_service(e);

        if (service != INDEX_NONE && !e->is_done)
                actions_ended(e->actions->model, service, time_now());
        e->is_done = true;
}

static void errand_end(Errand *e) {
        errand_done(e);
        errand_free(e);
}

/* After a reload some are about what nobody stands for any more, or by another service. */
static void forget_errands(UnitActions *u) {
        LIST_FOREACH_SAFE(i, &u->errands) {
                Errand *e = list_item(i, Errand, link);
                size_t service = errand_service(e);
                const char *unit =
                        service == INDEX_NONE ? NULL : u->model->config->services[service].unit;

                if (!unit || !str_equal(unit, e->unit))
                        errand_free(e);
        }
}

static void look_soon(UnitActions *u) {
        (void) sd_event_source_set_time(u->timer, 0);
        (void) sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

static bool error_is_any(const sd_bus_error *e, const char *const names[]) {
        for (size_t i = 0; names[i]; i++)
                if (sd_bus_error_has_name(e, names[i]))
                        return true;
        return false;
}

static const char *const right_errors[] = { SD_BUS_ERROR_ACCESS_DENIED,
                                            SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, NULL };

/* Nobody knows what became of the call. */
static const char *const lost_errors[] = { SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT,
                                           SD_BUS_ERROR_DISCONNECTED, NULL };

/* A job of somebody else stands in the way. */
static const char *const passing_errors[] = {
        "org.freedesktop.systemd1.TransactionIsDestructive",
        "org.freedesktop.systemd1.TransactionJobsConflicting",
        NULL,
};

static void errand_refused(Errand *e, const sd_bus_error *error) {
        Actions *a = e->actions->model;
        size_t service = errand_service(e);
        bool is_right = error_is_any(error, right_errors);

        if (service != INDEX_NONE) {
                if (!a->restarts[service].is_refused)
                        journal_restart_refused(
                                a, service, publisher_current(e->actions->context.publisher),
                                is_right, error->message ? error->message : error->name);
                actions_refused(a, service, error_is_any(error, passing_errors), time_now());
        }
        errand_free(e);
}

/* Told when systemd has taken it, as what is refused is tried again and again. */
static void errand_tell(const Errand *e) {
        const UnitActions *u = e->actions;
        const Snapshot *s = publisher_current(u->context.publisher);
        size_t service = errand_service(e);

        if (service != INDEX_NONE && s->config == u->model->config)
                journal_restart_tell(u->model,
                                     &(Action){ .type = ACTION_RESTART, .service = service }, s,
                                     time_now());
}

static int on_answered(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Errand *e = userdata;
        UnitActions *u = e->actions;
        const char *job;

        e->call = sd_bus_slot_unref(e->call);
        if (error && !error_is_any(error, lost_errors)) {
                errand_refused(e, error);
                look_soon(u);
                return 0;
        }
        errand_tell(e);
        if (error || sd_bus_message_read(m, "o", &job) < 0 || !(e->job = strdup(job)))
                errand_end(e);
        look_soon(u);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const char *job, *unit, *result;
        UnitActions *u = userdata;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;
        LIST_FOREACH_SAFE(i, &u->errands) {
                Errand *e = list_item(i, Errand, link);
                size_t service = errand_service(e);

                if (!e->job || !str_equal(e->job, job))
                        continue;
                if (service != INDEX_NONE && !str_equal(result, "done"))
                        journal_restart_failed(u->model, service, result);
                errand_end(e);
        }
        look_soon(u);
        return 0;
}

static int errand_call(Errand *e, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = e->actions->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                           "TryRestartUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        return r < 0 ? r : sd_bus_call_async(bus, &e->call, m, on_answered, e, CALL_TIMEOUT_USEC);
}

static int errand_begin(UnitActions *u, size_t service, Time now) {
        const ServiceConfig *config = &u->model->config->services[service];
        _cleanup_(errand_freep) Errand *e = calloc(1, sizeof(Errand));
        int r;

        if (!e)
                return -ENOMEM;
        list_append(&u->errands, &e->link);
        e->actions = u;
        e->until_boottime = usec_add(now.boottime, JOB_TIMEOUT_USEC);
        e->service = strdup(config->name);
        e->unit = strdup(config->unit);
        if (!e->service || !e->unit)
                return -ENOMEM;
        r = errand_call(e, config->unit);
        if (r < 0)
                return r;
        TAKE(e);
        return 0;
}

/* -- looking ----------------------------------------------------------------------------------- */

/* The job lasts for as long as the start does, which may be one that never ends. */
static bool is_started_anew(const Errand *e, const Snapshot *s) {
        size_t service = errand_service(e);
        const char *id = service == INDEX_NONE ? "" : s->services[service].state->invocation_id;

        return *id && e->job && !str_equal(id, e->actions->model->restarts[service].invocation_id);
}

/* Returns when to look again because of them. */
static usec_t end_late_errands(UnitActions *u, const Snapshot *s, Time now) {
        usec_t at = USEC_INFINITY;

        LIST_FOREACH_SAFE(i, &u->errands) {
                Errand *e = list_item(i, Errand, link);

                if (!e->is_done && is_started_anew(e, s))
                        errand_done(e);
                if (now.boottime >= e->until_boottime)
                        errand_end(e);
                else
                        at = MIN(at, e->until_boottime);
        }
        return at;
}

static bool act(UnitActions *u, const Action *action, const Snapshot *s, Time now) {
        int r;

        if (action->type != ACTION_RESTART) {
                journal_restart_tell(u->model, action, s, now);
                return true;
        }
        r = errand_begin(u, action->service, now);
        if (r >= 0)
                return true;
        journal_restart_refused(u->model, action->service, s, false, strerror(-r));
        actions_refused(u->model, action->service, true, now);
        return false;
}

static void announce(UnitActions *u) {
        for (size_t i = 0; i < u->model->n; i++) {
                Restart *r = &u->model->restarts[i];

                if (r->state == r->announced)
                        continue;
                r->announced = r->state;
                u->context.changed(u->context.userdata, i);
        }
}

static void keep(UnitActions *u) {
        if (u->model->is_dirty && u->writer)
                kept_writer_touch(u->writer, 0);
        u->model->is_dirty = false;
}

static void look(UnitActions *u) {
        const Snapshot *s = publisher_current(u->context.publisher);
        Time now = time_now();
        usec_t at;

        if (!s || s->config != u->model->config)
                return;
        u->context.notice_stall(u->context.userdata);
        at = end_late_errands(u, s, now);
        at = MIN(at, actions_decide(u->model, s, u->bus != NULL, now));
        for (size_t i = 0; i < u->model->n_out; i++)
                if (!act(u, &u->model->out[i], s, now))
                        at = MIN(at, usec_add(now.boottime, USEC_PER_SEC));
        keep(u);
        announce(u);
        (void) sd_event_source_set_time(u->timer, at);
        (void) sd_event_source_set_enabled(u->timer,
                                           at == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, usec_t usec _unused_, void *userdata) {
        look(userdata);
        return 0;
}

/* -- systemd ----------------------------------------------------------------------------------- */

static int actions_ask(SystemdFollower *f, sd_bus *bus) {
        UnitActions *u = container_of(f, UnitActions, follower);
        int r = 0;

        if (!u->match)
                r = sd_bus_match_signal_async(bus, &u->match, SYSTEMD_NAME, SYSTEMD_PATH,
                                              SYSTEMD_MANAGER, "JobRemoved", on_job_removed, NULL,
                                              u);
        if (r < 0)
                return r;
        if (!u->bus)
                actions_connected(u->model, time_now());
        u->bus = bus;
        systemd_follower_asked(f, 0);
        look(u);
        return 0;
}

static void actions_signalled(SystemdFollower *f _unused_, sd_bus_message *m _unused_) {}

static void actions_lost(SystemdFollower *f) {
        UnitActions *u = container_of(f, UnitActions, follower);

        u->bus = NULL;
        u->match = sd_bus_slot_unref(u->match);
        LIST_FOREACH_SAFE(i, &u->errands)
                errand_end(list_item(i, Errand, link));
        look(u);
}

/* The link is there only while it is needed. */
static void follow(UnitActions *u) {
        static const SystemdFollowerHandlers handlers = {
                .ask = actions_ask,
                .signalled = actions_signalled,
                .lost = actions_lost,
        };
        bool is_wanted = false;
        int r;

        for (size_t i = 0; i < u->model->n; i++)
                is_wanted |= service_config_restarts(&u->model->config->services[i]);
        if (is_wanted && !u->context.systemd)
                log_warning("Without a bus no unit is ever restarted (OnLivenessFailure=restart)");
        is_wanted &= u->context.systemd != NULL;
        if (is_wanted == u->is_following)
                return;
        u->is_following = is_wanted;
        if (!is_wanted) {
                actions_lost(&u->follower);
                systemd_follower_end(&u->follower);
                return;
        }
        r = systemd_follower_begin(&u->follower, u->context.systemd, &handlers);
        if (r < 0) {
                u->is_following = false;
                log_errno(LOG_ERR, r, "No unit is restarted");
        }
}

/* -- what is kept ------------------------------------------------------------------------------ */

static void format_kept(void *userdata, StrBuf *out) {
        const UnitActions *u = userdata;

        restart_kept_format(u->model, u->boot, out);
}

/* Whoever cannot tell what he has done had better do less. */
static void read_kept(UnitActions *u) {
        _cleanup_free_ char *path = TAKE(u->path), *text = NULL;
        Time now = time_now();
        size_t n;
        int r;

        if (!path)
                return;
        r = kept_file_read(path, KIND, FORMAT_VERSION, FILE_MAX_BYTES, &text, &n);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = restart_kept_take(u->model, u->boot, text, n, now);
        if (r >= 0)
                return;
        restart_budget_drain(&u->model->budget, now.boottime);
        log_errno(LOG_WARNING, r,
                  "%s is no use, so it is left aside, and the restart budget begins empty", path);
}

static int prepare_kept(UnitActions *u) {
        _cleanup_strbuf_ StrBuf path = {};
        sd_id128_t boot;
        int r;

        if (!u->context.runtime_directory)
                return 0;
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        sd_id128_to_string(boot, u->boot);
        strbuf_printf(&path, "%s/" RESTARTS_FILE, u->context.runtime_directory);
        r = strbuf_finish(&path, &u->path);
        if (r < 0)
                return r;
        return kept_writer_new(u->context.event, u->context.workers,
                               &(KeptFile){ .path = u->path,
                                            .kind = KIND,
                                            .version = FORMAT_VERSION,
                                            .what = "Restarts of units" },
                               format_kept, u, &u->writer);
}

/* -- life -------------------------------------------------------------------------------------- */

static void on_snapshot(void *userdata, const Snapshot *old _unused_, const Snapshot *new) {
        UnitActions *u = userdata;
        int r;

        if (u->model->config != new->config) {
                r = actions_configure(u->model, new->config);
                if (r < 0) {
                        log_errno(LOG_ERR, r, "No unit is restarted");
                        return;
                }
                forget_errands(u);
                read_kept(u);
                follow(u);
        }
        look(u);
}

void unit_actions_stalled(UnitActions *u) {
        actions_stalled(u->model, time_now());
}

int unit_actions_reset(UnitActions *u, size_t service, const char *who) {
        if (publisher_current(u->context.publisher)->config != u->model->config)
                return -EAGAIN;
        journal_restart_reset(u->model, service, who);
        actions_reset(u->model, service);
        look_soon(u);
        return 0;
}

const Actions *unit_actions_get(const UnitActions *u) {
        return u->model;
}

UnitActions *unit_actions_free(UnitActions *u) {
        if (!u)
                return NULL;
        if (u->is_following)
                systemd_follower_end(&u->follower);
        sd_bus_slot_unref(u->match);
        LIST_FOREACH_SAFE(i, &u->errands)
                errand_free(list_item(i, Errand, link));
        kept_writer_free(u->writer);
        sd_event_source_disable_unref(u->timer);
        actions_free(u->model);
        free(u->path);
        free(u);
        return NULL;
}

int unit_actions_new(const UnitActionsContext *context, UnitActions **ret) {
        _cleanup_(unit_actions_freep) UnitActions *u = calloc(1, sizeof(UnitActions));
        int r;

        if (!u)
                return -ENOMEM;
        u->context = *context;
        list_init(&u->errands);
        u->model = actions_new(time_now());
        if (!u->model)
                return -ENOMEM;
        r = sd_event_add_time(context->event, &u->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_USEC,
                              on_timer, u);
        if (r >= 0)
                r = sd_event_source_set_enabled(u->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = prepare_kept(u);
        if (r >= 0)
                r = publisher_subscribe(context->publisher, on_snapshot, u);
        if (r < 0)
                return r;
        *ret = TAKE(u);
        return 0;
}
