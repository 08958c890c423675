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

typedef enum KeptKind {
        KEPT_STATE,
        KEPT_HISTORY,
        KEPT_PROBERS,
        KEPT_DRAINS,
        KEPT_KINDS_,
} KeptKind;

struct Keeper {
        sd_event *event;        /* borrowed */
        Workers *workers;       /* borrowed */
        Publisher *publisher;   /* borrowed */
        const History *history; /* borrowed; NULL until followed */
        HttpProbers *probers;   /* borrowed; NULL until followed */
        char boot[SD_ID128_STRING_MAX];
        char *paths[KEPT_KINDS_];         /* owned; NULL: not kept */
        KeptWriter *writers[KEPT_KINDS_]; /* owned; NULL: not kept, or not followed yet */
        usec_t text_usec, cost_usec;      /* of the state's last text: when, and how long it took */
        AbsentDrains absent;              /* owned */
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
        Keeper *k = userdata;
        const Snapshot *s = publisher_current(k->publisher);
        Time now = time_now();

        absent_drains_settle(&k->absent, s->config, now, NULL, NULL);
        drains_file_format(out, s, &k->absent, now);
}

static const struct {
        const char *name, *kind, *what;
        unsigned version;
        bool outlasts_boot; /* so it stands in the state directory */
        KeptText text;
} kinds[KEPT_KINDS_] = {
        [KEPT_STATE] = {
                .name = "state",
                .kind = STATE_FILE_KIND,
                .version = STATE_FILE_VERSION,
                .what = "States of checks",
                .text = state_text,
        },
        [KEPT_HISTORY] = {
                .name = "history",
                .kind = HISTORY_FILE_KIND,
                .version = HISTORY_FILE_VERSION,
                .what = "Histories of checks",
                .text = history_text,
        },
        [KEPT_PROBERS] = {
                .name = "probers",
                .kind = PROBERS_FILE_KIND,
                .version = PROBERS_FILE_VERSION,
                .what = "Probers",
                .text = probers_text,
        },
        [KEPT_DRAINS] = {
                .name = "drains",
                .kind = DRAINS_FILE_KIND,
                .version = DRAINS_FILE_VERSION,
                .what = "Drains of operators",
                .outlasts_boot = true,
                .text = drains_text,
        },
};

/* -- when it is written ------------------------------------------------------------------------ */

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

/* The first time what is there may be something else than what is in force, and with another
 * configuration something else may be on its way there. */
static bool drains_differ(const Keeper *k, const Snapshot *old, const Snapshot *new) {
        if (!old || old->sequence == 0 || old->config != new->config)
                return (old && has_drain(old)) || has_drain(new) || k->absent.n > 0 ||
                       access(k->paths[KEPT_DRAINS], F_OK) == 0;
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

/* Services that are gone from the configuration leave their drains behind. */
static void note_absent(Keeper *k, const Snapshot *old, const Snapshot *new) {
        for (size_t i = 0; i < old->config->n_services; i++) {
                LastingDrain d = { .drain = old->services[i].state->drain };

                if (!drain_is_lasting(&d.drain) ||
                    config_find_service(new->config, old->config->services[i].name) != INDEX_NONE)
                        continue;
                snprintf(d.service, sizeof(d.service), "%s", old->config->services[i].name);
                absent_drains_add(&k->absent, &d);
        }
        absent_drains_settle(&k->absent, new->config, new->time, NULL, NULL);
}

static void touch(Keeper *k, KeptKind kind, usec_t pause_usec) {
        if (k->writers[kind])
                kept_writer_touch(k->writers[kind], pause_usec);
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        Keeper *k = userdata;
        bool has_flipped = !old || old->revision != new->revision;

        if (old && old->config != new->config)
                note_absent(k, old, new);
        touch(k, KEPT_STATE, state_pause(k, has_flipped));
        touch(k, KEPT_HISTORY, HISTORY_PAUSE_USEC);
        touch(k, KEPT_PROBERS, PROBERS_PAUSE_USEC);
        if (k->writers[KEPT_DRAINS] && drains_differ(k, old, new))
                touch(k, KEPT_DRAINS, DRAIN_PAUSE_USEC);
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
static void log_useless(const Keeper *k, KeptKind kind, int r, const char *why) {
        if (r == -ESTALE)
                log_notice("%s is left aside: %s", k->paths[kind], why);
        else
                log_warning("%s is left aside: %s", k->paths[kind], why);
}

/* -ENOENT also where nothing is kept. */
static int read_file(const Keeper *k, KeptKind kind, char **ret, size_t *ret_n,
                     char why[static STATE_FILE_WHY_MAX]) {
        int r;

        if (!k->paths[kind])
                return -ENOENT;
        r = kept_file_read(k->paths[kind], kinds[kind].kind, kinds[kind].version,
                           STATE_FILE_MAX_BYTES, ret, ret_n);
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
        r = read_file(k, KEPT_STATE, &text, &n, why);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = state_file_parse(text, n, k->boot, config, now, ret, why);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_useless(k, KEPT_STATE, r, why);
                snprintf(k->restoration.why, sizeof(k->restoration.why), "%s: %s",
                         k->paths[KEPT_STATE], why);
                return 0;
        }
        k->restoration.restored_realtime = (*ret)->time.realtime;
        k->restoration.age_usec = usec_sub(now.boottime, (*ret)->time.boottime);
        return 0;
}

static void on_lasting(void *userdata, const LastingDrain *drain) {
        Keeper *k = userdata;

        absent_drains_add(&k->absent, drain);
}

void keeper_read_drains(Keeper *k) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k, KEPT_DRAINS, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = drains_file_parse(text, n, time_now(), on_lasting, k, why);
        if (r < 0)
                log_useless(k, KEPT_DRAINS, r, why);
}

void keeper_return_drains(Keeper *k, const Config *config, DrainHandler handler, void *userdata) {
        if (k->absent.n > 0)
                touch(k, KEPT_DRAINS, DRAIN_PAUSE_USEC);
        absent_drains_settle(&k->absent, config, time_now(), handler, userdata);
}

static void read_history(Keeper *k, Config *config, History *history) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k, KEPT_HISTORY, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = history_parse(history, text, n, k->boot, config, time_now(), why);
        if (r < 0)
                log_useless(k, KEPT_HISTORY, r, why);
}

static void read_probers(Keeper *k) {
        _cleanup_free_ char *text = NULL;
        char why[STATE_FILE_WHY_MAX];
        size_t n;
        int r;

        r = read_file(k, KEPT_PROBERS, &text, &n, why);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = probers_file_parse(text, n, k->boot, clock_usec(CLOCK_MONOTONIC), k->probers,
                                       why);
        if (r < 0)
                log_useless(k, KEPT_PROBERS, r, why);
}

/* -- life -------------------------------------------------------------------------------------- */

int keeper_follow(Keeper *k, Config *config, History *history, HttpProbers *probers) {
        k->history = history;
        k->probers = probers;
        read_history(k, config, history);
        read_probers(k);
        for (KeptKind i = 0; i < KEPT_KINDS_; i++) {
                KeptFile file = {
                        .path = k->paths[i],
                        .kind = kinds[i].kind,
                        .version = kinds[i].version,
                        .what = kinds[i].what,
                };
                int r = 0;

                if (file.path)
                        r = kept_writer_new(k->event, k->workers, &file, kinds[i].text, k,
                                            &k->writers[i]);
                if (r < 0)
                        return r;
        }
        return publisher_subscribe(k->publisher, on_snapshot, k);
}

const Restoration *keeper_restoration(const Keeper *k) {
        return &k->restoration;
}

uint64_t keeper_n_failures(const Keeper *k) {
        uint64_t n = 0;

        for (KeptKind i = 0; i < KEPT_KINDS_; i++)
                n += k->writers[i] ? kept_writer_n_failures(k->writers[i]) : 0;
        return n;
}

Keeper *keeper_free(Keeper *k) {
        if (!k)
                return NULL;
        k->is_ending = true;
        if (publisher_current(k->publisher))
                touch(k, KEPT_STATE, 0);
        touch(k, KEPT_PROBERS, 0); /* nothing tells that somebody has asked */
        for (KeptKind i = 0; i < KEPT_KINDS_; i++) {
                kept_writer_free(k->writers[i]);
                free(k->paths[i]);
        }
        absent_drains_done(&k->absent);
        free(k);
        return NULL;
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
        for (KeptKind i = 0; i < KEPT_KINDS_; i++) {
                const char *place = kinds[i].outlasts_boot ? state_directory : runtime_directory;
                _cleanup_strbuf_ StrBuf path = {};

                strbuf_printf(&path, "%s/%s", place ? place : "", kinds[i].name);
                r = place ? strbuf_finish(&path, &k->paths[i]) : 0;
                if (r < 0)
                        return r;
        }
        if (!runtime_directory)
                log_debug("Without a runtime directory nothing is kept over a restart");
        *ret = TAKE(k);
        return 0;
}
