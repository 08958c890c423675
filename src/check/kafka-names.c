/* SPDX-License-Identifier: MIT */
#include "check/kafka-names.h"

#include <stdio.h>
#include <sys/eventfd.h>

#include "base/text.h"

/* On the stack of the thread that waits for it. All but query is under the lock. */
typedef struct Lookup {
        KafkaNames *names; /* borrowed */
        const char *host;  /* borrowed */
        ListLink link;
        ResolverQuery *query; /* owned; for the loop */
        bool is_over;
        ResolveStatus status;
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        size_t n_addresses;
} Lookup;

void kafka_names_init(KafkaNames *n, Resolver *resolver, int eventfd) {
        *n = (KafkaNames){ .resolver = resolver, .eventfd = eventfd };
        pthread_mutex_init(&n->lock, NULL);
        pthread_cond_init(&n->changed, NULL);
        list_init(&n->lookups);
}

void kafka_names_done(KafkaNames *n) {
        assert(list_is_empty(&n->lookups));
        pthread_cond_destroy(&n->changed);
        pthread_mutex_destroy(&n->lock);
}

/* -- in a thread ------------------------------------------------------------------------------- */

static void lookup_wait(KafkaNames *n, Lookup *l) {
        pthread_mutex_lock(&n->lock);
        if (n->is_closed)
                l->is_over = true;
        else {
                list_append(&n->lookups, &l->link);
                (void) eventfd_write(n->eventfd, 1);
        }
        while (!l->is_over)
                pthread_cond_wait(&n->changed, &n->lock);
        list_unlink(&l->link);
        pthread_mutex_unlock(&n->lock);
}

/* glibc frees the parts of an answer one by one: answers may be joined. */
static void answer_add(const char *ip, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret) {
        struct addrinfo wanted = *hints, *found = NULL;

        wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
        while (*ret)
                ret = &(*ret)->ai_next;
        if (getaddrinfo(ip, service, &wanted, &found) == 0)
                *ret = found;
}

int kafka_names_look_up(KafkaNames *n, const char *host, const char *service,
                        const struct addrinfo *hints, struct addrinfo **ret) {
        Lookup l = { .names = n, .host = host, .status = RESOLVE_RESOURCE };
        struct addrinfo *found = NULL;
        char ip[IP_TEXT_MAX];
        IpAddress literal;

        if (ip_parse(host, &literal) >= 0)
                answer_add(host, service, hints, &found);
        else
                lookup_wait(n, &l);
        for (size_t i = 0; i < l.n_addresses; i++)
                answer_add(ip_format(ip, l.addresses + i), service, hints, &found);
        if (!found)
                return l.status == RESOLVE_NOT_FOUND ? EAI_NONAME : EAI_AGAIN;
        *ret = found;
        return 0;
}

/* -- in the loop ------------------------------------------------------------------------------- */

/* Called with the lock held. */
static void lookup_end(Lookup *l, ResolveStatus status) {
        KafkaNames *n = l->names;

        l->status = status;
        l->is_over = true;
        if (l->n_addresses == 0) {
                n->failed_status = status;
                snprintf(n->failed, sizeof(n->failed), "%s", l->host);
        }
        pthread_cond_broadcast(&n->changed);
}

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        Lookup *l = userdata;
        KafkaNames *n = l->names;

        pthread_mutex_lock(&n->lock);
        l->query = NULL;
        l->n_addresses = answer->n_addresses;
        for (size_t i = 0; i < answer->n_addresses; i++)
                l->addresses[i] = answer->addresses[i];
        lookup_end(l, answer->status);
        pthread_mutex_unlock(&n->lock);
}

void kafka_names_serve(KafkaNames *n) {
        pthread_mutex_lock(&n->lock);
        LIST_FOREACH(link, &n->lookups) {
                Lookup *l = list_item(link, Lookup, link);

                if (l->query || l->is_over)
                        continue;
                if (resolver_query(n->resolver, l->host, on_resolved, l, &l->query) < 0)
                        lookup_end(l, RESOLVE_RESOURCE);
        }
        pthread_mutex_unlock(&n->lock);
}

void kafka_names_close(KafkaNames *n) {
        pthread_mutex_lock(&n->lock);
        n->is_closed = true;
        LIST_FOREACH(link, &n->lookups) {
                Lookup *l = list_item(link, Lookup, link);

                l->query = resolver_query_free(l->query);
                if (!l->is_over)
                        lookup_end(l, RESOLVE_RESOURCE);
        }
        pthread_mutex_unlock(&n->lock);
}
