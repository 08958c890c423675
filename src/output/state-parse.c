/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "io/json-reader.h"
#include "output/state-file.h"
#include "output/state-words.h"

typedef struct Reader {
        JsonReader json;
        Kept *kept;   /* owned by the caller */
        bool is_last; /* as state_file_format() was told */
        bool has_no_memory;
} Reader;

/* -- single values ----------------------------------------------------------------------------- */

static Health get_health(Reader *r, json_object *o, const char *key) {
        Health h = HEALTH_PENDING;

        if (health_from_string(json_get_string(&r->json, o, key), &h) < 0)
                json_refuse(&r->json, key);
        return h;
}

static Reason get_reason(Reader *r, json_object *o) {
        const char *text = json_get_string(&r->json, o, "reason");
        Reason reason = REASON_NONE;

        if (*text && reason_from_string(text, &reason) < 0)
                json_refuse(&r->json, "reason");
        return reason;
}

/* The same text as then, or none as then. */
static bool is_digest_of(Reader *r, json_object *o, const char *key, const char *text) {
        char digest[STATE_DIGEST_MAX] = "";

        if (text)
                snprintf(digest, sizeof(digest), "%016" PRIx64,
                         hash_bytes(HASH_INIT, text, strlen(text)));
        return str_equal(json_get_string(&r->json, o, key), digest);
}

/* -- of people --------------------------------------------------------------------------------- */

static Drain get_drain(Reader *r, json_object *parent) {
        json_object *o = json_get(&r->json, parent, "drain", json_type_object);
        Drain d = {};

        if (!o)
                return d;
        d.is_active = true;
        d.ends_with_invocation = json_get_flag(&r->json, o, "until_start");
        d.since_realtime = json_get_number(&r->json, o, "since", 0);
        d.until_boottime = json_get_number(&r->json, o, "until", USEC_INFINITY);
        JSON_GET_TEXT(&r->json, o, "who", d.who);
        JSON_GET_TEXT(&r->json, o, "note", d.note);
        return d;
}

/* A text that the state has memory of its own for. */
static void get_text(Reader *r, json_object *o, const char *key, const char **ret) {
        char text[RESULT_MESSAGE_MAX] = "";

        JSON_GET_TEXT(&r->json, o, key, text);
        if (text_keep(ret, text) < 0)
                r->has_no_memory = true;
}

static void get_override(Reader *r, json_object *parent, CheckState *c) {
        json_object *o = json_get(&r->json, parent, "override", json_type_object);
        Override override = {};

        if (!o)
                return;
        override.is_active = true;
        override.state = get_health(r, o, "state");
        override.since_realtime = json_get_number(&r->json, o, "since", 0);
        override.until_boottime = json_get_number(&r->json, o, "until", USEC_INFINITY);
        JSON_GET_TEXT(&r->json, o, "who", override.who);
        JSON_GET_TEXT(&r->json, o, "note", override.note);
        if (check_state_keep_override(c, &override) < 0)
                r->has_no_memory = true;
}

/* -- checks ------------------------------------------------------------------------------------ */

static void get_values(Reader *r, json_object *o, Result *ret) {
        json_object *array = json_get(&r->json, o, "values", json_type_array);
        size_t n = array ? json_object_array_length(array) : 0;

        if (n > RESULT_VALUES_MAX) {
                json_refuse(&r->json, "values");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                json_object *item = json_object_array_get_idx(array, i);
                Value *v = ret->values + i;

                if (!json_object_is_type(item, json_type_object)) {
                        json_refuse(&r->json, "values");
                        return;
                }
                JSON_GET_TEXT(&r->json, item, "name", v->name);
                JSON_GET_TEXT(&r->json, item, "unit", v->unit);
                v->number = json_get_double(&r->json, item, "number");
        }
        ret->n_values = n;
}

static void get_result(Reader *r, json_object *parent, CheckState *c) {
        json_object *o = json_get(&r->json, parent, "result", json_type_object);
        Result last = {};

        c->has_result = o;
        if (!o)
                return;
        last.outcome = (Outcome) json_get_word(&r->json, o, "outcome", outcome_words);
        last.reason = get_reason(r, o);
        JSON_GET_TEXT(&r->json, o, "detail", last.detail);
        JSON_GET_TEXT(&r->json, o, "message", last.message);
        last.latency_usec = json_get_number(&r->json, o, "latency", USEC_INFINITY);
        last.retry_after_usec = json_get_number(&r->json, o, "retry_after", 0);
        get_values(r, o, &last);
        if (check_state_keep_last(c, &last) < 0)
                r->has_no_memory = true;
        c->last_realtime = json_get_number(&r->json, o, "realtime", 0);
        c->last_boottime = json_get_number(&r->json, o, "boottime", 0);
}

static void get_counters(Reader *r, json_object *o, CheckState *c) {
        c->n_void = json_get_number(&r->json, o, "void", 0);
        json_get_numbers(&r->json, o, "runs", c->n_by_outcome, ELEMENTSOF(c->n_by_outcome));
        json_get_numbers(&r->json, o, "latencies", c->latency_counts,
                         ELEMENTSOF(c->latency_counts));
        c->latency_sum_usec = json_get_number(&r->json, o, "latency_sum", 0);
}

static void get_check(Reader *r, json_object *o, CheckState *c) {
        c->measured = get_health(r, o, "measured");
        if (check_config_is_combined(c->config))
                c->combined = get_health(r, o, "combined");
        c->is_dead = json_get_flag(&r->json, o, "dead");
        c->has_been_good = json_get_flag(&r->json, o, "good_once");
        c->joins_until_boottime = json_get_number(&r->json, o, "joins_until", 0);
        c->fresh_boottime = json_get_number(&r->json, o, "fresh", 0);
        c->pause_usec = json_get_number(&r->json, o, "pause", 0);
        c->successes_in_row = json_get_number(&r->json, o, "successes", 0);
        c->failures_in_row = json_get_number(&r->json, o, "failures", 0);
        c->reason = get_reason(r, o);
        JSON_GET_TEXT(&r->json, o, "detail", c->detail);
        get_text(r, o, "message", &c->message);
        get_text(r, o, "first_failure", &c->first_failure_message);
        c->first_failure_realtime = json_get_number(&r->json, o, "first_failure_realtime", 0);
        c->since_realtime = json_get_number(&r->json, o, "since_realtime", 0);
        c->since_boottime = json_get_number(&r->json, o, "since", 0);
        get_override(r, o, c);
        get_result(r, o, c);
        if (r->is_last)
                get_counters(r, o, c);
}

/* One that tests the same thing; others have nothing to keep. */
static void take_check(Reader *r, json_object *o, const char *service) {
        const Config *config = r->kept->config;
        CheckState *c;
        size_t check;

        if (!json_object_is_type(o, json_type_object)) {
                json_refuse(&r->json, "checks");
                return;
        }
        check = config_find_check(config, service, json_get_string(&r->json, o, "name"));
        if (check == INDEX_NONE || !is_digest_of(r, o, "digest", config->checks[check]->canonical))
                return;
        c = kept_check(r->kept, check);
        if (c)
                get_check(r, o, c);
        else
                r->has_no_memory = true;
}

/* -- services and the host --------------------------------------------------------------------- */

static void get_verdict(Reader *r, json_object *parent, Verdict *ret, ProbeSince since[]) {
        json_object *o = json_get(&r->json, parent, "verdict", json_type_object);
        uint64_t times[2 * PROBE_COUNT_] = {};

        if (!o) {
                json_refuse(&r->json, "verdict");
                return;
        }
        ret->live = (Liveness) json_get_word(&r->json, o, "live", live_words);
        ret->ready = (Readiness) json_get_word(&r->json, o, "ready", ready_words);
        ret->started = (Startup) json_get_word(&r->json, o, "started", started_words);
        ret->is_degraded = json_get_flag(&r->json, o, "degraded");
        ret->is_inactive = json_get_flag(&r->json, o, "inactive");
        ret->is_joining = json_get_flag(&r->json, o, "joining");
        ret->is_measured_dead = json_get_flag(&r->json, o, "measured_dead");
        ret->reason = get_reason(r, o);
        json_get_numbers(&r->json, o, "since", times, ELEMENTSOF(times));
        for (size_t i = 0; i < PROBE_COUNT_; i++)
                since[i] = (ProbeSince){ times[2 * i], times[2 * i + 1] };
}

static void get_service(Reader *r, json_object *o, ServiceState *s) {
        s->is_started = json_get_flag(&r->json, o, "started");
        s->has_startup_failed = json_get_flag(&r->json, o, "startup_failed");
        s->startup_boottime = json_get_number(&r->json, o, "startup", USEC_INFINITY);
        s->joins_until_boottime = json_get_number(&r->json, o, "joins_until", 0);
        s->unit = UNIT_UNFOLLOWED;
        if (json_get(&r->json, o, "unit_state", json_type_string))
                s->unit = (UnitState) json_get_word(&r->json, o, "unit_state", unit_words);
        JSON_GET_TEXT(&r->json, o, "invocation", s->invocation_id);
        JSON_GET_TEXT(&r->json, o, "version", s->version);
        s->drain = get_drain(r, o);
}

static void take_service(Reader *r, json_object *o) {
        json_object *checks = json_get(&r->json, o, "checks", json_type_array);
        const char *name = json_get_string(&r->json, o, "name");
        size_t service = config_find_service(r->kept->config, name);
        KeptService *k;
        ServiceState *s;

        if (service == INDEX_NONE)
                return;
        k = r->kept->services + service;
        s = kept_service(r->kept, service);
        if (!s) {
                r->has_no_memory = true;
                return;
        }
        get_service(r, o, s);
        k->has_same_unit = is_digest_of(r, o, "unit", r->kept->config->services[service].unit);
        k->had_defect = json_get_flag(&r->json, o, "defect");
        get_verdict(r, o, &k->verdict, k->since);
        for (size_t i = 0; checks && i < json_object_array_length(checks); i++)
                take_check(r, json_object_array_get_idx(checks, i), name);
}

static void take_all(Reader *r, json_object *o) {
        json_object *services = json_get(&r->json, o, "services", json_type_array);

        r->is_last = json_get_flag(&r->json, o, "last");
        r->kept->time.realtime = json_get_number(&r->json, o, "realtime", 0);
        r->kept->time.boottime = json_get_number(&r->json, o, "boottime", 0);
        r->kept->drain = get_drain(r, o);
        get_verdict(r, o, &r->kept->host, r->kept->host_since);
        if (!services)
                json_refuse(&r->json, "services");
        for (size_t i = 0; services && i < json_object_array_length(services); i++) {
                json_object *item = json_object_array_get_idx(services, i);

                if (json_object_is_type(item, json_type_object))
                        take_service(r, item);
                else
                        json_refuse(&r->json, "services");
        }
}

/* -- the whole --------------------------------------------------------------------------------- */

static int refusal(const Reader *r, char ret_why[static STATE_FILE_WHY_MAX]) {
        if (!r->json.what)
                return r->has_no_memory ? -ENOMEM : 0;
        snprintf(ret_why, STATE_FILE_WHY_MAX, "\"%s\" is not as vitald writes it", r->json.what);
        return -EBADMSG;
}

static int take_tree(json_object *o, const char *boot, Config *config, Time now, Kept **ret,
                     char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_(kept_freep) Kept *k = kept_new(config, now);
        Reader r = { .kept = k };
        const char *nonsense;
        int e;

        if (!k)
                return -ENOMEM;
        if (!str_equal(json_get_string(&r.json, o, "boot"), boot)) {
                snprintf(ret_why, STATE_FILE_WHY_MAX, "it is of another boot of this host");
                return -ESTALE;
        }
        take_all(&r, o);
        e = refusal(&r, ret_why);
        if (e < 0)
                return e;
        e = kept_settle(k, now, &nonsense);
        if (e == -EBADMSG)
                snprintf(ret_why, STATE_FILE_WHY_MAX, "%s", nonsense);
        if (e >= 0)
                *ret = TAKE(k);
        return e;
}

int state_file_parse(const char *text, size_t n, const char *boot, Config *config, Time now,
                     Kept **ret, char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        int r = json_parse_object(text, n, &o, ret_why);

        return r < 0 ? r : take_tree(o, boot, config, now, ret, ret_why);
}

/* -- beyond a boot ----------------------------------------------------------------------------- */

/* Whatever has become of the clock, it lasts no longer than it was meant to. */
static bool drain_revive(Drain *d, Time now) {
        usec_t since = d->since_realtime, until = d->until_boottime, left;

        d->since_realtime = MIN(since, now.realtime);
        if (!drain_is_lasting(d) || until == USEC_INFINITY)
                return drain_is_lasting(d);
        left = MIN(usec_sub(until, now.realtime), usec_sub(until, since));
        d->until_boottime = usec_add(now.boottime, left);
        return left > 0;
}

static void take_lasting(Reader *r, json_object *o, LastingDrain *ret) {
        const char *name = json_get_string(&r->json, o, "service");

        if (*name && !name_is_valid(name))
                json_refuse(&r->json, "service");
        snprintf(ret->service, sizeof(ret->service), "%s", name);
        ret->absent_realtime = json_get_number(&r->json, o, "absent", 0);
        ret->drain = get_drain(r, o);
}

int drains_file_parse(const char *text, size_t n, Time now, DrainHandler handler, void *userdata,
                      char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        json_object *drains;
        Reader reader = {};
        int r = json_parse_object(text, n, &o, ret_why);

        if (r < 0)
                return r;
        drains = json_get(&reader.json, o, "drains", json_type_array);
        if (!drains)
                json_refuse(&reader.json, "drains");
        for (size_t i = 0; drains && i < json_object_array_length(drains); i++) {
                LastingDrain d;

                take_lasting(&reader, json_object_array_get_idx(drains, i), &d);
                if (!reader.json.what && drain_revive(&d.drain, now))
                        handler(userdata, &d);
        }
        return refusal(&reader, ret_why);
}
