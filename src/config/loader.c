/* SPDX-License-Identifier: MIT */
#include "config/loader.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"
#include "config/apply.h"
#include "config/check-loader.h"
#include "config/document.h"
#include "config/links.h"
#include "config/shared.h"

#define MAIN_FILE    "vitald.conf"
#define BUILTIN_FILE "host.conf"

/* Shown and never critical: a full disk should be seen, and no traffic is lost by it. */
static const char builtin_path[] = "built-in host.conf";
static const char builtin_text[] = "[Service]\n"
                                   "Description=This host\n"
                                   "Host=no\n"
                                   "[Check disk]\n"
                                   "Type=disk\n"
                                   "Description=Space on the root file system\n"
                                   "Path=/\n"
                                   "MinFree=5%\n"
                                   "Critical=no\n"
                                   "[Check memory]\n"
                                   "Type=memory\n"
                                   "Description=Memory that programs can still get\n"
                                   "MinAvailable=5%\n"
                                   "Critical=no\n";

typedef struct Loader {
        const ConfigSources *sources; /* borrowed */
        CredentialStore credentials;
        Config *config;          /* owned */
        const Section *defaults; /* borrowed, or NULL */
        SharedChecks shared;
        size_t n_services_allocated, n_checks_allocated;
} Loader;

/* A service in the making. */
typedef struct ServiceLoad {
        const char *name, *path; /* borrowed */
        const char *text;        /* borrowed; what stands in for the file, or NULL */
        bool is_builtin, has_drop_ins;
        Document document;
        ServiceConfig *service; /* borrowed */
        size_t first_fault;
} ServiceLoad;

static size_t fault_count(const Config *c) {
        return c->diagnostics.n + c->diagnostics.n_left_out;
}

/* The text of the fault with that number, for a defect. */
static int fault_text(const Config *c, size_t i, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};

        if (i < c->diagnostics.n)
                diagnostic_format(&c->diagnostics.items[i], &b);
        else
                strbuf_append(&b, "too many faults in the configuration to list this one");
        return strbuf_finish(&b, ret);
}

/* Anything found since first_fault puts the whole host out. */
static int loader_host_defect(Loader *l, size_t first_fault) {
        Config *c = l->config;

        if (c->defect || fault_count(c) == first_fault)
                return 0;
        return fault_text(c, first_fault, &c->defect);
}

/* The drop-ins of "services/orders.conf". */
static int loader_drop_ins(Loader *l, const char *file, TreeList *ret) {
        _cleanup_strbuf_ StrBuf folder = {};

        strbuf_printf(&folder, "%s.d", file);
        if (folder.failed)
                return -ENOMEM;
        return tree_list(l->sources->root, folder.text, &l->config->diagnostics, ret);
}

static void loader_unknown_section(Loader *l, const Section *s, const char *const *known) {
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

/* A section that fills one struct. */
static int loader_section(Loader *l, const Section *s, const Schema *schema, void *settings,
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

static int loader_main_sections(Loader *l, const Document *d) {
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
        for (size_t i = 0; i < d->n_sections; i++) {
                const Section *s = &d->sections[i];
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
        l->defaults = document_find(d, "Defaults");
        return 0;
}

/* The document stays, as [Defaults] is read again for each check. */
static int loader_main(Loader *l, Document *ret) {
        _cleanup_(tree_list_done) TreeList files = {}, drop_ins = {};
        size_t first_fault = fault_count(l->config);
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
                          &l->config->diagnostics, ret);
        if (r >= 0)
                r = places_add(l->sources->places, "", "", ret);
        if (r < 0)
                return r;
        r = loader_main_sections(l, ret);
        if (r >= 0)
                r = http_token_resolve(&l->config->http, &l->credentials);
        return r < 0 ? r : loader_host_defect(l, first_fault);
}

/* -- services ---------------------------------------------------------------------------------- */

static int loader_add_check(Loader *l, CheckConfig *check) {
        Config *c = l->config;

        if (c->n_checks == l->n_checks_allocated) {
                size_t n = MAX(l->n_checks_allocated * 2, (size_t) 16);
                CheckConfig **checks = reallocarray(c->checks, n, sizeof(CheckConfig *));

                if (!checks)
                        return -ENOMEM;
                c->checks = checks;
                l->n_checks_allocated = n;
        }
        c->checks[c->n_checks++] = check_config_ref(check);
        return 0;
}

static CheckSources loader_check_sources(Loader *l) {
        return (CheckSources){
                .defaults = l->defaults,
                .types = l->sources->types,
                .credentials = &l->credentials,
        };
}

static int loader_check(Loader *l, ServiceLoad *s, const Section *section) {
        Diagnostics *d = &l->config->diagnostics;
        _cleanup_(check_config_unrefp) CheckConfig *check = NULL;
        CheckSources sources = loader_check_sources(l);
        char title[SECTION_TITLE_MAX];
        int r;

        sources.service = s->name;
        sources.name = section->argument;
        sources.section = section;
        /* The built-in checks are those of the types that this build has. */
        if (s->is_builtin && section->file == s->document.files[0].path &&
            !check_load_type(&sources))
                return 0;
        if (!section->argument || !name_is_valid(section->argument)) {
                diagnostics_add(d, section->file, section->line,
                                "%s needs a name of at most %d letters, digits and \"_.@:-\" "
                                "that does not begin with a dot",
                                section_title(title, section), NAME_LENGTH_MAX);
                return 0;
        }
        if (l->config->n_checks >= CONFIG_CHECKS_MAX) {
                diagnostics_add(d, section->file, section->line, "more than %d checks in all",
                                CONFIG_CHECKS_MAX);
                return 0;
        }
        r = shared_checks_find(&l->shared, section, d, &sources.shared);
        if (r < 0)
                return 0;
        r = check_load(&sources, d, &check);
        if (r < 0 || !check)
                return r;
        return loader_add_check(l, check);
}

static int loader_service_sections(Loader *l, ServiceLoad *s) {
        static const char *const known[] = { "Service", "Check", NULL };
        size_t n_checks = 0;
        int r;

        for (size_t i = 0; i < s->document.n_sections; i++) {
                const Section *section = &s->document.sections[i];

                if (str_equal(section->kind, "Service"))
                        r = loader_section(l, section, &service_schema, s->service, false);
                else if (str_equal(section->kind, "Check")) {
                        r = loader_check(l, s, section);
                        n_checks++;
                } else {
                        loader_unknown_section(l, section, known);
                        r = 0;
                }
                if (r < 0)
                        return r;
        }
        if (n_checks == 0 && !s->service->unit && fault_count(l->config) == s->first_fault)
                diagnostics_add(&l->config->diagnostics, s->path, 0,
                                "neither a [Check NAME] nor Unit=: there is nothing to watch");
        return 0;
}

/* A service at fault keeps its name and loses its checks. */
static int loader_service_defect(Loader *l, ServiceLoad *s) {
        ServiceConfig *service = s->service;
        Config *c = l->config;

        if (fault_count(c) > s->first_fault) {
                int r = fault_text(c, s->first_fault, &service->defect);

                if (r < 0)
                        return r;
        } else if (c->defect && !service->is_builtin) {
                service->defect = strdup(c->defect);
                if (!service->defect)
                        return -ENOMEM;
        }
        while (service->defect && c->n_checks > service->first_check)
                check_config_unref(c->checks[--c->n_checks]);
        service->n_checks = c->n_checks - service->first_check;
        if (service->defect)
                service->n_derived = 0;
        return 0;
}

/* With a fault there may be checks missing that others name. */
static int loader_service_links(Loader *l, ServiceLoad *s) {
        Config *c = l->config;

        s->service->n_checks = c->n_checks - s->service->first_check;
        if (fault_count(c) > s->first_fault)
                return 0;
        return links_make(c, (size_t) (s->service - c->services), &s->document, &c->diagnostics);
}

/* What is in shadow has no say in the host's verdict. */
static void loader_service_shadow(ServiceConfig *service) {
        if (service->is_shadow)
                service->counts_for_host = false;
}

static int loader_service_load(Loader *l, ServiceLoad *s) {
        _cleanup_(tree_list_done) TreeList drop_ins = {};
        _cleanup_strbuf_ StrBuf file = {};
        Config *c = l->config;
        int r;

        s->first_fault = fault_count(c);
        s->service = &c->services[c->n_services];
        *s->service = (ServiceConfig){ .is_builtin = s->is_builtin, .first_check = c->n_checks };
        r = schema_init(&service_schema, s->service);
        if (r < 0)
                return r;
        c->n_services++;
        s->service->name = strdup(s->name);
        strbuf_printf(&file, "services/%s.conf", s->name);
        if (!s->service->name || file.failed)
                return -ENOMEM;
        r = s->has_drop_ins ? loader_drop_ins(l, file.text, &drop_ins) : 0;
        if (r < 0)
                return r;
        r = document_load(s->path, s->text, &drop_ins, &c->diagnostics, &s->document);
        if (r >= 0)
                r = places_add(l->sources->places, "services", s->name, &s->document);
        if (r < 0)
                return r;
        r = loader_service_sections(l, s);
        if (r < 0)
                return r;
        loader_service_shadow(s->service);
        r = loader_service_links(l, s);
        return r < 0 ? r : loader_service_defect(l, s);
}

static int loader_service(Loader *l, ServiceLoad s) {
        int r;

        r = loader_service_load(l, &s);
        document_done(&s.document);
        return r;
}

static int loader_service_builtin(Loader *l) {
        return loader_service(l, (ServiceLoad){
                                         .name = "host",
                                         .path = builtin_path,
                                         .text = builtin_text,
                                         .is_builtin = true,
                                         .has_drop_ins = true,
                                 });
}

static int loader_service_file(Loader *l, const TreeFile *file) {
        size_t first_fault = fault_count(l->config);

        if (file->is_masked)
                return 0;
        if (name_is_valid(file->name))
                return loader_service(l, (ServiceLoad){
                                                 .name = file->name,
                                                 .path = file->path,
                                                 .has_drop_ins = true,
                                         });

        /* Without a name there is no service to carry the fault. */
        diagnostics_add(&l->config->diagnostics, file->path, 0,
                        "a service's name has at most %d letters, digits and \"_.@:-\" and does "
                        "not begin with a dot",
                        NAME_LENGTH_MAX);
        return loader_host_defect(l, first_fault);
}

static int loader_services(Loader *l) {
        _cleanup_(tree_list_done) TreeList files = {};
        size_t first_fault = fault_count(l->config);
        bool has_builtin;
        int r;

        r = tree_list(l->sources->root, "services", &l->config->diagnostics, &files);
        if (r < 0)
                return r;
        r = loader_host_defect(l, first_fault);
        if (r < 0)
                return r;
        has_builtin = !tree_list_find(&files, BUILTIN_FILE);
        tree_list_cut_suffix(&files);
        l->config->services = calloc(files.n + 1, sizeof(ServiceConfig));
        if (!l->config->services)
                return -ENOMEM;
        for (size_t i = 0; i <= files.n; i++) {
                if (has_builtin && (i == files.n || strcmp(files.items[i].name, "host") > 0)) {
                        has_builtin = false;
                        r = loader_service_builtin(l);
                        if (r < 0)
                                return r;
                }
                if (i == files.n)
                        break;
                r = loader_service_file(l, &files.items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
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

/* All files, in the order in which one needs the other. */
static int loader_load(Loader *l, Document *main_document) {
        CheckSources sources;
        int r;

        r = loader_main(l, main_document);
        if (r < 0)
                return r;
        sources = loader_check_sources(l);
        r = shared_checks_load(l->sources->root, &sources, &l->config->diagnostics, &l->shared);
        for (size_t i = 0; r >= 0 && i < l->shared.n; i++)
                r = places_add(l->sources->places, "checks", l->shared.items[i].name,
                               &l->shared.items[i].document);
        if (r < 0)
                return r;
        r = loader_services(l);
        return r < 0 ? r : config_share(l->config);
}

int config_load(const ConfigSources *sources, Config **ret) {
        _cleanup_(config_unrefp) Config *config = config_new();
        _cleanup_(document_done) Document main_document = {};
        Loader l = loader_make(sources, config);
        int r;

        if (!config)
                return -ENOMEM;
        r = loader_load(&l, &main_document);
        shared_checks_done(&l.shared);
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
        r = loader_service(&l, (ServiceLoad){ .name = name, .path = name, .text = text });
        if (r < 0)
                return r;
        *ret = TAKE(config);
        return 0;
}
