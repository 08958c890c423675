/* SPDX-License-Identifier: MIT */
/* Type=postgresql: a server that lets in and answers a query.
 *
 * The connection is held from run to run and read all the time, so that its end is seen when it
 * happens and starts a run. libpq is driven without blocking: the socket may be another one after
 * each PQconnectPoll(), so its event source is made anew around each. A query is never cancelled,
 * since PQcancel() blocks: the server ends it by itself (statement_timeout), and the connection is
 * closed. */

#include <errno.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/postgresql-session.h"
#include "check/postgresql-settings.h"
#include "check/postgresql-verdict.h"
#include "check/resolve-verdict.h"
#include "check/stream-verdict.h"

typedef enum Phase {
        PHASE_NONE, /* no connection */
        PHASE_CONNECTING,
        PHASE_QUERYING,
        PHASE_IDLE,
} Phase;

typedef struct PostgresqlInstance {
        Check *check;  /* borrowed */
        CheckRun *run; /* borrowed; NULL while nothing is expected from the server */
        Phase phase;
        PostgresqlSession session;
        PollHandler on_socket;
        usec_t renew_usec;      /* CLOCK_MONOTONIC: when the connection is due for renewal */
        unsigned first_address; /* of the list: moves on when one is silent */
        bool takes_no_options;  /* a pooler that refuses options= */
} PostgresqlInstance;

typedef struct PostgresqlRun {
        ResolverQuery *query; /* owned; NULL: none under way */
        bool is_reused;       /* the connection was held already */
        bool is_stale;
        ResolveStatus why_stale;
        bool has_error;
        PostgresqlError error; /* the first one of the query */
        int n_rows;
        char phase[STREAM_PHASE_MAX];
        char addresses[RESOLVER_ADDRESSES_MAX * IP_TEXT_MAX]; /* with commas between */
        size_t n_addresses;
} PostgresqlRun;

/* -- the connection ---------------------------------------------------------------------------- */

static void pg_hang_up(PostgresqlInstance *i) {
        session_close(&i->session);
        i->phase = PHASE_NONE;
}

/* Ends the run; only a connection on which all went well is held on to. */
static void pg_finish(PostgresqlInstance *i, Result *result) {
        PostgresqlRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (r->is_stale)
                result_note_stale(result, r->why_stale);
        if (!outcome_is_success(result->outcome))
                pg_hang_up(i);
        check_run_finish(run, result);
}

static void pg_finish_errno(PostgresqlInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot connect");
        pg_finish(i, &result);
}

static void pg_finish_lost(PostgresqlInstance *i) {
        const PostgresqlSettings *s = check_settings(i->check);
        PostgresqlLoss loss = {
                .server = &s->server,
                .message = PQerrorMessage(i->session.conn),
                .is_reset = i->session.is_reset,
                .received_bytes = i->session.received_bytes,
        };
        Result result;

        postgresql_judge_loss(&loss, &result);
        pg_finish(i, &result);
}

static void pg_finish_too_long(PostgresqlInstance *i) {
        Result result;

        result_fail(&result, REASON_PROTOCOL, "The reply is too long");
        pg_finish(i, &result);
}

static int pg_poll(PostgresqlInstance *i, uint32_t events) {
        int fd = PQsocket(i->session.conn);

        if (fd < 0)
                return -EBADF;
        return poll_watch_add(&i->session.watch, engine_poll_set(check_engine(i->check)), fd,
                              events, i->on_socket, i);
}

static int pg_make(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        const CheckConfig *config = check_config(i->check);
        PostgresqlParams params;
        int error;

        error = postgresql_params_make(check_settings(i->check), r->addresses, r->n_addresses,
                                       i->takes_no_options ? 0 : config->timeout_usec, &params);
        if (error < 0)
                return error;
        error = session_open(&i->session, &params);
        postgresql_params_done(&params);
        if (error < 0)
                return error;
        i->phase = PHASE_CONNECTING;
        i->renew_usec = usec_add(clock_usec(CLOCK_MONOTONIC), config->connection_max_age_usec);
        return 0;
}

/* A pooler may take no options=; without them the server ends no query by itself. */
static bool pg_wants_no_options(const PostgresqlInstance *i) {
        PostgresqlError error;

        return !i->takes_no_options &&
               postgresql_error_find(&error, PQerrorMessage(i->session.conn)) &&
               strstr(error.text, "unsupported startup parameter");
}

static void pg_connect(PostgresqlInstance *i) {
        const PostgresqlSettings *s = check_settings(i->check);
        PostgresqlRun *r = check_run_data(i->run);
        int error;

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->server, STREAM_CONNECTING));
        error = pg_make(i);
        if (error >= 0 && PQstatus(i->session.conn) == CONNECTION_BAD) {
                pg_finish_lost(i);
                return;
        }
        /* libpq: begin as if PQconnectPoll() had said "writing". */
        if (error >= 0)
                error = pg_poll(i, EPOLLOUT);
        if (error < 0)
                pg_finish_errno(i, error);
}

/* -- addresses --------------------------------------------------------------------------------- */

/* libpq tries them in turn, and stays with a silent one until the deadline: the run after that
 * begins with the next. */
static void run_set_addresses(PostgresqlRun *r, const ResolverAnswer *answer, unsigned first) {
        char ip[IP_TEXT_MAX];
        size_t length = 0;

        r->n_addresses = answer->n_addresses;
        for (size_t n = 0; n < answer->n_addresses; n++) {
                const IpAddress *a = &answer->addresses[(first + n) % answer->n_addresses];

                length += (size_t) snprintf(r->addresses + length, sizeof(r->addresses) - length,
                                            "%s%s", n > 0 ? "," : "", ip_format(ip, a));
        }
}

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        PostgresqlInstance *i = userdata;
        PostgresqlRun *r = check_run_data(i->run);
        const PostgresqlSettings *s = check_settings(i->check);
        Result result;

        r->query = NULL;
        if (answer->n_addresses == 0) {
                result_resolve(&result, s->server.name, answer->status);
                pg_finish(i, &result);
                return;
        }
        r->is_stale = answer->is_stale;
        r->why_stale = answer->status;
        run_set_addresses(r, answer, i->first_address);
        pg_connect(i);
}

static int pg_dial(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        const PostgresqlSettings *s = check_settings(i->check);
        Engine *engine = check_engine(i->check);

        if (s->server.kind != ADDRESS_NAME) {
                pg_connect(i);
                return 0;
        }
        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->server, STREAM_RESOLVING));
        return resolver_query(engine_resolver(engine), s->server.name, on_resolved, i, &r->query);
}

/* -- the query --------------------------------------------------------------------------------- */

/* A held connection that fails is no failure of the server yet. */
static void pg_lost(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        Result result;
        int error;

        if (r->is_reused) {
                pg_hang_up(i);
                r->is_reused = r->has_error = false;
                error = pg_dial(i);
                if (error < 0)
                        pg_finish_errno(i, error);
        } else if (r->has_error) {
                postgresql_judge_error(&r->error, &result);
                pg_finish(i, &result);
        } else
                pg_finish_lost(i);
}

/* left: what session_send() or session_flush() says. */
static void pg_sent(PostgresqlInstance *i, int left) {
        int error;

        if (session_is_flooded(&i->session)) {
                pg_finish_too_long(i);
                return;
        }
        if (left < 0) {
                pg_lost(i);
                return;
        }
        error = poll_watch_change(&i->session.watch,
                                  EPOLLIN | EPOLLRDHUP | (left > 0 ? (uint32_t) EPOLLOUT : 0));
        if (error < 0)
                pg_finish_errno(i, error);
}

static void pg_query(PostgresqlInstance *i) {
        const PostgresqlSettings *s = check_settings(i->check);

        i->phase = PHASE_QUERYING;
        i->session.received_bytes = 0;
        check_run_set_phase(i->run, "waiting for the query's result");
        pg_sent(i, session_send(&i->session, s->query));
}

static void pg_query_done(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        const char *version = PQparameterStatus(i->session.conn, "server_version");
        Result result;

        if (i->session.is_ended || PQstatus(i->session.conn) != CONNECTION_OK) {
                pg_lost(i);
                return;
        }
        i->phase = PHASE_IDLE;
        i->session.received_bytes = 0;
        if (r->has_error)
                postgresql_judge_error(&r->error, &result);
        else {
                result_pass(&result, "PostgreSQL %s", version ? version : "");
                result_add_value(&result, "rows", r->n_rows, "");
        }
        /* Held, it would hold the transaction's locks. */
        if (PQtransactionStatus(i->session.conn) != PQTRANS_IDLE)
                pg_hang_up(i);
        pg_finish(i, &result);
}

/* One of the query's results. Returns whether more may come. */
static bool pg_take_result(PostgresqlInstance *i, const PGresult *pg_result) {
        PostgresqlRun *r = check_run_data(i->run);
        ExecStatusType status = PQresultStatus(pg_result);
        const char *severity = PQresultErrorField(pg_result, PG_DIAG_SEVERITY_NONLOCALIZED);
        Result result;

        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
                result_fail(&result, REASON_PROTOCOL, "COPY makes no sense in a check's query");
                pg_finish(i, &result);
                return false;
        }
        if (status == PGRES_TUPLES_OK)
                r->n_rows = PQntuples(pg_result);
        if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE)
                return true;
        /* Without a code it is libpq that complains: the connection is lost. */
        i->session.is_ended |= !severity || !str_equal(severity, "ERROR");
        if (!r->has_error && severity) {
                r->has_error = true;
                postgresql_error_set(&r->error, PQresultErrorField(pg_result, PG_DIAG_SQLSTATE),
                                     PQresultErrorField(pg_result, PG_DIAG_MESSAGE_PRIMARY));
        }
        return true;
}

static void pg_take_results(PostgresqlInstance *i) {
        while (!PQisBusy(i->session.conn)) {
                PGresult *pg_result = PQgetResult(i->session.conn);
                bool goes_on;

                if (!pg_result) {
                        pg_query_done(i);
                        return;
                }
                goes_on = pg_take_result(i, pg_result);
                PQclear(pg_result);
                if (!goes_on)
                        return;
        }
}

/* -- events ------------------------------------------------------------------------------------ */

static void run_set_connect_phase(CheckRun *run, ConnStatusType status) {
        if (status == CONNECTION_SSL_STARTUP)
                check_run_set_phase(run, "negotiating TLS");
        else if (status == CONNECTION_AWAITING_RESPONSE || status == CONNECTION_AUTH_OK)
                check_run_set_phase(run, "logging in");
}

static void pg_connect_failed(PostgresqlInstance *i) {
        if (!pg_wants_no_options(i)) {
                pg_finish_lost(i);
                return;
        }
        i->takes_no_options = true;
        pg_hang_up(i);
        pg_connect(i);
}

static void on_connecting(PostgresqlInstance *i) {
        PostgresPollingStatusType status = session_connect(&i->session);
        int error;

        if (session_is_flooded(&i->session)) {
                pg_finish_too_long(i);
                return;
        }
        if (status == PGRES_POLLING_FAILED || status == PGRES_POLLING_ACTIVE) {
                pg_connect_failed(i);
                return;
        }
        run_set_connect_phase(i->run, PQstatus(i->session.conn));
        error = pg_poll(i, status == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN);
        if (error < 0)
                pg_finish_errno(i, error);
        else if (status == PGRES_POLLING_OK && PQsetnonblocking(i->session.conn, 1) == 0)
                pg_query(i);
        else if (status == PGRES_POLLING_OK)
                pg_finish_lost(i);
}

static void on_querying(PostgresqlInstance *i, uint32_t revents) {
        bool is_there = session_take_in(&i->session);

        if (session_is_flooded(&i->session))
                pg_finish_too_long(i);
        else if (!is_there)
                pg_lost(i);
        else if (revents & EPOLLOUT)
                pg_sent(i, session_flush(&i->session));
        else
                pg_take_results(i);
}

/* What comes between runs is noise, or the end: then look what it means. */
static void on_idle(PostgresqlInstance *i, uint32_t revents) {
        bool is_there = session_take_in(&i->session), is_flooded = session_is_flooded(&i->session);

        if (is_there && !is_flooded && !i->session.is_ended &&
            !(revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                return;
        pg_hang_up(i);
        if (!is_flooded)
                check_trigger(i->check);
}

static void on_socket(void *userdata, uint32_t revents) {
        PostgresqlInstance *i = userdata;

        if (revents & EPOLLERR)
                i->session.is_reset = true;
        switch (i->phase) {
        case PHASE_NONE:
                break;
        case PHASE_CONNECTING:
                on_connecting(i);
                break;
        case PHASE_QUERYING:
                on_querying(i, revents);
                break;
        case PHASE_IDLE:
                on_idle(i, revents);
                break;
        }
}

/* -- the check --------------------------------------------------------------------------------- */

static int postgresql_attach(Engine *engine _unused_, void *memory _unused_) {
        postgresql_forget_environment();
        return 0;
}

static int postgresql_open(Check *check) {
        PostgresqlInstance *i = check_instance(check);

        i->check = check;
        i->on_socket = on_socket;
        return 0;
}

static void postgresql_close(Check *check) {
        pg_hang_up(check_instance(check));
}

static int postgresql_start(CheckRun *run) {
        PostgresqlInstance *i = check_run_instance(run);
        PostgresqlRun *r = check_run_data(run);

        i->run = run;
        if (i->session.conn && clock_usec(CLOCK_MONOTONIC) >= i->renew_usec)
                pg_hang_up(i);
        if (!i->session.conn)
                return pg_dial(i);
        r->is_reused = true;
        pg_query(i);
        return 0;
}

/* A result that is still due would be taken for the next run's. */
static void postgresql_stop(CheckRun *run) {
        PostgresqlInstance *i = check_run_instance(run);
        PostgresqlRun *r = check_run_data(run);

        r->query = resolver_query_free(r->query);
        if (i->run != run)
                return;
        i->run = NULL;
        if (i->phase == PHASE_CONNECTING && PQstatus(i->session.conn) == CONNECTION_STARTED)
                i->first_address++;
        pg_hang_up(i);
}

static const Option postgresql_options[] = {
        { "ConnectionString", &option_string, offsetof(PostgresqlSettings, connection_string),
          .flags = OPTION_REQUIRED },
        { "PasswordCredential", &option_credential, offsetof(PostgresqlSettings, password) },
        { "Query", &option_string, offsetof(PostgresqlSettings, query), "SELECT 1" },
};

static const CheckScheme postgresql_schemes[] = {
        { .scheme = "postgresql", .key = "ConnectionString", .takes_url = true },
        {},
};

const CheckDriver postgresql_driver = {
        .type = {
                .name = "postgresql",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schemes = postgresql_schemes,
                .schema = SCHEMA(postgresql_options),
                .settings_size = sizeof(PostgresqlSettings),
                .validate = postgresql_settings_validate,
                .describe = postgresql_settings_describe,
        },
        .attach = postgresql_attach,
        .instance_size = sizeof(PostgresqlInstance),
        .open = postgresql_open,
        .close = postgresql_close,
        .run_size = sizeof(PostgresqlRun),
        .start = postgresql_start,
        .stop = postgresql_stop,
};
