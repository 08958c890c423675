/* SPDX-License-Identifier: MIT */
/* Type=rabbitmq: an AMQP 0-9-1 broker lets in to a virtual host and answers on a channel, for a
 * queue with its depth and the number of its consumers. No message is ever taken.
 *
 * The connection with its channel is held from run to run and read all the time, so that its end is
 * seen when it happens and starts a run. Heartbeats go both ways on it. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/rabbitmq-connection.h"
#include "check/rabbitmq-message.h"
#include "check/rabbitmq-settings.h"
#include "check/rabbitmq-verdict.h"
#include "check/stream-verdict.h"
#include "io/stream.h"

#define CLIENT_NAME_MAX 160

/* Whose answer is due. */
typedef enum RabbitStep {
        STEP_START,
        STEP_TUNE,
        STEP_OPEN,
        STEP_CHANNEL,
        STEP_ANSWER,
        STEP_CLOSE,
        STEP_COUNT_,
} RabbitStep;

typedef struct RabbitInstance {
        Check *check; /* borrowed */
        TlsKeeper keeper;
        RabbitConnection connection;
        usec_t dialed_usec; /* CLOCK_MONOTONIC: when the connection was made */
        RabbitStep step;
        char server[RABBIT_SERVER_MAX];
        char blocked[RESULT_MESSAGE_MAX]; /* why the server takes no messages now; "": it does */
        CheckRun *run; /* borrowed; NULL while nothing is expected from the server */
} RabbitInstance;

typedef struct RabbitRun {
        bool is_reused; /* the connection was held already */
        char phase[STREAM_PHASE_MAX];
} RabbitRun;

/* -- the connection ---------------------------------------------------------------------------- */

static int rabbit_say_goodbye(RabbitInstance *i) {
        StrBuf out = {};

        i->step = STEP_CLOSE;
        return rabbit_connection_send(&i->connection, &out, rabbit_append_close(&out));
}

static void rabbit_hang_up(RabbitInstance *i) {
        if (i->step == STEP_CHANNEL || i->step == STEP_ANSWER)
                (void) rabbit_say_goodbye(i);
        rabbit_connection_end(&i->connection);
        i->step = STEP_START;
        i->blocked[0] = i->server[0] = 0;
}

/* What nobody waits for on a held connection is its end, or something odd: look what it means. */
static void rabbit_look_now(RabbitInstance *i) {
        rabbit_hang_up(i);
        check_trigger(i->check);
}

/* Ends the run and holds on to the connection. */
static void rabbit_finish_held(RabbitInstance *i, Result *result) {
        RabbitRun *r = check_run_data(i->run);

        if (!r->is_reused && i->connection.stream)
                result_note_stream(result, i->connection.stream);
        check_run_finish(TAKE(i->run), result);
}

/* Ends the run; the connection is of no use any more. */
static void rabbit_finish(RabbitInstance *i, Result *result) {
        rabbit_finish_held(i, result);
        rabbit_hang_up(i);
}

static void rabbit_finish_errno(RabbitInstance *i, int error) {
        Result result;

        if (error == -EMSGSIZE)
                result_error(&result, REASON_CONFIGURATION,
                             "Username, password or a name is too long for the protocol");
        else
                result_errno(&result, error, "Cannot talk");
        rabbit_finish(i, &result);
}

static int rabbit_dial(RabbitInstance *i) {
        const RabbitSettings *s = check_settings(i->check);
        usec_t max_age_usec = check_config(i->check)->connection_max_age_usec;
        RabbitRun *r = check_run_data(i->run);
        Engine *engine = check_engine(i->check);
        char ip[IP_TEXT_MAX];
        Result result;

        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        if (s->broker.is_tls &&
            tls_keeper_renew(&i->keeper, &s->broker.tls, max_age_usec, &result) < 0) {
                rabbit_finish(i, &result);
                return 0;
        }
        check_run_set_phase(i->run,
                            stream_phase_text(r->phase, &s->broker.address, STREAM_RESOLVING));
        return rabbit_connection_dial(&i->connection, engine_poll_set(engine),
                                      engine_resolver(engine), &s->broker.address,
                                      s->broker.is_tls ? i->keeper.context : NULL,
                                      tls_options_name(&s->broker.tls, &s->broker.address, ip));
}

/* A held connection that ends is no failure of the server yet. */
static bool rabbit_try_again(RabbitInstance *i) {
        RabbitRun *r = check_run_data(i->run);

        if (!r->is_reused)
                return false;
        r->is_reused = false;
        rabbit_hang_up(i);
        return rabbit_dial(i) >= 0;
}

/* -- steps ------------------------------------------------------------------------------------- */

static int rabbit_open_channel(RabbitInstance *i) {
        StrBuf out = {};

        check_run_set_phase(i->run, "opening a channel");
        return rabbit_connection_send(&i->connection, &out, rabbit_append_channel_open(&out));
}

/* A broker that is short of something blocks whoever publishes the next message. */
static int rabbit_ask(RabbitInstance *i) {
        const RabbitSettings *s = check_settings(i->check);
        StrBuf out = {};
        int r = 0;

        check_run_set_phase(i->run, "waiting for the answer on the channel");
        if (s->publishes)
                r = rabbit_append_publish(&out);
        if (r >= 0)
                r = rabbit_append_question(&out, s->queue);
        return rabbit_connection_send(&i->connection, &out, r);
}

static int take_start(RabbitInstance *i, const RabbitFrame *f) {
        const RabbitSettings *s = check_settings(i->check);
        const amqp_connection_start_t *m = f->decoded;
        char name[CLIENT_NAME_MAX];
        Result result;
        StrBuf out = {};

        (void) rabbit_server_name(&m->server_properties, i->server);
        if (!rabbit_list_has(m->mechanisms, broker_mechanism(&s->broker))) {
                result_fail(&result, REASON_AUTH, "The server does not offer %s",
                            broker_mechanism(&s->broker));
                result_set_detail(&result, "method");
                rabbit_finish(i, &result);
                return 0;
        }
        snprintf(name, sizeof(name), "vitald: %s", check_config(i->check)->public_name);
        check_run_set_phase(i->run, "logging in");
        return rabbit_connection_send(
                &i->connection, &out,
                rabbit_append_start_ok(&out, s->broker.username, s->broker.password.secret, name));
}

static int take_tune(RabbitInstance *i, const RabbitFrame *f) {
        const RabbitSettings *s = check_settings(i->check);
        const amqp_connection_tune_t *m = f->decoded;
        uint32_t frame_max =
                m->frame_max ? MIN(m->frame_max, (uint32_t) RABBIT_FRAME_MAX) : RABBIT_FRAME_MAX;
        usec_t heartbeat_usec = rabbit_heartbeat(s, m->heartbeat);
        StrBuf out = {};
        int r;

        check_run_set_phase(i->run, "opening the virtual host");
        rabbit_connection_beat(&i->connection, heartbeat_usec);
        r = rabbit_append_tune_ok(&out, frame_max, (uint16_t) (heartbeat_usec / USEC_PER_SEC));
        if (r >= 0)
                r = rabbit_append_open(&out, s->virtual_host);
        return rabbit_connection_send(&i->connection, &out, r);
}

static int take_open(RabbitInstance *i, const RabbitFrame *f _unused_) {
        return rabbit_open_channel(i);
}

static int take_channel(RabbitInstance *i, const RabbitFrame *f _unused_) {
        return rabbit_ask(i);
}

static int take_answer(RabbitInstance *i, const RabbitFrame *f) {
        const RabbitSettings *s = check_settings(i->check);
        const amqp_queue_declare_ok_t *queue = f->decoded;
        Result result;

        if (s->queue) {
                result_pass(&result, "%s: %s has %u messages, %u consumers", i->server, s->queue,
                            queue->message_count, queue->consumer_count);
                result_add_value(&result, "depth", queue->message_count, "");
                result_add_value(&result, "consumers", queue->consumer_count, "");
        } else
                result_pass(&result, "%s", i->server);
        result_add_certificate(&result, i->connection.stream);
        rabbit_finish_held(i, &result);
        return 0;
}

static int take_close_ok(RabbitInstance *i, const RabbitFrame *f _unused_) {
        rabbit_hang_up(i);
        return rabbit_dial(i);
}

static const struct {
        amqp_method_number_t method, other_method;
        int (*take)(RabbitInstance *i, const RabbitFrame *f);
} steps[STEP_COUNT_] = {
        [STEP_START] = { AMQP_CONNECTION_START_METHOD, 0, take_start },
        [STEP_TUNE] = { AMQP_CONNECTION_TUNE_METHOD, 0, take_tune },
        [STEP_OPEN] = { AMQP_CONNECTION_OPEN_OK_METHOD, 0, take_open },
        [STEP_CHANNEL] = { AMQP_CHANNEL_OPEN_OK_METHOD, 0, take_channel },
        [STEP_ANSWER] = { AMQP_QUEUE_DECLARE_OK_METHOD, AMQP_BASIC_QOS_OK_METHOD, take_answer },
        [STEP_CLOSE] = { AMQP_CONNECTION_CLOSE_OK_METHOD, 0, take_close_ok },
};

/* -- what the server says ---------------------------------------------------------------------- */

static void rabbit_finish_blocked(RabbitInstance *i) {
        Result result;

        result_fail(&result, REASON_STATUS, "The broker takes no messages: %s", i->blocked);
        result_set_detail(&result, "blocked");
        rabbit_finish_held(i, &result); /* it says when this ends */
}

/* From now on the server reads nothing of what we send, until it unblocks. */
static void take_blocked(RabbitInstance *i, const amqp_connection_blocked_t *m) {
        text_sanitize(i->blocked, sizeof(i->blocked), m->reason.bytes, m->reason.len);
        if (!*i->blocked)
                snprintf(i->blocked, sizeof(i->blocked), "no reason given");
        if (i->run)
                rabbit_finish_blocked(i);
        else
                check_trigger(i->check);
}

/* The next run opens another channel. */
static void take_channel_close(RabbitInstance *i, const amqp_channel_close_t *m) {
        Result result;
        StrBuf out = {};

        rabbit_judge_close(m->reply_code, m->reply_text, true, &result);
        i->step = STEP_CHANNEL;
        (void) rabbit_connection_send(&i->connection, &out, rabbit_append_channel_close_ok(&out));
        if (i->run)
                rabbit_finish_held(i, &result);
        else
                check_trigger(i->check);
}

static void take_close(RabbitInstance *i, const amqp_connection_close_t *m) {
        Result result;
        StrBuf out = {};

        rabbit_judge_close(m->reply_code, m->reply_text, i->step > STEP_TUNE, &result);
        i->step = STEP_CLOSE;
        (void) rabbit_connection_send(&i->connection, &out, rabbit_append_close_ok(&out));
        if (!i->run)
                rabbit_look_now(i);
        else if (result.reason != REASON_CLOSED || !rabbit_try_again(i))
                rabbit_finish(i, &result);
}

static void take_other(RabbitInstance *i, const RabbitFrame *f) {
        const char *name = amqp_method_name(f->method);
        Result result;

        if (!i->run) {
                rabbit_look_now(i);
                return;
        }
        result_fail(&result, REASON_PROTOCOL, "Unexpected %s", name ? name : "method");
        rabbit_finish(i, &result);
}

static void take_due(RabbitInstance *i, const RabbitFrame *f) {
        RabbitStep step = i->step;
        int r;

        if (step < STEP_ANSWER)
                i->step++;
        r = steps[step].take(i, f);
        if (r < 0 && i->run)
                rabbit_finish_errno(i, r);
}

static void on_method(void *userdata, const RabbitFrame *f) {
        RabbitInstance *i = userdata;

        switch (f->method) {
        case AMQP_CONNECTION_CLOSE_METHOD:
                take_close(i, f->decoded);
                break;
        case AMQP_CHANNEL_CLOSE_METHOD:
                take_channel_close(i, f->decoded);
                break;
        case AMQP_CONNECTION_BLOCKED_METHOD:
                take_blocked(i, f->decoded);
                break;
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
                if (!i->run) /* what was asked meanwhile is answered late */
                        rabbit_look_now(i);
                break;
        default:
                if (i->run && (f->method == steps[i->step].method ||
                               f->method == steps[i->step].other_method))
                        take_due(i, f);
                else
                        take_other(i, f);
                break;
        }
}

static void on_broken(void *userdata, int error, const char *bytes, size_t n) {
        RabbitInstance *i = userdata;
        Result result;

        if (!i->run) {
                rabbit_look_now(i);
                return;
        }
        if (error == -ENOMEM)
                result_errno(&result, error, "Cannot read");
        else if (i->step == STEP_START)
                rabbit_judge_greeting(bytes, n, &result);
        else
                result_fail(&result, REASON_PROTOCOL, "A broken frame of AMQP");
        rabbit_finish(i, &result);
}

/* What a run waits for is its deadline's affair. */
static void on_silent(void *userdata) {
        RabbitInstance *i = userdata;

        if (!i->run)
                rabbit_look_now(i);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        RabbitInstance *i = userdata;

        if (!i->run)
                stream_expect(i->connection.stream, STREAM_REPLY_MAX);
        rabbit_connection_take(&i->connection, bytes, n);
}

static void set_phase(RabbitInstance *i, StreamPhase phase) {
        const RabbitSettings *s = check_settings(i->check);
        RabbitRun *r = check_run_data(i->run);

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->broker.address, phase));
}

static void on_resolved(void *userdata) {
        set_phase(userdata, STREAM_CONNECTING);
}

static void on_shaking(void *userdata) {
        set_phase(userdata, STREAM_SHAKING);
}

static void on_connected(void *userdata) {
        RabbitInstance *i = userdata;
        StrBuf out = {};
        int r;

        check_run_set_phase(i->run, "waiting for the greeting");
        rabbit_append_greeting(&out);
        r = rabbit_connection_send(&i->connection, &out, 0);
        if (r < 0)
                rabbit_finish_errno(i, r);
}

static void on_failed(void *userdata, const StreamFailure *f) {
        RabbitInstance *i = userdata;
        const RabbitSettings *s = check_settings(i->check);
        Result result;

        if (!i->run)
                rabbit_look_now(i);
        else if (f->error == EMSGSIZE || !rabbit_try_again(i)) {
                result_stream(&result, &s->broker.address, f);
                rabbit_finish(i, &result);
        }
}

/* -- the check --------------------------------------------------------------------------------- */

/* What all share is the table of handlers, which the functions of above need before it can be made.
 */
static int rabbit_attach(Engine *engine _unused_, void *memory) {
        RabbitHandlers *handlers = memory;

        *handlers = (RabbitHandlers){
                .stream = { .resolved = on_resolved,
                            .shaking = on_shaking,
                            .connected = on_connected,
                            .received = on_received,
                            .failed = on_failed },
                .method = on_method,
                .broken = on_broken,
                .silent = on_silent,
        };
        return 0;
}

static int rabbit_open(Check *check) {
        RabbitInstance *i = check_instance(check);

        i->check = check;
        return rabbit_connection_init(&i->connection, engine_event(check_engine(check)),
                                      check_shared(check), i);
}

static void rabbit_close(Check *check) {
        RabbitInstance *i = check_instance(check);

        rabbit_hang_up(i);
        rabbit_connection_done(&i->connection);
        tls_keeper_done(&i->keeper);
}

static int rabbit_start(CheckRun *run) {
        RabbitInstance *i = check_run_instance(run);
        RabbitRun *r = check_run_data(run);

        i->run = run;
        if (check_connection_is_silent(i->check, i->dialed_usec))
                rabbit_hang_up(i);
        if (!i->connection.stream)
                return rabbit_dial(i);
        r->is_reused = true;
        stream_expect(i->connection.stream, STREAM_REPLY_MAX);
        if (*i->blocked) {
                rabbit_finish_blocked(i);
                return 0;
        }
        if (check_connection_is_old(i->check, i->dialed_usec)) {
                check_run_set_phase(run, "ending the old connection");
                return rabbit_say_goodbye(i);
        }
        return i->step == STEP_CHANNEL ? rabbit_open_channel(i) : rabbit_ask(i);
}

/* An answer that is still due would be taken for the next run's. */
static void rabbit_stop(CheckRun *run) {
        RabbitInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        rabbit_hang_up(i);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option rabbit_options[] = {
        BROKER_OPTIONS(RabbitSettings, broker),
        { "VirtualHost", &option_string, offsetof(RabbitSettings, virtual_host), "/" },
        { "Queue", &option_string, offsetof(RabbitSettings, queue) },
        { "Publish", &option_bool, offsetof(RabbitSettings, publishes), "no" },
};

const CheckDriver rabbitmq_driver = {
        .type = {
                .name = "rabbitmq",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schema = SCHEMA(rabbit_options),
                .settings_size = sizeof(RabbitSettings),
                .validate = rabbit_settings_validate,
                .describe = rabbit_settings_describe,
        },
        .shared_size = sizeof(RabbitHandlers),
        .attach = rabbit_attach,
        .instance_size = sizeof(RabbitInstance),
        .open = rabbit_open,
        .close = rabbit_close,
        .run_size = sizeof(RabbitRun),
        .start = rabbit_start,
        .stop = rabbit_stop,
};
