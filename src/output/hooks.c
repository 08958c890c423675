/* SPDX-License-Identifier: MIT */
#include "output/hooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "output/allowance.h"
#include "output/hook-file.h"

/* polkit may ask somebody; systemd's own limit is 25 s as well. */
#define START_TIMEOUT_USEC (25 * USEC_PER_SEC)

/* A unit that takes longer is not waited for. */
#define JOB_TIMEOUT_USEC (5 * USEC_PER_MINUTE)

#define TIMER_ACCURACY_USEC (50 * USEC_PER_MSEC)
#define UNIT_MAX            256

/* What stands for the host where a service's name would stand. */
#define HOST_NAME "host"

/* A service, or the host. */
typedef struct Hook {
        Hooks *hooks; /* borrowed */
        bool is_host;
        char *name;        /* owned */
        const char *told;  /* the word that was last told or begun with; constant */
        const char *word;  /* the present one; constant */
        const char *asked; /* that of the start that is under way or has had no answer, so that
                            * nobody knows whether it was told; constant; or NULL */
        uint64_t n_flips;  /* since it was told the last time */
        uint64_t n_asked;  /* of these, as many as the start that is under way tells of */
        usec_t not_before; /* CLOCK_MONOTONIC: another attempt after one without an answer */
        sd_bus_slot *call; /* owned: StartUnit() under way */
        char *job;         /* owned: its path; NULL: none is waited for */
        usec_t job_until;  /* CLOCK_MONOTONIC */
        bool is_refused;   /* has been logged */
        Allowance allowance;
} Hook;

struct Hooks {
        SystemdFollower follower;
        sd_event *event;       /* owned reference */
        Publisher *publisher;  /* borrowed */
        SystemdLink *systemd;  /* borrowed; or NULL */
        const char *directory; /* borrowed; or NULL */
        Config *config;        /* owned reference: that which hooks are for */
        Hook **items;          /* owned: by service, the host last */
        size_t n;
        Allowance allowance;    /* for all together */
        sd_event_source *timer; /* owned: when something more is allowed */
        sd_bus *bus;            /* borrowed until lost() */
        sd_bus_slot *match;     /* owned: the ends of jobs */
        bool is_following, is_right_missing;
};

static Hook *hook_free(Hook *k) {
        if (!k)
                return NULL;
        sd_bus_slot_unref(k->call);
        free(k->job);
        free(k->name);
        free(k);
        return NULL;
}

/* -- rates ------------------------------------------------------------------------------------- */

/* Takes one of each, or tells when there will be one. */
static bool hook_is_allowed(Hook *k, usec_t now, usec_t *ret_wait_usec) {
        Allowance *own = &k->allowance, *all = &k->hooks->allowance;
        double wait = 0;

        allowance_refill(own, HOOK_BURST, HOOK_PERIOD_USEC, now);
        allowance_refill(all, HOOKS_TOTAL_BURST, HOOKS_TOTAL_PERIOD_USEC, now);
        if (own->left < 1)
                wait = (1 - own->left) * (double) HOOK_PERIOD_USEC;
        if (all->left < 1)
                wait = MAX(wait, (1 - all->left) * (double) HOOKS_TOTAL_PERIOD_USEC);
        *ret_wait_usec = (usec_t) wait + USEC_PER_MSEC;
        if (wait > 0)
                return false;
        own->left--;
        all->left--;
        return true;
}

static void hook_return_allowance(Hook *k) {
        k->allowance.left++;
        k->hooks->allowance.left++;
}

/* -- starting ---------------------------------------------------------------------------------- */

static void hook_unit_name(const Hook *k, const char *pattern, char unit[static UNIT_MAX]) {
        const char *at = strstr(pattern, "%s");

        snprintf(unit, UNIT_MAX, "%.*s%s%s", (int) (at - pattern), pattern, k->name, at + 2);
}

static void hook_log_refusal(Hook *k, const sd_bus_error *e) {
        Hooks *h = k->hooks;
        bool is_right = sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
                        sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);

        if (is_right ? h->is_right_missing : k->is_refused)
                return;
        if (is_right) {
                h->is_right_missing = true;
                log_error(
                        "OnFlip= has no effect: vitald may not start units (%s). A rule of polkit "
                        "must allow it: 60-vitald.rules does so for vitald-alert@ and "
                        "vitald-mail@, another unit needs one in /etc/polkit-1/rules.d",
                        e->message);
        } else {
                k->is_refused = true;
                log_error("%s: the unit of OnFlip= was not started: %s", k->name, e->message);
        }
}

/* Whoever was to answer has gone: the start stays due. */
static bool is_no_answer(const sd_bus_error *e) {
        static const char *const names[] = {
                SD_BUS_ERROR_NO_REPLY,          SD_BUS_ERROR_TIMEOUT,
                SD_BUS_ERROR_DISCONNECTED,      SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(e, names[i]))
                        return true;
        return false;
}

static void hook_note_no_answer(Hook *k) {
        log_debug("%s: no answer about the unit of OnFlip=, it is started again", k->name);
        k->not_before = usec_add(clock_usec(CLOCK_MONOTONIC), HOOK_PERIOD_USEC);
        hook_return_allowance(k);
}

/* The unit was told, or never will be. */
static void hook_note_answer(Hook *k) {
        k->told = k->asked;
        k->word = str_equal(k->word, k->told) ? k->told : k->word;
        k->asked = NULL;
        k->n_flips -= k->n_asked;
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Hook *k = userdata;
        const char *job;

        k->call = sd_bus_slot_unref(k->call);
        if (e && is_no_answer(e))
                hook_note_no_answer(k);
        else
                hook_note_answer(k);
        if (e && k->asked == NULL)
                hook_log_refusal(k, e);
        else if (!e && sd_bus_message_read(m, "o", &job) >= 0) {
                k->is_refused = k->hooks->is_right_missing = false;
                free(k->job);
                k->job = strdup(job);
                k->job_until = usec_add(clock_usec(CLOCK_MONOTONIC), JOB_TIMEOUT_USEC);
        }
        (void) sd_event_source_set_time(k->hooks->timer, 0);
        (void) sd_event_source_set_enabled(k->hooks->timer, SD_EVENT_ONESHOT);
        return 0;
}

static int hook_ask(Hook *k, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Hooks *h = k->hooks;
        int r;

        r = sd_bus_message_new_method_call(h->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                           "StartUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "replace");
        if (r >= 0)
                r = sd_bus_call_async(h->bus, &k->call, m, on_started, k, START_TIMEOUT_USEC);
        return r;
}

/* What was told last, as far as anybody knows. */
static const char *hook_previous(const Hook *k) {
        return k->asked && k->word == k->told ? k->asked : k->told;
}

static void hook_start(Hook *k, const char *pattern, size_t service, const Snapshot *s) {
        const HookFile file = { service, k->name, k->word, hook_previous(k), k->n_flips };
        char unit[UNIT_MAX];
        int r;

        hook_unit_name(k, pattern, unit);
        log_debug("%s: %s after %s, starting %s", k->name, k->word, file.previous, unit);
        r = hook_file_write(k->hooks->directory, &file, s);
        if (r >= 0)
                r = hook_ask(k, unit);
        k->asked = k->word;
        k->n_asked = k->n_flips;
        if (r >= 0)
                return;
        hook_note_no_answer(k);
        if (!k->is_refused)
                log_errno(LOG_ERR, r, "%s: cannot start %s", k->name, unit);
        k->is_refused = true;
}

static const char *hooks_pattern(const Hooks *h, size_t i) {
        return i < h->config->n_services ? h->config->services[i].on_flip
                                         : h->config->daemon.on_flip;
}

/* When to look again, if nothing else happens: 0 for now done, or the time to wait. */
static usec_t hook_act(Hook *k, size_t service, const Snapshot *s) {
        usec_t now = clock_usec(CLOCK_MONOTONIC), wait;

        if (k->job && now >= k->job_until) {
                free(k->job);
                k->job = NULL;
        }
        if (!hooks_pattern(k->hooks, service) || (k->told == k->word && !k->asked) || k->call)
                return USEC_INFINITY;
        if (k->job || now < k->not_before)
                return usec_sub(k->job ? k->job_until : k->not_before, now);
        if (!hook_is_allowed(k, now, &wait))
                return wait;
        hook_start(k, hooks_pattern(k->hooks, service), service, s);
        return k->call ? USEC_INFINITY : HOOK_PERIOD_USEC;
}

static void hooks_act(Hooks *h) {
        const Snapshot *s = publisher_current(h->publisher);
        usec_t wait = USEC_INFINITY;

        if (!h->bus || !s || s->config != h->config)
                return;
        for (size_t i = 0; i < h->n; i++)
                wait = MIN(wait, hook_act(h->items[i], i, s));
        if (wait == USEC_INFINITY)
                return;
        (void) sd_event_source_set_time_relative(h->timer, wait);
        (void) sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, usec_t usec _unused_, void *userdata) {
        hooks_act(userdata);
        return 0;
}

/* -- the manager ------------------------------------------------------------------------------- */

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        const char *job, *unit, *result;
        Hooks *h = userdata;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;
        for (size_t i = 0; i < h->n; i++) {
                Hook *k = h->items[i];

                if (!k->job || !str_equal(k->job, job))
                        continue;
                free(k->job);
                k->job = NULL;
                if (!str_equal(result, "done"))
                        log_warning("%s: %s of OnFlip= has failed: %s", k->name, unit, result);
                hooks_act(h);
                return 0;
        }
        return 0;
}

static int hooks_ask(SystemdFollower *f, sd_bus *bus) {
        Hooks *h = container_of(f, Hooks, follower);
        int r = 0;

        h->bus = bus;
        if (!h->match)
                r = sd_bus_match_signal_async(bus, &h->match, SYSTEMD_NAME, SYSTEMD_PATH,
                                              SYSTEMD_MANAGER, "JobRemoved", on_job_removed, NULL,
                                              h);
        if (r < 0)
                return r;
        systemd_follower_asked(f, 0);
        for (size_t i = 0; i < h->n; i++)
                h->items[i]->not_before = 0;
        hooks_act(h);
        return 0;
}

static void hooks_signalled(SystemdFollower *f _unused_, sd_bus_message *m _unused_) {}

static void hooks_lost(SystemdFollower *f) {
        Hooks *h = container_of(f, Hooks, follower);

        h->bus = NULL;
        h->match = sd_bus_slot_unref(h->match);
        for (size_t i = 0; i < h->n; i++) {
                Hook *k = h->items[i];

                if (k->call)
                        hook_note_no_answer(k);
                k->call = sd_bus_slot_unref(k->call);
                free(k->job);
                k->job = NULL;
        }
}

/* The link is there only while it is needed. */
static void hooks_follow(Hooks *h) {
        static const SystemdFollowerHandlers handlers = {
                .ask = hooks_ask,
                .signalled = hooks_signalled,
                .lost = hooks_lost,
        };
        bool is_wanted = false;
        int r;

        for (size_t i = 0; i < h->n; i++)
                is_wanted |= hooks_pattern(h, i) != NULL;
        if (is_wanted && (!h->systemd || !h->directory))
                log_warning("OnFlip= has no effect without %s",
                            h->systemd ? "a runtime directory" : "a bus");
        is_wanted &= h->systemd && h->directory;
        if (is_wanted == h->is_following)
                return;
        h->is_following = is_wanted;
        if (!is_wanted) {
                hooks_lost(&h->follower);
                systemd_follower_end(&h->follower);
                return;
        }
        r = systemd_follower_begin(&h->follower, h->systemd, &handlers);
        if (r < 0) {
                h->is_following = false;
                log_errno(LOG_ERR, r, "OnFlip= has no effect");
        }
}

/* -- flips ------------------------------------------------------------------------------------- */

static const char *subject_word(const Snapshot *s, size_t i) {
        return verdict_summary(i < s->config->n_services ? &s->services[i].verdict : &s->host);
}

static bool word_is_good(const char *word) {
        return str_equal(word, "ready") || str_equal(word, "degraded");
}

/* How things are when they are first seen is no flip, nor is a start that ends well. */
static void hook_see(Hook *k, const char *word) {
        if (!k->told || (str_equal(k->told, "starting") && word_is_good(word)))
                k->told = k->word = word;
        if (str_equal(word, "starting") || str_equal(k->word, word))
                return;
        k->n_flips++;
        k->word = str_equal(k->told, word) ? k->told : word;
}

static Hook *hooks_take(Hooks *h, const char *name, bool is_host) {
        for (size_t i = 0; i < h->n; i++)
                if (h->items[i] && h->items[i]->is_host == is_host &&
                    str_equal(h->items[i]->name, name))
                        return TAKE(h->items[i]);
        return NULL;
}

static Hook *hook_new(Hooks *h, const char *name, bool is_host) {
        Hook *k = calloc(1, sizeof(Hook));

        if (!k)
                return NULL;
        k->hooks = h;
        k->is_host = is_host;
        k->allowance = (Allowance){ HOOK_BURST, clock_usec(CLOCK_MONOTONIC) };
        k->name = strdup(name);
        return k->name ? k : hook_free(k);
}

static void items_free(Hook **items, size_t n) {
        for (size_t i = 0; items && i < n; i++)
                hook_free(items[i]);
        free(items);
}

/* Another configuration: who is still there keeps what is known. */
static int hooks_configure(Hooks *h, Config *config) {
        size_t n = config->n_services + 1;
        Hook **items = calloc(n, sizeof(Hook *));
        bool is_complete = true;

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; is_complete && i < n; i++) {
                bool is_host = i == config->n_services;
                const char *name = is_host ? HOST_NAME : config->services[i].name;

                items[i] = hooks_take(h, name, is_host);
                if (!items[i])
                        items[i] = hook_new(h, name, is_host);
                is_complete = items[i] != NULL;
        }
        if (!is_complete) {
                items_free(items, n);
                items = NULL;
                n = 0;
        }
        items_free(h->items, h->n);
        config_unref(h->config);
        h->items = items;
        h->n = n;
        h->config = config_ref(config);
        hooks_follow(h);
        return is_complete ? 0 : -ENOMEM;
}

/* What was told before a restart, and how things were then: what was held back by the rates, or by
 * a start, is due still. */
static void hooks_recall(Hooks *h, const Snapshot *old) {
        for (size_t i = 0; i < h->n; i++) {
                const char *told = NULL;

                if (i < old->config->n_services && old->services[i].is_blank)
                        continue;
                if (h->directory && hooks_pattern(h, i))
                        told = hook_file_word(h->directory, h->items[i]->name);
                if (told)
                        hook_see(h->items[i], told);
                hook_see(h->items[i], subject_word(old, i));
        }
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        Hooks *h = userdata;
        bool is_first = h->n == 0;
        int r;

        if (h->config != new->config) {
                r = hooks_configure(h, new->config);
                if (r < 0) {
                        log_errno(LOG_ERR, r, "OnFlip= has no effect");
                        return;
                }
        }
        if (is_first && old && old->config == new->config)
                hooks_recall(h, old);
        for (size_t i = 0; i < h->n; i++)
                hook_see(h->items[i], subject_word(new, i));
        hooks_act(h);
}

/* -- life -------------------------------------------------------------------------------------- */

Hooks *hooks_free(Hooks *h) {
        if (!h)
                return NULL;
        if (h->is_following)
                systemd_follower_end(&h->follower);
        sd_bus_slot_unref(h->match);
        items_free(h->items, h->n);
        config_unref(h->config);
        sd_event_source_disable_unref(h->timer);
        sd_event_unref(h->event);
        free(h);
        return NULL;
}

int hooks_new(sd_event *event, Publisher *publisher, SystemdLink *systemd,
              const char *runtime_directory, Hooks **ret) {
        _cleanup_(hooks_freep) Hooks *h = calloc(1, sizeof(Hooks));
        int r;

        if (!h)
                return -ENOMEM;
        h->event = sd_event_ref(event);
        h->publisher = publisher;
        h->systemd = systemd;
        h->directory = runtime_directory;
        h->allowance = (Allowance){ HOOKS_TOTAL_BURST, clock_usec(CLOCK_MONOTONIC) };
        r = sd_event_add_time(event, &h->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC, on_timer,
                              h);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = publisher_subscribe(publisher, on_snapshot, h);
        if (r < 0)
                return r;
        *ret = TAKE(h);
        return 0;
}
