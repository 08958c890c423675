/* SPDX-License-Identifier: MIT */
/* What verbs share: reaching vitald, understanding its refusals, and finding what a name means. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "ctl/ctl.h"

#define SUGGESTIONS_MAX 5

int ctl_out_of_memory(void) {
        fputs("vitalctl: out of memory\n", stderr);
        return EXIT_ERROR;
}

int ctl_open(const Ctl *ctl, Client **ret) {
        _cleanup_strv_ char **tried = NULL;
        int r;

        r = client_open(&ctl->where, &tried, ret);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM)
                return ctl_out_of_memory();
        print_unreachable(ctl, r, tried);
        return EXIT_UNREACHABLE;
}

int ctl_open_view(const Ctl *ctl, Client **ret_client, View **ret_view) {
        _cleanup_(client_freep) Client *c = NULL;
        int r;

        r = ctl_open(ctl, &c);
        if (r != 0)
                return r;
        r = client_get_view(c, ret_view);
        if (r < 0)
                return ctl_failed(ctl, r, NULL);
        if (ret_client)
                *ret_client = TAKE(c);
        return 0;
}

int ctl_failed(const Ctl *ctl, int r, const sd_bus_error *error) {
        const char *text = error && error->message ? error->message : strerror(-r);

        if (r == -ENOMEM)
                return ctl_out_of_memory();
        if (r == -EACCES || r == -EPERM ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED)) {
                fprintf(stderr, "vitalctl: not permitted%s%s; try it as root\n",
                        error && error->message ? ": " : "",
                        error && error->message ? error->message : "");
                return EXIT_ERROR;
        }
        if (client_is_unreachable(r)) {
                print_unreachable(ctl, r, NULL);
                return EXIT_UNREACHABLE;
        }
        fprintf(stderr, "vitalctl: %s\n", text);
        return EXIT_ERROR;
}

/* -- names ------------------------------------------------------------------------------------- */

typedef struct Suggestions {
        const char *names[SUGGESTIONS_MAX]; /* borrowed */
        unsigned distances[SUGGESTIONS_MAX];
        size_t n;
} Suggestions;

/* Keeps the nearest, nearest first. */
static void suggest(Suggestions *s, const char *name, unsigned distance) {
        size_t i;

        if (distance == UINT_MAX || (s->n == SUGGESTIONS_MAX && distance >= s->distances[s->n - 1]))
                return;
        if (s->n < SUGGESTIONS_MAX)
                s->n++;
        for (i = s->n - 1; i > 0 && s->distances[i - 1] > distance; i--) {
                s->names[i] = s->names[i - 1];
                s->distances[i] = s->distances[i - 1];
        }
        s->names[i] = name;
        s->distances[i] = distance;
}

static int unknown_name(const char *what, const char *name, const Suggestions *s) {
        fprintf(stderr, "vitalctl: there is no %s \"%s\"", what, name);
        for (size_t i = 0; i < s->n; i++)
                fprintf(stderr, "%s%s",
                        i == 0          ? "; is it "
                        : i + 1 == s->n ? " or "
                                        : ", ",
                        s->names[i]);
        fputs(s->n > 0 ? "?\n" : "; vitalctl list shows all\n", stderr);
        return EXIT_UNKNOWN_NAME;
}

int ctl_find_service(const View *v, const char *name, ServiceInfo **ret) {
        Suggestions near = {};

        *ret = view_find_service(v, name);
        if (*ret)
                return 0;
        for (size_t i = 0; i < v->n_services; i++)
                suggest(&near, v->services[i].name, typo_distance(name, v->services[i].name));
        return unknown_name("service", name, &near);
}

int ctl_open_service(const Ctl *ctl, Client **ret_client, View **ret_view, ServiceInfo **ret) {
        int r;

        *ret = NULL;
        r = ctl_open_view(ctl, ret_client, ret_view);
        if (r != 0 || !ctl->arguments[0])
                return r;
        return ctl_find_service(*ret_view, ctl->arguments[0], ret);
}

/* How far "SERVICE/CHECK" or "CHECK" is from this check: the right check in another service, the
 * checks of a service, or a typing error on either side. */
static unsigned check_distance(const char *service, const char *check, const CheckInfo *c) {
        unsigned of_service = service ? typo_distance(service, c->service) : 0;
        unsigned of_check = typo_distance(check, c->name);

        if (!service && str_equal(check, c->service))
                return 1;
        if (of_check == 0 && of_service == UINT_MAX)
                return 10;
        if (of_check == UINT_MAX)
                return service && str_equal(service, c->service) ? 20 : UINT_MAX;
        return of_service == UINT_MAX ? UINT_MAX : of_service + of_check;
}

int ctl_find_check(const View *v, const char *name, CheckInfo **ret) {
        const char *slash = strchr(name, '/');
        _cleanup_free_ char *service = NULL;
        Suggestions near = {};

        *ret = view_find_check(v, name);
        if (*ret)
                return 0;
        if (slash) {
                service = strndup(name, (size_t) (slash - name));
                if (!service)
                        return ctl_out_of_memory();
        }
        for (size_t i = 0; i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks; j++) {
                        const CheckInfo *c = &v->services[i].checks[j];

                        suggest(&near, c->id, check_distance(service, slash ? slash + 1 : name, c));
                }
        return unknown_name("check", name, &near);
}
