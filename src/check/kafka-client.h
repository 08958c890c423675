/* SPDX-License-Identifier: MIT */
#pragma once

/* A client of librdkafka in a thread of its own, which makes it, asks by calls that block, and ends
 * it. The event loop's side never waits. librdkafka holds the connections and makes them anew; its
 * threads never look a name up by themselves: the loop's resolver does. */

#include "check/kafka-query.h"
#include "check/kafka-verdict.h"
#include "io/poll-set.h"
#include "io/resolver.h"

typedef struct KafkaClient KafkaClient;

/* Before the first client: from now on the process does not tidy up at its end while threads of
 * clients are left, since they use what libraries would free. */
int kafka_clients_prepare(void);

/* Waits for the threads of freed clients, but no longer than patience_usec. */
void kafka_clients_wait(usec_t patience_usec);

/* Called from the event loop; each may free the client. */
typedef struct KafkaHandlers {
        /* What kafka_client_ask() is answered; once, unless failed() comes first. */
        void (*answered)(void *userdata, const Result *result);
        /* No broker can be reached, or the deadline is near and librdkafka has complained. */
        void (*failed)(void *userdata, const KafkaTrouble *why);
        /* A connection ended, or could not be made, while nothing was asked. */
        void (*troubled)(void *userdata);
        void (*progressed)(void *userdata, KafkaPhase phase);
} KafkaHandlers;

typedef struct KafkaClientOptions {
        PollSet *poll_set; /* borrowed, as all here */
        Resolver *resolver;
        const char *topic, *group;     /* copied; may be NULL */
        const KafkaHandlers *handlers; /* constant */
        void *userdata;
} KafkaClientOptions;

/* conf is taken over, also on an error. */
int kafka_client_new(const KafkaClientOptions *options, rd_kafka_conf_t *conf, KafkaClient **ret);

/* One question at a time. Silence is answered by silence: the deadline is the caller's to hold. */
void kafka_client_ask(KafkaClient *c, usec_t deadline_usec);

/* What went wrong last with a name: RESOLVE_OK where nothing did. */
ResolveStatus kafka_client_name_status(const KafkaClient *c);
const char *kafka_client_name(const KafkaClient *c);

/* Calls no handler any more. The thread ends the rest when its call returns. */
KafkaClient *kafka_client_free(KafkaClient *c);
DEFINE_CLEANUP(KafkaClient *, kafka_client_free);
