/* SPDX-License-Identifier: MIT */
#include "model/config.h"

#include <errno.h>

#include "base/text.h"

bool name_is_valid(const char *s) {
        size_t n = strlen(s);

        return n > 0 && n <= NAME_LENGTH_MAX && s[0] != '.' &&
               strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@:-") ==
                       n;
}

const char *probe_to_string(Probe p) {
        return probe_words[p];
}

static CheckConfig *check_config_free(CheckConfig *c) {
        if (c->settings)
                schema_clear(&c->type->schema, c->settings);
        free(c->settings);
        schema_clear(&check_schema, c);
        free(c->name);
        free(c->service);
        free(c->id);
        free(c->public_name);
        free(c->canonical);
        free(c->target.text);
        free(c->target.host);
        free(c->defect);
        free(c->needs);
        free(c);
        return NULL;
}

void service_config_done(ServiceConfig *s) {
        schema_clear(&service_schema, s);
        free(s->name);
        free(s->defect);
        free(s->fault);
        free(s->derived);
}

static Config *config_free(Config *c) {
        for (size_t i = 0; i < c->n_services; i++)
                service_config_done(&c->services[i]);
        free(c->services);
        for (size_t i = 0; i < c->n_checks; i++)
                check_config_unref(c->checks[i]);
        free(c->checks);
        free(c->shares);
        schema_clear(&daemon_schema, &c->daemon);
        schema_clear(&http_schema, &c->http);
        free(c->http.token_defect);
        schema_clear(&agent_schema, &c->agent);
        free(c->defect);
        free(c->fault);
        strv_free(c->masked);
        diagnostics_done(&c->diagnostics);
        free(c);
        return NULL;
}

int check_config_set_target(CheckConfig *c, const CheckTarget *target) {
        _cleanup_free_ char *text = strdup(target->text), *host = strdup(target->host);

        if (!text || !host)
                return -ENOMEM;
        free(c->target.text);
        free(c->target.host);
        c->target.text = TAKE(text);
        c->target.host = TAKE(host);
        c->target.is_remote = target->is_remote;
        return 0;
}

CheckConfig *check_config_new(void) {
        CheckConfig *c = calloc(1, sizeof(CheckConfig));

        if (!c)
                return NULL;
        c->n_ref = 1;
        if (schema_init(&check_schema, c) < 0 || check_config_set_target(c, &(CheckTarget){}) < 0)
                return check_config_free(c);
        return c;
}

CheckConfig *check_config_ref(CheckConfig *c) {
        c->n_ref++;
        return c;
}

CheckConfig *check_config_unref(CheckConfig *c) {
        if (!c)
                return NULL;
        assert(c->n_ref > 0);
        return --c->n_ref == 0 ? check_config_free(c) : NULL;
}

bool check_config_same_target(const CheckConfig *a, const CheckConfig *b) {
        return str_equal(a->canonical, b->canonical);
}

Config *config_new(void) {
        Config *c = calloc(1, sizeof(Config));

        if (!c)
                return NULL;
        c->n_ref = 1;
        if (schema_init(&daemon_schema, &c->daemon) < 0 ||
            schema_init(&http_schema, &c->http) < 0 || schema_init(&agent_schema, &c->agent) < 0)
                return config_free(c);
        return c;
}

Config *config_ref(Config *c) {
        c->n_ref++;
        return c;
}

Config *config_unref(Config *c) {
        if (!c)
                return NULL;
        assert(c->n_ref > 0);
        return --c->n_ref == 0 ? config_free(c) : NULL;
}

bool service_config_restarts(const ServiceConfig *s) {
        return s->unit && !s->is_shadow && !s->defect &&
               (s->on_liveness_failure == ON_LIVENESS_FAILURE_RESTART ||
                s->on_startup_failure == ON_STARTUP_FAILURE_RESTART);
}

size_t config_find_service(const Config *c, const char *name) {
        size_t low = 0, high = c->n_services;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(c->services[middle].name, name);

                if (order == 0)
                        return middle;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return INDEX_NONE;
}

/* The last service that begins at or before the check; those without checks begin where the next
 * one does. */
size_t config_service_of(const Config *c, size_t check) {
        size_t low = 0, high = c->n_services;

        assert(check < c->n_checks);
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;

                if (c->services[middle].first_check <= check)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

size_t config_find_check(const Config *c, const char *service, const char *check) {
        size_t i = config_find_service(c, service);
        const ServiceConfig *s;

        if (i == INDEX_NONE)
                return INDEX_NONE;
        s = &c->services[i];
        for (i = s->first_check; i < s->first_check + s->n_checks; i++)
                if (str_equal(c->checks[i]->name, check))
                        return i;
        return INDEX_NONE;
}

size_t config_find_copy(const Config *c, size_t i, ConfigCopy *ret) {
        for (; i <= c->n_services; i++) {
                const ServiceConfig *s = i > 0 ? &c->services[i - 1] : NULL;

                *ret = (ConfigCopy){
                        .service = s ? s->name : NULL,
                        .fault = s ? s->fault : c->fault,
                        .realtime = s ? s->copy_realtime : c->copy_realtime,
                };
                if (ret->fault)
                        return i;
        }
        return INDEX_NONE;
}

/* -- shared checks ----------------------------------------------------------------------------- */

/* By the shared check that they take: its name, and whether it is the copy. */
static int shared_compare_what(const CheckConfig *a, const CheckConfig *b) {
        int r = strcmp(a->shared, b->shared);

        return r != 0 ? r : a->is_shared_copy - b->is_shared_copy;
}

/* Then by index. */
static int shared_compare(const void *a, const void *b, void *config) {
        const Config *c = config;
        const size_t *x = a, *y = b;
        int r = shared_compare_what(c->checks[*x], c->checks[*y]);

        return r != 0 ? r : (*x > *y) - (*x < *y);
}

int config_share(Config *c) {
        _cleanup_free_ size_t *shared = calloc(MAX(c->n_checks, (size_t) 1), sizeof(size_t));
        CheckShare *shares;
        size_t n = 0;

        if (!shared)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_checks; i++)
                if (c->checks[i]->shared)
                        shared[n++] = i;
        if (n == 0)
                return 0;
        shares = c->shares = calloc(c->n_checks, sizeof(CheckShare));
        if (!shares)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_checks; i++)
                shares[i] = (CheckShare){ .runs_as = i, .next = INDEX_NONE };
        qsort_r(shared, n, sizeof(size_t), shared_compare, c);
        for (size_t i = 1; i < n; i++) {
                size_t before = shared[i - 1], this = shared[i];

                if (shared_compare_what(c->checks[before], c->checks[this]) != 0)
                        continue;
                shares[before].next = this;
                shares[this].runs_as = shares[before].runs_as;
        }
        return 0;
}

size_t config_find_shared(const Config *c, const char *name) {
        for (size_t i = 0; c->shares && i < c->n_checks; i++)
                if (c->checks[i]->shared && str_equal(c->checks[i]->shared, name))
                        return i;
        return INDEX_NONE;
}

bool config_check_is_shadow(const Config *c, size_t check) {
        return c->checks[check]->is_shadow || c->services[config_service_of(c, check)].is_shadow;
}

const char *config_documentation(const Config *c, size_t check) {
        const char *own = c->checks[check]->documentation;

        return own ? own : c->services[config_service_of(c, check)].documentation;
}

bool config_has_services(const Config *c) {
        for (size_t i = 0; i < c->n_services; i++)
                if (!c->services[i].is_builtin)
                        return true;
        return false;
}
