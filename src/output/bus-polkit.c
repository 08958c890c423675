/* SPDX-License-Identifier: MIT */
#include "output/bus-polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE POLKIT_NAME ".Authority"

/* CheckAuthorizationFlags */
#define POLKIT_ALLOW_USER_INTERACTION 1U

/* A person types a password; a machine is asked for a rule. */
#define INTERACTIVE_USEC (2 * USEC_PER_MINUTE)
#define PATIENCE_USEC    (25 * USEC_PER_SEC)

#define CANCEL_ID_MAX 24
#define MATCH_MAX     160

typedef enum PolkitAnswer {
        POLKIT_NONE, /* not yet */
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_CHALLENGE, /* if there were somebody to ask for a password */
        POLKIT_ABSENT,    /* nobody to ask */
} PolkitAnswer;

/* A question, and the message that waits for its answer. Answered, it lives until the message has
 * come again, which is the next thing that is read. */
typedef struct PolkitQuery {
        ListLink links;
        BusLink *link;            /* borrowed */
        sd_bus_message *message;  /* owned reference */
        sd_bus_slot *call, *gone; /* owned */
        char cancel_id[CANCEL_ID_MAX];
        const char *action; /* constant */
        PolkitAnswer answer;
} PolkitQuery;

static PolkitQuery *query_free(PolkitQuery *q) {
        if (!q)
                return NULL;
        if (list_is_linked(&q->links)) {
                list_unlink(&q->links);
                q->link->n_polkit--;
        }
        sd_bus_slot_unref(q->call);
        sd_bus_slot_unref(q->gone);
        sd_bus_message_unref(q->message);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(PolkitQuery *, query_free);

static PolkitAnswer answer_read(sd_bus_message *reply) {
        int is_authorized = 0, is_challenge = 0;

        if (sd_bus_message_is_method_error(reply, NULL))
                return POLKIT_ABSENT;
        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &is_authorized, &is_challenge) < 0)
                return POLKIT_NO;
        return is_authorized ? POLKIT_YES : is_challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_) {
        PolkitQuery *q = userdata;
        int r;

        q->answer = answer_read(reply);
        r = sd_bus_enqueue_for_read(q->link->connection, q->message);
        if (r < 0) {
                r = sd_bus_reply_method_errno(q->message, r, NULL);
                (void) bus_link_answered(q->link, r);
                query_free(q);
        }
        return 0;
}

/* The caller has left the bus: whoever types a password types it in vain. */
static int on_caller_gone(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        PolkitQuery *q = userdata;
        const char *name, *old, *new;

        if (q->answer != POLKIT_NONE || sd_bus_message_read(m, "sss", &name, &old, &new) < 0 ||
            *new)
                return 0;
        (void) sd_bus_call_method_async(q->link->connection, NULL, POLKIT_NAME, POLKIT_PATH,
                                        POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL,
                                        "s", q->cancel_id);
        query_free(q);
        return 0;
}

static int query_watch_caller(PolkitQuery *q, const char *sender) {
        char match[MATCH_MAX];

        snprintf(match, sizeof(match),
                 "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                 sender);
        return sd_bus_add_match_async(q->link->connection, &q->gone, match, on_caller_gone, NULL,
                                      q);
}

static int query_ask(PolkitQuery *q, const char *sender) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        bool is_interactive = sd_bus_message_get_allow_interactive_authorization(q->message) > 0;
        int r;

        r = sd_bus_message_new_method_call(q->link->connection, &call, POLKIT_NAME, POLKIT_PATH,
                                           POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                  sender, q->action, 0,
                                  is_interactive ? POLKIT_ALLOW_USER_INTERACTION : 0, q->cancel_id);
        if (r < 0)
                return r;
        return sd_bus_call_async(q->link->connection, &q->call, call, on_answer, q,
                                 is_interactive ? INTERACTIVE_USEC : PATIENCE_USEC);
}

static unsigned queries_of(const BusLink *l, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(i, &l->polkit)
                n += str_equal(sd_bus_message_get_sender(list_item(i, PolkitQuery, links)->message),
                               sender);
        return n;
}

static int ask(BusLink *l, sd_bus_message *m, const char *action, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m);
        _cleanup_(query_freep) PolkitQuery *q = NULL;
        int r;

        if (l->n_polkit >= BUS_POLKIT_MAX || queries_of(l, sender) >= BUS_POLKIT_PER_CALLER_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many calls wait for authorization");
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->link = l;
        q->message = sd_bus_message_ref(m);
        q->action = action;
        snprintf(q->cancel_id, sizeof(q->cancel_id), "%" PRIu64, ++l->polkit_serial);
        r = query_watch_caller(q, sender);
        if (r >= 0)
                r = query_ask(q, sender);
        if (r < 0)
                return r;
        list_append(&l->polkit, &q->links);
        l->n_polkit++;
        TAKE(q);
        return 0;
}

static int refuse(PolkitAnswer answer, const char *action, sd_bus_error *error) {
        if (answer == POLKIT_CHALLENGE)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                         "polkit wants a password for this (%s)", action);
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                 answer == POLKIT_ABSENT
                                         ? "Only root may do this (%s), as polkit does not answer"
                                         : "polkit does not allow this (%s)",
                                 action);
}

int bus_polkit_check(BusLink *l, sd_bus_message *m, const char *action, sd_bus_error *error) {
        LIST_FOREACH(i, &l->polkit) {
                PolkitQuery *q = list_item(i, PolkitQuery, links);
                PolkitAnswer answer = q->answer;

                if (q->message != m || answer == POLKIT_NONE || !str_equal(q->action, action))
                        continue;
                query_free(q);
                return answer == POLKIT_YES ? 1 : refuse(answer, action, error);
        }
        return ask(l, m, action, error);
}

void bus_polkit_done(BusLink *l) {
        LIST_FOREACH_SAFE(i, &l->polkit)
                query_free(list_item(i, PolkitQuery, links));
}
