/* SPDX-License-Identifier: MIT */
#pragma once

/* What librdkafka's errors, and what a cluster says of itself, mean for a check. Pure. */

#include <librdkafka/rdkafka.h>

#include "model/result.h"

#define KAFKA_TEXT_MAX 512

/* The latest thing that went wrong between librdkafka and a broker. */
typedef struct KafkaTrouble {
        rd_kafka_resp_err_t error;
        char text[KAFKA_TEXT_MAX]; /* "" where there is none but the error's own */
        long verify;               /* X509_V_ERR_* of the broker's certificate, or 0 */
} KafkaTrouble;

/* A fail, or an error `resource` where it was our own lack. */
void kafka_judge_trouble(const KafkaTrouble *t, Result *ret);

/* Whether a broker has said so, over a connection that is good for more. */
bool kafka_error_is_answer(rd_kafka_resp_err_t error);

/* topic: NULL where none is asked for. */
void kafka_judge_metadata(const struct rd_kafka_metadata *m, const char *topic, Result *ret);

/* Adds the lag of a group to what kafka_judge_metadata() found good. ends: of all partitions of one
 * topic, the offset behind the last message. committed: of the same partitions in the same order,
 * what the group has read, or negative. begins: of those that have a negative one, the offset of
 * the oldest message; NULL where all have been committed. */
void kafka_judge_lag(const char *group, const rd_kafka_topic_partition_list_t *ends,
                     const rd_kafka_topic_partition_list_t *committed,
                     const rd_kafka_topic_partition_list_t *begins, Result *result);
