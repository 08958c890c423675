/* SPDX-License-Identifier: MIT */
#include "check/kafka-verdict.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/tls-verdict.h"

/* -- errors ------------------------------------------------------------------------------------ */

static const struct {
        rd_kafka_resp_err_t error;
        Reason reason;
        const char *detail;
        const char *words; /* in the text; NULL: any */
} meanings[] = {
        { RD_KAFKA_RESP_ERR__AUTHENTICATION, REASON_AUTH, "method", "mechanism" },
        { RD_KAFKA_RESP_ERR__AUTHENTICATION, REASON_AUTH, "password" },
        { RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, REASON_AUTH, "password" },
        { RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, REASON_AUTH, "method" },
        { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, REASON_AUTH, "permission" },
        { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, REASON_AUTH, "permission" },
        { RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, REASON_AUTH, "permission" },
        { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, REASON_MISSING, "topic" },
        { RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, REASON_MISSING, "topic" },
        { RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, REASON_MISSING, "topic" },
        { RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, REASON_MISSING, "group" },
        { RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, REASON_STATUS, "no-leader" },
        { RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, REASON_STATUS, "no-leader" },
        { RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, REASON_STATUS, "no-coordinator" },
        { RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, REASON_STATUS, "loading" },
        { RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, REASON_TIMEOUT, "" },
        { RD_KAFKA_RESP_ERR__TIMED_OUT, REASON_TIMEOUT, "" },
        { RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, REASON_TIMEOUT, "" },
        { RD_KAFKA_RESP_ERR__TRANSPORT, REASON_TLS, "plaintext", "PLAINTEXT broker" },
        { RD_KAFKA_RESP_ERR__TRANSPORT, REASON_TLS, "handshake", "in state SSL_HANDSHAKE" },
        { RD_KAFKA_RESP_ERR__TRANSPORT, REASON_PROTOCOL, "", "underflow" },
        { RD_KAFKA_RESP_ERR__TRANSPORT, REASON_TRUNCATED, "" },
        { RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, REASON_TRUNCATED, "" },
        { RD_KAFKA_RESP_ERR__RESOLVE, REASON_DNS, "" },
        { RD_KAFKA_RESP_ERR__BAD_MSG, REASON_PROTOCOL, "" },
        { RD_KAFKA_RESP_ERR__UNDERFLOW, REASON_PROTOCOL, "" },
        { RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, REASON_PROTOCOL, "version" },
        { RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, REASON_PROTOCOL, "version" },
};

/* What a text of librdkafka holds: it has one code for whatever a socket says. */
static const int socket_errors[] = {
        ECONNREFUSED, ECONNRESET, EPIPE,  EHOSTUNREACH, ENETUNREACH,
        ETIMEDOUT,    EMFILE,     ENFILE, ENOMEM,       EADDRNOTAVAIL
};

/* Times and counts at the end differ from run to run. */
static void text_trim(char *text) {
        char *end = strstr(text, " (after ");

        if (end)
                *end = 0;
}

static bool judge_socket(const char *text, Result *ret) {
        for (size_t i = 0; i < ELEMENTSOF(socket_errors); i++) {
                const char *words = strerrordesc_np(socket_errors[i]);
                const char *at = strstr(text, words);

                if (!at)
                        continue;
                while (at > text && strchr(": ", at[-1]))
                        at--;
                result_errno(ret, socket_errors[i], "%.*s", (int) (at - text), text);
                return true;
        }
        return false;
}

static void judge_tls(const KafkaTrouble *t, const char *text, Result *ret) {
        const char *detail;

        if (t->verify != 0) {
                detail = tls_verify_detail(t->verify);
                result_fail(ret, REASON_TLS, "The broker's certificate: %s",
                            X509_verify_cert_error_string(t->verify));
                result_set_detail(ret, detail ? detail : "certificate");
        } else {
                detail = tls_handshake_detail(text);
                result_fail(ret, REASON_TLS, "%s", text);
                result_set_detail(ret, detail ? detail : "handshake");
        }
}

void kafka_judge_trouble(const KafkaTrouble *t, Result *ret) {
        char text[KAFKA_TEXT_MAX];

        snprintf(text, sizeof(text), "%s", t->text[0] ? t->text : rd_kafka_err2str(t->error));
        text_trim(text);
        if (t->error == RD_KAFKA_RESP_ERR__TRANSPORT && judge_socket(text, ret))
                return;
        if (t->error == RD_KAFKA_RESP_ERR__SSL || strstr(text, "SSL routines")) {
                judge_tls(t, text, ret);
                return;
        }
        if (t->error == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE) {
                result_error(ret, REASON_RESOURCE, "%s", text);
                return;
        }
        if (t->error == RD_KAFKA_RESP_ERR__INVALID_ARG) {
                result_error(ret, REASON_CONFIGURATION, "%s", text);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(meanings); i++)
                if (meanings[i].error == t->error &&
                    (!meanings[i].words || strstr(t->text, meanings[i].words))) {
                        result_fail(ret, meanings[i].reason, "%s", text);
                        result_set_detail(ret, meanings[i].detail);
                        return;
                }
        result_fail(ret, REASON_STATUS, "%s", text);
        result_set_detail(ret, rd_kafka_err2name(t->error));
}

/* librdkafka's own errors are negative, those of brokers positive. */
bool kafka_error_is_answer(rd_kafka_resp_err_t error) {
        return error > RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* -- the cluster ------------------------------------------------------------------------------- */

typedef struct Topic {
        int n_leaderless, n_under_replicated, fewest_in_sync;
        char leaderless[64]; /* their numbers, as many as fit */
} Topic;

static Topic topic_look(const struct rd_kafka_metadata_topic *topic) {
        Topic t = { .fewest_in_sync = -1 };
        size_t n = 0;

        for (int i = 0; i < topic->partition_cnt; i++) {
                const struct rd_kafka_metadata_partition *p = topic->partitions + i;

                if (t.fewest_in_sync < 0 || p->isr_cnt < t.fewest_in_sync)
                        t.fewest_in_sync = p->isr_cnt;
                t.n_under_replicated += p->isr_cnt < p->replica_cnt;
                if (p->leader >= 0)
                        continue;
                if (n < sizeof(t.leaderless))
                        n += (size_t) snprintf(t.leaderless + n, sizeof(t.leaderless) - n, "%s%d",
                                               t.n_leaderless > 0 ? " " : "", p->id);
                t.n_leaderless++;
        }
        return t;
}

static void judge_topic(const struct rd_kafka_metadata *m,
                        const struct rd_kafka_metadata_topic *topic, Result *ret) {
        Topic t = topic_look(topic);

        if (t.n_leaderless > 0) {
                result_fail(ret, REASON_STATUS, "No leader for partition%s %s of %s",
                            t.n_leaderless > 1 ? "s" : "", t.leaderless, topic->topic);
                result_set_detail(ret, "no-leader");
        } else
                result_pass(ret, "%d broker%s, %d partition%s", m->broker_cnt,
                            m->broker_cnt == 1 ? "" : "s", topic->partition_cnt,
                            topic->partition_cnt == 1 ? "" : "s");
        result_add_value(ret, "brokers", m->broker_cnt, "");
        result_add_value(ret, "partitions", topic->partition_cnt, "");
        result_add_value(ret, "leaderless", t.n_leaderless, "");
        result_add_value(ret, "under_replicated", t.n_under_replicated, "");
        result_add_value(ret, "in_sync", MAX(t.fewest_in_sync, 0), "");
}

static const struct rd_kafka_metadata_topic *find_topic(const struct rd_kafka_metadata *m,
                                                        const char *name) {
        for (int i = 0; i < m->topic_cnt; i++)
                if (str_equal(m->topics[i].topic, name))
                        return m->topics + i;
        return NULL;
}

void kafka_judge_metadata(const struct rd_kafka_metadata *m, const char *topic, Result *ret) {
        const struct rd_kafka_metadata_topic *found = topic ? find_topic(m, topic) : NULL;
        KafkaTrouble trouble = { .error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART };

        if (!topic) {
                result_pass(ret, "%d broker%s", m->broker_cnt, m->broker_cnt == 1 ? "" : "s");
                result_add_value(ret, "brokers", m->broker_cnt, "");
                return;
        }
        if (found && found->err)
                trouble.error = found->err;
        if (found && (!found->err || found->err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) &&
            found->partition_cnt > 0) {
                judge_topic(m, found, ret);
                return;
        }
        snprintf(trouble.text, sizeof(trouble.text), "Topic %s: %s", topic,
                 rd_kafka_err2str(trouble.error));
        kafka_judge_trouble(&trouble, ret);
}

/* -- lag --------------------------------------------------------------------------------------- */

/* What a group has not read of a partition: from its oldest message on if it never said. */
static int64_t lag_of(const rd_kafka_topic_partition_t *end,
                      const rd_kafka_topic_partition_t *committed,
                      const rd_kafka_topic_partition_list_t *begins) {
        const rd_kafka_topic_partition_t *begin = committed;

        if (committed->offset < 0 && begins)
                begin = rd_kafka_topic_partition_list_find(
                        (rd_kafka_topic_partition_list_t *) (uintptr_t) begins, end->topic,
                        end->partition);
        return MAX(end->offset - MAX(begin ? begin->offset : 0, (int64_t) 0), (int64_t) 0);
}

void kafka_judge_lag(const char *group, const rd_kafka_topic_partition_list_t *ends,
                     const rd_kafka_topic_partition_list_t *committed,
                     const rd_kafka_topic_partition_list_t *begins, Result *result) {
        int64_t lag = 0, most = 0;
        bool has_committed = false;
        char before[RESULT_MESSAGE_MAX];

        for (int i = 0; i < ends->cnt; i++) {
                int64_t one = lag_of(ends->elems + i, committed->elems + i, begins);

                has_committed |= committed->elems[i].offset >= 0;
                most = MAX(most, one);
                lag += one;
        }
        if (!has_committed && lag > 0) {
                result_fail(result, REASON_MISSING, "Consumer group %s has read nothing of %s",
                            group, ends->elems[0].topic);
                result_set_detail(result, "group");
                return;
        }
        snprintf(before, sizeof(before), "%s", result->message);
        snprintf(result->message, sizeof(result->message), "%.200s, lag %lld", before,
                 (long long) lag);
        result_add_value(result, "lag", (double) lag, "");
        result_add_value(result, "most_lag", (double) most, "");
}
