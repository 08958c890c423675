/* SPDX-License-Identifier: MIT */
#include "check/kafka-query.h"

#include <stdio.h>

#include "check/kafka-verdict.h"

/* A call cannot be ended from outside: while there is no connection, and where an answer is waited
 * for on a queue, it is made in turns of this length. */
#define TURN_MSEC 10

typedef rd_kafka_topic_partition_list_t Offsets;

static void offsets_free(Offsets *o) {
        rd_kafka_topic_partition_list_destroy(o);
}
DEFINE_CLEANUP(Offsets *, offsets_free);

static int left_msec(const KafkaQuery *q) {
        usec_t left = usec_sub(q->deadline_usec, clock_usec(CLOCK_MONOTONIC)) / USEC_PER_MSEC;

        return (int) MIN(left, (usec_t) INT32_MAX);
}

/* -- metadata ---------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t ask_metadata(const KafkaQuery *q, const struct rd_kafka_metadata **ret) {
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__TRANSPORT;
        KafkaPhase phase = KAFKA_CONNECTING;
        int left = left_msec(q);

        while (q->goes_on(q->userdata, phase)) {
                error = rd_kafka_metadata(q->rk, 0, q->topic, ret,
                                          phase == KAFKA_CONNECTING ? MIN(left, TURN_MSEC) : left);
                left = left_msec(q);
                if (left == 0 || (error != RD_KAFKA_RESP_ERR__TRANSPORT &&
                                  error != RD_KAFKA_RESP_ERR__TIMED_OUT))
                        return error;
                /* There is a connection, and a turn was too short for it. */
                if (error == RD_KAFKA_RESP_ERR__TIMED_OUT)
                        phase = KAFKA_ASKING_METADATA;
        }
        return error;
}

/* -- offsets ----------------------------------------------------------------------------------- */

/* All partitions of the topic, with an offset that stands for a question. */
static Offsets *offsets_new(const KafkaQuery *q, const struct rd_kafka_metadata *m,
                            int64_t offset) {
        const struct rd_kafka_metadata_topic *t = m->topics;
        Offsets *o = rd_kafka_topic_partition_list_new(t->partition_cnt);

        for (int i = 0; i < t->partition_cnt; i++)
                rd_kafka_topic_partition_list_add(o, q->topic_name, t->partitions[i].id)->offset =
                        offset;
        rd_kafka_topic_partition_list_sort(o, NULL, NULL);
        return o;
}

static rd_kafka_resp_err_t offsets_error(const Offsets *o) {
        for (int i = 0; i < o->cnt; i++)
                if (o->elems[i].err)
                        return o->elems[i].err;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* By the time that stands in the list: OFFSET_END and OFFSET_BEGINNING are times to brokers. */
static rd_kafka_resp_err_t ask_offsets(const KafkaQuery *q, Offsets *o) {
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__TRANSPORT;

        if (q->goes_on(q->userdata, KAFKA_ASKING_OFFSETS))
                error = rd_kafka_offsets_for_times(q->rk, o, left_msec(q));
        return error ? error : offsets_error(o);
}

static rd_kafka_resp_err_t take_committed(rd_kafka_event_t *event, Offsets **ret) {
        const rd_kafka_ListConsumerGroupOffsets_result_t *answer;
        const rd_kafka_group_result_t **groups;
        rd_kafka_resp_err_t error = rd_kafka_event_error(event);
        const rd_kafka_error_t *why;
        size_t n = 0;

        if (error)
                return error;
        answer = rd_kafka_event_ListConsumerGroupOffsets_result(event);
        groups = rd_kafka_ListConsumerGroupOffsets_result_groups(answer, &n);
        if (n != 1)
                return RD_KAFKA_RESP_ERR__BAD_MSG;
        why = rd_kafka_group_result_error(groups[0]);
        if (why)
                return rd_kafka_error_code(why);
        *ret = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(groups[0]));
        rd_kafka_topic_partition_list_sort(*ret, NULL, NULL);
        return offsets_error(*ret);
}

static rd_kafka_resp_err_t wait_committed(const KafkaQuery *q, rd_kafka_queue_t *queue,
                                          Offsets **ret) {
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__TIMED_OUT;
        rd_kafka_event_t *event = NULL;

        while (!event && left_msec(q) > 0) {
                if (!q->goes_on(q->userdata, KAFKA_ASKING_COMMITTED))
                        return RD_KAFKA_RESP_ERR__TRANSPORT;
                event = rd_kafka_queue_poll(queue, MIN(left_msec(q), TURN_MSEC));
        }
        if (event) {
                error = take_committed(event, ret);
                rd_kafka_event_destroy(event);
        }
        return error;
}

static rd_kafka_resp_err_t ask_committed(const KafkaQuery *q, const Offsets *partitions,
                                         Offsets **ret) {
        rd_kafka_AdminOptions_t *options =
                rd_kafka_AdminOptions_new(q->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
        rd_kafka_ListConsumerGroupOffsets_t *wanted =
                rd_kafka_ListConsumerGroupOffsets_new(q->group, partitions);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(q->rk);
        rd_kafka_resp_err_t error;
        char why[16];

        (void) rd_kafka_AdminOptions_set_request_timeout(options, MAX(left_msec(q), 1), why,
                                                         sizeof(why));
        rd_kafka_ListConsumerGroupOffsets(q->rk, &wanted, 1, options, queue);
        error = wait_committed(q, queue, ret);
        rd_kafka_queue_destroy(queue);
        rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
        rd_kafka_AdminOptions_destroy(options);
        return error;
}

/* The oldest offsets of the partitions of which the group has read nothing; NULL: there are none.
 */
static rd_kafka_resp_err_t ask_begins(const KafkaQuery *q, const Offsets *committed,
                                      Offsets **ret) {
        Offsets *o = NULL;

        for (int i = 0; i < committed->cnt; i++) {
                const rd_kafka_topic_partition_t *p = committed->elems + i;

                if (p->offset >= 0)
                        continue;
                if (!o)
                        o = rd_kafka_topic_partition_list_new(committed->cnt);
                rd_kafka_topic_partition_list_add(o, p->topic, p->partition)->offset =
                        RD_KAFKA_OFFSET_BEGINNING;
        }
        *ret = o;
        return o ? ask_offsets(q, o) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t ask_lag(const KafkaQuery *q, const struct rd_kafka_metadata *m,
                                   Result *result) {
        _cleanup_(offsets_freep) Offsets *ends = offsets_new(q, m, RD_KAFKA_OFFSET_END);
        _cleanup_(offsets_freep) Offsets *committed = NULL;
        _cleanup_(offsets_freep) Offsets *begins = NULL;
        rd_kafka_resp_err_t error;

        error = ask_committed(q, ends, &committed);
        if (!error && (!committed || committed->cnt != ends->cnt))
                error = RD_KAFKA_RESP_ERR__BAD_MSG;
        if (!error)
                error = ask_begins(q, committed, &begins);
        if (!error)
                error = ask_offsets(q, ends);
        if (!error)
                kafka_judge_lag(q->group, ends, committed, begins, result);
        return error;
}

/* -- all of it --------------------------------------------------------------------------------- */

rd_kafka_resp_err_t kafka_query(const KafkaQuery *q, Result *ret) {
        const struct rd_kafka_metadata *m = NULL;
        KafkaTrouble trouble = {};
        rd_kafka_resp_err_t error;

        error = ask_metadata(q, &m);
        if (!error) {
                kafka_judge_metadata(m, q->topic_name, ret);
                if (q->group && outcome_is_success(ret->outcome))
                        error = ask_lag(q, m, ret);
                rd_kafka_metadata_destroy(m);
        }
        if (!error || !kafka_error_is_answer(error))
                return error;
        trouble.error = error;
        kafka_judge_trouble(&trouble, ret);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}
