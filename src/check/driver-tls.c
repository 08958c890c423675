/* SPDX-License-Identifier: MIT */
/* Type=tls: a port speaks TLS with a certificate that is good, for its name, and not about to
 * expire. Each run makes a connection of its own and ends it after the handshake. */

#include <errno.h>
#include <stdio.h>

#include "check/driver.h"
#include "check/stream-verdict.h"
#include "check/tls-options.h"
#include "check/tls-verdict.h"
#include "io/stream.h"

typedef struct TlsSettings {
        Address address;
        TlsOptions tls;
        usec_t certificate_warn_usec, certificate_fail_usec;
} TlsSettings;

typedef struct TlsInstance {
        TlsKeeper keeper;
} TlsInstance;

typedef struct TlsRun {
        Stream *stream;      /* owned */
        TlsSession *session; /* owned; NULL until connected */
        bool is_in_doubt;
        char phase[STREAM_PHASE_MAX];
} TlsRun;

/* -- verdicts ---------------------------------------------------------------------------------- */

static void tls_finish(CheckRun *run, Result *result) {
        TlsRun *r = check_run_data(run);

        result_note_stream(result, r->stream);
        check_run_finish(run, result);
}

static void tls_finish_errno(CheckRun *run, int error) {
        Result result;

        result_errno(&result, error, "Cannot talk");
        tls_finish(run, &result);
}

static void tls_finish_handshake(CheckRun *run, const char *text) {
        TlsRun *r = check_run_data(run);
        Result result;

        result_tls_handshake(&result, r->session, text);
        tls_finish(run, &result);
}

static void tls_finish_open(CheckRun *run) {
        const TlsSettings *s = check_run_settings(run);
        TlsRun *r = check_run_data(run);
        TlsPeer peer = tls_session_peer(r->session);
        Result result;

        if (result_tls_certificate(&result, r->session, &peer))
                result_pass(&result, "%s", peer.version);
        if (peer.has_certificate)
                result_certificate(&result, peer.subject, peer.expires_usec,
                                   clock_usec(CLOCK_REALTIME), s->certificate_warn_usec,
                                   s->certificate_fail_usec);
        tls_finish(run, &result);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void tls_advance(CheckRun *run, const void *bytes, size_t n) {
        TlsRun *r = check_run_data(run);
        _cleanup_strbuf_ StrBuf out = {};
        TlsProgress progress;
        int error = 0;

        progress = tls_session_shake(r->session, bytes, n, &out);
        if (progress == TLS_OPEN || (progress == TLS_OPEN_IN_DOUBT && !r->is_in_doubt))
                tls_session_end(r->session, &out);
        if (out.failed)
                error = -ENOMEM;
        else if (out.length > 0)
                error = stream_write(r->stream, out.text, out.length);
        if (error < 0) {
                tls_finish_errno(run, error);
                return;
        }
        switch (progress) {
        case TLS_SHAKING:
                break;
        case TLS_OPEN_IN_DOUBT:
                r->is_in_doubt = true;
                check_run_set_phase(run, "waiting whether the server does without our certificate");
                break;
        case TLS_OPEN:
        case TLS_ENDED:
                tls_finish_open(run);
                break;
        case TLS_FAILED:
                tls_finish_handshake(run, tls_session_error(r->session));
                break;
        }
}

static void on_resolved(void *userdata) {
        CheckRun *run = userdata;
        const TlsSettings *s = check_run_settings(run);
        TlsRun *r = check_run_data(run);

        check_run_set_phase(run, stream_phase_text(r->phase, &s->address, STREAM_CONNECTING));
}

static void on_connected(void *userdata) {
        CheckRun *run = userdata;
        const TlsSettings *s = check_run_settings(run);
        TlsInstance *i = check_run_instance(run);
        TlsRun *r = check_run_data(run);
        char ip[IP_TEXT_MAX];
        int error;

        error = tls_session_new(i->keeper.context, tls_options_name(&s->tls, &s->address, ip),
                                &r->session);
        if (error < 0) {
                tls_finish_errno(run, error);
                return;
        }
        check_run_set_phase(run, "in the TLS handshake");
        tls_advance(run, NULL, 0);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        if (!check_run_is_finished(userdata))
                tls_advance(userdata, bytes, n);
}

static void on_failed(void *userdata, const StreamFailure *f) {
        CheckRun *run = userdata;
        const TlsSettings *s = check_run_settings(run);
        TlsRun *r = check_run_data(run);
        Result result;

        if (check_run_is_finished(run))
                return;
        if (r->is_in_doubt && f->error == 0)
                tls_finish_open(run);
        else if (r->session && (f->error == 0 || tls_session_lacks_certificate(r->session)))
                tls_finish_handshake(run, stream_failure_text(f));
        else {
                result_stream(&result, &s->address, f);
                tls_finish(run, &result);
        }
}

static int tls_start(CheckRun *run) {
        static const StreamHandlers handlers = {
                .resolved = on_resolved,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
        const TlsSettings *s = check_run_settings(run);
        const CheckConfig *config = check_config(check_run_check(run));
        Engine *engine = check_engine(check_run_check(run));
        TlsInstance *i = check_run_instance(run);
        TlsRun *r = check_run_data(run);
        Result result;

        if (tls_keeper_renew(&i->keeper, &s->tls, config->connection_max_age_usec, &result) < 0) {
                check_run_finish(run, &result);
                return 0;
        }
        check_run_set_phase(run, stream_phase_text(r->phase, &s->address, STREAM_RESOLVING));
        return stream_dial(engine_poll_set(engine), engine_resolver(engine), &s->address, &handlers,
                           run, &r->stream);
}

static void tls_stop(CheckRun *run) {
        TlsRun *r = check_run_data(run);

        r->session = tls_session_free(r->session);
        r->stream = stream_free(r->stream);
}

static void tls_close(Check *check) {
        TlsInstance *i = check_instance(check);

        tls_keeper_done(&i->keeper);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int tls_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const TlsSettings *s = settings;
        const char *text = tls_options_fault(&s->tls, true, &s->address, ret_key);

        if (!text)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

static void tls_describe(const void *settings, CheckTarget *ret) {
        const TlsSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option tls_options[] = {
        { "Address", &option_address, offsetof(TlsSettings, address), .min = 443,
          .flags = OPTION_REQUIRED },
        TLS_OPTIONS(TlsSettings, tls),
        { "RevocationList", &option_path, offsetof(TlsSettings, tls.revocation_list) },
        { "CertificateWarn", &option_timespan, offsetof(TlsSettings, certificate_warn_usec), "21d",
          0, 3650 * USEC_PER_DAY },
        { "CertificateFail", &option_timespan, offsetof(TlsSettings, certificate_fail_usec), "7d",
          0, 3650 * USEC_PER_DAY },
};

static const CheckScheme tls_schemes[] = {
        { .scheme = "tls", .key = "Address" },
        {},
};

const CheckDriver tls_driver = {
        .type = {
                .name = "tls",
                .timeout_usec = 3 * USEC_PER_SEC,
                .schemes = tls_schemes,
                .schema = SCHEMA(tls_options),
                .settings_size = sizeof(TlsSettings),
                .validate = tls_validate,
                .describe = tls_describe,
        },
        .instance_size = sizeof(TlsInstance),
        .close = tls_close,
        .run_size = sizeof(TlsRun),
        .start = tls_start,
        .stop = tls_stop,
};
