/* SPDX-License-Identifier: MIT */
#include "output/bus-authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct BusCaller {
        char *sender; /* owned; a unique name, which a bus never gives out twice */
        uid_t uid;
} BusCaller;

/* A caller being looked up, and its message that waits. */
typedef struct BusQuery {
        ListLink links;
        BusLink *link;
        sd_bus_message *message; /* owned reference */
        sd_bus_slot *slot;       /* owned */
} BusQuery;

static BusQuery *query_free(BusQuery *q) {
        if (!q)
                return NULL;
        if (list_is_linked(&q->links)) {
                list_unlink(&q->links);
                q->link->n_queries--;
        }
        sd_bus_slot_unref(q->slot);
        sd_bus_message_unref(q->message);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(BusQuery *, query_free);

static const BusCaller *caller_find(const BusLink *l, const char *sender) {
        for (size_t i = 0; l->callers && i < BUS_CALLERS_MAX; i++)
                if (l->callers[i].sender && strcmp(l->callers[i].sender, sender) == 0)
                        return &l->callers[i];
        return NULL;
}

static int caller_remember(BusLink *l, const char *sender, uid_t uid) {
        BusCaller *c;
        char *copy;

        if (!l->callers) {
                l->callers = calloc(BUS_CALLERS_MAX, sizeof(*l->callers));
                if (!l->callers)
                        return -ENOMEM;
        }
        copy = strdup(sender);
        if (!copy)
                return -ENOMEM;
        c = &l->callers[l->next_caller];
        l->next_caller = (l->next_caller + 1) % BUS_CALLERS_MAX;
        free(c->sender);
        *c = (BusCaller){ .sender = copy, .uid = uid };
        return 0;
}

/* Nothing is read between the bus' answer and the message that is put back here, so the caller is
 * still remembered when it comes again, and the order of its calls stays. */
static int on_caller_known(sd_bus_message *reply, void *userdata,
                           _unused_ sd_bus_error *ret_error) {
        _cleanup_(query_freep) BusQuery *q = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        BusLink *l = q->link;
        uint32_t uid;
        int r;

        if (e) {
                sd_bus_reply_method_errorf(q->message, SD_BUS_ERROR_ACCESS_DENIED,
                                           "Cannot find out who is calling: %s", e->message);
                return 0;
        }
        r = sd_bus_message_read(reply, "u", &uid);
        if (r >= 0)
                r = caller_remember(l, sd_bus_message_get_sender(q->message), uid);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(l->connection, q->message);
        if (r < 0)
                sd_bus_reply_method_errno(q->message, r, NULL);
        return 0;
}

static unsigned queries_of(const BusLink *l, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(i, &l->queries)
                n += strcmp(sd_bus_message_get_sender(list_item(i, BusQuery, links)->message),
                            sender) == 0;
        return n;
}

static int look_up(BusLink *l, sd_bus_message *m, const char *sender, sd_bus_error *error) {
        _cleanup_(query_freep) BusQuery *q = NULL;
        int r;

        if (l->n_queries >= BUS_QUERIES_MAX || queries_of(l, sender) >= BUS_QUERIES_PER_CALLER_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many calls wait for authorization");
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->link = l;
        q->message = sd_bus_message_ref(m);
        r = sd_bus_call_method_async(l->connection, &q->slot, "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "GetConnectionUnixUser", on_caller_known, q, "s", sender);
        if (r < 0)
                return r;
        list_append(&l->queries, &q->links);
        l->n_queries++;
        TAKE(q);
        return 0;
}

int bus_authorize(BusLink *l, sd_bus_message *m, const char *action, char who[static WHO_MAX],
                  sd_bus_error *error) {
        bool own_user_may = l->is_peer || l->bus->mode == BUS_MODE_USER;
        const char *sender = sd_bus_message_get_sender(m);
        const BusCaller *caller;
        uid_t uid;

        if (l->is_peer)
                uid = l->uid;
        else {
                if (!sender)
                        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                                "The call names no sender");
                caller = caller_find(l, sender);
                if (!caller)
                        return look_up(l, m, sender, error);
                uid = caller->uid;
        }
        if (uid != 0 && !(own_user_may && uid == geteuid()))
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                         "Only root may do this (%s), not uid %u", action, uid);
        if (uid == 0)
                snprintf(who, WHO_MAX, "root");
        else
                snprintf(who, WHO_MAX, "uid %u", uid);
        return 1;
}

void bus_authorize_done(BusLink *l) {
        LIST_FOREACH_SAFE(i, &l->queries)
                query_free(list_item(i, BusQuery, links));
        for (size_t i = 0; l->callers && i < BUS_CALLERS_MAX; i++)
                free(l->callers[i].sender);
        free(l->callers);
        l->callers = NULL;
}
