/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/text.h"
#include "config/check-loader.h"
#include "config/links.h"
#include "config/loader-internal.h"
#include "config/restarts.h"

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

/* A service in the making. */
typedef struct ServiceLoad {
        const char *name, *path; /* borrowed */
        const char *text;        /* borrowed; what stands in for the file, or NULL */
        bool is_builtin, has_drop_ins;
        Document document;
        const Surroundings *from; /* borrowed: what it takes from elsewhere */
        bool is_copy;             /* its text is a last good copy */
        ServiceConfig *service;   /* borrowed */
        size_t first_fault;
} ServiceLoad;

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

static int loader_check(Loader *l, ServiceLoad *s, const Section *section) {
        Diagnostics *d = &l->config->diagnostics;
        _cleanup_(check_config_unrefp) CheckConfig *check = NULL;
        CheckSources sources = loader_check_sources(l, s->from);
        char title[SECTION_TITLE_MAX];
        int r;

        sources.is_copy = s->is_copy;
        sources.service = s->name;
        sources.name = section->argument;
        sources.section = section;
        /* The built-in checks are those of the types that this build has. */
        if (s->is_builtin && section->file == s->document.files[0].file.path &&
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
        r = shared_checks_find(&s->from->shared, section, d, &sources.shared);
        if (r < 0)
                return 0;
        r = check_load(&sources, d, &check);
        if (r < 0 || !check)
                return r;
        check->is_shared_copy = s->from == &l->copies;
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
        if (n_checks == 0 && !s->service->unit &&
            diagnostics_count(&l->config->diagnostics) == s->first_fault)
                diagnostics_add(&l->config->diagnostics, s->path, 0,
                                "neither a [Check NAME] nor Unit=: there is nothing to watch");
        return 0;
}

/* With a fault there may be checks missing that others name. */
static int loader_service_links(Loader *l, ServiceLoad *s) {
        Config *c = l->config;
        size_t service = (size_t) (s->service - c->services);
        int r;

        s->service->n_checks = c->n_checks - s->service->first_check;
        if (diagnostics_count(&c->diagnostics) > s->first_fault)
                return 0;
        r = links_make(c, service, &s->document, &c->diagnostics);
        if (r >= 0)
                restarts_verify(c, service, &s->document, &c->diagnostics);
        return r;
}

/* What is in shadow has no say in the host's verdict. */
static void loader_service_shadow(ServiceConfig *service) {
        if (service->is_shadow)
                service->counts_for_host = false;
}

/* From the document to the checks. */
static int loader_service_make(Loader *l, ServiceLoad *s) {
        int r;

        *s->service = (ServiceConfig){
                .is_builtin = s->is_builtin,
                .first_check = l->config->n_checks,
        };
        r = schema_init(&service_schema, s->service);
        if (r < 0)
                return r;
        s->service->name = strdup(s->name);
        if (!s->service->name)
                return -ENOMEM;
        r = loader_service_sections(l, s);
        if (r < 0)
                return r;
        loader_service_shadow(s->service);
        return loader_service_links(l, s);
}

/* -- what is wrong, and what is run then ------------------------------------------------------- */

static void loader_drop_checks(Config *c, const ServiceConfig *service) {
        while (c->n_checks > service->first_check)
                check_config_unref(c->checks[--c->n_checks]);
}

/* A service at fault keeps its name and loses its checks. */
static int loader_service_defect(Loader *l, ServiceLoad *s, const char *defect) {
        ServiceConfig *service = s->service;

        service->defect = strdup(defect);
        if (!service->defect)
                return -ENOMEM;
        loader_drop_checks(l->config, service);
        service->n_checks = service->n_derived = 0;
        return 0;
}

/* Makes the service of its copy in place of what there is of it. What is wrong with that is its own
 * list. */
static int loader_service_make_copy(Loader *l, ServiceLoad *s, const GoodEntry *entry,
                                    Diagnostics *ret) {
        Config *c = l->config;
        const Diagnostics of_files = c->diagnostics;
        int r;

        loader_drop_checks(c, s->service);
        service_config_done(s->service);
        *s->service = (ServiceConfig){ .first_check = c->n_checks };
        c->diagnostics = (Diagnostics){};
        r = document_load_texts(entry->files, entry->n_files, &c->diagnostics, &s->document);
        if (r >= 0)
                r = loader_service_make(l, s);
        *ret = c->diagnostics;
        c->diagnostics = of_files;
        return r;
}

/* 1 when the copy is good, with that in place of the service; 0 and why (the caller's to free) when
 * it is not. */
static int loader_service_try_copy(Loader *l, const ServiceLoad *s, const GoodEntry *entry,
                                   const Surroundings *from, char **ret_why) {
        _cleanup_(diagnostics_done) Diagnostics d = {};
        ServiceLoad copy = *s;
        int r;

        copy.document = (Document){};
        copy.first_fault = 0;
        copy.from = from;
        copy.is_copy = true;
        r = loader_service_make_copy(l, &copy, entry, &d);
        document_done(&copy.document);
        if (r < 0)
                return r;
        if (diagnostics_is_empty(&d))
                return 1;
        free(*ret_why);
        *ret_why = NULL;
        return diagnostics_format(&d, ret_why);
}

/* The last good copy with what it took from elsewhere then, or else with what there is of that
 * now. */
static int loader_service_run_copy(Loader *l, ServiceLoad *s, const GoodEntry *entry,
                                   const char *fault) {
        _cleanup_free_ char *why = NULL;
        _cleanup_strbuf_ StrBuf both = {};
        int r;

        r = loader_read_copies(l);
        if (r < 0)
                return r;
        if (l->copies.is_good)
                r = loader_service_try_copy(l, s, entry, &l->copies, &why);
        if (r == 0)
                r = loader_service_try_copy(l, s, entry, &l->files, &why);
        if (r < 0)
                return r;
        if (r > 0) {
                s->service->fault = strdup(fault);
                s->service->copy_realtime = entry->since_realtime;
                return s->service->fault ? 0 : -ENOMEM;
        }
        strbuf_printf(&both, "%s; its last good copy is at fault, too: %.*s", fault,
                      (int) strcspn(why, "\n"), why);
        return both.failed ? -ENOMEM : loader_service_defect(l, s, both.text);
}

static int loader_service_judge(Loader *l, ServiceLoad *s) {
        const GoodEntry *entry = last_good_find(l->sources->last_good, "services", s->name);
        _cleanup_free_ char *fault = NULL;
        const Config *c = l->config;
        int r;

        if (diagnostics_count(&c->diagnostics) > s->first_fault) {
                r = loader_fault_text(l, s->first_fault, &fault);
                if (r < 0)
                        return r;
                if (entry && !c->defect)
                        return loader_service_run_copy(l, s, entry, fault);
                return loader_service_defect(l, s, fault);
        }
        if (c->defect && !s->is_builtin)
                return loader_service_defect(l, s, c->defect);
        return last_good_add(l->sources->loaded, "services", s->name, &s->document);
}

static int loader_service_read(Loader *l, ServiceLoad *s) {
        _cleanup_(tree_list_done) TreeList drop_ins = {};
        _cleanup_strbuf_ StrBuf file = {};
        Config *c = l->config;
        int r;

        strbuf_printf(&file, "services/%s.conf", s->name);
        if (file.failed)
                return -ENOMEM;
        r = s->has_drop_ins ? loader_drop_ins(l, file.text, &drop_ins) : 0;
        if (r < 0)
                return r;
        r = document_load(s->path, s->text, &drop_ins, &c->diagnostics, &s->document);
        return r < 0 ? r : places_add(l->sources->places, "services", s->name, &s->document);
}

static int loader_service_load(Loader *l, ServiceLoad *s) {
        Config *c = l->config;
        int r;

        s->from = &l->files;
        s->first_fault = diagnostics_count(&c->diagnostics);
        r = loader_service_read(l, s);
        if (r < 0)
                return r;
        s->service = &c->services[c->n_services++];
        r = loader_service_make(l, s);
        return r < 0 ? r : loader_service_judge(l, s);
}

/* -- all of them ------------------------------------------------------------------------------- */

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
        size_t first_fault = diagnostics_count(&l->config->diagnostics);

        if (file->is_masked)
                return strv_append(&l->config->masked, file->name);
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

int loader_services(Loader *l) {
        _cleanup_(tree_list_done) TreeList files = {};
        size_t first_fault = diagnostics_count(&l->config->diagnostics);
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

int loader_service_text(Loader *l, const char *name, const char *text) {
        return loader_service(l, (ServiceLoad){ .name = name, .path = name, .text = text });
}
