/* SPDX-License-Identifier: MIT */
/* Type=tcp: a port takes connections and, if it is told so, gives the expected answer. Each run
 * dials anew and ends the connection in order. */

#include <errno.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/stream-verdict.h"
#include "io/stream.h"

#define SHOWN_MAX 80 /* of what came instead */

typedef struct Bytes {
        char *data; /* owned; NULL: none */
        size_t n;
} Bytes;

typedef struct TcpSettings {
        Address address;
        Bytes send, expect;
} TcpSettings;

typedef struct TcpRun {
        Stream *stream; /* owned */
        StrBuf seen;
        char phase[STREAM_PHASE_MAX];
} TcpRun;

/* -- one run ----------------------------------------------------------------------------------- */

static void tcp_finish(CheckRun *run, Result *result) {
        TcpRun *r = check_run_data(run);

        if (r->stream)
                result_note_stream(result, r->stream);
        check_run_finish(run, result);
}

static void tcp_finish_errno(CheckRun *run, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        tcp_finish(run, &result);
}

/* What came, though not what was expected, says most about what is wrong. */
static void tcp_finish_mismatch(CheckRun *run) {
        TcpRun *r = check_run_data(run);
        char shown[SHOWN_MAX];
        Result result;

        text_sanitize(shown, sizeof(shown), r->seen.text, r->seen.length);
        result_fail(&result, REASON_MISMATCH, "Not the expected answer: \"%s\"", shown);
        tcp_finish(run, &result);
}

static void on_resolved(void *userdata) {
        CheckRun *run = userdata;
        const TcpSettings *s = check_run_settings(run);
        TcpRun *r = check_run_data(run);

        check_run_set_phase(run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
}

static void on_connected(void *userdata) {
        CheckRun *run = userdata;
        const TcpSettings *s = check_run_settings(run);
        TcpRun *r = check_run_data(run);
        Result result;
        int error = 0;

        if (s->send.n > 0)
                error = stream_write(r->stream, s->send.data, s->send.n);
        if (error < 0) {
                tcp_finish_errno(run, error);
                return;
        }
        if (s->expect.n > 0) {
                check_run_set_phase(run, "waiting for the expected answer");
                return;
        }
        result_pass(&result, "Connected");
        tcp_finish(run, &result);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        CheckRun *run = userdata;
        const TcpSettings *s = check_run_settings(run);
        TcpRun *r = check_run_data(run);
        Result result;
        size_t from;

        if (s->expect.n == 0 || check_run_is_finished(run))
                return;
        /* It may have begun in what came before. */
        from = r->seen.length - MIN(r->seen.length, s->expect.n - 1);
        strbuf_append_bytes(&r->seen, bytes, n);
        if (r->seen.failed) {
                tcp_finish_errno(run, -ENOMEM);
                return;
        }
        if (!memmem(r->seen.text + from, r->seen.length - from, s->expect.data, s->expect.n))
                return;
        result_pass(&result, "The expected answer came");
        tcp_finish(run, &result);
}

static void on_failed(void *userdata, const StreamFailure *f) {
        CheckRun *run = userdata;
        const TcpSettings *s = check_run_settings(run);
        TcpRun *r = check_run_data(run);
        Result result;

        if (check_run_is_finished(run))
                return;
        if (r->seen.length > 0 && (f->error == 0 || f->error == EMSGSIZE)) {
                tcp_finish_mismatch(run);
                return;
        }
        result_stream(&result, &s->address, f);
        tcp_finish(run, &result);
}

static int tcp_start(CheckRun *run) {
        static const StreamHandlers handlers = {
                .resolved = on_resolved,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
        const TcpSettings *s = check_run_settings(run);
        Engine *engine = check_engine(check_run_check(run));
        TcpRun *r = check_run_data(run);

        check_run_set_phase(run, stream_phase_text(r->phase, &s->address, STREAM_RESOLVING));
        return stream_dial(engine_poll_set(engine), engine_resolver(engine), &s->address, &handlers,
                           run, &r->stream);
}

static void tcp_stop(CheckRun *run) {
        TcpRun *r = check_run_data(run);

        r->stream = stream_free(r->stream);
        strbuf_done(&r->seen);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int bytes_parse(const Option *o _unused_, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        Bytes *b = field;
        int r;

        r = parse_escaped(value, &b->data, &b->n);
        if (r == -EINVAL)
                snprintf(why, OPTION_WHY_MAX,
                         "a backslash begins something unknown; known are \\r \\n \\t \\\\ and the "
                         "like, \\x00 to \\xff, \\0 to \\377");
        return r;
}

static void bytes_clear(void *field) {
        Bytes *b = field;

        free(b->data);
        *b = (Bytes){};
}

static void bytes_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const Bytes *b = field;

        for (size_t i = 0; i < b->n; i++)
                strbuf_printf(out, "%02x", (unsigned) (unsigned char) b->data[i]);
}

static const OptionType option_bytes = {
        .expected = "a text, with escapes such as \\r\\n",
        .parse = bytes_parse,
        .clear = bytes_clear,
        .canonical = bytes_canonical,
        .size = sizeof(Bytes),
};

static void tcp_describe(const void *settings, CheckTarget *ret) {
        const TcpSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option tcp_options[] = {
        { "Address", &option_address, offsetof(TcpSettings, address), .flags = OPTION_REQUIRED },
        { "Send", &option_bytes, offsetof(TcpSettings, send) },
        { "Expect", &option_bytes, offsetof(TcpSettings, expect) },
};

static const CheckScheme tcp_schemes[] = {
        { .scheme = "tcp", .key = "Address" },
        {},
};

static const CheckValue tcp_values[] = { {} };

const CheckDriver tcp_driver = {
        .type = {
                .name = "tcp",
                .timeout_usec = USEC_PER_SEC,
                .values = tcp_values,
                .schemes = tcp_schemes,
                .schema = SCHEMA(tcp_options),
                .settings_size = sizeof(TcpSettings),
                .describe = tcp_describe,
        },
        .run_size = sizeof(TcpRun),
        .start = tcp_start,
        .stop = tcp_stop,
};
