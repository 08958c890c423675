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

#include "base/text.h"
#include "check/driver.h"
#include "check/postgresql-dial.h"
#include "check/postgresql-query.h"
#include "check/postgresql-verdict.h"
#include "check/resolve-verdict.h"

typedef enum Phase {
        PHASE_NONE, /* no connection */
        PHASE_DIALLING,
        PHASE_QUERYING,
        PHASE_IDLE,
} Phase;

typedef struct PostgresqlInstance {
        Check *check;  /* borrowed */
        CheckRun *run; /* borrowed; NULL while nothing is expected from the server */
        Phase phase;
        PostgresqlSession session;
        PostgresqlMemory memory;
        PollHandler on_socket;
        DialHandler on_dialled;
        usec_t dialed_usec;            /* CLOCK_MONOTONIC: when the connection was made */
        bool is_standby;               /* as the server said when it let us in */
        char *query;                   /* owned: what is sent on this connection */
        ReplicationMemory replication; /* of replication_server */
        uint64_t replication_server;   /* a hash */
} PostgresqlInstance;

typedef struct PostgresqlRun {
        PostgresqlDial dial;
        bool is_reused; /* the connection was held already */
        PostgresqlAnswer answer;
} PostgresqlRun;

static void pg_hang_up(PostgresqlInstance *i) {
        session_close(&i->session);
        i->phase = PHASE_NONE;
}

/* -- ends of runs ------------------------------------------------------------------------------ */

/* Only a connection on which all went well is held on to. */
static void pg_finish(PostgresqlInstance *i, Result *result) {
        PostgresqlRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (r->dial.is_stale)
                result_note_stale(result, r->dial.why_stale);
        if (!outcome_is_success(result->outcome))
                pg_hang_up(i);
        check_run_finish(run, result);
}

static void pg_finish_errno(PostgresqlInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot ask");
        pg_finish(i, &result);
}

static void pg_finish_lost(PostgresqlInstance *i) {
        ConninfoServer server = {};
        PostgresqlLoss loss = {
                .server = &server.address,
                .message = PQerrorMessage(i->session.conn),
                .is_reset = i->session.is_reset,
                .received_bytes = i->session.received_bytes,
        };
        Result result;
        int error;

        error = postgresql_settings_server(check_settings(i->check), i->memory.server, &server);
        if (error < 0)
                result_errno(&result, error, "Connection lost");
        else
                postgresql_judge_loss(&loss, &result);
        pg_finish(i, &result);
}

static void pg_finish_too_long(PostgresqlInstance *i) {
        Result result;

        result_fail(&result, REASON_PROTOCOL, "The reply is too long");
        pg_finish(i, &result);
}

/* -- connections ------------------------------------------------------------------------------- */

static void pg_dial(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);

        i->phase = PHASE_DIALLING;
        dial_begin(&r->dial, i->run, &i->session, &i->memory, i->on_dialled, i);
}

/* A held connection that fails is no failure of the server yet. */
static void pg_lost(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        Result result;

        if (r->is_reused) {
                pg_hang_up(i);
                r->is_reused = false;
                r->answer = (PostgresqlAnswer){};
                pg_dial(i);
        } else if (r->answer.has_error) {
                postgresql_judge_error(&r->answer.error, &result);
                pg_finish(i, &result);
        } else
                pg_finish_lost(i);
}

/* Servers before PostgreSQL 14 do not say. */
static bool pg_is_standby(const PostgresqlInstance *i) {
        const char *word = PQparameterStatus(i->session.conn, "in_hot_standby");

        return word && str_equal(word, "on");
}

/* What is known of one replica says nothing of another. */
static void pg_note_server(PostgresqlInstance *i) {
        const char *const parts[] = { PQhost(i->session.conn), PQhostaddr(i->session.conn),
                                      PQport(i->session.conn) };
        uint64_t server = HASH_INIT;

        for (size_t n = 0; n < ELEMENTSOF(parts); n++)
                if (parts[n])
                        server = hash_bytes(server, parts[n], strlen(parts[n]) + 1);
        if (server != i->replication_server)
                i->replication = (ReplicationMemory){};
        i->replication_server = server;
}

/* -- the query --------------------------------------------------------------------------------- */

/* left: what session_send() or session_flush() says. */
static void pg_sent(PostgresqlInstance *i, int left) {
        uint32_t events = EPOLLIN | EPOLLRDHUP | (left > 0 ? (uint32_t) EPOLLOUT : 0);
        int error;

        if (session_is_flooded(&i->session)) {
                pg_finish_too_long(i);
                return;
        }
        if (left < 0) {
                pg_lost(i);
                return;
        }
        error = poll_watch_change(&i->session.watch, events);
        if (error < 0)
                pg_finish_errno(i, error);
}

static void pg_query(PostgresqlInstance *i) {
        i->phase = PHASE_QUERYING;
        i->session.received_bytes = 0;
        check_run_set_phase(i->run, "waiting for the query's result");
        pg_sent(i, session_send(&i->session, i->query));
}

/* Text that depends on what the server takes. */
static int pg_make_query(PostgresqlInstance *i) {
        const CheckConfig *config = check_config(i->check);
        char *query;
        int r;

        r = postgresql_query_make(check_settings(i->check),
                                  i->memory.takes_no_options ? config->timeout_usec : 0, &query);
        if (r < 0)
                return r;
        free(i->query);
        i->query = query;
        return 0;
}

static void on_dialled(void *userdata, const Result *failure) {
        PostgresqlInstance *i = userdata;
        Result result;
        int error;

        if (failure) {
                result = *failure;
                pg_finish(i, &result);
                return;
        }
        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        i->is_standby = pg_is_standby(i);
        pg_note_server(i);
        error = pg_make_query(i);
        if (error >= 0)
                error = session_watch(&i->session, engine_poll_set(check_engine(i->check)), EPOLLIN,
                                      i->on_socket, i);
        if (error < 0)
                pg_finish_errno(i, error);
        else
                pg_query(i);
}

/* "PostgreSQL 15.4", and which of several it is. */
static void pg_name_server(PostgresqlInstance *i, char *buf, size_t size) {
        const PostgresqlSettings *s = check_settings(i->check);
        const char *version = PQparameterStatus(i->session.conn, "server_version");
        char address[ADDRESS_TEXT_MAX];
        ConninfoServer server;

        if (s->n_servers > 1 && postgresql_settings_server(s, i->memory.server, &server) >= 0)
                snprintf(buf, size, "PostgreSQL %s at %s", version ? version : "",
                         address_format(address, &server.address));
        else
                snprintf(buf, size, "PostgreSQL %s", version ? version : "");
}

static void pg_query_done(PostgresqlInstance *i) {
        PostgresqlRun *r = check_run_data(i->run);
        ReplicationLag lag = {};
        char server[RESULT_MESSAGE_MAX];
        Result result;

        /* A server that has changed sides may be no longer the one that is asked for. */
        if (i->session.is_ended || PQstatus(i->session.conn) != CONNECTION_OK ||
            (r->is_reused && i->is_standby != pg_is_standby(i))) {
                pg_lost(i);
                return;
        }
        i->phase = PHASE_IDLE;
        i->session.received_bytes = 0;
        if (r->answer.has_state)
                lag = replication_measure(&i->replication, &r->answer.state,
                                          clock_usec(CLOCK_MONOTONIC));
        pg_name_server(i, server, sizeof(server));
        answer_judge(&r->answer, check_config(i->check), check_settings(i->check), server, &lag,
                     &result);
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
                answer_take_rows(&r->answer, check_settings(i->check), pg_result);
        if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE)
                return true;
        /* Without a code it is libpq that complains: the connection is lost. */
        i->session.is_ended |= !severity || !str_equal(severity, "ERROR");
        if (severity)
                answer_take_error(&r->answer, pg_result);
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
        case PHASE_DIALLING:
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
        i->on_dialled = on_dialled;
        return 0;
}

static void postgresql_close(Check *check) {
        PostgresqlInstance *i = check_instance(check);

        pg_hang_up(i);
        free(i->query);
}

static int postgresql_start(CheckRun *run) {
        PostgresqlInstance *i = check_run_instance(run);
        PostgresqlRun *r = check_run_data(run);

        i->run = run;
        if (i->session.conn && check_connection_is_old(i->check, i->dialed_usec))
                pg_hang_up(i);
        if (i->session.conn) {
                r->is_reused = true;
                pg_query(i);
        } else
                pg_dial(i);
        return 0;
}

/* A result that is still due would be taken for the next run's. */
static void postgresql_stop(CheckRun *run) {
        PostgresqlInstance *i = check_run_instance(run);
        PostgresqlRun *r = check_run_data(run);

        dial_end(&r->dial);
        if (i->run != run)
                return;
        i->run = NULL;
        pg_hang_up(i);
}

static const Option postgresql_options[] = {
        {
                .key = "ConnectionString",
                .type = &option_string,
                .offset = offsetof(PostgresqlSettings, connection_string),
                .flags = OPTION_REQUIRED,
        },
        {
                .key = "PasswordCredential",
                .type = &option_credential,
                .offset = offsetof(PostgresqlSettings, password),
        },
        {
                .key = "Query",
                .type = &option_string,
                .offset = offsetof(PostgresqlSettings, query),
                .fallback = POSTGRESQL_QUERY,
        },
        {
                .key = "ExpectValue",
                .type = &option_string,
                .offset = offsetof(PostgresqlSettings, expected),
        },
        {
                .key = "Writable",
                .type = &option_bool,
                .offset = offsetof(PostgresqlSettings, must_be_writable),
                .fallback = "no",
        },
        {
                .key = "Replication",
                .type = &option_bool,
                .offset = offsetof(PostgresqlSettings, wants_replication),
                .fallback = "no",
        },
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
