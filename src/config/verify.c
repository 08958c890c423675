/* SPDX-License-Identifier: MIT */
#include "config/verify.h"

#include "base/json.h"
#include "base/text.h"

/* -- where ------------------------------------------------------------------------------------- */

static const KeyPlace *find_of_check(const Places *p, const CheckConfig *c, const char *key) {
        const KeyPlace *found = places_find(p, "services", c->service, "Check", c->name, key);

        if (!found && c->shared)
                found = places_find(p, "checks", c->shared, "Check", NULL, key);
        if (!found && *key)
                found = places_find(p, "", "", "Defaults", NULL, key);
        return found;
}

static const KeyPlace *find_of_service(const Places *p, const char *name, const char *key) {
        const KeyPlace *found = places_find(p, "services", name, "Service", NULL, key);

        return found || *key ? found : places_find(p, "services", name, "", NULL, key);
}

/* Where the key was set that a finding is about, else the section that it would stand in, else the
 * file; NULL if there is none of that either. */
static const KeyPlace *find_place(const Places *p, const Finding *f) {
        const char *const keys[] = { f->key, "" };
        const KeyPlace *found = NULL;

        for (size_t i = 0; !found && i < ELEMENTSOF(keys); i++)
                if (f->check)
                        found = find_of_check(p, f->check, keys[i]);
                else if (f->service)
                        found = find_of_service(p, f->service->name, keys[i]);
                else
                        found = places_find(p, "", "", "HTTP", NULL, keys[i]);
        return found;
}

/* "orders/database", "orders", or NULL for vitald.conf. */
static const char *subject_of(const Finding *f) {
        return f->check ? f->check->id : f->service ? f->service->name : NULL;
}

/* -- for people -------------------------------------------------------------------------------- */

static void format_finding(const Finding *f, const Places *places, StrBuf *b) {
        const KeyPlace *place = find_place(places, f);
        const char *subject = subject_of(f);

        if (place && place->line > 0)
                strbuf_printf(b, "%s:%u: ", place->file, place->line);
        else if (place)
                strbuf_printf(b, "%s: ", place->file);
        strbuf_printf(b, "%s: %s%s%s=: %s [%s]\n", lint_severity_to_string(f->severity),
                      subject ? subject : "", subject ? ": " : "", f->key, f->text, f->rule);
}

static void format_number(StrBuf *b, const char *before, size_t n, const char *what) {
        strbuf_printf(b, "%s%zu %s%s", before, n, what, n == 1 ? "" : "s");
}

static void format_sum(const Verification *v, StrBuf *b) {
        const Config *c = v->config;
        const Findings *f = v->findings;

        format_number(b, "", c->n_services, "service");
        format_number(b, ", ", c->n_checks, "check");
        strbuf_append(b, ": good");
        if (f->n_warnings > 0)
                format_number(b, ", ", f->n_warnings, "warning");
        if (f->n_hints > 0)
                format_number(b, ", ", f->n_hints, "hint");
        strbuf_append(b, "\n");
        if (!config_has_services(c))
                strbuf_append(b, "no service is configured: the host would not be ready, reason "
                                 "unconfigured\n");
}

int verification_format(const Verification *v, char **ret) {
        size_t n_findings = v->findings->n_warnings + v->findings->n_hints;
        const Diagnostics *d = &v->config->diagnostics;
        _cleanup_free_ char *faults = NULL;
        _cleanup_strbuf_ StrBuf b = {};
        int r;

        r = diagnostics_format(d, &faults);
        if (r < 0)
                return r;
        strbuf_append(&b, faults);
        for (size_t i = 0; i < v->findings->n; i++)
                format_finding(&v->findings->items[i], v->places, &b);
        if (n_findings > v->findings->n)
                strbuf_printf(&b, "%zu more\n", n_findings - v->findings->n);
        if (diagnostics_is_empty(d))
                format_sum(v, &b);
        else {
                format_number(&b, "", d->n + d->n_left_out, "fault");
                strbuf_append(&b, "\n");
        }
        return strbuf_finish(&b, ret);
}

/* -- for programs ------------------------------------------------------------------------------ */

static void put_place(JsonWriter *w, const char *file, unsigned line) {
        json_string(w, "file", file);
        if (line > 0)
                json_number(w, "line", "%u", line);
}

static void put_finding(JsonWriter *w, const Finding *f, const Places *places) {
        const KeyPlace *place = find_place(places, f);

        json_open(w, NULL, '{');
        json_string(w, "severity", lint_severity_to_string(f->severity));
        json_string(w, "rule", f->rule);
        if (f->service)
                json_string(w, "service", f->service->name);
        if (f->check)
                json_string(w, "check", f->check->name);
        json_string(w, "key", f->key);
        if (place)
                put_place(w, place->file, place->line);
        json_string(w, "text", f->text);
        json_close(w, '}');
}

int verification_format_json(const Verification *v, char **ret) {
        const Diagnostics *d = &v->config->diagnostics;
        _cleanup_strbuf_ StrBuf b = {};
        JsonWriter w = { .out = &b };

        json_open(&w, NULL, '{');
        json_number(&w, "services", "%zu", v->config->n_services);
        json_number(&w, "checks", "%zu", v->config->n_checks);
        json_number(&w, "warnings", "%zu", v->findings->n_warnings);
        json_number(&w, "hints", "%zu", v->findings->n_hints);
        json_open(&w, "faults", '[');
        for (size_t i = 0; i < d->n; i++) {
                json_open(&w, NULL, '{');
                put_place(&w, d->items[i].file, d->items[i].line);
                json_string(&w, "text", d->items[i].text);
                json_close(&w, '}');
        }
        json_close(&w, ']');
        json_open(&w, "findings", '[');
        for (size_t i = 0; i < v->findings->n; i++)
                put_finding(&w, &v->findings->items[i], v->places);
        json_close(&w, ']');
        json_close(&w, '}');
        return strbuf_finish(&b, ret);
}
