/* SPDX-License-Identifier: MIT */
/* Type=tls: a port speaks TLS with a certificate that is good, for its name, and not about to
 * expire. Each run makes a connection of its own and ends it after the handshake. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/stream-verdict.h"
#include "check/tls-verdict.h"
#include "io/stream.h"
#include "io/tls.h"

typedef struct TlsSettings {
        Address address;
        char *server_name;        /* owned, may be NULL */
        char *ca_certificate;     /* owned, may be NULL */
        char *revocation_list;    /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
        usec_t certificate_warn_usec, certificate_fail_usec;
} TlsSettings;

typedef struct TlsInstance {
        TlsContext *context; /* owned; NULL: not made yet */
        usec_t renew_usec;   /* CLOCK_MONOTONIC: when the files are read again */
} TlsInstance;

typedef struct TlsRun {
        Stream *stream;      /* owned */
        TlsSession *session; /* owned; NULL until connected */
        bool is_in_doubt;
        char phase[STREAM_PHASE_MAX];
} TlsRun;

/* -- verdicts ---------------------------------------------------------------------------------- */

/* Whose certificate it must be, and what the server is told. */
static const char *server_name(const TlsSettings *s, char buf[static IP_TEXT_MAX]) {
        if (s->server_name)
                return s->server_name;
        return s->address.kind == ADDRESS_IP ? ip_format(buf, &s->address.ip) : s->address.name;
}

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
        const char *detail = tls_handshake_detail(text);
        Result result;

        if (tls_session_lacks_certificate(r->session) && (!detail || str_equal(detail, "name")))
                detail = "client-certificate";
        result_fail(&result, REASON_TLS, "TLS handshake: %s%s", text,
                    tls_session_lacks_certificate(r->session)
                            ? "; the server asked for a client certificate"
                            : "");
        result_set_detail(&result, detail ? detail : "handshake");
        tls_finish(run, &result);
}

static void tls_finish_open(CheckRun *run) {
        const TlsSettings *s = check_run_settings(run);
        TlsRun *r = check_run_data(run);
        TlsPeer peer = tls_session_peer(r->session);
        const char *detail = tls_verify_detail(peer.verify);
        char ip[IP_TEXT_MAX];
        Result result;

        if (!peer.has_certificate) {
                result_fail(&result, REASON_TLS, "The server shows no certificate");
                result_set_detail(&result, "missing");
        } else if (peer.verify != 0) {
                result_fail(&result, REASON_TLS, "Certificate of %s for %s: %s", peer.subject,
                            server_name(s, ip), peer.verify_text);
                result_set_detail(&result, detail ? detail : "certificate");
        } else
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

        error = tls_session_new(i->context, server_name(s, ip), &r->session);
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

/* Reads the files, now and then again. */
static int tls_prepare(CheckRun *run, char why[static TLS_WHY_MAX]) {
        const TlsSettings *s = check_run_settings(run);
        const CheckConfig *c = check_config(check_run_check(run));
        TlsInstance *i = check_run_instance(run);
        usec_t now_usec = clock_usec(CLOCK_MONOTONIC);
        TlsFiles files = {
                .authorities = s->ca_certificate,
                .revocations = s->revocation_list,
                .client_certificate = s->client_certificate,
                .client_key = s->client_key,
                .client_key_text = s->client_key_credential.secret,
        };

        if (i->context && now_usec < i->renew_usec)
                return 0;
        i->context = tls_context_free(i->context);
        i->renew_usec = usec_add(now_usec, c->connection_max_age_usec);
        return tls_context_new(&files, &i->context, why);
}

static int tls_start(CheckRun *run) {
        static const StreamHandlers handlers = {
                .resolved = on_resolved,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
        const TlsSettings *s = check_run_settings(run);
        Engine *engine = check_engine(check_run_check(run));
        TlsRun *r = check_run_data(run);
        char why[TLS_WHY_MAX];
        Result result;
        int error;

        error = tls_prepare(run, why);
        if (error == -EINVAL) {
                result_error(&result, REASON_CONFIGURATION, "%s", why);
                check_run_finish(run, &result);
                return 0;
        }
        if (error < 0)
                return error;
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

        i->context = tls_context_free(i->context);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int tls_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const TlsSettings *s = settings;
        const char *text;

        if (s->address.kind == ADDRESS_UNIX && !s->server_name) {
                *ret_key = "ServerName";
                text = "needed with the path of a unix socket";
        } else if (s->client_key && s->client_key_credential.name) {
                *ret_key = "ClientKey";
                text = "ClientKeyCredential= is given as well";
        } else if (!s->client_certificate && (s->client_key || s->client_key_credential.name)) {
                *ret_key = s->client_key ? "ClientKey" : "ClientKeyCredential";
                text = "needs ClientCertificate=";
        } else
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
        { "ServerName", &option_string, offsetof(TlsSettings, server_name) },
        { "CACertificate", &option_path, offsetof(TlsSettings, ca_certificate) },
        { "RevocationList", &option_path, offsetof(TlsSettings, revocation_list) },
        { "ClientCertificate", &option_path, offsetof(TlsSettings, client_certificate) },
        { "ClientKey", &option_path, offsetof(TlsSettings, client_key) },
        { "ClientKeyCredential", &option_credential, offsetof(TlsSettings, client_key_credential) },
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
