/* SPDX-License-Identifier: MIT */
#include "config/loader.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"
#include "config/apply.h"
#include "config/check-loader.h"
#include "config/loader-internal.h"

#define MAIN_FILE "vitald.conf"

/* -- what all files need ----------------------------------------------------------------------- */

int loader_fault_text(const Loader *l, size_t i, char **ret) {
        const Diagnostics *d = &l->config->diagnostics;
        _cleanup_strbuf_ StrBuf b = {};

        if (i < d->n)
                diagnostic_format(&d->items[i], &b);
        else
                strbuf_append(&b, "too many faults in the configuration to list this one");
        return strbuf_finish(&b, ret);
}

int loader_host_defect(Loader *l, size_t first_fault) {
        Config *c = l->config;

        if (c->defect || diagnostics_count(&c->diagnostics) == first_fault)
                return 0;
        return loader_fault_text(l, first_fault, &c->defect);
}

int loader_drop_ins(Loader *l, const char *file, TreeList *ret) {
        _cleanup_strbuf_ StrBuf folder = {};

        strbuf_printf(&folder, "%s.d", file);
        if (folder.failed)
                return -ENOMEM;
        return tree_list(l->sources->root, folder.text, &l->config->diagnostics, ret);
}

void loader_unknown_section(Loader *l, const Section *s, const char *const *known) {
        char title[SECTION_TITLE_MAX];
        const char *nearest = NULL;
        unsigned best = UINT_MAX;

        for (size_t i = 0; known[i]; i++)
                if (typo_distance(s->kind, known[i]) < best) {
                        best = typo_distance(s->kind, known[i]);
                        nearest = known[i];
                }
        section_title(title, s);
        if (nearest)
                diagnostics_add(&l->config->diagnostics, s->file, s->line,
                                "unknown section %s; did you mean [%s%s]?", title, nearest,
                                str_equal(nearest, "Check") ? " NAME" : "");
        else
                diagnostics_add(&l->config->diagnostics, s->file, s->line, "unknown section %s",
                                title);
}

int loader_section(Loader *l, const Section *s, const Schema *schema, void *settings,
                   bool is_for_all) {
        SettingsTarget target = { .schema = schema, .settings = settings };
        SectionApply apply = {
                .section = s,
                .targets = &target,
                .n_targets = 1,
                .is_for_all = is_for_all,
                .diagnostics = &l->config->diagnostics,
        };
        char title[SECTION_TITLE_MAX];
        int r;

        if (s->argument)
                diagnostics_add(&l->config->diagnostics, s->file, s->line, "%s takes no name",
                                section_title(title, s));
        r = section_apply(&apply);
        if (r < 0)
                return r;
        section_require(&apply);
        return 0;
}

/* -- vitald.conf ------------------------------------------------------------------------------- */

static int loader_main_sections(Loader *l, Surroundings *from) {
        static const char *const known[] = { "Daemon", "HTTP", "Agent", "Defaults", NULL };
        _cleanup_(check_config_unrefp) CheckConfig *scratch = check_config_new();
        const struct {
                const Schema *schema;
                void *settings;
                bool is_for_all;
        } targets[] = {
                { &daemon_schema, &l->config->daemon, false },
                { &http_schema, &l->config->http, false },
                { &agent_schema, &l->config->agent, false },
                { &check_schema, scratch, true },
        };
        int r;

        if (!scratch)
                return -ENOMEM;
        for (size_t i = 0; i < from->main.n_sections; i++) {
                const Section *s = &from->main.sections[i];
                size_t j = 0;

                while (known[j] && !str_equal(known[j], s->kind))
                        j++;
                if (!known[j]) {
                        loader_unknown_section(l, s, known);
                        continue;
                }
                r = loader_section(l, s, targets[j].schema, targets[j].settings,
                                   targets[j].is_for_all);
                if (r < 0)
                        return r;
        }
        from->defaults = document_find(&from->main, "Defaults");
        return http_token_resolve(&l->config->http, &l->credentials);
}

static int loader_main_read(Loader *l) {
        _cleanup_(tree_list_done) TreeList files = {}, drop_ins = {};
        Document *d = &l->files.main;
        const TreeFile *file;
        int r;

        r = tree_list(l->sources->root, "", &l->config->diagnostics, &files);
        if (r < 0)
                return r;
        r = loader_drop_ins(l, MAIN_FILE, &drop_ins);
        if (r < 0)
                return r;
        file = tree_list_find(&files, MAIN_FILE);
        r = document_load(file && !file->is_masked ? file->path : NULL, NULL, &drop_ins,
                          &l->config->diagnostics, d);
        return r < 0 ? r : places_add(l->sources->places, "", "", d);
}

/* The copy of vitald.conf goes into a configuration of its own. */
static int loader_read_main_copy(Loader *l, const GoodEntry *entry) {
        Config *config = l->config, *copy = l->copy;
        int r;

        r = document_load_texts(entry->files, entry->n_files, &copy->diagnostics, &l->copies.main);
        if (r < 0)
                return r;
        l->config = copy;
        r = loader_main_sections(l, &l->copies);
        l->config = config;
        l->copies.is_good = diagnostics_is_empty(&copy->diagnostics);
        return r;
}

int loader_read_copies(Loader *l) {
        const GoodEntry *entry = last_good_find(l->sources->last_good, "", "");
        CheckSources sources;
        int r;

        if (!entry || l->copy)
                return 0;
        l->copy = config_new();
        r = l->copy ? loader_read_main_copy(l, entry) : -ENOMEM;
        if (r < 0 || !l->copies.is_good)
                return r;
        sources = loader_check_sources(l, &l->copies);
        return shared_checks_load_copies(l->sources->last_good, &sources, &l->copy->diagnostics,
                                         &l->copies.shared);
}

static void loader_swap_main(Config *a, Config *b) {
        const Config was = *a;

        a->daemon = b->daemon;
        a->http = b->http;
        a->agent = b->agent;
        b->daemon = was.daemon;
        b->http = was.http;
        b->agent = was.agent;
}

/* Something is wrong with vitald.conf: its last good copy stands in for it, or else the host is
 * out. */
static int loader_main_fault(Loader *l, size_t first_fault) {
        Config *c = l->config;
        int r;

        r = loader_read_copies(l);
        if (r < 0)
                return r;
        if (!l->copies.is_good)
                return loader_host_defect(l, first_fault);
        loader_swap_main(c, l->copy);
        l->files.defaults = l->copies.defaults;
        c->copy_realtime = last_good_find(l->sources->last_good, "", "")->since_realtime;
        return loader_fault_text(l, first_fault, &c->fault);
}

/* The document stays, as [Defaults] is read again for each check. */
static int loader_main(Loader *l) {
        size_t first_fault = diagnostics_count(&l->config->diagnostics);
        int r;

        r = loader_main_read(l);
        if (r >= 0)
                r = loader_main_sections(l, &l->files);
        if (r < 0)
                return r;
        if (diagnostics_count(&l->config->diagnostics) > first_fault)
                return loader_main_fault(l, first_fault);
        return last_good_add(l->sources->loaded, "", "", &l->files.main);
}

/* -- checks/ ----------------------------------------------------------------------------------- */

CheckSources loader_check_sources(Loader *l, const Surroundings *from) {
        return (CheckSources){
                .defaults = from->defaults,
                .types = l->sources->types,
                .credentials = &l->credentials,
                .is_copy = from == &l->copies,
        };
}

static int loader_shared(Loader *l) {
        CheckSources sources = loader_check_sources(l, &l->files);
        const SharedChecks *shared = &l->files.shared;
        int r;

        r = shared_checks_load(l->sources->root, &sources, &l->config->diagnostics,
                               &l->files.shared);
        for (size_t i = 0; r >= 0 && i < shared->n; i++) {
                const SharedCheck *s = &shared->items[i];

                r = places_add(l->sources->places, "checks", s->name, &s->document);
                if (r >= 0 && s->is_good)
                        r = last_good_add(l->sources->loaded, "checks", s->name, &s->document);
        }
        return r;
}

/* -- entry points ------------------------------------------------------------------------------ */

static Loader loader_make(const ConfigSources *sources, Config *config) {
        return (Loader){
                .sources = sources,
                .config = config,
                .credentials = {
                        .directory = sources->credentials_directory,
                        .is_reload = sources->is_reload,
                },
        };
}

static void surroundings_done(Surroundings *s) {
        shared_checks_done(&s->shared);
        document_done(&s->main);
}

static void loader_done(Loader *l) {
        surroundings_done(&l->files);
        surroundings_done(&l->copies);
        config_unref(l->copy);
}

/* All files, in the order in which one needs the other. */
static int loader_load(Loader *l) {
        int r;

        r = loader_main(l);
        if (r >= 0)
                r = loader_shared(l);
        if (r >= 0)
                r = loader_services(l);
        return r < 0 ? r : config_share(l->config);
}

int config_load(const ConfigSources *sources, Config **ret) {
        _cleanup_(config_unrefp) Config *config = config_new();
        Loader l = loader_make(sources, config);
        int r;

        if (!config)
                return -ENOMEM;
        r = loader_load(&l);
        loader_done(&l);
        if (r < 0)
                return r;
        *ret = TAKE(config);
        return 0;
}

int config_load_text(const ConfigSources *sources, const char *name, const char *text,
                     Config **ret) {
        _cleanup_(config_unrefp) Config *config = config_new();
        Loader l = loader_make(sources, config);
        int r;

        if (!config)
                return -ENOMEM;
        config->services = calloc(1, sizeof(ServiceConfig));
        if (!config->services)
                return -ENOMEM;
        r = loader_service_text(&l, name, text);
        loader_done(&l);
        if (r < 0)
                return r;
        *ret = TAKE(config);
        return 0;
}
