/* SPDX-License-Identifier: MIT */
/* Type=amqp: an AMQP 1.0 broker lets in and makes a link from one of its sources.
 *
 * The link is never given credit, so that no message is sent on it, let alone taken. Each run makes
 * one, in the session of a connection that is held from run to run and read all the time, so that
 * its end is seen when it happens and starts a run. */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <proton/connection.h>
#include <proton/link.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "check/amqp-connection.h"
#include "check/amqp-verdict.h"
#include "check/broker-settings.h"
#include "check/driver.h"
#include "check/stream-verdict.h"
#include "io/stream.h"

#define AMQP_NAME_MAX 256
#define LEAVING_MAX   8 /* links whose end the server has not confirmed */

typedef struct AmqpSettings {
        BrokerSettings broker;
        char *hostname; /* owned; NULL: that of the address */
        char *source;   /* owned */
} AmqpSettings;

typedef struct AmqpInstance {
        Check *check; /* borrowed */
        TlsKeeper keeper;
        AmqpConnection connection;
        usec_t dialed_usec;    /* CLOCK_MONOTONIC: when the connection was made */
        bool is_open;          /* the server has said so */
        bool is_closing;       /* by us: it has to confirm */
        pn_session_t *session; /* owned by the engine; NULL: none */
        pn_link_t *link;       /* owned by the engine; the run's, else NULL */
        unsigned n_leaving;    /* links before it that the server has not yet ended */
        uint64_t n_links;
        char server[AMQP_SERVER_MAX];
        CheckRun *run; /* borrowed; NULL while nothing is expected from the server */
} AmqpInstance;

typedef struct AmqpRun {
        bool is_reused; /* the connection was held already */
        char phase[STREAM_PHASE_MAX];
} AmqpRun;

/* -- the connection ---------------------------------------------------------------------------- */

static void amqp_hang_up(AmqpInstance *i) {
        if (i->is_open && !i->is_closing)
                (void) amqp_connection_close(&i->connection);
        amqp_connection_end(&i->connection);
        i->is_open = i->is_closing = false;
        i->session = NULL;
        i->link = NULL;
        i->n_leaving = 0;
        i->server[0] = 0;
}

/* What nobody waits for on a held connection is its end, or something odd: look what it means. */
static void amqp_look_now(AmqpInstance *i) {
        amqp_hang_up(i);
        check_trigger(i->check);
}

/* Ends the run and holds on to the connection. */
static void amqp_finish_held(AmqpInstance *i, Result *result) {
        AmqpRun *r = check_run_data(i->run);

        if (!r->is_reused && i->connection.stream)
                result_note_stream(result, i->connection.stream);
        check_run_finish(TAKE(i->run), result);
}

/* Ends the run; the connection is of no use any more. */
static void amqp_finish(AmqpInstance *i, Result *result) {
        amqp_finish_held(i, result);
        amqp_hang_up(i);
}

static void amqp_finish_errno(AmqpInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        amqp_finish(i, &result);
}

static int amqp_dial(AmqpInstance *i) {
        const AmqpSettings *s = check_settings(i->check);
        usec_t max_age_usec = check_config(i->check)->connection_max_age_usec;
        AmqpRun *r = check_run_data(i->run);
        Engine *engine = check_engine(i->check);
        char ip[IP_TEXT_MAX];
        Result result;

        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        if (s->broker.is_tls &&
            tls_keeper_renew(&i->keeper, &s->broker.tls, max_age_usec, &result) < 0) {
                amqp_finish(i, &result);
                return 0;
        }
        check_run_set_phase(i->run,
                            stream_phase_text(r->phase, &s->broker.address, STREAM_RESOLVING));
        return amqp_connection_dial(&i->connection, engine_poll_set(engine),
                                    engine_resolver(engine), &s->broker.address,
                                    s->broker.is_tls ? i->keeper.context : NULL,
                                    tls_options_name(&s->broker.tls, &s->broker.address, ip));
}

/* A held connection that ends is no failure of the server yet. */
static bool amqp_try_again(AmqpInstance *i) {
        AmqpRun *r = check_run_data(i->run);

        if (!r->is_reused)
                return false;
        r->is_reused = false;
        amqp_hang_up(i);
        return amqp_dial(i) >= 0;
}

/* -- one run ----------------------------------------------------------------------------------- */

/* A link without credit: the server says whether it would send what the source has. */
static void amqp_ask(AmqpInstance *i) {
        const AmqpSettings *s = check_settings(i->check);
        char name[AMQP_NAME_MAX];

        check_run_set_phase(i->run, "waiting for the link");
        if (!i->session) {
                i->session = pn_session(i->connection.engine.connection);
                pn_session_open(i->session);
        }
        snprintf(name, sizeof(name), "vitald-%" PRIu64, ++i->n_links);
        i->link = pn_receiver(i->session, name);
        (void) pn_terminus_set_address(pn_link_source(i->link), s->source);
        pn_link_open(i->link);
}

static void link_leave(AmqpInstance *i) {
        pn_link_t *link = TAKE(i->link);

        pn_link_close(link);
        if (pn_link_state(link) & PN_REMOTE_CLOSED)
                pn_link_free(link);
        else
                i->n_leaving++;
}

static void amqp_pass(AmqpInstance *i) {
        const AmqpSettings *s = check_settings(i->check);
        Result result;

        result_pass(&result, "%s%s%s", i->server, *i->server ? ": " : "", s->source);
        result_add_certificate(&result, i->connection.stream);
        link_leave(i);
        amqp_finish_held(i, &result);
}

static void amqp_refused(AmqpInstance *i, pn_condition_t *why) {
        Result result;

        amqp_judge_condition(why, &result);
        link_leave(i);
        amqp_finish_held(i, &result);
}

/* -- what the server says ---------------------------------------------------------------------- */

static void take_open(AmqpInstance *i, pn_connection_t *connection) {
        i->is_open = true;
        (void) amqp_server_name(pn_connection_remote_properties(connection), i->server);
        if (i->run)
                amqp_ask(i);
}

static void take_close(AmqpInstance *i, pn_connection_t *connection) {
        bool is_ours = i->is_closing;
        Result result;

        amqp_judge_condition(pn_connection_remote_condition(connection), &result);
        if (!i->run)
                amqp_look_now(i);
        else if ((!is_ours && result.reason != REASON_CLOSED) || !amqp_try_again(i))
                amqp_finish(i, &result);
}

/* With it all its links have gone. */
static void take_session_close(AmqpInstance *i, pn_session_t *session) {
        Result result;

        if (session != i->session)
                return;
        if (!i->run) {
                amqp_look_now(i);
                return;
        }
        amqp_judge_condition(pn_session_remote_condition(session), &result);
        i->session = NULL;
        i->link = NULL;
        i->n_leaving = 0;
        pn_session_close(session);
        pn_session_free(session);
        amqp_finish_held(i, &result);
}

/* Without a source the link is about to be refused, and why stands in what ends it. */
static void take_link_open(AmqpInstance *i, pn_link_t *link) {
        if (link == i->link && pn_terminus_get_type(pn_link_remote_source(link)) != PN_UNSPECIFIED)
                amqp_pass(i);
}

static void take_link_close(AmqpInstance *i, pn_link_t *link) {
        if (link == i->link)
                amqp_refused(i, pn_link_remote_condition(link));
        else if (pn_link_state(link) & PN_LOCAL_CLOSED) {
                pn_link_free(link);
                i->n_leaving--;
        }
}

static void take_delivery(AmqpInstance *i) {
        Result result;

        result_fail(&result, REASON_PROTOCOL, "The server sent a message that nobody asked for");
        if (i->run)
                amqp_finish(i, &result);
        else
                amqp_look_now(i);
}

/* The engine has given up. */
static void take_error(AmqpInstance *i, pn_transport_t *transport) {
        Result result;

        amqp_judge_transport(pn_transport_condition(transport), pn_sasl(transport), &result);
        if (!i->run)
                amqp_look_now(i);
        else if (result.reason != REASON_TIMEOUT || !amqp_try_again(i))
                amqp_finish(i, &result);
}

static void on_event(void *userdata, pn_event_t *e) {
        AmqpInstance *i = userdata;

        switch ((unsigned) pn_event_type(e)) {
        case PN_CONNECTION_REMOTE_OPEN:
                take_open(i, pn_event_connection(e));
                break;
        case PN_CONNECTION_REMOTE_CLOSE:
                take_close(i, pn_event_connection(e));
                break;
        case PN_SESSION_REMOTE_CLOSE:
                take_session_close(i, pn_event_session(e));
                break;
        case PN_LINK_REMOTE_OPEN:
                take_link_open(i, pn_event_link(e));
                break;
        case PN_LINK_REMOTE_DETACH:
        case PN_LINK_REMOTE_CLOSE:
                take_link_close(i, pn_event_link(e));
                break;
        case PN_DELIVERY:
                take_delivery(i);
                break;
        case PN_TRANSPORT_ERROR:
                take_error(i, pn_event_transport(e));
                break;
        }
}

/* -- what the stream tells --------------------------------------------------------------------- */

static void set_phase(AmqpInstance *i, StreamPhase phase) {
        const AmqpSettings *s = check_settings(i->check);
        AmqpRun *r = check_run_data(i->run);

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->broker.address, phase));
}

static void on_resolved(void *userdata) {
        set_phase(userdata, STREAM_CONNECTING);
}

static void on_shaking(void *userdata) {
        set_phase(userdata, STREAM_SHAKING);
}

/* Brokers may know each name once only. */
static void container_name(const AmqpInstance *i, char buf[static AMQP_NAME_MAX]) {
        char host[HOST_NAME_MAX + 1] = "";

        (void) gethostname(host, sizeof(host) - 1);
        snprintf(buf, AMQP_NAME_MAX, "vitald/%s/%s", host, check_config(i->check)->public_name);
}

static void on_connected(void *userdata) {
        AmqpInstance *i = userdata;
        const AmqpSettings *s = check_settings(i->check);
        char container[AMQP_NAME_MAX], ip[IP_TEXT_MAX];
        AmqpLogin login = {
                .mechanism = broker_mechanism(&s->broker),
                .username = s->broker.username,
                .password = s->broker.password.secret,
                .container = container,
                .hostname = s->broker.address.name,
                .heartbeat_usec = s->broker.heartbeat_usec,
        };
        int r;

        container_name(i, container);
        if (s->hostname)
                login.hostname = s->hostname;
        else if (s->broker.address.kind == ADDRESS_IP)
                login.hostname = ip_format(ip, &s->broker.address.ip);
        check_run_set_phase(i->run, "logging in");
        r = amqp_connection_open(&i->connection, &login);
        if (r < 0 && i->run)
                amqp_finish_errno(i, r);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        AmqpInstance *i = userdata;

        if (!i->run)
                stream_expect(i->connection.stream, STREAM_REPLY_MAX);
        amqp_connection_take(&i->connection, bytes, n);
}

/* Brokers that do not like the password may close instead of saying so. */
static void judge_failure(const AmqpInstance *i, const StreamFailure *f, Result *ret) {
        const AmqpSettings *s = check_settings(i->check);

        result_stream(ret, &s->broker.address, f);
        if (amqp_connection_is_logging_in(&i->connection) && f->error == 0) {
                result_fail(ret, REASON_AUTH, "Connection closed while logging in");
                result_set_detail(ret, "password");
        }
}

static void on_failed(void *userdata, const StreamFailure *f) {
        AmqpInstance *i = userdata;
        Result result;

        if (!i->run)
                amqp_look_now(i);
        else if (f->error == EMSGSIZE || !amqp_try_again(i)) {
                judge_failure(i, f, &result);
                amqp_finish(i, &result);
        }
}

/* -- the check --------------------------------------------------------------------------------- */

/* What all share is the table of handlers, which the functions of above need before it can be made.
 */
static int amqp_attach(Engine *engine _unused_, void *memory) {
        AmqpHandlers *handlers = memory;

        *handlers = (AmqpHandlers){
                .stream = { .resolved = on_resolved,
                            .shaking = on_shaking,
                            .connected = on_connected,
                            .received = on_received,
                            .failed = on_failed },
                .event = on_event,
        };
        amqp_silence();
        return 0;
}

static int amqp_open(Check *check) {
        AmqpInstance *i = check_instance(check);

        i->check = check;
        return amqp_connection_init(&i->connection, engine_event(check_engine(check)),
                                    check_shared(check), i);
}

static void amqp_close(Check *check) {
        AmqpInstance *i = check_instance(check);

        amqp_hang_up(i);
        amqp_connection_done(&i->connection);
        tls_keeper_done(&i->keeper);
}

static int amqp_start(CheckRun *run) {
        AmqpInstance *i = check_run_instance(run);
        AmqpRun *r = check_run_data(run);

        i->run = run;
        if (check_connection_is_silent(i->check, i->dialed_usec))
                amqp_hang_up(i);
        if (!i->connection.stream)
                return amqp_dial(i);
        r->is_reused = true;
        stream_expect(i->connection.stream, STREAM_REPLY_MAX);
        if (check_connection_is_old(i->check, i->dialed_usec) || i->n_leaving > LEAVING_MAX) {
                check_run_set_phase(run, "ending the old connection");
                i->is_closing = true;
                return amqp_connection_close(&i->connection);
        }
        amqp_ask(i);
        return amqp_connection_pump(&i->connection);
}

/* An answer that is still due would be taken for the next run's. */
static void amqp_stop(CheckRun *run) {
        AmqpInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        amqp_hang_up(i);
}

static int amqp_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        AmqpSettings *s = settings;
        const char *text = broker_settings_fault(&s->broker, ret_key);

        if (!text)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

static void amqp_describe(const void *settings, CheckTarget *ret) {
        const AmqpSettings *s = settings;

        target_set_address(ret, &s->broker.address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option amqp_options[] = {
        BROKER_OPTIONS(AmqpSettings, broker),
        { "Hostname", &option_string, offsetof(AmqpSettings, hostname) },
        { "Source", &option_string, offsetof(AmqpSettings, source), .flags = OPTION_REQUIRED },
};

const CheckDriver amqp_driver = {
        .type = {
                .name = "amqp",
                /* RabbitMQ takes 3 s to say that it does not like a password. */
                .timeout_usec = 5 * USEC_PER_SEC,
                .schema = SCHEMA(amqp_options),
                .settings_size = sizeof(AmqpSettings),
                .validate = amqp_validate,
                .describe = amqp_describe,
        },
        .shared_size = sizeof(AmqpHandlers),
        .attach = amqp_attach,
        .instance_size = sizeof(AmqpInstance),
        .open = amqp_open,
        .close = amqp_close,
        .run_size = sizeof(AmqpRun),
        .start = amqp_start,
        .stop = amqp_stop,
};
