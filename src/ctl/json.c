/* SPDX-License-Identifier: MIT */
#include "ctl/json.h"

#include "ctl/words.h"

/* Takes the value over; NULL is null. */
static void put(json_object *o, const char *key, json_object *value) {
        if (json_object_object_add(o, key, value) < 0)
                json_object_put(value);
}

/* As short as the number allows, where json-c would show all of its binary digits. */
static json_object *json_of_double(double d) {
        static char format[] = "%.15g";
        json_object *o = json_object_new_double(d);

        if (o)
                json_object_set_serializer(o, json_object_double_to_json_string, format, NULL);
        return o;
}

static json_object *json_of_strings(char *const *l) {
        json_object *a = json_object_new_array();

        STRV_FOREACH(i, l)
                if (a && json_object_array_add(a, json_object_new_string(*i)) < 0)
                        break;
        return a;
}

static json_object *json_of_values(const MeasuredList *l) {
        json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < l->n; i++) {
                json_object *o = json_object_new_object();

                if (!o)
                        break;
                put(o, "Name", json_object_new_string(l->items[i].name));
                put(o, "Value", json_of_double(l->items[i].number));
                put(o, "Unit", json_object_new_string(l->items[i].unit));
                json_object_array_add(a, o);
        }
        return a;
}

static json_object *json_of_probers(const ProberList *l) {
        json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < l->n; i++) {
                const ProberInfo *p = &l->items[i];
                json_object *o = json_object_new_object();

                if (!o)
                        break;
                put(o, "Address", json_object_new_string(p->address));
                put(o, "Route", json_object_new_string(p->route));
                put(o, "UserAgent", json_object_new_string(p->agent));
                put(o, "LastTimestamp", json_object_new_uint64(p->seen));
                put(o, "IntervalUSec",
                    p->interval == 0 ? NULL : json_object_new_uint64(p->interval));
                put(o, "HTTPStatus", json_object_new_uint64(p->status));
                put(o, "NotReadyInRow", json_object_new_uint64(p->n_not_ready));
                json_object_array_add(a, o);
        }
        return a;
}

static json_object *json_of_field(const Field *f, const void *object) {
        const void *p = (const char *) object + f->offset;
        uint64_t n;

        switch (f->type) {
        case FIELD_STRING:
                return json_object_new_string(*(char *const *) p);
        case FIELD_STRINGS:
                return json_of_strings(*(char **const *) p);
        case FIELD_BOOL:
                return json_object_new_boolean(*(const bool *) p);
        case FIELD_NUMBER:
                return json_object_new_uint64(*(const uint64_t *) p);
        case FIELD_TIME:
                n = *(const usec_t *) p;
                return n == 0 || n == USEC_INFINITY ? NULL : json_object_new_uint64(n);
        case FIELD_SPAN:
                n = *(const usec_t *) p;
                return n == USEC_INFINITY ? NULL : json_object_new_uint64(n);
        case FIELD_VALUES:
                return json_of_values(p);
        case FIELD_PROBERS:
                return json_of_probers(p);
        }
        return NULL;
}

static void put_fields(json_object *o, const Fields *fields, const void *object) {
        for (size_t i = 0; o && i < fields->n; i++)
                put(o, fields->items[i].property, json_of_field(&fields->items[i], object));
}

json_object *json_of_check(const CheckInfo *c) {
        json_object *o = json_object_new_object();

        if (!o)
                return NULL;
        put(o, "Service", json_object_new_string(c->service));
        put(o, "Name", json_object_new_string(c->name));
        put_fields(o, &check_fields, c);
        return o;
}

json_object *json_of_service(const ServiceInfo *s) {
        json_object *o = json_object_new_object(), *checks = json_object_new_array();

        for (size_t i = 0; checks && i < s->n_checks; i++)
                json_object_array_add(checks, json_of_check(&s->checks[i]));
        if (!o || !checks) {
                json_object_put(o);
                json_object_put(checks);
                return NULL;
        }
        put(o, "Name", json_object_new_string(s->name));
        put_fields(o, &service_fields, s);
        put(o, "Checks", checks);
        return o;
}

json_object *json_of_view(const View *v) {
        json_object *o = json_object_new_object(), *services = json_object_new_array();
        char name[HOST_NAME_MAX_];

        for (size_t i = 0; services && i < v->n_services; i++)
                json_object_array_add(services, json_of_service(&v->services[i]));
        if (!o || !services) {
                json_object_put(o);
                json_object_put(services);
                return NULL;
        }
        put(o, "Hostname", json_object_new_string(host_name(name)));
        put_fields(o, &host_fields, v);
        put(o, "Services", services);
        return o;
}

int json_print(const Ctl *ctl, json_object *o) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                    (ctl->json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                                              : JSON_C_TO_STRING_PLAIN);
        const char *text = o ? json_object_to_json_string_ext(o, flags) : NULL;

        if (text)
                puts(text);
        json_object_put(o);
        return text ? 0 : ctl_out_of_memory();
}
