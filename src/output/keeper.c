/* SPDX-License-Identifier: MIT */
#include "output/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "base/kept-file.h"
#include "base/log.h"
#include "base/text.h"
#include "io/kept-writer.h"
#include "output/history-file.h"
#include "output/probers-file.h"
#include "output/state-file.h"

/* A flip is kept at once, and where there are many of them, so often; counters, latencies and ages
 * of results that change nothing may wait. */
#define AT_ONCE_USEC       (20 * USEC_PER_MSEC)
#define FLIP_PAUSE_USEC    (500 * USEC_PER_MSEC)
#define DRAIN_PAUSE_USEC   (100 * USEC_PER_MSEC)
#define NUMBERS_PAUSE_USEC (15 * USEC_PER_SEC)
#define HISTORY_PAUSE_USEC USEC_PER_MINUTE
#define PROBERS_PAUSE_USEC (10 * USEC_PER_SEC)

/* With very many checks it is written less often, so that the loop is held up for no more than a
 * part of this of the time. */
#define SHARE_OF_TIME 100

struct Keeper {
        sd_event *event;        /* borrowed */
        Workers *workers;       /* borrowed */
        Publisher *publisher;   /* borrowed */
        const History *history; /* borrowed; NULL until followed */
        HttpProbers *probers;   /* borrowed; NULL until followed */
        char boot[SD_ID128_STRING_MAX];
        char *state_path, *history_path, *probers_path, *drains_path; /* owned; NULL: not kept */
        KeptWriter *state, *past, *who, *drains;                      /* owned; NULL: not kept */
        usec_t text_usec, cost_usec; /* of the state's last text: when, and how long it took */
        bool is_ending;
        Restoration restoration;
};

/* -- what is written --------------------------------------------------------------------------- */

static void state_text(void *userdata, StrBuf *out) {
        Keeper *k = userdata;
        usec_t began = clock_usec(CLOCK_MONOTONIC);

        state_file_format(out, publisher_current(k->publisher), k->boot, k->is_ending);
        k->text_usec = clock_usec(CLOCK_MONOTONIC);
        k->cost_usec = usec_sub(k->text_usec, began);
}

static void history_text(void *userdata, StrBuf *out) {
        const Keeper *k = userdata;

        history_format(k->history, k->boot, out);
}

static void probers_text(void *userdata, StrBuf *out) {
        const Keeper *k = userdata;

        probers_file_format(out, k->probers, k->boot, clock_usec(CLOCK_MONOTONIC));
}

static void drains_text(void *userdata, StrBuf *out) {
        const Keeper *k = userdata;

        drains_file_format(out, publisher_current(k->publisher), time_now());
}

static bool has_drain(const Snapshot *s) {
        for (size_t i = 0; i < s->config->n_services; i++)
                if (s->services[i].state->drain.is_active)
                        return true;
        return s->own_drain.is_active;
}

static bool drain_differs(const Drain *a, const Drain *b) {
        return a->is_active != b->is_active || a->since_realtime != b->since_realtime ||
               a->until_boottime != b->until_boottime;
}

/* The first time what is there may be something else than what is in force. */
static bool drains_differ(const Keeper *k, const Snapshot *old, const Snapshot *new) {
        if (!old || old->sequence == 0 || old->config != new->config)
                return has_drain(new) || access(k->drains_path, F_OK) == 0;
        if (drain_differs(&old->own_drain, &new->own_drain))
                return true;
        for (size_t i = 0; i < new->config->n_services; i++)
                if (drain_differs(&old->services[i].state->drain, &new->services[i].state->drain))
                        return true;
        return false;
}

static usec_t state_pause(const Keeper *k, bool has_flipped) {
        usec_t rest = usec_sub(clock_usec(CLOCK_MONOTONIC), k->text_usec);
        usec_t pause = has_flipped ? FLIP_PAUSE_USEC : NUMBERS_PAUSE_USEC;

        pause = MAX(pause, SHARE_OF_TIME * k->cost_usec);
        return has_flipped ? MAX(usec_sub(pause, rest), AT_ONCE_USEC) : pause;
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        Keeper *k = userdata;
        bool has_flipped = !old || old->revision != new->revision;

        if (k->state)
                kept_writer_touch(k->state, state_pause(k, has_flipped));
        if (k->past)
                kept_writer_touch(k->past, HISTORY_PAUSE_USEC);
        if (k->who)
                kept_writer_touch(k->who, PROBERS_PAUSE_USEC);
        if (k->drains && drains_differ(k, old, new))
                kept_writer_touch(k->drains, DRAIN_PAUSE_USEC);
}

/* -- what is read ------------------------------------------------------------------------------ */

static const char *unreadable_because(int r) {
        switch (r) {
        case -EPROTONOSUPPORT:
                return "it is of another version of vitald";
        case -EBADMSG:
                return "it is damaged";
        case -EFBIG:
                return "it is too long";
        default:
                return strerror(-r);
        }
}

/* One line, whatever is wrong with it. */
static void log_useless(int r, const char *path, const char *why) {
        if (r == -ESTALE)
                log_notice("%s is left aside: %s", path, why);
        else
                log_warning("%s is left aside: %s", path, why);
}

/* -ENOENT also where nothing is kept. */
static int read_file(const char *path, const char *kind, unsigned version, char **ret,
                     size_t *ret_n, char why[static STATE_FILE_WHY_MAX]) {
        int r;

        if (!path)
                return -ENOENT;
        r = kept_file_read(path, kind, version, STATE_FILE_MAX_BYTES, ret, ret_n);
        if (r < 0)
                snprintf(why, STATE_FILE_WHY_MAX, "%s", unreadable_because(r));
        return r;
}

int keeper_read(Keeper *k, Config *config, Kept **ret) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        Time now = time_now();
        size_t n;
        int r;

        *ret = NULL;
        r = read_file(k->state_path, STATE_FILE_KIND, STATE_FILE_VERSION, &text, &n, why);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = state_file_parse(text, n, k->boot, config, now, ret, why);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_useless(r, k->state_path, why);
                snprintf(k->restoration.why, sizeof(k->restoration.why), "%s: %s", k->state_path,
                         why);
                return 0;
        }
        k->restoration.restored_realtime = (*ret)->time.realtime;
        k->restoration.age_usec = usec_sub(now.boottime, (*ret)->time.boottime);
        return 0;
}

void keeper_read_drains(Keeper *k, Config *config, DrainHandler handler, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k->drains_path, DRAINS_FILE_KIND, DRAINS_FILE_VERSION, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = drains_file_parse(text, n, config, time_now(), handler, userdata, why);
        if (r < 0)
                log_useless(r, k->drains_path, why);
}

static void read_history(Keeper *k, Config *config, History *history) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k->history_path, HISTORY_FILE_KIND, HISTORY_FILE_VERSION, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = history_parse(history, text, n, k->boot, config, time_now(), why);
        if (r < 0)
                log_useless(r, k->history_path, why);
}

static void read_probers(Keeper *k) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k->probers_path, PROBERS_FILE_KIND, PROBERS_FILE_VERSION, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = probers_file_parse(text, n, k->boot, clock_usec(CLOCK_MONOTONIC), k->probers,
                                       why);
        if (r < 0)
                log_useless(r, k->probers_path, why);
}

/* -- life -------------------------------------------------------------------------------------- */

static int keep(Keeper *k, const char *path, const char *kind, unsigned version, const char *what,
                KeptText text, KeptWriter **ret) {
        KeptFile file = { .path = path, .kind = kind, .version = version, .what = what };

        return path ? kept_writer_new(k->event, k->workers, &file, text, k, ret) : 0;
}

int keeper_follow(Keeper *k, Config *config, History *history, HttpProbers *probers) {
        int r;

        k->history = history;
        k->probers = probers;
        read_history(k, config, history);
        read_probers(k);
        r = keep(k, k->state_path, STATE_FILE_KIND, STATE_FILE_VERSION, "States of checks",
                 state_text, &k->state);
        if (r >= 0)
                r = keep(k, k->history_path, HISTORY_FILE_KIND, HISTORY_FILE_VERSION,
                         "Histories of checks", history_text, &k->past);
        if (r >= 0)
                r = keep(k, k->probers_path, PROBERS_FILE_KIND, PROBERS_FILE_VERSION, "Probers",
                         probers_text, &k->who);
        if (r >= 0)
                r = keep(k, k->drains_path, DRAINS_FILE_KIND, DRAINS_FILE_VERSION,
                         "Drains of operators", drains_text, &k->drains);
        return r < 0 ? r : publisher_subscribe(k->publisher, on_snapshot, k);
}

const Restoration *keeper_restoration(const Keeper *k) {
        return &k->restoration;
}

uint64_t keeper_n_failures(const Keeper *k) {
        const KeptWriter *const writers[] = { k->state, k->past, k->who, k->drains };
        uint64_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(writers); i++)
                n += writers[i] ? kept_writer_n_failures(writers[i]) : 0;
        return n;
}

Keeper *keeper_free(Keeper *k) {
        if (!k)
                return NULL;
        k->is_ending = true;
        if (k->state && publisher_current(k->publisher))
                kept_writer_touch(k->state, 0);
        kept_writer_free(k->state);
        kept_writer_free(k->past);
        if (k->who)
                kept_writer_touch(k->who, 0); /* nothing tells that somebody has asked */
        kept_writer_free(k->who);
        kept_writer_free(k->drains);
        free(k->state_path);
        free(k->history_path);
        free(k->probers_path);
        free(k->drains_path);
        free(k);
        return NULL;
}

static int path_in(const char *directory, const char *name, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_printf(&b, "%s/%s", directory, name);
        return strbuf_finish(&b, ret);
}

int keeper_new(sd_event *event, Workers *workers, Publisher *publisher,
               const char *runtime_directory, const char *state_directory, Keeper **ret) {
        _cleanup_(keeper_freep) Keeper *k = calloc(1, sizeof(Keeper));
        sd_id128_t boot;
        int r;

        if (!k)
                return -ENOMEM;
        k->event = event;
        k->workers = workers;
        k->publisher = publisher;
        k->restoration.began_realtime = clock_usec(CLOCK_REALTIME);
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        sd_id128_to_string(boot, k->boot);
        if (runtime_directory)
                r = path_in(runtime_directory, "state", &k->state_path);
        if (r >= 0 && runtime_directory)
                r = path_in(runtime_directory, "history", &k->history_path);
        if (r >= 0 && runtime_directory)
                r = path_in(runtime_directory, "probers", &k->probers_path);
        if (r >= 0 && state_directory)
                r = path_in(state_directory, "drains", &k->drains_path);
        if (r < 0)
                return r;
        if (!runtime_directory)
                log_debug("Without a runtime directory nothing is kept over a restart");
        *ret = TAKE(k);
        return 0;
}
