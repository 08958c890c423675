/* SPDX-License-Identifier: MIT */
/* Type=kafka: a cluster of Kafka that answers, a topic whose partitions all have a leader, and how
 * far a group of consumers is behind.
 *
 * librdkafka is asked in a thread (check/kafka-client.h). It is held from run to run with its
 * connections; the end of one starts a run. Nothing is consumed, no group is joined. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/kafka-client.h"
#include "check/kafka-settings.h"
#include "check/resolve-verdict.h"

/* So much before the deadline librdkafka gives up: what it says is more than that time is over. */
#define MARGIN_USEC (100 * USEC_PER_MSEC)

/* Longer than any call takes to end but one to a cluster that hangs. */
#define PATIENCE_USEC (40 * USEC_PER_MSEC)

typedef struct KafkaInstance {
        Check *check;                  /* borrowed */
        KafkaClient *client;           /* owned; NULL: none */
        usec_t dialed_usec;            /* CLOCK_MONOTONIC: when the client was made */
        CheckRun *run;                 /* borrowed; NULL while nothing is asked */
        const KafkaHandlers *handlers; /* borrowed, constant */
} KafkaInstance;

typedef struct KafkaRun {
        bool is_reused; /* the client was held already */
        char phase[CHECK_TARGET_MAX + 16];
} KafkaRun;

static void kafka_drop(KafkaInstance *i) {
        i->client = kafka_client_free(i->client);
}

static void kafka_finish(KafkaInstance *i, const Result *result) {
        check_run_finish(TAKE(i->run), result);
}

/* -- asking ------------------------------------------------------------------------------------ */

static int kafka_make(KafkaInstance *i, char why[static KAFKA_WHY_MAX]) {
        const KafkaSettings *s = check_settings(i->check);
        Engine *engine = check_engine(i->check);
        const KafkaClientOptions options = {
                .poll_set = engine_poll_set(engine),
                .resolver = engine_resolver(engine),
                .topic = s->topic,
                .group = s->group,
                .handlers = i->handlers,
                .userdata = i,
        };
        rd_kafka_conf_t *conf;
        int r;

        r = kafka_settings_make(s, &conf, why);
        if (r < 0)
                return r;
        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        return kafka_client_new(&options, conf, &i->client);
}

/* When the client is to have said what it knows. */
static usec_t kafka_deadline_usec(const KafkaInstance *i) {
        usec_t margin = MIN(MARGIN_USEC, check_config(i->check)->timeout_usec / 8);

        return usec_sub(check_run_deadline_usec(i->run), margin);
}

static void kafka_ask(KafkaInstance *i) {
        KafkaRun *r = check_run_data(i->run);
        char why[KAFKA_WHY_MAX] = "";
        CheckTarget target;
        Result result;
        int error = 0;

        r->is_reused = i->client;
        if (!i->client)
                error = kafka_make(i, why);
        if (error == 0) {
                kafka_settings_describe(check_settings(i->check), &target);
                snprintf(r->phase, sizeof(r->phase), "connecting to %s", target.text);
                check_run_set_phase(i->run, r->phase);
                kafka_client_ask(i->client, kafka_deadline_usec(i));
                return;
        }
        if (error == -EINVAL)
                result_error(&result, REASON_CONFIGURATION, "%s", why);
        else
                result_errno(&result, error, "Cannot ask");
        kafka_finish(i, &result);
}

/* -- the client's handlers --------------------------------------------------------------------- */

static void on_answered(void *userdata, const Result *result) {
        kafka_finish(userdata, result);
}

/* A held connection that fails is no failure of the cluster yet. */
static void on_failed(void *userdata, const KafkaTrouble *why) {
        KafkaInstance *i = userdata;
        KafkaRun *r = i->run ? check_run_data(i->run) : NULL;
        ResolveStatus status = kafka_client_name_status(i->client);
        Result result;

        if (why->error == RD_KAFKA_RESP_ERR__RESOLVE && status != RESOLVE_OK)
                result_resolve(&result, kafka_client_name(i->client), status);
        else
                kafka_judge_trouble(why, &result);
        kafka_settings_note_file(check_settings(i->check), &result);
        kafka_drop(i);
        if (!r)
                check_trigger(i->check);
        else if (r->is_reused && clock_usec(CLOCK_MONOTONIC) < kafka_deadline_usec(i))
                kafka_ask(i);
        else
                kafka_finish(i, &result);
}

static void on_troubled(void *userdata) {
        KafkaInstance *i = userdata;

        check_trigger(i->check);
}

static void on_progressed(void *userdata, KafkaPhase phase) {
        static const char *const texts[KAFKA_PHASE_COUNT_] = {
                [KAFKA_ASKING_METADATA] = "waiting for the metadata",
                [KAFKA_ASKING_COMMITTED] = "waiting for the group's offsets",
                [KAFKA_ASKING_OFFSETS] = "waiting for the topic's offsets",
        };
        KafkaInstance *i = userdata;

        if (texts[phase])
                check_run_set_phase(i->run, texts[phase]);
}

/* -- the check --------------------------------------------------------------------------------- */

static int kafka_attach(Engine *engine _unused_, void *memory _unused_) {
        return kafka_clients_prepare();
}

static void kafka_detach(void *memory _unused_) {
        kafka_clients_wait(PATIENCE_USEC);
}

static int kafka_open(Check *check) {
        static const KafkaHandlers handlers = { on_answered, on_failed, on_troubled,
                                                on_progressed };
        KafkaInstance *i = check_instance(check);

        i->check = check;
        i->handlers = &handlers;
        return 0;
}

static void kafka_close(Check *check) {
        kafka_drop(check_instance(check));
}

static int kafka_start(CheckRun *run) {
        KafkaInstance *i = check_run_instance(run);

        i->run = run;
        if (i->client && check_connection_is_old(i->check, i->dialed_usec))
                kafka_drop(i);
        kafka_ask(i);
        return 0;
}

/* A call that is still under way would answer the next run. */
static void kafka_stop(CheckRun *run) {
        KafkaInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        kafka_drop(i);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option kafka_options[] = {
        { "Address", &option_strv, offsetof(KafkaSettings, addresses), .flags = OPTION_REQUIRED },
        { "Topic", &option_string, offsetof(KafkaSettings, topic) },
        { "ConsumerGroup", &option_string, offsetof(KafkaSettings, group) },
        { "Username", &option_string, offsetof(KafkaSettings, username) },
        { "PasswordCredential", &option_credential, offsetof(KafkaSettings, password) },
        { "Mechanism", &option_word, offsetof(KafkaSettings, mechanism), "PLAIN",
          .words = kafka_mechanisms },
        { "TLS", &option_bool, offsetof(KafkaSettings, is_tls), "no" },
        { "CACertificate", &option_path, offsetof(KafkaSettings, ca_certificate) },
        { "ClientCertificate", &option_path, offsetof(KafkaSettings, client_certificate) },
        { "ClientKey", &option_path, offsetof(KafkaSettings, client_key) },
        { "ClientKeyCredential", &option_credential,
          offsetof(KafkaSettings, client_key_credential) },
};

static const CheckScheme kafka_schemes[] = {
        { .scheme = "kafka", .key = "Address" },
        {},
};

static const CheckValue kafka_values[] = {
        { "brokers", "" }, { "partitions", "" }, { "leaderless", "" }, { "under_replicated", "" },
        { "in_sync", "" }, { "lag", "" },        { "most_lag", "" },   {},
};

const CheckDriver kafka_driver = {
        .type = {
                .name = "kafka",
                .timeout_usec = 5 * USEC_PER_SEC,
                .schemes = kafka_schemes,
                .values = kafka_values,
                .schema = SCHEMA(kafka_options),
                .settings_size = sizeof(KafkaSettings),
                .validate = kafka_settings_validate,
                .describe = kafka_settings_describe,
        },
        .attach = kafka_attach,
        .detach = kafka_detach,
        .instance_size = sizeof(KafkaInstance),
        .open = kafka_open,
        .close = kafka_close,
        .run_size = sizeof(KafkaRun),
        .start = kafka_start,
        .stop = kafka_stop,
};
