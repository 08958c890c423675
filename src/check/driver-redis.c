/* SPDX-License-Identifier: MIT */
/* Type=redis: a server that lets in and answers PING.
 *
 * The connection is held from run to run and read all the time, so that its end is seen when it
 * happens and starts a run. All commands of a run are sent at once and their replies, parsed by
 * hiredis, are judged in order. */

#include <errno.h>
#include <hiredis/read.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/redis-verdict.h"
#include "check/stream-verdict.h"
#include "io/stream.h"

#define DEFAULT_PORT 6379
#define DATABASE_MAX 65535

typedef struct RedisSettings {
        Address address;
        char *username; /* owned; NULL: the default user */
        Credential password;
        uint64_t database;
} RedisSettings;

typedef struct RedisShared {
        /* Tables, filled in once; hiredis wants its own to be changeable. */
        redisReplyObjectFunctions functions;
        StreamHandlers handlers;
        redisReader *spare; /* owned; with nothing in it, for the next reply to anybody; or NULL */
} RedisShared;

typedef struct RedisInstance {
        Check *check;        /* borrowed */
        Stream *stream;      /* owned; NULL: no connection */
        redisReader *reader; /* owned; of the connection */
        usec_t renew_usec;   /* CLOCK_MONOTONIC: when the connection is due for renewal */
        CheckRun *run;       /* borrowed; NULL while nothing is expected from the server */
        RedisReply reply;    /* the one read last */
} RedisInstance;

typedef struct RedisRun {
        RedisStep step; /* whose reply is due */
        bool is_reused; /* the connection was held already */
        char phase[STREAM_PHASE_MAX];
} RedisRun;

/* -- replies, as hiredis tells them ------------------------------------------------------------ */

/* Only the outermost object counts, and of that what fits; nothing is allocated. */
static void *reply_note(const redisReadTask *task, RedisKind kind, const char *text, size_t n) {
        RedisInstance *i = task->privdata;

        if (!task->parent) {
                i->reply.kind = kind;
                text_sanitize(i->reply.text, sizeof(i->reply.text), text, n);
        }
        return i;
}

static void *reply_string(const redisReadTask *task, char *text, size_t n) {
        RedisKind kind = task->type == REDIS_REPLY_STATUS  ? REDIS_STATUS
                         : task->type == REDIS_REPLY_ERROR ? REDIS_ERROR
                                                           : REDIS_OTHER;

        return reply_note(task, kind, text, n);
}

static void *reply_array(const redisReadTask *task, int n _unused_) {
        return reply_note(task, REDIS_OTHER, "", 0);
}

static void *reply_integer(const redisReadTask *task, long long number _unused_) {
        return reply_note(task, REDIS_OTHER, "", 0);
}

static void *reply_nil(const redisReadTask *task) {
        return reply_note(task, REDIS_OTHER, "", 0);
}

static void reply_free(void *reply _unused_) {}

/* A reader takes some kilobytes, and replies come whole as a rule: one serves all. */
static redisReader *redis_get_reader(RedisInstance *i) {
        RedisShared *shared = check_shared(i->check);

        if (!i->reader)
                i->reader = shared->spare ? TAKE(shared->spare)
                                          : redisReaderCreateWithFunctions(&shared->functions);
        if (i->reader)
                i->reader->privdata = i;
        return i->reader;
}

static bool reader_is_empty(const redisReader *r) {
        return r->err == 0 && r->pos == r->len && r->ridx == -1;
}

static void redis_put_reader(RedisInstance *i) {
        RedisShared *shared = check_shared(i->check);
        redisReader *reader = TAKE(i->reader);

        if (!reader)
                return;
        if (shared->spare || !reader_is_empty(reader))
                redisReaderFree(reader);
        else
                shared->spare = reader;
}

/* -- the connection ---------------------------------------------------------------------------- */

static void redis_hang_up(RedisInstance *i) {
        i->stream = stream_free(i->stream);
        redis_put_reader(i);
}

/* What nobody waits for on a held connection is its end, or something odd: look what it means. */
static void redis_look_now(RedisInstance *i) {
        redis_hang_up(i);
        check_trigger(i->check);
}

/* Ends the run; only a connection on which all went well is held on to. */
static void redis_finish(RedisInstance *i, Result *result) {
        RedisRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (!r->is_reused && i->stream)
                result_note_stream(result, i->stream);
        if (!outcome_is_success(result->outcome))
                redis_hang_up(i);
        check_run_finish(run, result);
}

static bool step_is_wanted(const RedisSettings *s, RedisStep step) {
        switch (step) {
        case REDIS_AUTH:
                return s->password.secret;
        case REDIS_SELECT:
                return s->database > 0;
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

/* A command is an array of bulk strings; words end with NULL. */
static void command_append(StrBuf *b, const char *const words[]) {
        size_t n = 0;

        while (words[n])
                n++;
        strbuf_printf(b, "*%zu\r\n", n);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

/* What a new connection begins with. */
static int redis_log_in(RedisInstance *i) {
        const RedisSettings *s = check_settings(i->check);
        const char *password = s->password.secret;
        char database[24];
        StrBuf b = {};
        int r;

        if (password && s->username)
                command_append(&b, (const char *[]){ "AUTH", s->username, password, NULL });
        else if (password)
                command_append(&b, (const char *[]){ "AUTH", password, NULL });
        if (s->database > 0) {
                snprintf(database, sizeof(database), "%" PRIu64, s->database);
                command_append(&b, (const char *[]){ "SELECT", database, NULL });
        }
        if (b.length == 0)
                return 0;
        r = b.failed ? -ENOMEM : stream_write(i->stream, b.text, b.length);
        explicit_bzero(b.text, b.allocated);
        strbuf_done(&b);
        return r;
}

static int redis_ask(RedisInstance *i, RedisStep first) {
        static const char ping[] = "*1\r\n$4\r\nPING\r\n";
        RedisRun *r = check_run_data(i->run);

        r->step = step_from(check_settings(i->check), first);
        stream_expect(i->stream, STREAM_REPLY_MAX);
        check_run_set_phase(i->run, "waiting for the reply to PING");
        return stream_write(i->stream, ping, sizeof(ping) - 1);
}

static void redis_finish_errno(RedisInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot send the commands");
        redis_finish(i, &result);
}

/* -- what the stream tells --------------------------------------------------------------------- */

static void on_resolved(void *userdata) {
        RedisInstance *i = userdata;
        const RedisSettings *s = check_settings(i->check);
        RedisRun *r = check_run_data(i->run);

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
}

static void on_connected(void *userdata) {
        RedisInstance *i = userdata;
        int r;

        r = redis_log_in(i);
        if (r >= 0)
                r = redis_ask(i, REDIS_AUTH);
        if (r < 0)
                redis_finish_errno(i, r);
}

/* One whole reply has come. Returns whether the run goes on. */
static bool redis_take_reply(RedisInstance *i) {
        const RedisSettings *s = check_settings(i->check);
        RedisRun *r = check_run_data(i->run);
        Result result;

        if (redis_judge(r->step, &i->reply, &result)) {
                if (r->step < REDIS_PING) {
                        r->step = step_from(s, r->step + 1);
                        return true;
                }
                result_pass(&result, "PONG");
        }
        redis_finish(i, &result);
        return false;
}

static void redis_finish_protocol(RedisInstance *i) {
        Result result;

        if (!i->reader || i->reader->err == REDIS_ERR_OOM)
                result_error(&result, REASON_RESOURCE, "Out of memory");
        else
                result_fail(&result, REASON_PROTOCOL, "%s", i->reader->errstr);
        redis_finish(i, &result);
}

/* Judges the replies that are whole. */
static void redis_take_replies(RedisInstance *i, redisReader *reader) {
        void *reply;

        for (;;) {
                if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
                        redis_finish_protocol(i);
                        return;
                }
                if (!reply || !redis_take_reply(i))
                        return;
        }
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        RedisInstance *i = userdata;
        redisReader *reader;

        if (!i->run) {
                redis_look_now(i);
                return;
        }
        reader = redis_get_reader(i);
        if (!reader || redisReaderFeed(reader, bytes, n) != REDIS_OK)
                redis_finish_protocol(i);
        else
                redis_take_replies(i, reader);
        if (!i->reader)
                return;
        /* More than was asked for: whatever it is, the next run must not take it for its reply. */
        if (!i->run && !reader_is_empty(i->reader))
                redis_hang_up(i);
        else if (reader_is_empty(i->reader))
                redis_put_reader(i);
}

static int redis_dial(RedisInstance *i) {
        const RedisSettings *s = check_settings(i->check);
        const CheckConfig *config = check_config(i->check);
        RedisShared *shared = check_shared(i->check);
        RedisRun *r = check_run_data(i->run);
        Engine *engine = check_engine(i->check);

        i->renew_usec = usec_add(clock_usec(CLOCK_MONOTONIC), config->connection_max_age_usec);
        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_RESOLVING));
        return stream_dial(engine_poll_set(engine), engine_resolver(engine), &s->address,
                           &shared->handlers, i, &i->stream);
}

/* A held connection that fails is no failure of the server yet. */
static bool redis_try_again(RedisInstance *i) {
        RedisRun *r = check_run_data(i->run);

        if (!r->is_reused)
                return false;
        r->is_reused = false;
        redis_hang_up(i);
        return redis_dial(i) >= 0;
}

static void on_failed(void *userdata, const StreamFailure *f) {
        RedisInstance *i = userdata;
        const RedisSettings *s = check_settings(i->check);
        Result result;

        if (!i->run)
                redis_look_now(i);
        else if (f->error == EMSGSIZE || !redis_try_again(i)) {
                result_stream(&result, &s->address, f);
                redis_finish(i, &result);
        }
}

/* -- the check --------------------------------------------------------------------------------- */

static int redis_attach(Engine *engine _unused_, void *memory) {
        RedisShared *shared = memory;

        shared->functions = (redisReplyObjectFunctions){
                .createString = reply_string,
                .createArray = reply_array,
                .createInteger = reply_integer,
                .createNil = reply_nil,
                .freeObject = reply_free,
        };
        shared->handlers = (StreamHandlers){
                .resolved = on_resolved,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
        return 0;
}

static void redis_detach(void *memory) {
        RedisShared *shared = memory;

        if (shared->spare)
                redisReaderFree(shared->spare);
}

static int redis_open(Check *check) {
        RedisInstance *i = check_instance(check);

        i->check = check;
        return 0;
}

static void redis_close(Check *check) {
        redis_hang_up(check_instance(check));
}

static int redis_start(CheckRun *run) {
        RedisInstance *i = check_run_instance(run);
        RedisRun *r = check_run_data(run);

        i->run = run;
        if (i->stream && clock_usec(CLOCK_MONOTONIC) >= i->renew_usec)
                redis_hang_up(i);
        if (!i->stream)
                return redis_dial(i);
        r->is_reused = true;
        return redis_ask(i, REDIS_PING);
}

/* A reply that is still due would be taken for the next run's. */
static void redis_stop(CheckRun *run) {
        RedisInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        redis_hang_up(i);
}

static int redis_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const RedisSettings *s = settings;

        if (!s->username || s->password.name)
                return 0;
        *ret_key = "Username";
        snprintf(why, OPTION_WHY_MAX, "Username= needs PasswordCredential= as well");
        return -EINVAL;
}

static void redis_describe(const void *settings, CheckTarget *ret) {
        const RedisSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option redis_options[] = {
        { "Address", &option_address, offsetof(RedisSettings, address), .min = DEFAULT_PORT,
          .flags = OPTION_REQUIRED },
        { "Username", &option_string, offsetof(RedisSettings, username) },
        { "PasswordCredential", &option_credential, offsetof(RedisSettings, password) },
        { "Database", &option_unsigned, offsetof(RedisSettings, database), "0", 0, DATABASE_MAX },
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
                .validate = redis_validate,
                .describe = redis_describe,
        },
        .shared_size = sizeof(RedisShared),
        .attach = redis_attach,
        .detach = redis_detach,
        .instance_size = sizeof(RedisInstance),
        .open = redis_open,
        .close = redis_close,
        .run_size = sizeof(RedisRun),
        .start = redis_start,
        .stop = redis_stop,
};
