/* SPDX-License-Identifier: MIT */

/* A cluster of librdkafka's own brokers on loopback, for tests of the check type kafka.
 *
 *     kafka-cluster BROKERS
 *
 * Prints their addresses, then takes commands on standard input, one a line, and answers each with
 * "ok" or what is wrong:
 *
 *     topic NAME PARTITIONS REPLICAS     makes one
 *     topic-error NAME ERROR             what is said of it
 *     leader NAME PARTITION BROKER       -1: none
 *     produce NAME PARTITION COUNT       messages
 *     commit GROUP NAME PARTITION OFFSET
 *     coordinator GROUP BROKER
 *     down BROKER, up BROKER             connections end, and the port is closed
 *     rtt BROKER MILLISECONDS            each answer takes so long
 *     error REQUEST ERROR COUNT          numbers of the protocol; answers to come
 *     slow BROKER REQUEST MILLISECONDS   the next answer to such a request
 */

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX    6
#define TIMEOUT_MSEC 10000

typedef struct Cluster {
        rd_kafka_t *client; /* owned */
        rd_kafka_mock_cluster_t *mock;
} Cluster;

typedef struct Command {
        const char *name;
        int n_arguments;
        rd_kafka_resp_err_t (*run)(Cluster *c, char **arguments);
} Command;

static int number(const char *s) {
        return (int) strtol(s, NULL, 10);
}

static rd_kafka_resp_err_t make_topic(Cluster *c, char **a) {
        return rd_kafka_mock_topic_create(c->mock, a[0], number(a[1]), number(a[2]));
}

static rd_kafka_resp_err_t set_topic_error(Cluster *c, char **a) {
        rd_kafka_mock_topic_set_error(c->mock, a[0], (rd_kafka_resp_err_t) number(a[1]));
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t set_leader(Cluster *c, char **a) {
        return rd_kafka_mock_partition_set_leader(c->mock, a[0], number(a[1]), number(a[2]));
}

static rd_kafka_resp_err_t produce(Cluster *c, char **a) {
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
        char text[] = "a message";

        for (int i = 0; i < number(a[2]) && !error; i++)
                error = rd_kafka_producev(c->client, RD_KAFKA_V_TOPIC(a[0]),
                                          RD_KAFKA_V_PARTITION(number(a[1])),
                                          RD_KAFKA_V_VALUE(text, sizeof(text)),
                                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        return error ? error : rd_kafka_flush(c->client, TIMEOUT_MSEC);
}

/* As a group's members do: the admin's call needs what this broker does not know. */
static rd_kafka_resp_err_t commit(Cluster *c, char **a) {
        rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_resp_err_t error;
        rd_kafka_t *consumer;
        char why[256];

        rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(c->mock), why,
                          sizeof(why));
        rd_kafka_conf_set(conf, "group.id", a[0], why, sizeof(why));
        consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
        if (!consumer)
                return RD_KAFKA_RESP_ERR__FAIL;
        rd_kafka_topic_partition_list_add(offsets, a[1], number(a[2]))->offset = number(a[3]);
        error = rd_kafka_commit(consumer, offsets, 0);
        rd_kafka_topic_partition_list_destroy(offsets);
        rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        return error;
}

static rd_kafka_resp_err_t set_coordinator(Cluster *c, char **a) {
        return rd_kafka_mock_coordinator_set(c->mock, "group", a[0], number(a[1]));
}

static rd_kafka_resp_err_t down(Cluster *c, char **a) {
        return rd_kafka_mock_broker_set_down(c->mock, number(a[0]));
}

static rd_kafka_resp_err_t up(Cluster *c, char **a) {
        return rd_kafka_mock_broker_set_up(c->mock, number(a[0]));
}

static rd_kafka_resp_err_t set_rtt(Cluster *c, char **a) {
        return rd_kafka_mock_broker_set_rtt(c->mock, number(a[0]), number(a[1]));
}

static rd_kafka_resp_err_t push_errors(Cluster *c, char **a) {
        for (int i = 0; i < number(a[2]); i++)
                rd_kafka_mock_push_request_errors(c->mock, (int16_t) number(a[0]), 1,
                                                  (rd_kafka_resp_err_t) number(a[1]));
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t slow(Cluster *c, char **a) {
        return rd_kafka_mock_broker_push_request_error_rtts(
                c->mock, number(a[0]), (int16_t) number(a[1]), 1, RD_KAFKA_RESP_ERR_NO_ERROR,
                number(a[2]));
}

static const Command commands[] = {
        { "topic", 3, make_topic },  { "topic-error", 2, set_topic_error },
        { "leader", 3, set_leader }, { "produce", 3, produce },
        { "commit", 4, commit },     { "coordinator", 2, set_coordinator },
        { "down", 1, down },         { "up", 1, up },
        { "rtt", 2, set_rtt },       { "error", 3, push_errors },
        { "slow", 3, slow },
};

static const char *run(Cluster *c, char *line) {
        char *words[WORDS_MAX] = {};
        rd_kafka_resp_err_t error;
        int n = 0;

        for (char *word = strtok(line, " \n"); word && n < WORDS_MAX; word = strtok(NULL, " \n"))
                words[n++] = word;
        for (size_t i = 0; n > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
                if (strcmp(commands[i].name, words[0]) == 0 && commands[i].n_arguments == n - 1) {
                        error = commands[i].run(c, words + 1);
                        return error ? rd_kafka_err2str(error) : "ok";
                }
        return "no such command";
}

/* The producer's connections are made once there is a cluster to connect to. */
static int cluster_make(Cluster *c, int brokers) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[256];

        rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
        c->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
        if (!c->client)
                return -1;
        c->mock = rd_kafka_mock_cluster_new(c->client, brokers);
        if (!c->mock)
                return -1;
        return rd_kafka_brokers_add(c->client, rd_kafka_mock_cluster_bootstraps(c->mock)) > 0 ? 0
                                                                                              : -1;
}

int main(int argc, char **argv) {
        Cluster c = {};
        char line[1024];

        (void) signal(SIGPIPE, SIG_IGN);
        if (argc != 2 || cluster_make(&c, number(argv[1])) < 0)
                return EXIT_FAILURE;
        puts(rd_kafka_mock_cluster_bootstraps(c.mock));
        (void) fflush(stdout);
        while (fgets(line, sizeof(line), stdin)) {
                puts(run(&c, line));
                (void) fflush(stdout);
        }
        rd_kafka_mock_cluster_destroy(c.mock);
        rd_kafka_destroy(c.client);
        return EXIT_SUCCESS;
}
