/* SPDX-License-Identifier: MIT */
#include "output/bus-call.h"

#include <errno.h>

int bus_call_new(Bus *b, sd_bus_message *m, CheckConfig *check, sd_bus_error *error,
                 BusCall **ret) {
        BusCall *c;

        if (b->n_calls >= BUS_CALLS_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many calls wait for their end");
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->bus = b;
        c->message = sd_bus_message_ref(m);
        c->check = check ? check_config_ref(check) : NULL;
        list_append(&b->calls, &c->links);
        b->n_calls++;
        *ret = c;
        return 0;
}

BusCall *bus_call_free(BusCall *c) {
        if (!c)
                return NULL;
        if (c->bus) {
                list_unlink(&c->links);
                c->bus->n_calls--;
        }
        sd_bus_message_unref(c->message);
        check_config_unref(c->check);
        free(c);
        return NULL;
}

void bus_call_answered(const BusCall *c, int r) {
        LIST_FOREACH(i, &c->bus->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (l->connection == sd_bus_message_get_bus(c->message))
                        (void) bus_link_answered(l, r);
        }
}

void bus_calls_abandon(Bus *b) {
        LIST_FOREACH_SAFE(i, &b->calls) {
                BusCall *c = list_item(i, BusCall, links);

                list_unlink(&c->links);
                c->bus = NULL;
                c->message = sd_bus_message_unref(c->message);
        }
        b->n_calls = 0;
}
