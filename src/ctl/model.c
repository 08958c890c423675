/* SPDX-License-Identifier: MIT */
#include "ctl/model.h"

#include <errno.h>

#include "base/strbuf.h"

#define DEFAULT_SERVICE "default"

#define CHECK_PATH   VITALD_PATH "/service/%/check/%"
#define SERVICE_PATH VITALD_PATH "/service/%"

/* -- freeing ----------------------------------------------------------------------------------- */

static void values_done(MeasuredList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].name);
                free(l->items[i].unit);
        }
        free(l->items);
}

static void probers_done(ProberList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].address);
                free(l->items[i].route);
                free(l->items[i].agent);
        }
        free(l->items);
}

static void fields_done(const Fields *fields, void *object) {
        for (size_t i = 0; i < fields->n; i++) {
                void *p = (char *) object + fields->items[i].offset;

                switch (fields->items[i].type) {
                case FIELD_STRING:
                        free(*(char **) p);
                        break;
                case FIELD_STRINGS:
                        strv_free(*(char ***) p);
                        break;
                case FIELD_VALUES:
                        values_done(p);
                        break;
                case FIELD_PROBERS:
                        probers_done(p);
                        break;
                case FIELD_BOOL:
                case FIELD_NUMBER:
                case FIELD_TIME:
                case FIELD_SPAN:
                        break;
                }
        }
}

void check_info_done(CheckInfo *c) {
        fields_done(&check_fields, c);
        free(c->service);
        free(c->name);
        free(c->id);
        free(c->path);
}

void service_info_done(ServiceInfo *s) {
        fields_done(&service_fields, s);
        for (size_t i = 0; i < s->n_checks; i++)
                check_info_done(&s->checks[i]);
        free(s->checks);
        free(s->name);
        free(s->path);
}

View *view_free(View *v) {
        if (!v)
                return NULL;
        fields_done(&host_fields, v);
        for (size_t i = 0; i < v->n_services; i++)
                service_info_done(&v->services[i]);
        free(v->services);
        free(v);
        return NULL;
}

/* -- properties -------------------------------------------------------------------------------- */

static int set_string(char **p, const char *s) {
        char *copy = strdup(s);

        if (!copy)
                return -ENOMEM;
        free(*p);
        *p = copy;
        return 0;
}

static int read_values(sd_bus_message *m, MeasuredList *l) {
        const char *name, *unit;
        double number;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sds)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(sds)", &name, &number, &unit)) > 0) {
                Measured *items = reallocarray(l->items, l->n + 1, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                l->items = items;
                items[l->n] = (Measured){ strdup(name), strdup(unit), number };
                if (!items[l->n].name || !items[l->n++].unit)
                        return -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_probers(sd_bus_message *m, ProberList *l) {
        const char *address, *route, *agent;
        uint64_t seen, interval;
        uint32_t n_not_ready;
        uint16_t status;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sssttqu)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(sssttqu)", &address, &route, &agent, &seen, &interval,
                                        &status, &n_not_ready)) > 0) {
                ProberInfo *items = reallocarray(l->items, l->n + 1, sizeof(*items)), *p;

                if (!items)
                        return -ENOMEM;
                l->items = items;
                p = &items[l->n++];
                *p = (ProberInfo){ strdup(address), strdup(route), strdup(agent), seen,
                                   interval,        status,        n_not_ready };
                if (!p->address || !p->route || !p->agent)
                        return -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_strings(sd_bus_message *m, char ***l) {
        const char *s;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "s", &s)) > 0) {
                r = strv_append(l, s);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_number(sd_bus_message *m, char type, uint64_t *ret) {
        uint32_t u;
        uint16_t q;
        int r;

        if (type == 't')
                return sd_bus_message_read(m, "t", ret);
        r = type == 'u' ? sd_bus_message_read(m, "u", &u) : sd_bus_message_read(m, "q", &q);
        if (r >= 0)
                *ret = type == 'u' ? u : q;
        return r;
}

static int read_field(sd_bus_message *m, const Field *f, char type, void *object) {
        void *p = (char *) object + f->offset;
        const char *s;
        int r, b;

        switch (f->type) {
        case FIELD_STRING:
                r = sd_bus_message_read_basic(m, type, &s);
                return r < 0 ? r : set_string(p, s);
        case FIELD_STRINGS:
                return read_strings(m, p);
        case FIELD_BOOL:
                r = sd_bus_message_read(m, "b", &b);
                if (r >= 0)
                        *(bool *) p = b;
                return r;
        case FIELD_NUMBER:
        case FIELD_TIME:
        case FIELD_SPAN:
                return read_number(m, type, p);
        case FIELD_VALUES:
                return read_values(m, p);
        case FIELD_PROBERS:
                return read_probers(m, p);
        }
        return -EINVAL;
}

/* Whether a property of this signature fits the field: a vitald of another version may differ. */
static bool field_takes(const Field *f, const char *signature) {
        static const char *const signatures[] = {
                [FIELD_STRING] = "s o g",  [FIELD_STRINGS] = "as",
                [FIELD_BOOL] = "b",        [FIELD_NUMBER] = "q u t",
                [FIELD_TIME] = "t",        [FIELD_SPAN] = "t",
                [FIELD_VALUES] = "a(sds)", [FIELD_PROBERS] = "a(sssttqu)",
        };
        const char *at = strstr(signatures[f->type], signature);

        return at && (at[strlen(signature)] == ' ' || !at[strlen(signature)]) &&
               (at == signatures[f->type] || at[-1] == ' ');
}

static const Field *find_field(const Fields *fields, const char *property) {
        for (size_t i = 0; i < fields->n; i++)
                if (str_equal(fields->items[i].property, property))
                        return &fields->items[i];
        return NULL;
}

static int read_variant(sd_bus_message *m, const Field *f, void *object) {
        const char *signature;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &signature);
        if (r < 0)
                return r;
        if (!f || !field_takes(f, signature))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r < 0)
                return r;
        r = read_field(m, f, *signature, object);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* What the answer does not hold is the empty text. */
static int fill_strings(const Fields *fields, void *object) {
        for (size_t i = 0; i < fields->n; i++) {
                char **p = (char **) (void *) ((char *) object + fields->items[i].offset);
                int r;

                if (fields->items[i].type != FIELD_STRING || *p)
                        continue;
                r = set_string(p, "");
                if (r < 0)
                        return r;
        }
        return 0;
}

int fields_parse(sd_bus_message *m, const Fields *fields, void *ret) {
        const char *property;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                if ((r = sd_bus_message_read(m, "s", &property)) < 0 ||
                    (r = read_variant(m, find_field(fields, property), ret)) < 0 ||
                    (r = sd_bus_message_exit_container(m)) < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : fill_strings(fields, ret);
}

/* -- objects ----------------------------------------------------------------------------------- */

static int service_add(View *v, char *name, const char *path, ServiceInfo **ret) {
        ServiceInfo *services = reallocarray(v->services, v->n_services + 1, sizeof(*services));

        if (!services) {
                free(name);
                return -ENOMEM;
        }
        v->services = services;
        services[v->n_services] = (ServiceInfo){ .name = name, .path = strdup(path) };
        *ret = &services[v->n_services++];
        return (*ret)->path ? 0 : -ENOMEM;
}

/* Checks stand in the list of their service, which may come behind them. */
static int service_get(View *v, char *name, const char *path, ServiceInfo **ret) {
        *ret = view_find_service(v, name);
        if (!*ret)
                return service_add(v, name, path, ret);
        free(name);
        return 0;
}

static int check_add(ServiceInfo *s, char *name, const char *path, CheckInfo **ret) {
        CheckInfo *checks = reallocarray(s->checks, s->n_checks + 1, sizeof(*checks));
        _cleanup_strbuf_ StrBuf id = {};
        CheckInfo *c;

        if (!checks) {
                free(name);
                return -ENOMEM;
        }
        s->checks = checks;
        c = *ret = &checks[s->n_checks++];
        *c = (CheckInfo){ .name = name, .service = strdup(s->name), .path = strdup(path) };
        if (!c->service || !c->path)
                return -ENOMEM;
        if (!str_equal(s->name, DEFAULT_SERVICE))
                strbuf_printf(&id, "%s/", s->name);
        strbuf_append(&id, name);
        return strbuf_finish(&id, &c->id);
}

/* Where the properties of this object's interface go; *ret stays NULL for what is not ours. */
static int object_get(View *v, const char *path, const Fields **ret_fields, void **ret) {
        char *service = NULL, *check = NULL;
        ServiceInfo *s = NULL;
        CheckInfo *c;
        int r;

        r = sd_bus_path_decode_many(path, CHECK_PATH, &service, &check);
        if (r < 0)
                return r;
        if (r > 0) {
                _cleanup_free_ char *parent =
                        strndup(path, (size_t) (strstr(path, "/check/") - path));

                r = parent ? service_get(v, service, parent, &s) : -ENOMEM;
                if (r < 0) {
                        free(check);
                        return r;
                }
                r = check_add(s, check, path, &c);
                if (r < 0)
                        return r;
                *ret_fields = &check_fields;
                *ret = c;
                return r;
        }
        r = sd_bus_path_decode_many(path, SERVICE_PATH, &service);
        if (r <= 0)
                return r;
        r = service_get(v, service, path, &s);
        *ret_fields = &service_fields;
        *ret = s;
        return r;
}

static bool interface_is_ours(const char *interface) {
        return str_equal(interface, VITALD_SERVICE_INTERFACE) ||
               str_equal(interface, VITALD_CHECK_INTERFACE);
}

static int read_interfaces(sd_bus_message *m, View *v, const char *path) {
        const Fields *fields = NULL;
        const char *interface;
        void *object = NULL;
        int r;

        r = object_get(v, path, &fields, &object);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read(m, "s", &interface);
                if (r < 0)
                        return r;
                r = object && interface_is_ours(interface) ? fields_parse(m, fields, object)
                                                           : sd_bus_message_skip(m, "a{sv}");
                if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int compare_services(const void *a, const void *b) {
        return strcmp(((const ServiceInfo *) a)->name, ((const ServiceInfo *) b)->name);
}

static int compare_checks(const void *a, const void *b) {
        return strcmp(((const CheckInfo *) a)->name, ((const CheckInfo *) b)->name);
}

/* By name; and what an answer that breaks off left out is the empty text. */
static int view_complete(View *v) {
        int r = 0;

        for (size_t i = 0; i < v->n_services && r >= 0; i++) {
                ServiceInfo *s = &v->services[i];

                r = fill_strings(&service_fields, s);
                for (size_t j = 0; j < s->n_checks && r >= 0; j++)
                        r = fill_strings(&check_fields, &s->checks[j]);
                if (s->n_checks > 0)
                        qsort(s->checks, s->n_checks, sizeof(*s->checks), compare_checks);
        }
        if (v->n_services > 0)
                qsort(v->services, v->n_services, sizeof(*v->services), compare_services);
        return r;
}

int view_parse(sd_bus_message *m, View **ret) {
        _cleanup_(view_freep) View *v = NULL;
        const char *path;
        int r;

        v = calloc(1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        v->realtime = clock_usec(CLOCK_REALTIME);
        v->monotonic = clock_usec(CLOCK_MONOTONIC);
        r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                if ((r = sd_bus_message_read(m, "o", &path)) < 0 ||
                    (r = read_interfaces(m, v, path)) < 0 ||
                    (r = sd_bus_message_exit_container(m)) < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = view_complete(v);
        if (r < 0)
                return r;
        *ret = TAKE(v);
        return 0;
}

ServiceInfo *view_find_service(const View *v, const char *name) {
        for (size_t i = 0; i < v->n_services; i++)
                if (str_equal(v->services[i].name, name))
                        return &v->services[i];
        return NULL;
}

static bool check_is_called(const CheckInfo *c, const char *name) {
        const char *slash = strchr(name, '/');
        size_t n;

        if (!slash)
                return str_equal(c->id, name);
        n = (size_t) (slash - name);
        return strlen(c->service) == n && strncmp(c->service, name, n) == 0 &&
               str_equal(c->name, slash + 1);
}

CheckInfo *view_find_check(const View *v, const char *name) {
        for (size_t i = 0; i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks; j++)
                        if (check_is_called(&v->services[i].checks[j], name))
                                return &v->services[i].checks[j];
        return NULL;
}

size_t probers_told(const ProberList *l, uint64_t times) {
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++)
                n += l->items[i].n_not_ready >= times;
        return n;
}
