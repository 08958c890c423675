/* SPDX-License-Identifier: MIT */
/* Type=mysql: a MariaDB or MySQL server that lets in and answers a query.
 *
 * libmariadb is driven by its non-blocking calls: each either ends or says what it waits for, and
 * is continued then. It never sees a host name, which it would look up by a blocking call. The
 * connection is held from run to run; what comes between runs is its end, and starts a run. */

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/mysql-verdict.h"
#include "check/resolve-verdict.h"
#include "check/stream-verdict.h"

#define DEFAULT_PORT 3306
#define ROWS_MAX     1000                  /* of a query's result */
#define PACKET_MAX   65536                 /* bytes; a row is one packet */
#define REPLY_MAX    (1024 * 1024)         /* bytes of a run */
#define STACK_BYTES  ((size_t) 256 * 1024) /* on which libmariadb's suspended calls live */
#define UNWIND_MAX   64                    /* steps until a call that is given up must have ended */
#define OWNER_KEY    "vitald"
#define AUTH_METHODS "mysql_native_password,client_ed25519,caching_sha2_password"

/* libmariadb tells what it has read: exported for its plug-ins, though in no header. */
typedef void (*MysqlReadHandler)(int mode, MYSQL *mysql, const unsigned char *bytes, size_t n);
extern int ma_pvio_register_callback(my_bool is_added, MysqlReadHandler handler);

typedef struct MysqlSettings {
        Address address;
        char *username; /* owned */
        Credential password;
        char *database; /* owned, may be NULL */
        char *query;    /* owned */
} MysqlSettings;

typedef struct MysqlInstance MysqlInstance;

/* A call that may be suspended. start() and go_on() return what it waits for, MYSQL_WAIT_*; 0: it
 * has ended. */
typedef struct MysqlCall {
        int (*start)(MysqlInstance *i);
        int (*go_on)(MysqlInstance *i, int events);
        void (*ended)(MysqlInstance *i);
} MysqlCall;

typedef struct MysqlCalls {
        MysqlCall connect, query, fetch;
} MysqlCalls;

struct MysqlInstance {
        Check *check;            /* borrowed */
        MYSQL *mysql;            /* owned; NULL: no connection */
        MYSQL_RES *rows;         /* owned; while they are fetched */
        const MysqlCalls *calls; /* borrowed, constant */
        const MysqlCall *call;   /* under way; NULL: none */
        PollWatch watch;
        PollHandler on_socket;
        void (*dial)(MysqlInstance *i);
        usec_t renew_usec;      /* CLOCK_MONOTONIC: when the connection is due for renewal */
        unsigned first_address; /* of the list: moves on when one is silent */
        CheckRun *run;          /* borrowed; NULL while nothing is expected from the server */
        char ip[IP_TEXT_MAX], path[ADDRESS_PATH_MAX + 1]; /* libmariadb keeps no copy */
        MYSQL *connected;                                 /* what the calls return */
        int failed;
        MYSQL_ROW row;
};

typedef struct MysqlRun {
        ResolverQuery *query; /* owned; NULL: none under way */
        bool is_reused;       /* the connection was held already */
        bool is_stale;
        ResolveStatus why_stale;
        size_t received;
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        size_t n_addresses, next_address;
        unsigned n_rows;
        char phase[STREAM_PHASE_MAX];
} MysqlRun;

/* -- the connection ---------------------------------------------------------------------------- */

/* A suspended call holds memory on a stack of its own: as if its time were over it ends by itself.
 * A socket that is shut down keeps the farewell from waiting. */
static void sql_hang_up(MysqlInstance *i) {
        int events = MYSQL_WAIT_TIMEOUT;

        poll_watch_drop(&i->watch);
        if ((i->call || i->rows) && mysql_get_socket(i->mysql) != MARIADB_INVALID_SOCKET)
                (void) shutdown(mysql_get_socket(i->mysql), SHUT_RDWR);
        if (i->call) {
                for (unsigned n = 0; events && n < UNWIND_MAX; n++)
                        events = i->call->go_on(i, MYSQL_WAIT_TIMEOUT);
                i->call = NULL;
        }
        if (i->rows)
                mysql_free_result(TAKE(i->rows));
        if (i->mysql)
                mysql_close(TAKE(i->mysql));
}

/* Ends the run; only a connection on which all went well is held on to. */
static void sql_finish(MysqlInstance *i, Result *result) {
        MysqlRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (r->is_stale)
                result_note_stale(result, r->why_stale);
        if (!outcome_is_success(result->outcome))
                sql_hang_up(i);
        check_run_finish(run, result);
}

static void sql_finish_errno(MysqlInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        sql_finish(i, &result);
}

/* Waits for what the call wants. */
static void sql_wait(MysqlInstance *i, int events) {
        uint32_t wanted = (events & MYSQL_WAIT_READ ? (uint32_t) EPOLLIN : 0) |
                          (events & MYSQL_WAIT_WRITE ? (uint32_t) EPOLLOUT : 0) |
                          (events & MYSQL_WAIT_EXCEPT ? (uint32_t) EPOLLPRI : 0);
        int error;

        poll_watch_drop(&i->watch);
        error = poll_watch_add(&i->watch, engine_poll_set(check_engine(i->check)),
                               mysql_get_socket(i->mysql), wanted, i->on_socket, i);
        if (error < 0)
                sql_finish_errno(i, error);
}

/* -- calls ------------------------------------------------------------------------------------- */

static void sql_step(MysqlInstance *i, const MysqlCall *call, int events) {
        i->call = events ? call : NULL;
        if (events)
                sql_wait(i, events);
        else
                call->ended(i);
}

static void sql_call(MysqlInstance *i, const MysqlCall *call) {
        sql_step(i, call, call->start(i));
}

/* -- the query --------------------------------------------------------------------------------- */

/* libmariadb reads on as long as anything comes, a server's description of a billion columns too.
 */
static void on_read(int mode, MYSQL *mysql, const unsigned char *bytes _unused_, size_t n) {
        char key[] = OWNER_KEY;
        MysqlInstance *i = NULL;
        MysqlRun *r;

        if (mode != 0 || n > REPLY_MAX)
                return; /* written, or an error */
        (void) mysql_get_optionv(mysql, MARIADB_OPT_USERDATA, key, &i);
        if (!i || !i->run)
                return;
        r = check_run_data(i->run);
        r->received += n;
        if (r->received > REPLY_MAX)
                (void) shutdown(mysql_get_socket(mysql), SHUT_RDWR);
}

/* A held connection that fails is no failure of the server yet. */
static void sql_failed(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        MysqlRun *r = check_run_data(i->run);
        unsigned number = mysql_errno(i->mysql);
        Result result;

        if (r->received > REPLY_MAX) {
                result_fail(&result, REASON_PROTOCOL, "The reply is too long");
                sql_finish(i, &result);
                return;
        }
        if (r->is_reused && !sql_error_is_answer(number)) {
                r->is_reused = false;
                sql_hang_up(i);
                i->dial(i);
                return;
        }
        sql_judge_error(&s->address, number, mysql_error(i->mysql), &result);
        sql_finish(i, &result);
}

static int fetch_start(MysqlInstance *i) {
        return mysql_fetch_row_start(&i->row, i->rows);
}

static int fetch_go_on(MysqlInstance *i, int events) {
        return mysql_fetch_row_cont(&i->row, i->rows, events);
}

static void sql_answered(MysqlInstance *i) {
        MysqlRun *r = check_run_data(i->run);
        const char *version = mysql_get_server_info(i->mysql);
        char shown[64];
        Result result;

        if (mysql_more_results(i->mysql)) {
                result_fail(&result, REASON_PROTOCOL, "The query has more than one result");
                sql_finish(i, &result);
                return;
        }
        text_sanitize(shown, sizeof(shown), version, strlen(version));
        result_pass(&result, "Version %s", shown);
        result_add_value(&result, "rows", r->n_rows, "");
        /* Whatever comes before the next question is the end. */
        sql_wait(i, MYSQL_WAIT_READ);
        if (i->run)
                sql_finish(i, &result);
}

/* Rows that have come already are taken in a loop, not one call within the other. */
static void fetch_ended(MysqlInstance *i) {
        MysqlRun *r = check_run_data(i->run);
        Result result;
        int events = 0;

        while (!events && i->row && ++r->n_rows <= ROWS_MAX)
                events = fetch_start(i);
        if (r->n_rows > ROWS_MAX) {
                result_fail(&result, REASON_PROTOCOL, "The query has more than %d rows", ROWS_MAX);
                sql_finish(i, &result);
        } else if (events)
                sql_step(i, &i->calls->fetch, events);
        else if (mysql_errno(i->mysql))
                sql_failed(i);
        else {
                mysql_free_result(TAKE(i->rows));
                sql_answered(i);
        }
}

static int query_start(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);

        return mysql_real_query_start(&i->failed, i->mysql, s->query, strlen(s->query));
}

static int query_go_on(MysqlInstance *i, int events) {
        return mysql_real_query_cont(&i->failed, i->mysql, events);
}

static void query_ended(MysqlInstance *i) {
        if (i->failed) {
                sql_failed(i);
                return;
        }
        i->rows = mysql_use_result(i->mysql);
        if (i->rows)
                sql_call(i, &i->calls->fetch);
        else if (mysql_errno(i->mysql))
                sql_failed(i);
        else
                sql_answered(i);
}

static void sql_query(MysqlInstance *i) {
        check_run_set_phase(i->run, "waiting for the query's result");
        sql_call(i, &i->calls->query);
}

/* -- connecting -------------------------------------------------------------------------------- */

static int connect_start(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        MysqlRun *r = check_run_data(i->run);

        snprintf(i->path, sizeof(i->path), "%.*s", ADDRESS_PATH_MAX, s->address.name);
        if (s->address.kind == ADDRESS_UNIX)
                return mysql_real_connect_start(&i->connected, i->mysql, NULL, NULL, NULL, NULL, 0,
                                                i->path, 0);
        (void) ip_format(i->ip, &r->addresses[r->next_address - 1]);
        return mysql_real_connect_start(&i->connected, i->mysql, i->ip, NULL, NULL, NULL,
                                        s->address.port, NULL, 0);
}

static int connect_go_on(MysqlInstance *i, int events) {
        return mysql_real_connect_cont(&i->connected, i->mysql, events);
}

static int sql_make(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        unsigned protocol = s->address.kind == ADDRESS_UNIX ? MYSQL_PROTOCOL_SOCKET
                                                            : MYSQL_PROTOCOL_TCP,
                 takes_files = 0;
        size_t packet_max = PACKET_MAX, stack_bytes = STACK_BYTES;

        i->mysql = mysql_init(NULL);
        if (!i->mysql)
                return -ENOMEM;
        if (mysql_optionsv(i->mysql, MYSQL_OPT_NONBLOCK, &stack_bytes) != 0 ||
            mysql_optionsv(i->mysql, MYSQL_OPT_PROTOCOL, &protocol) != 0 ||
            mysql_optionsv(i->mysql, MYSQL_OPT_LOCAL_INFILE, &takes_files) != 0 ||
            mysql_optionsv(i->mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max) != 0 ||
            mysql_optionsv(i->mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTH_METHODS) != 0 ||
            mysql_optionsv(i->mysql, MARIADB_OPT_USER, s->username) != 0 ||
            mysql_optionsv(i->mysql, MARIADB_OPT_PASSWORD, s->password.secret) != 0 ||
            mysql_optionsv(i->mysql, MARIADB_OPT_SCHEMA, s->database) != 0 ||
            mysql_optionsv(i->mysql, MARIADB_OPT_USERDATA, OWNER_KEY, i) != 0 ||
            mysql_optionsv(i->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0)
                return -ENOMEM;
        return 0;
}

/* To the next address of those that are left. */
static void sql_connect(MysqlInstance *i) {
        const MysqlSettings *s = check_settings(i->check);
        const CheckConfig *c = check_config(i->check);
        MysqlRun *r = check_run_data(i->run);
        int error;

        sql_hang_up(i);
        r->next_address++;
        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
        i->renew_usec = usec_add(clock_usec(CLOCK_MONOTONIC), c->connection_max_age_usec);
        error = sql_make(i);
        if (error < 0)
                sql_finish_errno(i, error);
        else
                sql_call(i, &i->calls->connect);
}

static void connect_ended(MysqlInstance *i) {
        MysqlRun *r = check_run_data(i->run);

        if (i->connected)
                sql_query(i);
        else if (!sql_error_is_answer(mysql_errno(i->mysql)) && r->next_address < r->n_addresses)
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

static const MysqlCalls calls = {
        .connect = { connect_start, connect_go_on, connect_ended },
        .query = { query_start, query_go_on, query_ended },
        .fetch = { fetch_start, fetch_go_on, fetch_ended },
};

static void on_socket(void *userdata, uint32_t revents) {
        MysqlInstance *i = userdata;
        int events = (revents & ~(uint32_t) (EPOLLOUT | EPOLLPRI) ? MYSQL_WAIT_READ : 0) |
                     (revents & (EPOLLOUT | EPOLLERR) ? MYSQL_WAIT_WRITE : 0) |
                     (revents & EPOLLPRI ? MYSQL_WAIT_EXCEPT : 0);

        if (i->call) {
                poll_watch_drop(&i->watch);
                sql_step(i, i->call, i->call->go_on(i, events));
        } else {
                sql_hang_up(i);
                check_trigger(i->check);
        }
}

static int db_attach(Engine *engine _unused_, void *memory _unused_) {
        static const char *const names[] = {
                "MYSQL_TCP_PORT",   "MYSQL_UNIX_PORT",    "LIBMYSQL_PLUGIN_DIR",
                "LIBMYSQL_PLUGINS", "MARIADB_PLUGIN_DIR", "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN",
        };

        for (size_t n = 0; n < ELEMENTSOF(names); n++)
                (void) unsetenv(names[n]);
        if (mysql_library_init(0, NULL, NULL) != 0)
                return -ENOMEM;
        return ma_pvio_register_callback(true, on_read) == 0 ? 0 : -ENOMEM;
}

static void db_detach(void *memory _unused_) {
        (void) ma_pvio_register_callback(false, on_read);
        mysql_library_end();
}

static int db_open(Check *check) {
        MysqlInstance *i = check_instance(check);

        i->check = check;
        i->calls = &calls;
        i->on_socket = on_socket;
        i->dial = sql_dial;
        return 0;
}

static void db_shut(Check *check) {
        sql_hang_up(check_instance(check));
}

static int db_begin(CheckRun *run) {
        MysqlInstance *i = check_run_instance(run);
        MysqlRun *r = check_run_data(run);

        i->run = run;
        if (i->mysql && clock_usec(CLOCK_MONOTONIC) >= i->renew_usec)
                sql_hang_up(i);
        r->is_reused = i->mysql;
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
        sql_hang_up(i);
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
        { "Query", &option_string, offsetof(MysqlSettings, query), "SELECT 1" },
};

const CheckDriver mysql_driver = {
        .type = {
                .name = "mysql",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schema = SCHEMA(options),
                .settings_size = sizeof(MysqlSettings),
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
