/* SPDX-License-Identifier: MIT */
#include "probe-url.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/engine.h"
#include "config/loader.h"

#define EXIT_NO 3

/* More are not told apart. */
#define PHASES_MAX 32

/* Shorter ones are left out: a name that needed no resolving, a step that was there already. */
#define PHASE_SHOWN_USEC 50

typedef struct Phase {
        char text[128];
        usec_t began_monotonic;
} Phase;

typedef struct Probing {
        sd_event *event;
        const Config *config;
        Phase phases[PHASES_MAX];
        size_t n_phases;
} Probing;

static int exit_status_of(Outcome o) {
        switch (o) {
        case OUTCOME_PASS:
        case OUTCOME_WARN:
                return EXIT_SUCCESS;
        case OUTCOME_FAIL:
                return EXIT_NO;
        case OUTCOME_ERROR:
                return EXIT_FAILURE;
        }
        assert(false);
        return EXIT_FAILURE;
}

static double msec(usec_t usec) {
        return (double) usec / (double) USEC_PER_MSEC;
}

static void print_phases(const Probing *p, usec_t end) {
        for (size_t i = 0; i < p->n_phases; i++) {
                usec_t next = i + 1 < p->n_phases ? p->phases[i + 1].began_monotonic : end;
                usec_t took = usec_sub(next, p->phases[i].began_monotonic);

                if (took >= PHASE_SHOWN_USEC)
                        printf("%10.1fms  %s\n", msec(took), p->phases[i].text);
        }
}

static void print_result(const CheckConfig *c, const Result *r) {
        char reason[REASON_WORD_MAX];

        printf("%s: %s", c->target.text, outcome_to_string(r->outcome));
        if (r->reason != REASON_NONE)
                printf(" (%s)", reason_format(reason, r->reason, r->detail));
        if (r->latency_usec != USEC_INFINITY)
                printf(" in %.1fms", msec(r->latency_usec));
        if (*r->message)
                printf(": %s", r->message);
        putchar('\n');
}

static void print_values(const Result *r) {
        for (size_t i = 0; i < r->n_values; i++)
                printf("  %s = %g%s%s\n", r->values[i].name, r->values[i].number,
                       *r->values[i].unit ? " " : "", r->values[i].unit);
}

static bool on_result(void *userdata, size_t check, uint64_t serial _unused_,
                      const Result *result) {
        Probing *p = userdata;

        print_result(p->config->checks[check], result);
        print_phases(p, clock_usec(CLOCK_MONOTONIC));
        print_values(result);
        sd_event_exit(p->event, exit_status_of(result->outcome));
        return false;
}

/* One that comes again is the same one going on. */
static void on_phase(void *userdata, size_t check _unused_, const char *phase) {
        Probing *p = userdata;
        Phase *new = &p->phases[p->n_phases];

        if (p->n_phases == PHASES_MAX || (p->n_phases > 0 && str_equal(new[-1].text, phase)))
                return;
        snprintf(new->text, sizeof(new->text), "%s", phase);
        new->began_monotonic = clock_usec(CLOCK_MONOTONIC);
        p->n_phases++;
}

static void on_voided(void *userdata _unused_, size_t check _unused_) {}
static void on_forgotten(void *userdata _unused_, size_t check _unused_) {}
static void on_turn(void *userdata _unused_) {}
static void on_stalled(void *userdata _unused_, usec_t stall_usec _unused_) {}

static const EngineHandler handler = {
        .result = on_result,
        .forgotten = on_forgotten,
        .voided = on_voided,
        .turn = on_turn,
        .stalled = on_stalled,
        .phase = on_phase,
};

static int run_once(Config *config) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        Probing p = { .config = config };
        int r;

        r = sd_event_new(&event);
        if (r < 0)
                return r;
        p.event = event;
        r = engine_new(event, &handler, &p, &engine);
        if (r < 0)
                return r;
        r = engine_configure(engine, config);
        if (r < 0)
                return r;
        return sd_event_loop(event);
}

/* The types from the i-th on that this host has. */
static const CheckType *next_type(size_t *i) {
        char why[OPTION_WHY_MAX];
        const CheckType *type;
        const char *name;

        for (; (name = check_types_name(check_types(), *i)); (*i)++) {
                type = check_types_find(check_types(), name, why);
                if (type)
                        return type;
        }
        return NULL;
}

static const CheckScheme *find_scheme(const char *url, const CheckType **ret_type) {
        size_t n = strcspn(url, ":");
        const CheckType *type;

        for (size_t i = 0; (type = next_type(&i)); i++)
                for (const CheckScheme *s = type->schemes; s && s->scheme; s++)
                        if (strlen(s->scheme) == n && strncmp(s->scheme, url, n) == 0 &&
                            str_starts_with(url + n, "://")) {
                                *ret_type = type;
                                return s;
                        }
        return NULL;
}

static void print_schemes(const char *url) {
        const CheckType *type;

        fprintf(stderr, "vitald: no check for %s; known are", url);
        for (size_t i = 0; (type = next_type(&i)); i++)
                for (const CheckScheme *s = type->schemes; s && s->scheme; s++)
                        fprintf(stderr, " %s://", s->scheme);
        fputc('\n', stderr);
}

/* The URL as a configuration of one check. */
static int make_config(const char *url, const CheckScheme *scheme, const CheckType *type,
                       Config **ret) {
        ConfigSources sources = { .types = check_types() };
        size_t skip = scheme->takes_url ? 0 : strlen(scheme->scheme) + strlen("://");
        size_t length = strlen(url + skip);
        _cleanup_strbuf_ StrBuf text = {};

        if (!scheme->takes_url && length > 1 && url[skip + length - 1] == '/')
                length--;
        strbuf_printf(&text, "[Check probe]\nType=%s\n%s=%.*s\n", type->name, scheme->key,
                      (int) length, url + skip);
        if (text.failed)
                return -ENOMEM;
        return config_load_text(&sources, "probe", text.text, ret);
}

int probe_url(const char *url) {
        _cleanup_(config_unrefp) Config *config = NULL;
        const CheckScheme *scheme;
        const CheckType *type;
        int r;

        scheme = find_scheme(url, &type);
        if (!scheme || strpbrk(url, "\r\n")) {
                print_schemes(url);
                return EX_USAGE;
        }
        r = make_config(url, scheme, type, &config);
        if (r >= 0 && !diagnostics_is_empty(&config->diagnostics)) {
                for (size_t i = 0; i < config->diagnostics.n; i++)
                        fprintf(stderr, "vitald: %s\n", config->diagnostics.items[i].text);
                return EX_USAGE;
        }
        if (r >= 0)
                r = run_once(config);
        if (r < 0) {
                fprintf(stderr, "vitald: cannot run the check: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        return r;
}
