/* SPDX-License-Identifier: MIT */
/* Type=memcached: a server that lets in and tells its version and, if wanted, its counters.
 *
 * The connection is held from run to run and read all the time, so that its end is seen when it
 * happens and starts a run. Replies are judged line by line. */

#include <errno.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/stream-verdict.h"
#include "check/tls-options.h"
#include "io/stream.h"

#define DEFAULT_PORT 11211
#define SHOWN_MAX    160

typedef struct MemcachedSettings {
        Address address;
        char *username; /* owned; NULL: nobody logs in */
        Credential password;
        bool wants_stats;
        bool is_tls;
        TlsOptions tls;
} MemcachedSettings;

/* Whose reply is due. */
typedef enum MemcachedStep { STEP_AUTH, STEP_VERSION, STEP_STATS } MemcachedStep;

typedef struct MemcachedInstance {
        Check *check;       /* borrowed */
        Stream *stream;     /* owned; NULL: no connection */
        usec_t dialed_usec; /* CLOCK_MONOTONIC: when the connection was made */
        CheckRun *run;      /* borrowed; NULL while nothing is expected from the server */
        StrBuf line;        /* the beginning of one */
        TlsKeeper keeper;
} MemcachedInstance;

typedef struct MemcachedRun {
        MemcachedStep step;
        bool is_reused;        /* the connection was held already */
        double n_bytes, limit; /* of the counters */
        Result result;         /* as it is so far */
        char phase[STREAM_PHASE_MAX];
} MemcachedRun;

/* -- replies ----------------------------------------------------------------------------------- */

static const struct {
        const char *name; /* the server's */
        const char *value, *unit;
} counters[] = {
        { "curr_connections", "connections", "" },
        { "curr_items", "items", "" },
        { "bytes", "bytes", "bytes" },
        { "evictions", "evictions", "" },
};

/* The first of these that the line begins with decides. */
static const struct {
        const char *prefix;
        Reason reason;
        const char *detail;
} errors[] = {
        { "CLIENT_ERROR unauthenticated", REASON_AUTH, "missing" },
        { "CLIENT_ERROR authentication failure", REASON_AUTH, "password" },
        { "SERVER_ERROR out of memory", REASON_STATUS, "out-of-memory" },
        { "ERROR Too many open connections", REASON_STATUS, "max-clients" },
        { "SERVER_ERROR", REASON_STATUS, "server-error" },
        { "CLIENT_ERROR", REASON_STATUS, "client-error" },
        { "ERROR", REASON_STATUS, "error" },
};

static void judge_error(const char *line, Result *ret) {
        char shown[SHOWN_MAX];

        text_sanitize(shown, sizeof(shown), line, strlen(line));
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (str_starts_with(line, errors[i].prefix)) {
                        result_fail(ret, errors[i].reason, "%s", shown);
                        result_set_detail(ret, errors[i].detail);
                        return;
                }
        result_fail(ret, REASON_PROTOCOL, "Not an answer of memcached: \"%s\"", shown);
}

/* "STAT NAME VALUE" */
static void take_counter(MemcachedRun *r, const char *text) {
        size_t n = strcspn(text, " ");
        double number;

        if (!text[n] || parse_double(text + n + 1, &number) < 0)
                return;
        if (n == strlen("limit_maxbytes") && strncmp(text, "limit_maxbytes", n) == 0)
                r->limit = number;
        for (size_t i = 0; i < ELEMENTSOF(counters); i++) {
                if (n != strlen(counters[i].name) || strncmp(text, counters[i].name, n) != 0)
                        continue;
                if (str_equal(counters[i].name, "bytes"))
                        r->n_bytes = number;
                result_add_value(&r->result, counters[i].value, number, counters[i].unit);
        }
}

/* Whether the line is what this step wants; the run's result is a failure if not. */
static bool judge_line(const MemcachedSettings *s, MemcachedRun *r, const char *line,
                       bool *ret_is_over) {
        char shown[SHOWN_MAX];

        switch (r->step) {
        case STEP_AUTH:
                if (!str_equal(line, "STORED"))
                        break;
                return true;
        case STEP_VERSION:
                if (!str_starts_with(line, "VERSION "))
                        break;
                text_sanitize(shown, sizeof(shown), line + 8, strlen(line + 8));
                result_pass(&r->result, "Version %s", shown);
                r->step = STEP_STATS;
                *ret_is_over = !s->wants_stats;
                return true;
        case STEP_STATS:
                *ret_is_over = str_equal(line, "END");
                if (!*ret_is_over && !str_starts_with(line, "STAT "))
                        break;
                if (!*ret_is_over)
                        take_counter(r, line + 5);
                else if (r->limit > 0)
                        result_add_value(&r->result, "used", 100 * r->n_bytes / r->limit,
                                         "percent");
                return true;
        }
        judge_error(line, &r->result);
        return false;
}

/* -- the connection ---------------------------------------------------------------------------- */

static void memcached_hang_up(MemcachedInstance *i) {
        i->stream = stream_free(i->stream);
        strbuf_reset(&i->line);
}

/* Ends the run; only a connection on which all went well is held on to. */
static void memcached_finish(MemcachedInstance *i, Result *result) {
        MemcachedRun *r = check_run_data(i->run);
        CheckRun *run = TAKE(i->run);

        if (!r->is_reused && i->stream)
                result_note_stream(result, i->stream);
        if (outcome_is_success(result->outcome))
                result_add_certificate(result, i->stream);
        else
                memcached_hang_up(i);
        check_run_finish(run, result);
}

/* By the text protocol a user logs in as if the password were stored. Nothing may be sent behind it
 * before the reply: the server then sometimes forgets to say that the password is wrong. */
static int memcached_log_in(MemcachedInstance *i) {
        const MemcachedSettings *s = check_settings(i->check);
        MemcachedRun *run = check_run_data(i->run);
        StrBuf b = {};
        int r;

        run->step = STEP_AUTH;
        check_run_set_phase(i->run, "logging in");
        strbuf_printf(&b, "set auth 0 0 %zu\r\n%s %s\r\n",
                      strlen(s->username) + 1 + strlen(s->password.secret), s->username,
                      s->password.secret);
        r = b.failed ? -ENOMEM : stream_write(i->stream, b.text, b.length);
        if (b.text)
                explicit_bzero(b.text, b.allocated);
        strbuf_done(&b);
        return r;
}

static int memcached_ask(MemcachedInstance *i) {
        const MemcachedSettings *s = check_settings(i->check);
        const char *commands = s->wants_stats ? "version\r\nstats\r\n" : "version\r\n";
        MemcachedRun *r = check_run_data(i->run);

        r->step = STEP_VERSION;
        stream_expect(i->stream, STREAM_REPLY_MAX);
        check_run_set_phase(i->run, "waiting for the reply");
        return stream_write(i->stream, commands, strlen(commands));
}

static void memcached_finish_errno(MemcachedInstance *i, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        memcached_finish(i, &result);
}

static void on_resolved(void *userdata) {
        MemcachedInstance *i = userdata;
        const MemcachedSettings *s = check_settings(i->check);
        MemcachedRun *r = check_run_data(i->run);

        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
}

static void on_shaking(void *userdata) {
        MemcachedInstance *i = userdata;

        check_run_set_phase(i->run, stream_phase_name(STREAM_SHAKING));
}

static void on_connected(void *userdata) {
        MemcachedInstance *i = userdata;
        const MemcachedSettings *s = check_settings(i->check);
        int r;

        r = s->username ? memcached_log_in(i) : memcached_ask(i);
        if (r < 0)
                memcached_finish_errno(i, r);
}

/* Takes the whole lines off what came. */
static void memcached_take_lines(MemcachedInstance *i) {
        const MemcachedSettings *s = check_settings(i->check);
        char *at = i->line.text, *end = at + i->line.length, *next;
        bool is_over = false;

        while (i->run && (next = memchr(at, '\n', (size_t) (end - at)))) {
                MemcachedRun *r = check_run_data(i->run);

                next[next > at && next[-1] == '\r' ? -1 : 0] = 0;
                if (!judge_line(s, r, at, &is_over)) {
                        memcached_finish(i, &r->result);
                        return;
                }
                at = next + 1;
                if (is_over)
                        memcached_finish(i, &r->result);
                else if (r->step == STEP_AUTH && memcached_ask(i) < 0)
                        memcached_finish_errno(i, -ENOMEM);
        }
        /* More than was asked for: the next run must not take it for its reply. */
        if (!i->run && at < end) {
                memcached_hang_up(i);
                return;
        }
        memmove(i->line.text, at, (size_t) (end - at));
        i->line.length = (size_t) (end - at);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        MemcachedInstance *i = userdata;

        if (!i->run) {
                memcached_hang_up(i);
                check_trigger(i->check);
                return;
        }
        strbuf_append_bytes(&i->line, bytes, n);
        if (i->line.failed)
                memcached_finish_errno(i, -ENOMEM);
        else
                memcached_take_lines(i);
}

static int memcached_dial(MemcachedInstance *i) {
        const MemcachedSettings *s = check_settings(i->check);
        const StreamHandlers *handlers = check_shared(i->check);
        MemcachedRun *r = check_run_data(i->run);
        Engine *engine = check_engine(i->check);
        char ip[IP_TEXT_MAX];
        int error;

        i->dialed_usec = clock_usec(CLOCK_MONOTONIC);
        check_run_set_phase(i->run, stream_phase_text(r->phase, &s->address, STREAM_RESOLVING));
        error = stream_dial(engine_poll_set(engine), engine_resolver(engine), &s->address, handlers,
                            i, &i->stream);
        if (error >= 0 && s->is_tls)
                error = stream_use_tls(i->stream, i->keeper.context,
                                       tls_options_name(&s->tls, &s->address, ip));
        return error;
}

/* A held connection that fails is no failure of the server yet. */
static bool memcached_try_again(MemcachedInstance *i) {
        MemcachedRun *r = check_run_data(i->run);

        if (!r->is_reused)
                return false;
        r->is_reused = false;
        memcached_hang_up(i);
        return memcached_dial(i) >= 0;
}

static void on_failed(void *userdata, const StreamFailure *f) {
        MemcachedInstance *i = userdata;
        const MemcachedSettings *s = check_settings(i->check);
        Result result;

        if (!i->run) {
                memcached_hang_up(i);
                check_trigger(i->check);
        } else if (f->error == EMSGSIZE || !memcached_try_again(i)) {
                result_stream(&result, &s->address, f);
                memcached_finish(i, &result);
        }
}

/* -- the check --------------------------------------------------------------------------------- */

/* What all share is the table of handlers, which the functions of above need before it can be made.
 */
static int memcached_attach(Engine *engine _unused_, void *memory) {
        StreamHandlers *handlers = memory;

        *handlers = (StreamHandlers){
                .resolved = on_resolved,
                .shaking = on_shaking,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
        return 0;
}

static int memcached_open(Check *check) {
        MemcachedInstance *i = check_instance(check);

        i->check = check;
        return 0;
}

static void memcached_close(Check *check) {
        MemcachedInstance *i = check_instance(check);

        memcached_hang_up(i);
        tls_keeper_done(&i->keeper);
        strbuf_done(&i->line);
}

static int memcached_start(CheckRun *run) {
        const MemcachedSettings *s = check_run_settings(run);
        MemcachedInstance *i = check_run_instance(run);
        MemcachedRun *r = check_run_data(run);
        usec_t max_age_usec = check_config(i->check)->connection_max_age_usec;

        i->run = run;
        if (s->is_tls && tls_keeper_renew(&i->keeper, &s->tls, max_age_usec, &r->result) < 0) {
                memcached_finish(i, &r->result);
                return 0;
        }
        if (i->stream && check_connection_is_old(i->check, i->dialed_usec))
                memcached_hang_up(i);
        if (!i->stream)
                return memcached_dial(i);
        r->is_reused = true;
        return memcached_ask(i);
}

/* A reply that is still due would be taken for the next run's. */
static void memcached_stop(CheckRun *run) {
        MemcachedInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        memcached_hang_up(i);
}

static int memcached_validate(void *settings, const char **ret_key,
                              char why[static OPTION_WHY_MAX]) {
        const MemcachedSettings *s = settings;
        const char *text = tls_options_fault(&s->tls, s->is_tls, &s->address, ret_key);

        if (!text && !s->username != !s->password.name) {
                *ret_key = s->username ? "Username" : "PasswordCredential";
                text = "Username= and PasswordCredential= need each other";
        }
        if (!text)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

static void memcached_describe(const void *settings, CheckTarget *ret) {
        const MemcachedSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option memcached_options[] = {
        { "Address", &option_address, offsetof(MemcachedSettings, address), .min = DEFAULT_PORT,
          .flags = OPTION_REQUIRED },
        { "Username", &option_string, offsetof(MemcachedSettings, username) },
        { "PasswordCredential", &option_credential, offsetof(MemcachedSettings, password) },
        { "Stats", &option_bool, offsetof(MemcachedSettings, wants_stats), "no" },
        { "TLS", &option_bool, offsetof(MemcachedSettings, is_tls), "no" },
        TLS_OPTIONS(MemcachedSettings, tls),
};

static const CheckScheme memcached_schemes[] = {
        { .scheme = "memcached", .key = "Address" },
        {},
};

const CheckDriver memcached_driver = {
        .type = {
                .name = "memcached",
                .timeout_usec = USEC_PER_SEC,
                .schemes = memcached_schemes,
                .schema = SCHEMA(memcached_options),
                .settings_size = sizeof(MemcachedSettings),
                .validate = memcached_validate,
                .describe = memcached_describe,
        },
        .shared_size = sizeof(StreamHandlers),
        .attach = memcached_attach,
        .instance_size = sizeof(MemcachedInstance),
        .open = memcached_open,
        .close = memcached_close,
        .run_size = sizeof(MemcachedRun),
        .start = memcached_start,
        .stop = memcached_stop,
};
