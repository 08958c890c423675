/* SPDX-License-Identifier: MIT */
#include "config/check-loader.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"
#include "config/apply.h"
#include "config/shared.h"

/* Type= decides what the other keys mean, so it is looked at first; as an option it is only there
 * to be known. */
static const Option type_options[] = {
        { .key = "Type", .type = &option_string },
};

static const Schema type_schema = SCHEMA(type_options);

/* A check in the making. */
typedef struct CheckLoad {
        CheckConfig *check; /* owned */
        char *type_name;    /* owned: the one field of type_schema */
        SettingsTarget targets[3];
        SectionApply apply;
        char refusal[OPTION_WHY_MAX]; /* of keys that stand in the shared check */
} CheckLoad;

enum { TARGET_TYPE, TARGET_COMMON, TARGET_OWN };

static void check_load_done(CheckLoad *l) {
        check_config_unref(l->check);
        schema_clear(&type_schema, &l->type_name);
}

static const char means_nothing[] = "means nothing for a check that has no runs";

static const char *section_type_name(const Section *s) {
        const char *name = NULL;

        for (size_t i = 0; i < s->n; i++)
                if (str_equal(s->items[i].key, "Type"))
                        name = *s->items[i].value ? s->items[i].value : NULL;
        return name;
}

static const Section *section_with_type(const CheckSources *sources) {
        return sources->shared ? &sources->shared->section : sources->section;
}

/* Names the nearest type, or else all. */
static void check_unknown_type(const CheckTypes *types, const char *name,
                               char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        const char *known, *nearest = NULL;
        unsigned best = UINT_MAX;
        int used;

        for (size_t i = 0; (known = check_types_name(types, i)); i++)
                if (typo_distance(name, known) < best) {
                        best = typo_distance(name, known);
                        nearest = known;
                }
        option_show(shown, name);
        if (nearest) {
                snprintf(why, OPTION_WHY_MAX, "unknown type \"%s\"; did you mean %s?", shown,
                         nearest);
                return;
        }
        used = snprintf(why, OPTION_WHY_MAX, "unknown type \"%s\"; known are", shown);
        for (size_t i = 0; (known = check_types_name(types, i)) && used < OPTION_WHY_MAX; i++)
                used += snprintf(why + used, OPTION_WHY_MAX - (size_t) used, "%s %s",
                                 i == 0 ? "" : ",", known);
}

static void check_no_type(const CheckLoad *l, const CheckTypes *types, const char *name) {
        char why[OPTION_WHY_MAX];

        (void) check_types_find(types, name, why);
        if (!*why)
                check_unknown_type(types, name, why);
        section_fault(&l->apply, "Type", why);
}

static int check_name(CheckConfig *c, const char *service, const char *name) {
        _cleanup_strbuf_ StrBuf id = {};

        c->name = strdup(name);
        c->service = strdup(service);
        strbuf_printf(&id, "%s/%s", service, name);
        if (!c->name || !c->service || strbuf_finish(&id, &c->id) < 0)
                return -ENOMEM;
        c->public_name = strdup(str_equal(service, SERVICE_BARE) ? name : c->id);
        return c->public_name ? 0 : -ENOMEM;
}

/* Allocates what the section is going to fill. */
static int check_prepare(CheckLoad *l, const CheckType *type) {
        CheckConfig *c;

        c = l->check = check_config_new();
        if (!c)
                return -ENOMEM;
        l->targets[TARGET_TYPE] = (SettingsTarget){ &type_schema, &l->type_name, OPTION_RUN, {} };
        l->targets[TARGET_COMMON] = (SettingsTarget){ &check_schema, c, 0, {} };
        l->apply.n_targets = 2;
        if (type) {
                c->type = type;
                c->settings = calloc(1, MAX(type->settings_size, (size_t) 1));
                if (!c->settings)
                        return -ENOMEM;
                l->targets[TARGET_OWN] =
                        (SettingsTarget){ &type->schema, c->settings, OPTION_RUN, {} };
                l->apply.n_targets = 3;
                return schema_init(&type->schema, c->settings);
        }
        l->apply.takes_any_key = true;
        return 0;
}

/* A section whose faults are listed where it stands. */
static int check_apply_below(CheckLoad *l, const Section *section, bool is_for_all) {
        SettingsTarget targets[ELEMENTSOF(l->targets)];
        SectionApply apply = {
                .section = section,
                .targets = is_for_all ? targets + TARGET_COMMON : targets,
                .n_targets = is_for_all ? 1 : l->apply.n_targets,
                .is_for_all = is_for_all,
        };

        memcpy(targets, l->targets, sizeof(targets));
        return section_apply(&apply);
}

/* Of [Defaults] those keys mean nothing to a check without runs that are about runs: how many
 * failures in a row it takes, and how long one takes. What an application says counts at once. */
static void check_begin_push(CheckConfig *c) {
        c->failure_threshold = c->success_threshold = c->liveness_failure_threshold = 1;
        c->warn_latency_usec = c->max_latency_usec = 0;
}

/* [Defaults] first, then what is shared, the check's own keys over both. */
static int check_apply(CheckLoad *l, const CheckSources *sources) {
        const SharedCheck *shared = sources->shared;
        int r = 0;

        if (sources->defaults)
                r = check_apply_below(l, sources->defaults, true);
        if (l->check->type && check_config_is_pushed(l->check))
                check_begin_push(l->check);
        if (r >= 0 && shared)
                r = check_apply_below(l, &shared->section, false);
        if (r < 0)
                return r;
        if (shared) {
                snprintf(l->refusal, sizeof(l->refusal),
                         "stands in checks/%s.conf, which is run once for all", shared->name);
                l->apply.refusal = l->refusal;
                l->apply.refused = OPTION_RUN;
        } else if (l->check->type && !check_type_has_runs(l->check->type)) {
                l->targets[TARGET_TYPE].flags = l->targets[TARGET_OWN].flags = 0;
                l->apply.refusal = means_nothing;
                l->apply.refused =
                        OPTION_RUN | (check_config_is_combined(l->check) ? OPTION_GRADE : 0);
        }
        r = section_apply(&l->apply);
        if (r < 0)
                return r;
        if (!shared)
                section_require(&l->apply);
        return 0;
}

/* What follows from other settings where nothing is said. */
static void check_derive(CheckLoad *l) {
        CheckConfig *c = l->check;
        usec_t retry = MIN(c->interval_usec, MAX(250 * USEC_PER_MSEC, c->interval_usec / 5));
        char why[OPTION_WHY_MAX], span[TIMESPAN_MAX];
        usec_t shortest;

        if (!check_type_has_runs(c->type)) {
                c->interval_usec = c->timeout_usec = c->retry_interval_usec = 0;
                c->initial_delay_usec = 0;
                c->max_age_usec = check_config_is_pushed(c) ? USEC_INFINITY : 0;
                return;
        }
        if (c->timeout_usec == 0)
                c->timeout_usec = c->type->timeout_usec;
        if (c->retry_interval_usec == 0)
                c->retry_interval_usec = retry;
        c->retry_interval_usec = MIN(c->retry_interval_usec, c->interval_usec);

        shortest = usec_add(c->interval_usec, c->timeout_usec);
        if (c->max_age_usec == 0)
                c->max_age_usec = usec_add(usec_mul(c->interval_usec, 3), c->timeout_usec);
        else if (c->max_age_usec < shortest) {
                snprintf(why, sizeof(why),
                         "shorter than Interval= and Timeout= together (%s), so that each result "
                         "would be too old before the next",
                         timespan_format(span, shortest));
                section_fault(&l->apply, "MaxAge", why);
        }
}

/* -- Warn=, Fail= ------------------------------------------------------------------------------ */

/* The type's value that a limit is for, or NULL with why. */
static const CheckValue *limit_find_value(const CheckType *type, const Limit *limit,
                                          char why[static OPTION_WHY_MAX]) {
        const CheckValue *values = type->values;
        int used;

        for (const CheckValue *v = values; v->name; v++)
                if (str_equal(v->name, limit->name) || (!*limit->name && !values[1].name))
                        return v;
        if (!values[0].name) {
                snprintf(why, OPTION_WHY_MAX, "a check of type %s measures no values", type->name);
                return NULL;
        }
        used = *limit->name ? snprintf(why, OPTION_WHY_MAX, "unknown value %s", limit->name)
                            : snprintf(why, OPTION_WHY_MAX, "%s is for no value", limit->text);
        for (const CheckValue *v = values; v->name && used < OPTION_WHY_MAX; v++)
                used += snprintf(why + used, OPTION_WHY_MAX - (size_t) used, "%s %s",
                                 v == values ? "; there are" : ",", v->name);
        return NULL;
}

/* Gives a nameless limit the name of the one value there is. */
static void check_bind_limits(CheckLoad *l, const char *key, Limits *limits) {
        char why[OPTION_WHY_MAX];

        for (size_t i = 0; i < limits->n; i++) {
                Limit *limit = &limits->items[i];
                const CheckValue *v = limit_find_value(l->check->type, limit, why);

                if (!v) {
                        section_fault(&l->apply, key, why);
                        continue;
                }
                if (*limit->unit && !str_equal(limit->unit, v->unit)) {
                        snprintf(why, sizeof(why), "%s does not count %s, as in %s", v->name,
                                 limit->unit, limit->text);
                        section_fault(&l->apply, key, why);
                }
                snprintf(limit->name, sizeof(limit->name), "%s", v->name);
        }
}

/* What is only known when the check runs is judged then. */
static void check_bind_all_limits(CheckLoad *l) {
        if (!l->check->type->values)
                return;
        check_bind_limits(l, "Warn", &l->check->warn);
        check_bind_limits(l, "Fail", &l->check->fail);
}

bool check_config_is_remote_liveness(const CheckConfig *c) {
        return check_config_feeds(c, PROBE_LIVENESS) && c->target.is_remote &&
               !c->allow_remote_liveness;
}

/* Keys of judging runs, wherever they were set. */
static void check_validate_push(CheckLoad *l) {
        const CheckConfig *c = l->check;

        if (c->after)
                section_fault(&l->apply, "After", means_nothing);
        if (c->warn_latency_usec > 0)
                section_fault(&l->apply, "WarnLatency", means_nothing);
        if (c->max_latency_usec > 0)
                section_fault(&l->apply, "MaxLatency", means_nothing);
}

static int check_validate(CheckLoad *l) {
        CheckConfig *c = l->check;
        char why[OPTION_WHY_MAX] = "";
        const char *key = NULL;
        CheckTarget target = {};
        int r;

        r = c->type->validate ? c->type->validate(c->settings, &key, why) : 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                section_fault(&l->apply, key, why);
                return 0;
        }
        if (check_config_is_pushed(c))
                check_validate_push(l);
        c->type->describe(c->settings, &target);
        r = check_config_set_target(c, &target);
        if (r < 0)
                return r;
        if (check_config_is_remote_liveness(c))
                section_fault(&l->apply, "Probes", CHECK_REMOTE_LIVENESS);
        return 0;
}

/* A credential that cannot be had is this check's failure, not a fault of the files. */
static int check_resolve(CheckConfig *c, CredentialStore *credentials) {
        char why[OPTION_WHY_MAX];
        int r;

        r = schema_resolve(&c->type->schema, c->settings, credential_lookup, credentials, why);
        if (r >= 0 || r == -ENOMEM)
                return r;
        c->defect = strdup(why);
        if (!c->defect)
                return -ENOMEM;
        c->defect_reason = REASON_CREDENTIAL;
        return 0;
}

static int check_canonical(CheckConfig *c) {
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_printf(&b, "Type=%s\n", c->type->name);
        schema_canonical(&c->type->schema, c->settings, &b);
        return strbuf_finish(&b, &c->canonical);
}

/* Whoever runs as vitald's own user can write to the copy, so it gives nobody more than that. */
static void check_refuse_power(CheckLoad *l) {
        for (size_t i = 0; i < l->apply.n_targets; i++) {
                const SettingsTarget *t = &l->targets[i];

                for (size_t j = 0; j < t->schema->n; j++)
                        if (t->set[j] && t->schema->options[j].flags & OPTION_POWER)
                                section_fault(&l->apply, t->schema->options[j].key,
                                              "is taken from the file alone, never from a copy");
        }
}

static size_t fault_count(const Diagnostics *d) {
        return d->n + d->n_left_out;
}

static int check_load_all(CheckLoad *l, const CheckSources *sources, Diagnostics *d) {
        const CheckType *type = check_load_type(sources);
        const char *type_name = section_type_name(section_with_type(sources));
        size_t n_before = fault_count(d);
        int r;

        r = check_prepare(l, type);
        if (r < 0)
                return r;
        r = check_name(l->check, sources->service, sources->name);
        if (r < 0)
                return r;
        r = check_apply(l, sources);
        if (r < 0)
                return r;
        if (!type_name)
                section_fault(&l->apply, "Type", "required, but not set");
        else if (!type)
                check_no_type(l, sources->types, type_name);
        if (sources->is_copy)
                check_refuse_power(l);
        if (fault_count(d) > n_before)
                return 0;
        check_derive(l);
        check_bind_all_limits(l);
        r = check_validate(l);
        if (r < 0 || fault_count(d) > n_before)
                return r;
        r = check_resolve(l->check, sources->credentials);
        return r < 0 ? r : check_canonical(l->check);
}

const CheckType *check_load_type(const CheckSources *sources) {
        const char *name = section_type_name(section_with_type(sources));
        char why[OPTION_WHY_MAX];

        return name ? check_types_find(sources->types, name, why) : NULL;
}

int check_load(const CheckSources *sources, Diagnostics *d, CheckConfig **ret) {
        _cleanup_(check_load_done) CheckLoad l = {};
        int r;

        l.apply = (SectionApply){
                .section = sources->section,
                .targets = l.targets,
                .diagnostics = d,
        };
        r = check_load_all(&l, sources, d);
        if (r < 0)
                return r;
        *ret = l.check && l.check->canonical ? TAKE(l.check) : NULL;
        return 0;
}
