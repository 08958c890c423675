/* SPDX-License-Identifier: MIT */
/* Type=mysql: a MariaDB or MySQL server that lets in and answers a query.
 *
 * The connection is held from run to run; what comes between runs is its end, and starts a run. */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/mysql-session.h"
#include "check/mysql-verdict.h"
#include "check/query-answer.h"
#include "check/resolve-verdict.h"
#include "check/stream-verdict.h"

#define DEFAULT_PORT  3306
#define DEFAULT_QUERY "SELECT 1"
#define ROWS_MAX      1000 /* of a query's result */

typedef struct MysqlInstance {
        Check *check; /* borrowed */
        SqlSession session;
        const SqlCall *query, *fetch; /* borrowed, constant */
        void (*dial)(struct MysqlInstance *i);
        TlsKeeper keeper;       /* says what is wrong with the files of TLS */
        usec_t dialed_usec;     /* CLOCK_MONOTONIC: when the connection was made */
        unsigned first_address; /* of the list: moves on when one is silent */
        CheckRun *run;          /* borrowed; NULL while nothing is expected from the server */
} MysqlInstance;

typedef struct MysqlRun {
        ResolverQuery *query; /* owned; NULL: none under way */
        bool is_reused;       /* the connection was held already */
        bool is_stale;
        ResolveStatus why_stale;
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        size_t n_addresses, next_address;
        QueryAnswer answer;
        char phase[STREAM_PHASE_MAX];
} MysqlRun;

/* -- the end of a run -------------------------------------------------------------------------- */

/* Ends the run; only a connection on which all went well is held on to. */
static void sql_finish(MysqlInstance *i, Result *result) {
        MysqlRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (r->is_stale)
                result_note_stale(result, r->why_stale);
        if (!outcome_is_success(result->outcome))
                sql_session_close(&i->session);
        check_run_finish(run, result);
}

static void sql_finish_errno(MysqlInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        sql_finish(i, &result);
}

/* -- the query --------------------------------------------------------------------------------- */

/* A held connection that fails is no failure of the server yet. */
static void sql_failed(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        MysqlRun *r = check_run_data(i->run);
        MYSQL *mysql = i->session.mysql;
        Result result;

        if (sql_handle_is_flooded(i->session.handle)) {
                result_fail(&result, REASON_PROTOCOL, "The reply is too long");
                sql_finish(i, &result);
        } else if (r->is_reused && !sql_error_is_answer(mysql_errno(mysql))) {
                r->is_reused = false;
                i->dial(i);
        } else {
                sql_judge_error(&s->address, mysql_errno(mysql), mysql_error(mysql), &result);
                sql_finish(i, &result);
        }
}

static int fetch_start(SqlSession *s) {
        return mysql_fetch_row_start(&s->row, s->rows);
}

static int fetch_go_on(SqlSession *s, int events) {
        return mysql_fetch_row_cont(&s->row, s->rows, events);
}

/* An expression is its own name, of which nobody can make a limit. */
static const char *column_name(const MYSQL_FIELD *field) {
        for (const char *p = field->name; *p; p++)
                if (!isalnum((unsigned char) *p) && *p != '_')
                        return "";
        return isdigit((unsigned char) field->name[0]) ? "" : field->name;
}

/* The first row, which should be the only one. */
static void sql_take_row(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        QueryAnswer *a = &((MysqlRun *) check_run_data(i->run))->answer;
        const unsigned long *lengths = mysql_fetch_lengths(i->session.rows);
        const MYSQL_FIELD *fields = mysql_fetch_fields(i->session.rows);
        MYSQL_ROW row = i->session.row;
        double number;

        a->n_columns = (int) mysql_num_fields(i->session.rows);
        if (a->n_columns == 0)
                return;
        query_answer_set_first(a, row[0], lengths[0], s->expected);
        for (int n = 0; n < a->n_columns; n++)
                if (row[n] && parse_double(row[n], &number) >= 0)
                        query_answer_add(a, n == 0, column_name(&fields[n]), number, NULL);
}

/* What the rows mean. */
static void sql_judge(MysqlInstance *i, Result *ret) {
        const MysqlSettings *s = check_settings(i->check);
        const QueryAnswer *a = &((MysqlRun *) check_run_data(i->run))->answer;
        const char *version = mysql_get_server_info(i->session.mysql);
        bool is_own_query = !str_equal(s->query, DEFAULT_QUERY),
             wants_number = is_own_query && query_wants_number(check_config(i->check));
        char shown[64];

        if ((s->expected || wants_number) && !query_answer_judge(a, s->expected, wants_number, ret))
                return;
        text_sanitize(shown, sizeof(shown), version, strlen(version));
        result_pass(ret, "Version %s", shown);
        if (is_own_query && a->n_rows == 1)
                query_answer_add_values(a, ret);
        result_add_new_value(ret, "rows", a->n_rows, "");
}

static void sql_answered(MysqlInstance *i) {
        Result result;
        int error;

        if (mysql_more_results(i->session.mysql)) {
                result_fail(&result, REASON_PROTOCOL, "The query has more than one result");
                sql_finish(i, &result);
                return;
        }
        sql_judge(i, &result);
        /* Whatever comes before the next question is the end. */
        error = sql_session_watch(&i->session);
        if (error < 0)
                sql_finish_errno(i, error);
        else
                sql_finish(i, &result);
}

/* Rows that have come already are taken in a loop, not one call within the other. */
static void fetch_ended(void *userdata) {
        MysqlInstance *i = userdata;
        QueryAnswer *a = &((MysqlRun *) check_run_data(i->run))->answer;
        SqlSession *s = &i->session;
        Result result;
        int events = 0;

        while (!events && s->row && ++a->n_rows <= ROWS_MAX) {
                if (a->n_rows == 1)
                        sql_take_row(i);
                events = fetch_start(s);
        }
        if (a->n_rows > ROWS_MAX) {
                result_fail(&result, REASON_PROTOCOL, "The query has more than %d rows", ROWS_MAX);
                sql_finish(i, &result);
        } else if (events)
                sql_session_resume(s, i->fetch, events);
        else if (mysql_errno(s->mysql))
                sql_failed(i);
        else {
                mysql_free_result(TAKE(s->rows));
                sql_answered(i);
        }
}

static int query_start(SqlSession *s) {
        MysqlInstance *i = s->userdata;
        const MysqlSettings *settings = check_settings(i->check);

        return mysql_real_query_start(&s->is_failed, s->mysql, settings->query,
                                      strlen(settings->query));
}

static int query_go_on(SqlSession *s, int events) {
        return mysql_real_query_cont(&s->is_failed, s->mysql, events);
}

static void query_ended(void *userdata) {
        MysqlInstance *i = userdata;
        SqlSession *s = &i->session;

        if (s->is_failed) {
                sql_failed(i);
                return;
        }
        s->rows = mysql_use_result(s->mysql);
        if (s->rows)
                sql_session_call(s, i->fetch);
        else if (mysql_errno(s->mysql))
                sql_failed(i);
        else
                sql_answered(i);
}

static void sql_query(MysqlInstance *i) {
        MysqlRun *r = check_run_data(i->run);

        r->answer = (QueryAnswer){};
        check_run_set_phase(i->run, "waiting for the query's result");
        i->session.handle->received = 0;
        sql_session_call(&i->session, i->query);
}

/* -- connecting -------------------------------------------------------------------------------- */

/* To the next address of those that are left. */
static void sql_connect(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        MysqlRun *r = check_run_data(i->run);
        int error;

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        error = sql_session_connect(&i->session, s, &r->addresses[r->next_address++]);
        if (error < 0)
                sql_finish_errno(i, error);
}

static void connect_ended(void *userdata) {
        MysqlInstance *i = userdata;
        MysqlRun *r = check_run_data(i->run);

        if (i->session.connected)
                sql_query(i);
        else if (!sql_error_is_answer(mysql_errno(i->session.mysql)) &&
                 r->next_address < r->n_addresses)
                sql_connect(i);
        else
                sql_failed(i);
}

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        MysqlInstance *i = userdata;
        MysqlRun *r = check_run_data(i->run);
        const MysqlSettings *s = check_settings(i->check);
        Result result;

        r->query = NULL;
        if (answer->n_addresses == 0) {
                result_resolve(&result, s->address.name, answer->status);
                sql_finish(i, &result);
                return;
        }
        r->is_stale = answer->is_stale;
        r->why_stale = answer->status;
        r->n_addresses = answer->n_addresses;
        /* A silent one takes all the time that a run has: the next run begins with the next. */
        for (size_t n = 0; n < answer->n_addresses; n++)
                r->addresses[n] = answer->addresses[(i->first_address + n) % answer->n_addresses];
        sql_connect(i);
}

static void sql_dial(MysqlInstance *i) {
        MysqlRun *r = check_run_data(i->run);
        const MysqlSettings *s = check_settings(i->check);
        int error;

        r->next_address = 0;
        if (s->address.kind != ADDRESS_NAME) {
                r->addresses[0] = s->address.ip;
                r->n_addresses = 1;
                sql_connect(i);
                return;
        }
        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_RESOLVING));
        error = resolver_query(engine_resolver(check_engine(i->check)), s->address.name,
                               on_resolved, i, &r->query);
        if (error < 0)
                sql_finish_errno(i, error);
}

/* -- the check --------------------------------------------------------------------------------- */

static const SqlCall connect_call = { sql_connect_start, sql_connect_go_on, connect_ended };
static const SqlCall query_call = { query_start, query_go_on, query_ended };
static const SqlCall fetch_call = { fetch_start, fetch_go_on, fetch_ended };

static void on_failed(void *userdata, int error) {
        sql_finish_errno(userdata, error);
}

static void on_disturbed(void *userdata) {
        MysqlInstance *i = userdata;

        sql_session_close(&i->session);
        check_trigger(i->check);
}

static int db_attach(Engine *engine _unused_, void *memory _unused_) {
        sql_library_begin();
        return 0;
}

static void db_detach(void *memory _unused_) {
        sql_sessions_end();
}

static int db_open(Check *check) {
        static const SqlHandlers handlers = { on_failed, on_disturbed };
        MysqlInstance *i = check_instance(check);

        *i = (MysqlInstance){
                .check = check,
                .session = { .set = engine_poll_set(check_engine(check)),
                             .workers = engine_workers(check_engine(check)),
                             .handlers = &handlers,
                             .connect_call = &connect_call,
                             .userdata = i },
                .query = &query_call,
                .fetch = &fetch_call,
                .dial = sql_dial,
        };
        return 0;
}

static void db_shut(Check *check) {
        MysqlInstance *i = check_instance(check);

        sql_session_close(&i->session);
        tls_keeper_done(&i->keeper);
}

static int db_begin(CheckRun *run) {
        const MysqlSettings *s = check_run_settings(run);
        MysqlInstance *i = check_run_instance(run);
        MysqlRun *r = check_run_data(run);
        usec_t max_age_usec = check_config(i->check)->connection_max_age_usec;
        Result result;

        i->run = run;
        if (s->is_tls && tls_keeper_renew(&i->keeper, &s->tls, max_age_usec, &result) < 0) {
                sql_finish(i, &result);
                return 0;
        }
        if (i->session.mysql && check_connection_is_old(i->check, i->dialed_usec))
                sql_session_close(&i->session);
        r->is_reused = i->session.mysql;
        if (r->is_reused)
                sql_query(i);
        else
                sql_dial(i);
        return 0;
}

/* A result that is still due would be taken for the next run's. */
static void db_stop(CheckRun *run) {
        MysqlInstance *i = check_run_instance(run);
        MysqlRun *r = check_run_data(run);

        r->query = resolver_query_free(r->query);
        if (i->run != run)
                return;
        i->run = NULL;
        i->first_address += (unsigned) r->next_address;
        sql_session_close(&i->session);
}

static int db_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const MysqlSettings *s = settings;
        const char *text = tls_options_fault(&s->tls, s->is_tls, &s->address, ret_key);

        if (!text)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

static void db_describe(const void *settings, CheckTarget *ret) {
        const MysqlSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option options[] = {
        { "Address", &option_address, offsetof(MysqlSettings, address), .min = DEFAULT_PORT,
          .flags = OPTION_REQUIRED },
        { "Username", &option_string, offsetof(MysqlSettings, username), .flags = OPTION_REQUIRED },
        { "PasswordCredential", &option_credential, offsetof(MysqlSettings, password) },
        { "Database", &option_string, offsetof(MysqlSettings, database) },
        { "Query", &option_string, offsetof(MysqlSettings, query), DEFAULT_QUERY },
        { "ExpectValue", &option_string, offsetof(MysqlSettings, expected) },
        { "TLS", &option_bool, offsetof(MysqlSettings, is_tls), "no" },
        TLS_OPTIONS(MysqlSettings, tls),
};

const CheckDriver mysql_driver = {
        .type = {
                .name = "mysql",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schema = SCHEMA(options),
                .settings_size = sizeof(MysqlSettings),
                .validate = db_validate,
                .describe = db_describe,
        },
        .attach = db_attach,
        .detach = db_detach,
        .instance_size = sizeof(MysqlInstance),
        .open = db_open,
        .close = db_shut,
        .run_size = sizeof(MysqlRun),
        .start = db_begin,
        .stop = db_stop,
};
