/* SPDX-License-Identifier: MIT */
#include "output/bus-authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/cgroup.h"
#include "output/bus-polkit.h"

typedef struct BusCaller {
        char *sender; /* owned; a unique name, which a bus never gives out twice */
        Sender who;
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

static int caller_remember(BusLink *l, const char *sender, const Sender *who) {
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
        *c = (BusCaller){ .sender = copy, .who = *who };
        return 0;
}

/* What the bus knows of a connection: UnixUserID and, where it has one for us, ProcessID. */
static int credentials_read(sd_bus_message *m, Sender *ret) {
        uint32_t uid = (uint32_t) -1, pid = 0;
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0 && strcmp(key, "UnixUserID") == 0)
                        r = sd_bus_message_read(m, "v", "u", &uid);
                else if (r >= 0 && strcmp(key, "ProcessID") == 0)
                        r = sd_bus_message_read(m, "v", "u", &pid);
                else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0 && uid == (uint32_t) -1)
                r = -ENODATA;
        if (r < 0)
                return r;
        *ret = (Sender){ .uid = uid, .pid = (pid_t) pid };
        return 0;
}

/* Nothing is read between the bus' answer and the message that is put back here, so the caller is
 * still remembered when it comes again, and the order of its calls stays. */
static int on_caller_known(sd_bus_message *reply, void *userdata,
                           _unused_ sd_bus_error *ret_error) {
        _cleanup_(query_freep) BusQuery *q = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        BusLink *l = q->link;
        Sender who;
        int r;

        if (e)
                return bus_link_answered(
                        l, sd_bus_reply_method_errorf(q->message, SD_BUS_ERROR_ACCESS_DENIED,
                                                      "Cannot find out who is calling: %s",
                                                      e->message));
        r = credentials_read(reply, &who);
        if (r >= 0)
                r = caller_remember(l, sd_bus_message_get_sender(q->message), &who);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(l->connection, q->message);
        if (r < 0)
                r = sd_bus_reply_method_errno(q->message, r, NULL);
        return bus_link_answered(l, r);
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
                                     "GetConnectionCredentials", on_caller_known, q, "s", sender);
        if (r < 0)
                return r;
        list_append(&l->queries, &q->links);
        l->n_queries++;
        TAKE(q);
        return 0;
}

int bus_identify(BusLink *l, sd_bus_message *m, Sender *ret, sd_bus_error *error) {
        bool own_user_may = l->is_peer || l->bus->mode == BUS_MODE_USER;
        const char *name = sd_bus_message_get_sender(m);
        const BusCaller *caller;
        Sender who;

        if (l->is_peer)
                who = (Sender){ .uid = l->uid, .pid = l->pid };
        else {
                if (!name)
                        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                                "The call names no sender");
                caller = caller_find(l, name);
                if (!caller)
                        return look_up(l, m, name, error);
                who = caller->who;
        }
        who.is_privileged = who.uid == 0 || (own_user_may && who.uid == geteuid());
        *ret = who;
        return 1;
}

int bus_authorize(BusLink *l, sd_bus_message *m, const char *action, const char *unit,
                  char who[static WHO_MAX], sd_bus_error *error) {
        bool is_on_system_bus = !l->is_peer && l->bus->mode == BUS_MODE_SYSTEM;
        Sender sender = {};
        int r;

        r = bus_identify(l, m, &sender, error);
        if (r <= 0)
                return r;
        if (sender.uid == 0)
                snprintf(who, WHO_MAX, "root");
        else
                snprintf(who, WHO_MAX, "uid %u", sender.uid);
        if (sender.is_privileged)
                return 1;
        if (unit && sender.pid > 0 && cgroup_has_process(unit, sender.pid)) {
                snprintf(who, WHO_MAX, "%s", unit);
                return 1;
        }
        if (is_on_system_bus)
                return bus_polkit_check(l, m, action, error);
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                 "Only root may do this (%s), not uid %u", action, sender.uid);
}

void bus_authorize_done(BusLink *l) {
        LIST_FOREACH_SAFE(i, &l->queries)
                query_free(list_item(i, BusQuery, links));
        for (size_t i = 0; l->callers && i < BUS_CALLERS_MAX; i++)
                free(l->callers[i].sender);
        free(l->callers);
        l->callers = NULL;
        bus_polkit_done(l);
}
