/* SPDX-License-Identifier: MIT */
#pragma once

/* The questions of one run of a kafka check, by calls that block: for a thread of their own. */

#include <librdkafka/rdkafka.h>

#include "base/clock.h"
#include "model/result.h"

/* For the message of a timeout. */
typedef enum KafkaPhase {
        KAFKA_CONNECTING,
        KAFKA_ASKING_METADATA,
        KAFKA_ASKING_COMMITTED,
        KAFKA_ASKING_OFFSETS,
        KAFKA_PHASE_COUNT_,
} KafkaPhase;

typedef struct KafkaQuery {
        rd_kafka_t *rk;          /* borrowed */
        rd_kafka_topic_t *topic; /* borrowed; NULL: none is asked for */
        const char *topic_name;  /* borrowed; NULL: none is asked for */
        const char *group;       /* borrowed; NULL: none is asked for */
        usec_t deadline_usec;    /* CLOCK_MONOTONIC */
        /* Told of each phase; false: nobody waits for the answer any more. */
        bool (*goes_on)(void *userdata, KafkaPhase phase);
        void *userdata;
} KafkaQuery;

/* 0 and the result, or the error that no broker answered, which says little: what librdkafka told
 * meanwhile says more. */
rd_kafka_resp_err_t kafka_query(const KafkaQuery *q, Result *ret);
