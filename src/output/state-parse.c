/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "io/json-tree.h"
#include "output/state-file.h"
#include "output/state-words.h"

/* Errors are sticky: read freely, test once at the end. */
typedef struct Reader {
        Kept *kept;       /* owned by the caller */
        const char *what; /* constant: the first thing that cannot be; NULL: nothing */
        bool has_no_memory;
} Reader;

static void refuse(Reader *r, const char *what) {
        if (!r->what)
                r->what = what;
}

/* -- single values ----------------------------------------------------------------------------- */

/* NULL if it is not there. */
static json_object *get(Reader *r, json_object *o, const char *key, enum json_type type) {
        json_object *value;

        if (!json_object_is_type(o, json_type_object)) {
                refuse(r, key);
                return NULL;
        }
        if (!json_object_object_get_ex(o, key, &value))
                return NULL;
        if (json_object_is_type(value, type))
                return value;
        refuse(r, key);
        return NULL;
}

static uint64_t number_of(Reader *r, json_object *value, const char *key) {
        int64_t number =
                json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;

        if (number >= 0 && (uint64_t) number <= STATE_NUMBER_MAX)
                return (uint64_t) number;
        refuse(r, key);
        return 0;
}

static uint64_t get_number(Reader *r, json_object *o, const char *key, uint64_t absent) {
        json_object *value;

        return json_object_object_get_ex(o, key, &value) ? number_of(r, value, key) : absent;
}

static bool get_flag(Reader *r, json_object *o, const char *key) {
        json_object *value = get(r, o, key, json_type_boolean);

        return value && json_object_get_boolean(value);
}

/* "" if it is not there. */
static const char *get_string(Reader *r, json_object *o, const char *key) {
        json_object *value = get(r, o, key, json_type_string);

        return value ? json_object_get_string(value) : "";
}

static void get_text(Reader *r, json_object *o, const char *key, char *buf, size_t size) {
        const char *text = get_string(r, o, key);

        if (strlen(text) >= size)
                refuse(r, key);
        text_sanitize(buf, size, text, strlen(text));
}

#define GET_TEXT(r, o, key, field) get_text(r, o, key, field, sizeof(field))

static unsigned get_word(Reader *r, json_object *o, const char *key, const char *const words[]) {
        const char *text = get_string(r, o, key);

        for (unsigned i = 0; words[i]; i++)
                if (str_equal(words[i], text))
                        return i;
        refuse(r, key);
        return 0;
}

static Health get_health(Reader *r, json_object *o, const char *key) {
        Health h = HEALTH_PENDING;

        if (health_from_string(get_string(r, o, key), &h) < 0)
                refuse(r, key);
        return h;
}

static Reason get_reason(Reader *r, json_object *o) {
        const char *text = get_string(r, o, "reason");
        Reason reason = REASON_NONE;

        if (*text && reason_from_string(text, &reason) < 0)
                refuse(r, "reason");
        return reason;
}

/* Exactly so many, or none at all. */
static void get_numbers(Reader *r, json_object *o, const char *key, uint64_t *ret, size_t n) {
        json_object *array = get(r, o, key, json_type_array);

        if (!array)
                return;
        if (json_object_array_length(array) != n) {
                refuse(r, key);
                return;
        }
        for (size_t i = 0; i < n; i++)
                ret[i] = number_of(r, json_object_array_get_idx(array, i), key);
}

/* The same text as then, or none as then. */
static bool is_digest_of(Reader *r, json_object *o, const char *key, const char *text) {
        char digest[STATE_DIGEST_MAX] = "";

        if (text)
                snprintf(digest, sizeof(digest), "%016" PRIx64,
                         hash_bytes(HASH_INIT, text, strlen(text)));
        return str_equal(get_string(r, o, key), digest);
}

/* -- of people --------------------------------------------------------------------------------- */

static Drain get_drain(Reader *r, json_object *parent) {
        json_object *o = get(r, parent, "drain", json_type_object);
        Drain d = {};

        if (!o)
                return d;
        d.is_active = true;
        d.ends_with_invocation = get_flag(r, o, "until_start");
        d.since_realtime = get_number(r, o, "since", 0);
        d.until_boottime = get_number(r, o, "until", USEC_INFINITY);
        GET_TEXT(r, o, "who", d.who);
        GET_TEXT(r, o, "note", d.note);
        return d;
}

static Override get_override(Reader *r, json_object *parent) {
        json_object *o = get(r, parent, "override", json_type_object);
        Override override = {};

        if (!o)
                return override;
        override.is_active = true;
        override.state = get_health(r, o, "state");
        override.since_realtime = get_number(r, o, "since", 0);
        override.until_boottime = get_number(r, o, "until", USEC_INFINITY);
        GET_TEXT(r, o, "who", override.who);
        GET_TEXT(r, o, "note", override.note);
        return override;
}

/* -- checks ------------------------------------------------------------------------------------ */

static double get_double(Reader *r, json_object *o, const char *key) {
        json_object *value;
        double number = NAN;

        if (json_object_object_get_ex(o, key, &value) &&
            (json_object_is_type(value, json_type_double) ||
             json_object_is_type(value, json_type_int)))
                number = json_object_get_double(value);
        if (isfinite(number))
                return number;
        refuse(r, key);
        return 0;
}

static void get_values(Reader *r, json_object *o, Result *ret) {
        json_object *array = get(r, o, "values", json_type_array);
        size_t n = array ? json_object_array_length(array) : 0;

        if (n > RESULT_VALUES_MAX) {
                refuse(r, "values");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                json_object *item = json_object_array_get_idx(array, i);
                Value *v = ret->values + i;

                if (!json_object_is_type(item, json_type_object)) {
                        refuse(r, "values");
                        return;
                }
                GET_TEXT(r, item, "name", v->name);
                GET_TEXT(r, item, "unit", v->unit);
                v->number = get_double(r, item, "number");
        }
        ret->n_values = n;
}

static void get_result(Reader *r, json_object *parent, CheckState *c) {
        json_object *o = get(r, parent, "result", json_type_object);

        c->has_result = o;
        c->last = (Result){};
        if (!o)
                return;
        c->last.outcome = (Outcome) get_word(r, o, "outcome", outcome_words);
        c->last.reason = get_reason(r, o);
        GET_TEXT(r, o, "detail", c->last.detail);
        GET_TEXT(r, o, "message", c->last.message);
        c->last.latency_usec = get_number(r, o, "latency", USEC_INFINITY);
        c->last.retry_after_usec = get_number(r, o, "retry_after", 0);
        c->last_realtime = get_number(r, o, "realtime", 0);
        c->last_boottime = get_number(r, o, "boottime", 0);
        get_values(r, o, &c->last);
}

static void get_check(Reader *r, json_object *o, CheckState *c) {
        c->measured = get_health(r, o, "measured");
        if (check_config_is_combined(c->config))
                c->combined = get_health(r, o, "combined");
        c->is_dead = get_flag(r, o, "dead");
        c->has_been_good = get_flag(r, o, "good_once");
        c->joins_until_boottime = get_number(r, o, "joins_until", 0);
        c->fresh_boottime = get_number(r, o, "fresh", 0);
        c->pause_usec = get_number(r, o, "pause", 0);
        c->successes_in_row = get_number(r, o, "successes", 0);
        c->failures_in_row = get_number(r, o, "failures", 0);
        c->reason = get_reason(r, o);
        GET_TEXT(r, o, "detail", c->detail);
        GET_TEXT(r, o, "message", c->message);
        GET_TEXT(r, o, "first_failure", c->first_failure_message);
        c->first_failure_realtime = get_number(r, o, "first_failure_realtime", 0);
        c->since_realtime = get_number(r, o, "since_realtime", 0);
        c->since_boottime = get_number(r, o, "since", 0);
        c->override = get_override(r, o);
        get_result(r, o, c);
        c->n_void = get_number(r, o, "void", 0);
        get_numbers(r, o, "runs", c->n_by_outcome, ELEMENTSOF(c->n_by_outcome));
        get_numbers(r, o, "latencies", c->latency_counts, ELEMENTSOF(c->latency_counts));
        c->latency_sum_usec = get_number(r, o, "latency_sum", 0);
}

/* One that tests the same thing; others have nothing to keep. */
static void take_check(Reader *r, json_object *o, const char *service) {
        const Config *config = r->kept->config;
        CheckState *c;
        size_t check;

        if (!json_object_is_type(o, json_type_object)) {
                refuse(r, "checks");
                return;
        }
        check = config_find_check(config, service, get_string(r, o, "name"));
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
        json_object *o = get(r, parent, "verdict", json_type_object);
        uint64_t times[2 * PROBE_COUNT_] = {};

        if (!o) {
                refuse(r, "verdict");
                return;
        }
        ret->live = (Liveness) get_word(r, o, "live", live_words);
        ret->ready = (Readiness) get_word(r, o, "ready", ready_words);
        ret->started = (Startup) get_word(r, o, "started", started_words);
        ret->is_degraded = get_flag(r, o, "degraded");
        ret->is_inactive = get_flag(r, o, "inactive");
        ret->is_joining = get_flag(r, o, "joining");
        ret->is_measured_dead = get_flag(r, o, "measured_dead");
        ret->reason = get_reason(r, o);
        get_numbers(r, o, "since", times, ELEMENTSOF(times));
        for (size_t i = 0; i < PROBE_COUNT_; i++)
                since[i] = (ProbeSince){ times[2 * i], times[2 * i + 1] };
}

static void get_service(Reader *r, json_object *o, ServiceState *s) {
        s->is_started = get_flag(r, o, "started");
        s->has_startup_failed = get_flag(r, o, "startup_failed");
        s->startup_boottime = get_number(r, o, "startup", USEC_INFINITY);
        s->joins_until_boottime = get_number(r, o, "joins_until", 0);
        s->unit = UNIT_UNFOLLOWED;
        if (get(r, o, "unit_state", json_type_string))
                s->unit = (UnitState) get_word(r, o, "unit_state", unit_words);
        GET_TEXT(r, o, "invocation", s->invocation_id);
        GET_TEXT(r, o, "version", s->version);
        s->drain = get_drain(r, o);
}

static void take_service(Reader *r, json_object *o) {
        json_object *checks = get(r, o, "checks", json_type_array);
        const char *name = get_string(r, o, "name");
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
        k->had_defect = get_flag(r, o, "defect");
        get_verdict(r, o, &k->verdict, k->since);
        for (size_t i = 0; checks && i < json_object_array_length(checks); i++)
                take_check(r, json_object_array_get_idx(checks, i), name);
}

static void take_all(Reader *r, json_object *o) {
        json_object *services = get(r, o, "services", json_type_array);

        r->kept->time.realtime = get_number(r, o, "realtime", 0);
        r->kept->time.boottime = get_number(r, o, "boottime", 0);
        r->kept->drain = get_drain(r, o);
        get_verdict(r, o, &r->kept->host, r->kept->host_since);
        if (!services)
                refuse(r, "services");
        for (size_t i = 0; services && i < json_object_array_length(services); i++) {
                json_object *item = json_object_array_get_idx(services, i);

                if (json_object_is_type(item, json_type_object))
                        take_service(r, item);
                else
                        refuse(r, "services");
        }
}

/* -- the whole --------------------------------------------------------------------------------- */

/* An object of ours, or why it is none. */
static int parse_object(const char *text, size_t n, json_object **ret,
                        char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        JsonFault fault;
        int r;

        snprintf(ret_why, STATE_FILE_WHY_MAX, "out of memory");
        r = json_tree_parse(text, n, &o, &fault);
        if (r == -EINVAL) {
                snprintf(ret_why, STATE_FILE_WHY_MAX, "line %zu, column %zu: %s", fault.line,
                         fault.column, fault.text);
                return -EBADMSG;
        }
        if (r < 0)
                return r;
        if (!json_object_is_type(o, json_type_object)) {
                snprintf(ret_why, STATE_FILE_WHY_MAX, "it is no object");
                return -EBADMSG;
        }
        *ret = TAKE(o);
        return 0;
}

static int refusal(const Reader *r, char ret_why[static STATE_FILE_WHY_MAX]) {
        if (!r->what)
                return r->has_no_memory ? -ENOMEM : 0;
        snprintf(ret_why, STATE_FILE_WHY_MAX, "\"%s\" is not as vitald writes it", r->what);
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
        if (!str_equal(get_string(&r, o, "boot"), boot)) {
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
        int r = parse_object(text, n, &o, ret_why);

        return r < 0 ? r : take_tree(o, boot, config, now, ret, ret_why);
}

/* -- beyond a boot ----------------------------------------------------------------------------- */

/* Whatever has become of the clock, it lasts no longer than it was meant to. */
static bool drain_revive(Drain *d, Time now) {
        usec_t since = d->since_realtime, until = d->until_boottime, left;

        d->since_realtime = MIN(since, now.realtime);
        if (!d->is_active || d->ends_with_invocation || until == USEC_INFINITY)
                return d->is_active && !d->ends_with_invocation;
        left = MIN(usec_sub(until, now.realtime), usec_sub(until, since));
        d->until_boottime = usec_add(now.boottime, left);
        return left > 0;
}

int drains_file_parse(const char *text, size_t n, const Config *config, Time now,
                      DrainHandler handler, void *userdata,
                      char ret_why[static STATE_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        json_object *drains;
        Reader reader = {};
        int r = parse_object(text, n, &o, ret_why);

        if (r < 0)
                return r;
        drains = get(&reader, o, "drains", json_type_array);
        if (!drains)
                refuse(&reader, "drains");
        for (size_t i = 0; drains && i < json_object_array_length(drains); i++) {
                json_object *item = json_object_array_get_idx(drains, i);
                const char *name = get_string(&reader, item, "service");
                size_t service = *name ? config_find_service(config, name) : INDEX_NONE;
                Drain d = get_drain(&reader, item);

                if (!reader.what && (!*name || service != INDEX_NONE) && drain_revive(&d, now))
                        handler(userdata, service, &d);
        }
        return refusal(&reader, ret_why);
}
