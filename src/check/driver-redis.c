/* SPDX-License-Identifier: MIT */
/* Type=redis: a server that lets in and answers PING; with the role and the link to its master that
 * it should have, and a command's value.
 *
 * The connection is held from run to run and read all the time, so that its end is seen when it
 * happens and starts a run. All commands of a run are sent at once and their replies are judged in
 * order. Where sentinels tell which server is the master, each run begins by asking one of them,
 * and the connection is left when they name another. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/redis-link.h"
#include "check/redis-sentinel.h"
#include "check/redis-settings.h"
#include "check/stream-verdict.h"

#define DEFAULT_PORT          6379
#define DEFAULT_SENTINEL_PORT 26379
#define DATABASE_MAX          65535

/* The commands that one run sends, in this order; those that the settings do not ask for are left
 * out, and a held connection begins with PING. */
typedef enum RedisStep {
        REDIS_AUTH,
        REDIS_SELECT,
        REDIS_PING,
        REDIS_COMMAND,
        REDIS_INFO,
        REDIS_STEP_COUNT_,
} RedisStep;

typedef struct RedisInstance {
        Check *check;              /* borrowed */
        RedisLink link;            /* to the server */
        StrBuf question;           /* what each run asks from PING on */
        RedisSentinels *sentinels; /* owned; NULL: the server's address is configured */
        TlsKeeper keeper;
        usec_t dialed_usec; /* CLOCK_MONOTONIC: when the connection was made */
        CheckRun *run;      /* borrowed; NULL while nothing is expected from the server */
} RedisInstance;

typedef struct RedisRun {
        RedisStep step; /* whose reply is due */
        bool is_reused; /* the connection was held already */
        Result result;  /* as it is so far */
        char phase[STREAM_PHASE_MAX];
} RedisRun;

/* -- the end of a run -------------------------------------------------------------------------- */

/* Ends the run; only a connection on which all went well is held on to. */
static void redis_finish(RedisInstance *i, Result *result) {
        RedisRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (!r->is_reused && i->link.stream)
                result_note_stream(result, i->link.stream);
        if (!outcome_is_success(result->outcome))
                redis_link_close(&i->link);
        check_run_finish(run, result);
}

static void redis_finish_errno(RedisInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot send the commands");
        redis_finish(i, &result);
}

/* -- commands ---------------------------------------------------------------------------------- */

static bool step_is_wanted(const RedisSettings *s, RedisStep step) {
        switch (step) {
        case REDIS_AUTH:
                return s->password.secret;
        case REDIS_SELECT:
                return s->database > 0;
        case REDIS_COMMAND:
                return s->command.type;
        case REDIS_INFO:
                return redis_settings_want_info(s);
        case REDIS_PING:
        case REDIS_STEP_COUNT_:
                return true;
        }
        return false;
}

static RedisStep step_from(const RedisSettings *s, RedisStep step) {
        while (!step_is_wanted(s, step))
                step++;
        return step;
}

static unsigned steps_count(const RedisSettings *s, RedisStep first) {
        unsigned n = 0;

        for (RedisStep step = first; step < REDIS_STEP_COUNT_; step++)
                n += step_is_wanted(s, step);
        return n;
}

static void redis_set_step(RedisInstance *i, RedisStep step) {
        static const char *const phases[] = {
                [REDIS_AUTH] = "logging in",
                [REDIS_SELECT] = "selecting the database",
                [REDIS_PING] = "waiting for the reply to PING",
                [REDIS_COMMAND] = "waiting for the command's reply",
                [REDIS_INFO] = "waiting for the reply to INFO",
        };
        RedisRun *r = check_run_data(i->run);

        r->step = step;
        check_run_set_phase(i->run, phases[step]);
}

static int redis_make_question(RedisInstance *i) {
        const RedisSettings *s = check_settings(i->check);
        StrBuf *b = &i->question;

        redis_command_append(b, (const char *[]){ "PING", NULL });
        if (step_is_wanted(s, REDIS_COMMAND))
                redis_command_append(b, (const char *const *) s->command.words);
        if (step_is_wanted(s, REDIS_INFO))
                redis_command_append(b, (const char *[]){ "INFO", "replication", NULL });
        return b->failed ? -ENOMEM : 0;
}

/* What a new connection begins with, and the question. */
static int redis_log_in(RedisInstance *i) {
        const RedisSettings *s = check_settings(i->check);
        _cleanup_commands_ StrBuf b = {};
        char database[24];

        (void) redis_command_append_login(&b, s->username, s->password.secret);
        if (s->database > 0) {
                snprintf(database, sizeof(database), "%" PRIu64, s->database);
                redis_command_append(&b, (const char *[]){ "SELECT", database, NULL });
        }
        strbuf_append_bytes(&b, i->question.text, i->question.length);
        redis_set_step(i, step_from(s, REDIS_AUTH));
        return redis_link_send(&i->link, &b, steps_count(s, REDIS_AUTH));
}

static int redis_ask(RedisInstance *i) {
        redis_set_step(i, REDIS_PING);
        return redis_link_send(&i->link, &i->question,
                               steps_count(check_settings(i->check), REDIS_PING));
}

/* -- replies ----------------------------------------------------------------------------------- */

/* What INFO says of replication, behind the value of a command: its verdict counts if it is bad,
 * and its text where there is no other. */
static bool redis_take_info(RedisInstance *i, const RedisReply *reply, Result *result) {
        const RedisSettings *s = check_settings(i->check);
        char server[ADDRESS_TEXT_MAX];
        Result verdict;

        if (!redis_judge_kind("INFO", REDIS_STRING, reply, result))
                return false;
        redis_judge_replication(reply->words[0], address_format(server, &i->link.address),
                                (RedisRole) s->role, &verdict);
        if (!outcome_is_success(verdict.outcome) || !s->command.type)
                *result = verdict;
        redis_add_replication(reply->words[0], result);
        return outcome_is_success(verdict.outcome);
}

/* Whether the run goes on; otherwise result is how it ends. */
static bool redis_take_step(RedisInstance *i, const RedisReply *reply, Result *result) {
        const RedisSettings *s = check_settings(i->check);
        RedisRun *r = check_run_data(i->run);

        switch (r->step) {
        case REDIS_AUTH:
                return redis_judge_status("AUTH", "OK", reply, result);
        case REDIS_SELECT:
                return redis_judge_status("SELECT", "OK", reply, result);
        case REDIS_PING:
                if (!redis_judge_status("PING", "PONG", reply, result))
                        return false;
                result_pass(result, "PONG");
                return true;
        case REDIS_COMMAND:
                return redis_judge_value(&s->command, s->expected, reply, result);
        case REDIS_INFO:
                return redis_take_info(i, reply, result);
        case REDIS_STEP_COUNT_:
                break;
        }
        return false;
}

static void on_replied(void *userdata, const RedisReply *reply) {
        RedisInstance *i = userdata;
        const RedisSettings *s = check_settings(i->check);
        RedisRun *r = check_run_data(i->run);
        RedisStep next = step_from(s, r->step + 1);
        bool goes_on = redis_take_step(i, reply, &r->result);

        if (goes_on && next < REDIS_STEP_COUNT_) {
                redis_set_step(i, next);
                return;
        }
        if (goes_on)
                result_add_certificate(&r->result, i->link.stream);
        redis_finish(i, &r->result);
}

/* -- the connection ---------------------------------------------------------------------------- */

static int redis_dial(RedisInstance *i, const Address *server) {
        const RedisSettings *s = check_settings(i->check);
        RedisRun *r = check_run_data(i->run);
        char ip[IP_TEXT_MAX];

        r->is_reused = false;
        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        check_run_set_phase(i->run, stream_phase_text(r->phase, server, STREAM_RESOLVING));
        return redis_link_dial(&i->link, check_engine(i->check), server, i->keeper.context,
                               tls_options_name(&s->tls, server, ip));
}

static void on_progressed(void *userdata, StreamPhase phase) {
        RedisInstance *i = userdata;
        RedisRun *r = check_run_data(i->run);

        check_run_set_phase(i->run, stream_phase_text(r->phase, &i->link.address, phase));
}

static void on_connected(void *userdata) {
        RedisInstance *i = userdata;
        int r = redis_log_in(i);

        if (r < 0)
                redis_finish_errno(i, r);
}

/* A held connection that fails is no failure of the server yet. */
static void on_failed(void *userdata, const Result *result, bool is_lost) {
        RedisInstance *i = userdata;
        RedisRun *r = check_run_data(i->run);
        Address server = i->link.address;
        int error;

        if (!r->is_reused || !is_lost) {
                r->result = *result;
                redis_finish(i, &r->result);
                return;
        }
        error = redis_dial(i, &server);
        if (error < 0)
                redis_finish_errno(i, error);
}

/* What nobody waits for on a held connection is its end, or something odd: look what it means. */
static void on_disturbed(void *userdata) {
        RedisInstance *i = userdata;

        check_trigger(i->check);
}

/* Asks the server, by the held connection if there is one. */
static int redis_go(RedisInstance *i, const Address *server) {
        RedisRun *r = check_run_data(i->run);

        if (!redis_link_is_open(&i->link) || !address_equal(&i->link.address, server) ||
            check_connection_is_old(i->check, i->dialed_usec))
                return redis_dial(i, server);
        r->is_reused = true;
        return redis_ask(i);
}

/* -- sentinels --------------------------------------------------------------------------------- */

static void on_told(void *userdata, const Address *master) {
        RedisInstance *i = userdata;
        int r = redis_go(i, master);

        if (r < 0)
                redis_finish_errno(i, r);
}

static void on_not_told(void *userdata, const Result *why) {
        RedisInstance *i = userdata;
        RedisRun *r = check_run_data(i->run);

        r->result = *why;
        redis_finish(i, &r->result);
}

/* -- the check --------------------------------------------------------------------------------- */

static int redis_attach(Engine *engine _unused_, void *memory) {
        redis_pool_init(memory);
        return 0;
}

static void redis_detach(void *memory) {
        redis_pool_done(memory);
}

static int redis_open(Check *check) {
        static const RedisLinkHandlers handlers = {
                .progressed = on_progressed,
                .connected = on_connected,
                .replied = on_replied,
                .failed = on_failed,
                .disturbed = on_disturbed,
        };
        static const RedisSentinelsHandlers sentinels_handlers = { on_told, on_not_told };
        const RedisSettings *s = check_settings(check);
        RedisInstance *i = check_instance(check);
        int r;

        i->check = check;
        i->link = (RedisLink){
                .pool = check_shared(check),
                .handlers = &handlers,
                .userdata = i,
        };
        r = redis_make_question(i);
        if (r >= 0 && s->sentinel_master)
                r = redis_sentinels_new(check, check_shared(check), &sentinels_handlers, i,
                                        &i->sentinels);
        if (r < 0)
                strbuf_done(&i->question);
        return r;
}

static void redis_close(Check *check) {
        RedisInstance *i = check_instance(check);

        redis_sentinels_free(i->sentinels);
        redis_link_close(&i->link);
        tls_keeper_done(&i->keeper);
        strbuf_done(&i->question);
}

static int redis_start(CheckRun *run) {
        const RedisSettings *s = check_run_settings(run);
        RedisInstance *i = check_run_instance(run);
        RedisRun *r = check_run_data(run);
        usec_t max_age_usec = check_config(i->check)->connection_max_age_usec;

        i->run = run;
        if (s->is_tls && tls_keeper_renew(&i->keeper, &s->tls, max_age_usec, &r->result) < 0) {
                redis_finish(i, &r->result);
                return 0;
        }
        if (!i->sentinels)
                return redis_go(i, &s->address);
        check_run_set_phase(run, "asking the sentinels");
        return redis_sentinels_ask(i->sentinels, i->keeper.context);
}

/* A reply that is still due would be taken for the next run's. */
static void redis_stop(CheckRun *run) {
        RedisInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        if (i->sentinels)
                redis_sentinels_stop(i->sentinels);
        redis_link_close(&i->link);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const char *const roles[] = {
        [REDIS_ROLE_ANY] = "any",
        [REDIS_ROLE_MASTER] = "master",
        [REDIS_ROLE_REPLICA] = "replica",
        NULL,
};

static const Option redis_options[] = {
        { "Address", &option_address, offsetof(RedisSettings, address), .min = DEFAULT_PORT },
        { "SentinelMaster", &option_string, offsetof(RedisSettings, sentinel_master) },
        { "Sentinel", &option_sentinels, offsetof(RedisSettings, sentinels),
          .min = DEFAULT_SENTINEL_PORT },
        { "SentinelPasswordCredential", &option_credential,
          offsetof(RedisSettings, sentinel_password) },
        { "Username", &option_string, offsetof(RedisSettings, username) },
        { "PasswordCredential", &option_credential, offsetof(RedisSettings, password) },
        { "Database", &option_unsigned, offsetof(RedisSettings, database), "0", 0, DATABASE_MAX },
        { "Role", &option_word, offsetof(RedisSettings, role), "any", .words = roles },
        { "Replication", &option_bool, offsetof(RedisSettings, wants_replication), "no" },
        { "Command", &option_redis_command, offsetof(RedisSettings, command) },
        { "ExpectValue", &option_string, offsetof(RedisSettings, expected) },
        { "TLS", &option_bool, offsetof(RedisSettings, is_tls), "no" },
        TLS_OPTIONS(RedisSettings, tls),
};

static const CheckScheme redis_schemes[] = {
        { .scheme = "redis", .key = "Address" },
        {},
};

const CheckDriver redis_driver = {
        .type = {
                .name = "redis",
                .timeout_usec = USEC_PER_SEC,
                .schemes = redis_schemes,
                .schema = SCHEMA(redis_options),
                .settings_size = sizeof(RedisSettings),
                .validate = redis_settings_validate,
                .describe = redis_settings_describe,
        },
        .shared_size = sizeof(RedisPool),
        .attach = redis_attach,
        .detach = redis_detach,
        .instance_size = sizeof(RedisInstance),
        .open = redis_open,
        .close = redis_close,
        .run_size = sizeof(RedisRun),
        .start = redis_start,
        .stop = redis_stop,
};
