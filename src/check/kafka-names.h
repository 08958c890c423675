/* SPDX-License-Identifier: MIT */
#pragma once

/* Host names for threads that want getaddrinfo(3): the loop's resolver looks them up, and they wait
 * for it no longer than the loop wants. */

#include <netdb.h>
#include <pthread.h>

#include "base/list.h"
#include "io/resolver.h"

typedef struct KafkaNames {
        Resolver *resolver; /* borrowed; for the loop */
        int eventfd;        /* borrowed; told when there is something to serve */
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_closed;
        List lookups;
        ResolveStatus failed_status; /* of the name that failed last; RESOLVE_OK: none did */
        char failed[ADDRESS_HOST_MAX + 1];
} KafkaNames;

void kafka_names_init(KafkaNames *n, Resolver *resolver, int eventfd);

/* All threads must have left. */
void kafka_names_done(KafkaNames *n);

/* In a thread: as getaddrinfo(3), whose freeaddrinfo(3) frees the answer. */
int kafka_names_look_up(KafkaNames *n, const char *host, const char *service,
                        const struct addrinfo *hints, struct addrinfo **ret);

/* In the loop: begins with what threads ask for. */
void kafka_names_serve(KafkaNames *n);

/* In the loop: whoever waits is sent away, and so is whoever comes. */
void kafka_names_close(KafkaNames *n);
