/* SPDX-License-Identifier: MIT */
/* Type=grpc: a gRPC server that says of itself, or of one of its services, that it is serving, by
 * the health checking protocol (grpc.health.v1). libcurl speaks HTTP/2; the few bytes of a message
 * are made and read here.
 *
 * The connection is kept for the next run and watched: when the server closes it, the check looks
 * at once. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/grpc-verdict.h"
#include "check/http-transfer.h"
#include "check/stream-verdict.h"

#define CONNECTIONS_MAX 1024
#define HEAD_MAX        16384
#define SERVICE_MAX     255
#define REQUEST_MAX     (GRPC_PREFIX_BYTES + 3 + SERVICE_MAX)

typedef struct GrpcSettings {
        Address address;
        char *service; /* owned; NULL: the server as a whole */
        bool is_tls;
        char *ca_certificate;     /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
        HeaderCredentials header_credentials;
} GrpcSettings;

typedef struct GrpcShared {
        Multi *multi; /* owned */
} GrpcShared;

typedef struct GrpcInstance {
        Check *check;               /* borrowed */
        CURL *easy;                 /* owned */
        struct curl_slist *headers; /* owned, with secrets */
        struct curl_slist *resolve; /* owned: the server's addresses as libcurl wants them */
        PeerWatch watch;
        uint8_t request[REQUEST_MAX];
        size_t n_request;
} GrpcInstance;

typedef struct GrpcRun {
        HttpCall call;
        GrpcReply reply;
        bool is_kept; /* asks on the connection that is kept */
} GrpcRun;

/* -- the handle -------------------------------------------------------------------------------- */

/* HealthCheckRequest { string service = 1; } behind the prefix of every message: not compressed,
 * length. */
static size_t request_make(const char *service, uint8_t request[static REQUEST_MAX]) {
        size_t length = service ? strlen(service) : 0, n = GRPC_PREFIX_BYTES;

        if (length > 0) {
                request[n++] = 1 << 3 | 2;
                if (length > 0x7f)
                        request[n++] = (uint8_t) (0x80 | (length & 0x7f));
                request[n++] = (uint8_t) (length > 0x7f ? length >> 7 : length);
                memcpy(request + n, service, length);
                n += length;
        }
        request[3] = (uint8_t) ((n - GRPC_PREFIX_BYTES) >> 8);
        request[4] = (uint8_t) (n - GRPC_PREFIX_BYTES);
        return n;
}

/* Of the head and of the trailers. */
static size_t on_header(char *bytes, size_t size, size_t n, void *userdata) {
        GrpcReply *reply = userdata;
        size_t length = size * n;

        reply->http.head_bytes += length;
        if (reply->http.head_bytes > HEAD_MAX)
                return CURL_WRITEFUNC_ERROR;
        grpc_take_header(reply, bytes, length);
        return length;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata) {
        GrpcReply *reply = userdata;
        size_t length = size * n;

        if (length > sizeof(reply->body) - reply->http.body_bytes) {
                reply->http.is_cut = true;
                return CURL_WRITEFUNC_ERROR;
        }
        memcpy(reply->body + reply->http.body_bytes, bytes, length);
        reply->http.body_bytes += length;
        return length;
}

static int instance_make_headers(GrpcInstance *i, const GrpcSettings *s) {
        static const char *const constant[] = { "Content-Type: application/grpc", "TE: trailers" };
        int r;

        for (size_t k = 0; k < ELEMENTSOF(constant); k++) {
                r = http_headers_append(&i->headers, constant[k]);
                if (r < 0)
                        return r;
        }
        for (size_t k = 0; k < s->header_credentials.n; k++) {
                r = http_headers_append_secret(&i->headers, &s->header_credentials.items[k]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool easy_set_target(CURL *easy, const GrpcSettings *s) {
        char address[ADDRESS_TEXT_MAX], url[ADDRESS_TEXT_MAX + 48];
        bool is_unix = s->address.kind == ADDRESS_UNIX;

        snprintf(url, sizeof(url), "%s://%s/grpc.health.v1.Health/Check",
                 s->is_tls ? "https" : "http",
                 is_unix ? "localhost" : address_format(address, &s->address));
        if (is_unix &&
            curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, s->address.name) != CURLE_OK)
                return false;
        return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool easy_set_request(CURL *easy, const GrpcInstance *i) {
        return curl_easy_setopt(easy, CURLOPT_POSTFIELDS, i->request) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) i->n_request) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_HTTPHEADER, i->headers) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
}

/* -- the check --------------------------------------------------------------------------------- */

static int grpc_attach(Engine *engine, void *memory) {
        GrpcShared *shared = memory;

        return http_multi_new(engine, CONNECTIONS_MAX, &shared->multi);
}

static void grpc_detach(void *memory) {
        GrpcShared *shared = memory;

        shared->multi = http_multi_free(shared->multi);
}

static void grpc_close(Check *check) {
        GrpcInstance *i = check_instance(check);

        peer_watch_drop(&i->watch);
        curl_easy_cleanup(i->easy);
        http_headers_free(i->headers);
        curl_slist_free_all(i->resolve);
        memset(i, 0, sizeof(*i));
}

static int grpc_open(Check *check) {
        GrpcInstance *i = check_instance(check);
        const GrpcSettings *s = check_settings(check);
        const HttpTls tls = {
                .ca_certificate = s->ca_certificate,
                .client_certificate = s->client_certificate,
                .client_key = s->client_key,
                .client_key_text = s->client_key_credential.secret,
        };
        int r;

        i->check = check;
        i->n_request = request_make(s->service, i->request);
        i->easy = curl_easy_init();
        r = i->easy ? instance_make_headers(i, s) : -ENOMEM;
        if (r >= 0 && (!http_set_common(i->easy) || !http_set_tls(i->easy, &tls) ||
                       !easy_set_target(i->easy, s) || !easy_set_request(i->easy, i)))
                r = -ENOMEM;
        if (r < 0)
                grpc_close(check);
        return r;
}

static void on_peer_closed(void *userdata, usec_t idle_usec _unused_) {
        GrpcInstance *i = userdata;

        check_trigger(i->check);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void run_finish(CheckRun *run, Result *result) {
        GrpcRun *r = check_run_data(run);

        http_call_finish(&r->call, result);
}

/* libcurl (7.88 at least) cannot use a connection of HTTP/2 without TLS again when it is told that
 * the server speaks that, and will not begin one so unless it is told. */
static long run_http_version(const GrpcSettings *s, const GrpcRun *r) {
        if (s->is_tls)
                return CURL_HTTP_VERSION_2TLS;
        return r->is_kept ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

static int run_request(CheckRun *run) {
        GrpcRun *r = check_run_data(run);
        GrpcShared *shared = check_shared(check_run_check(run));

        r->reply = (GrpcReply){ .status = GRPC_STATUS_NONE, .http.text = "" };
        (void) curl_easy_setopt(r->call.easy, CURLOPT_HTTP_VERSION,
                                run_http_version(check_run_settings(run), r));
        return http_call_request(&r->call, shared->multi, r->is_kept);
}

static void on_transfer_done(void *userdata, CURLcode code) {
        CheckRun *run = userdata;
        GrpcRun *r = check_run_data(run);
        GrpcInstance *i = check_run_instance(run);
        const GrpcSettings *s = check_run_settings(run);
        Result result;

        if (r->is_kept && http_may_try_again(code, &r->reply.http)) {
                r->is_kept = false;
                if (run_request(run) >= 0)
                        return;
        }
        peer_watch_drop(&i->watch);
        (void) multi_watch(&r->call.transfer, &i->watch, on_peer_closed, i);
        http_call_complete(&r->call, code, &r->reply.http);
        grpc_judge(&s->address, s->is_tls, &r->reply, &result);
        run_finish(run, &result);
}

static const Address *run_server(CheckRun *run) {
        const GrpcSettings *s = check_run_settings(run);

        return &s->address;
}

static const HttpCallHandler call_handler = {
        .server = run_server,
        .request = run_request,
        .done = on_transfer_done,
        .finish = run_finish,
};

static int grpc_start(CheckRun *run) {
        GrpcRun *r = check_run_data(run);
        GrpcInstance *i = check_run_instance(run);

        http_call_prepare(&r->call, run, i->easy, &i->resolve, &call_handler);
        (void) curl_easy_setopt(i->easy, CURLOPT_HEADERDATA, &r->reply);
        (void) curl_easy_setopt(i->easy, CURLOPT_WRITEDATA, &r->reply);
        r->is_kept = peer_watch_is_on(&i->watch);
        return http_call_start(&r->call);
}

static void grpc_stop(CheckRun *run) {
        GrpcRun *r = check_run_data(run);

        http_call_stop(&r->call);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int grpc_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const GrpcSettings *s = settings;
        const char *text = NULL;

        if (s->service && strlen(s->service) > SERVICE_MAX) {
                *ret_key = "Service";
                text = "longer than 255 bytes";
        } else if (!s->is_tls && (s->ca_certificate || s->client_certificate)) {
                *ret_key = s->ca_certificate ? "CACertificate" : "ClientCertificate";
                text = "needs TLS=yes";
        } else if (s->client_key && s->client_key_credential.name) {
                *ret_key = "ClientKey";
                text = "ClientKeyCredential= is given as well";
        } else if (!s->client_certificate && (s->client_key || s->client_key_credential.name)) {
                *ret_key = s->client_key ? "ClientKey" : "ClientKeyCredential";
                text = "needs ClientCertificate=";
        }
        if (!text)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

static void grpc_describe(const void *settings, CheckTarget *ret) {
        const GrpcSettings *s = settings;

        target_set_address(ret, &s->address);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option grpc_options[] = {
        { "Address", &option_address, offsetof(GrpcSettings, address), .flags = OPTION_REQUIRED },
        { "Service", &option_string, offsetof(GrpcSettings, service) },
        { "HeaderCredential", &option_header_credential,
          offsetof(GrpcSettings, header_credentials) },
        { "TLS", &option_bool, offsetof(GrpcSettings, is_tls), "no" },
        { "CACertificate", &option_path, offsetof(GrpcSettings, ca_certificate) },
        { "ClientCertificate", &option_path, offsetof(GrpcSettings, client_certificate) },
        { "ClientKey", &option_path, offsetof(GrpcSettings, client_key) },
        { "ClientKeyCredential", &option_credential,
          offsetof(GrpcSettings, client_key_credential) },
};

static const CheckScheme grpc_schemes[] = {
        { .scheme = "grpc", .key = "Address" },
        {},
};

const CheckDriver grpc_driver = {
        .type = {
                .name = "grpc",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schemes = grpc_schemes,
                .schema = SCHEMA(grpc_options),
                .settings_size = sizeof(GrpcSettings),
                .validate = grpc_validate,
                .describe = grpc_describe,
        },
        .shared_size = sizeof(GrpcShared),
        .attach = grpc_attach,
        .detach = grpc_detach,
        .instance_size = sizeof(GrpcInstance),
        .open = grpc_open,
        .close = grpc_close,
        .run_size = sizeof(GrpcRun),
        .start = grpc_start,
        .stop = grpc_stop,
};
