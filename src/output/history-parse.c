/* SPDX-License-Identifier: MIT */
#include "output/history-file.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "io/json-reader.h"
#include "output/history-internal.h"

static const char hex_digits[] = "0123456789abcdef";

static bool get_second(json_object *value, uint32_t latest, uint32_t *ret) {
        int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;

        if (n < 0 || n > UINT32_MAX)
                return false;
        *ret = MIN((uint32_t) n, latest);
        return true;
}

static bool parse_run(const char *digits, uint32_t latest, PackedRun *ret) {
        uint64_t packed = 0;

        for (size_t i = 0; i < HISTORY_RUN_DIGITS; i++) {
                const char *digit = digits[i] ? strchr(hex_digits, digits[i]) : NULL;

                if (!digit)
                        return false;
                packed = packed << 4 | (uint64_t) (digit - hex_digits);
        }
        *ret = (PackedRun){
                .second = MIN((uint32_t) (packed >> 32), latest),
                .outcome = packed >> 30 & 3,
                .latency = packed & HISTORY_LATENCY_NONE,
        };
        return true;
}

static bool take_runs(JsonReader *r, CheckHistory *c, json_object *o, uint32_t latest) {
        const char *text = json_get_string(r, o, "runs");
        size_t n = strlen(text) / HISTORY_RUN_DIGITS;

        if (strlen(text) % HISTORY_RUN_DIGITS != 0 || n > HISTORY_RUNS_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!parse_run(text + i * HISTORY_RUN_DIGITS, latest, c->runs + i))
                        return false;
        c->n_runs = n;
        return true;
}

static bool take_flip(PackedFlip *f, json_object *o, uint32_t latest) {
        Reason reason = REASON_NONE;
        const char *state, *why;
        Health health;

        if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != 3 ||
            !json_object_is_type(json_object_array_get_idx(o, 1), json_type_string) ||
            !json_object_is_type(json_object_array_get_idx(o, 2), json_type_string) ||
            !get_second(json_object_array_get_idx(o, 0), latest, &f->second))
                return false;
        state = json_object_get_string(json_object_array_get_idx(o, 1));
        why = json_object_get_string(json_object_array_get_idx(o, 2));
        if (health_from_string(state, &health) < 0 ||
            (*why && reason_from_string(why, &reason) < 0))
                return false;
        f->state = (uint8_t) health;
        f->reason = (uint8_t) reason;
        return true;
}

static bool take_flips(JsonReader *r, CheckHistory *c, json_object *o, uint32_t latest) {
        json_object *flips = json_get(r, o, "flips", json_type_array);
        size_t n = flips ? json_object_array_length(flips) : 0;

        if (!flips || n > HISTORY_FLIPS_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!take_flip(c->flips + i, json_object_array_get_idx(flips, i), latest))
                        return false;
        c->n_flips = n;
        return true;
}

static int take_check(JsonReader *r, History *h, json_object *o, uint32_t latest) {
        size_t check = config_find_check(h->config, json_get_string(r, o, "service"),
                                         json_get_string(r, o, "name"));

        if (r->what || check == INDEX_NONE)
                return 0;
        if (!h->checks[check])
                return -ENOMEM;
        if (!take_runs(r, h->checks[check], o, latest) ||
            !take_flips(r, h->checks[check], o, latest))
                json_refuse(r, "checks");
        return 0;
}

static int take_tree(History *h, json_object *o, const char *boot, Time now) {
        JsonReader reader = {};
        json_object *checks = json_get(&reader, o, "checks", json_type_array);
        usec_t began = json_get_number(&reader, o, "began", USEC_INFINITY);
        /* Where it is not there, nobody has noticed that the clock was set. */
        usec_t boottime = json_get_number(&reader, o, "began_boottime",
                                          usec_sub(now.boottime, usec_sub(now.realtime, began)));
        uint32_t latest;
        int r = 0;

        if (!str_equal(json_get_string(&reader, o, "boot"), boot))
                return -ESTALE;
        if (!checks || began == USEC_INFINITY || boottime > now.boottime || reader.what)
                return -EBADMSG;
        h->began_boottime = boottime;
        h->began_realtime = began;
        history_follow_clock(h, now);
        latest = (uint32_t) MIN((now.boottime - boottime) / USEC_PER_SEC, (usec_t) UINT32_MAX);
        for (size_t i = 0; r >= 0 && !reader.what && i < json_object_array_length(checks); i++)
                r = take_check(&reader, h, json_object_array_get_idx(checks, i), latest);
        return r < 0 ? r : reader.what ? -EBADMSG : 0;
}

int history_parse(History *h, const char *text, size_t n, const char *boot, Config *config,
                  Time now, char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        usec_t boottime = h->began_boottime, began = h->began_realtime;
        int r;

        r = json_parse_object(text, n, &o, ret_why);
        if (r < 0)
                return r;
        r = history_begin(h, config);
        if (r >= 0)
                r = take_tree(h, o, boot, now);
        if (r >= 0)
                return 0;
        history_forget(h);
        h->began_boottime = boottime;
        h->began_realtime = began;
        snprintf(ret_why, STATE_FILE_WHY_MAX, "%s",
                 r == -ENOMEM   ? "out of memory"
                 : r == -ESTALE ? "it is of another boot of this host"
                                : "it is not as vitald writes it");
        return r;
}
