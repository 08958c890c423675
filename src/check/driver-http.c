/* SPDX-License-Identifier: MIT */
/* Type=http: one GET or HEAD request, answered in time with an expected status.
 *
 * Kept connections live in one pool for all checks. While a check's connection is idle it is
 * watched: when the server closes it, that may be a crash, so the check looks at once. But servers
 * also close idle connections as a habit; how long a server waits with that is learned, and a
 * connection closed after that time means nothing. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/http-handle.h"
#include "check/http-profile.h"
#include "check/http-request.h"
#include "check/http-transfer.h"
#include "check/http-verdict.h"
#include "io/multi.h"

#define CONNECTIONS_MAX      4096
#define CERTIFICATE_MAX_USEC (3650 * USEC_PER_DAY)

/* A server that passes a check and closes the connection sooner than this may be dying, and nothing
 * is to be learned of that, unless it lives on after so many times. */
#define HABIT_MIN_USEC   (100 * USEC_PER_MSEC)
#define SHORT_CLOSES_MAX 5

/* Runs that a connection which ended may be worth, see instance_look_again(). */
#define LOOKS_MAX 3

typedef struct HttpShared {
        Multi *multi; /* owned */
        HttpHandles handles;
} HttpShared;

typedef struct HttpInstance {
        Check *check; /* borrowed */
        HttpLists lists;
        struct curl_slist *resolve; /* owned: the server's addresses as libcurl wants them */
        PeerWatch watch;
        usec_t closes_after_usec; /* the server closes connections that have been idle so long */
        usec_t closed_after_usec; /* it just did, and the next run tells what that meant; 0: no */
        unsigned n_short_closes;  /* in a row, each followed by a pass */
        unsigned n_looks; /* runs that are still owed to a connection's end, see look_again() */
} HttpInstance;

typedef struct HttpRun {
        CURL *easy; /* owned */
        HttpCall call;
        HttpReply reply;
        bool is_retried, keeps_body;
        uint64_t max_reply;
        StrBuf body;
} HttpRun;

/* -- the handle -------------------------------------------------------------------------------- */

static size_t on_head(char *bytes, size_t size, size_t n, void *userdata) {
        HttpReply *reply = userdata;
        size_t length = size * n;

        reply->head_bytes += length;
        if (reply->head_bytes > HTTP_HEAD_MAX)
                return CURL_WRITEFUNC_ERROR;
        /* The empty line ends the head; after that of a 1xx another one comes, and behind the body
         * there may be trailers. */
        if (length > 5 && memcmp(bytes, "HTTP/", 5) == 0)
                reply->is_head_complete = false;
        else if (length > 0 && (bytes[0] == '\r' || bytes[0] == '\n'))
                reply->is_head_complete = true;
        return length;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata) {
        HttpRun *r = userdata;
        size_t length = size * n;
        size_t taken = (size_t) MIN((uint64_t) length, r->max_reply - r->reply.body_bytes);

        r->reply.body_bytes += taken;
        if (r->keeps_body)
                strbuf_append_bytes(&r->body, bytes, taken);
        if (taken == length && !r->body.failed)
                return length;
        r->reply.is_cut = taken < length;
        return CURL_WRITEFUNC_ERROR;
}

static bool easy_set_functions(CURL *easy) {
        return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
}

/* -- the check --------------------------------------------------------------------------------- */

static int http_attach(Engine *engine, void *memory) {
        HttpShared *shared = memory;

        return http_multi_new(engine, CONNECTIONS_MAX, &shared->multi);
}

static void http_detach(void *memory) {
        HttpShared *shared = memory;

        http_handles_done(&shared->handles);
        shared->multi = http_multi_free(shared->multi);
}

static void http_close(Check *check) {
        HttpInstance *i = check_instance(check);

        peer_watch_drop(&i->watch);
        http_lists_done(&i->lists);
        curl_slist_free_all(i->resolve);
        memset(i, 0, sizeof(*i));
}

static int http_open(Check *check) {
        HttpInstance *i = check_instance(check);
        int r;

        i->check = check;
        i->closes_after_usec = USEC_INFINITY;
        r = http_lists_make(check_settings(check), &i->lists);
        if (r < 0)
                http_close(check);
        return r;
}

static void on_peer_closed(void *userdata, usec_t idle_usec) {
        HttpInstance *i = userdata;

        if (idle_usec >= i->closes_after_usec)
                return;
        i->closed_after_usec = idle_usec;
        if (idle_usec < HABIT_MIN_USEC)
                i->closed_after_usec = ++i->n_short_closes > SHORT_CLOSES_MAX;
        i->n_looks = LOOKS_MAX;
        check_trigger(i->check);
}

/* What a run tells about the server's habit. */
static void instance_learn(HttpInstance *i, const HttpRun *r, bool is_success) {
        if (!is_success || r->call.transfer.idle_usec >= HABIT_MIN_USEC)
                i->n_short_closes = 0;
        if (i->closed_after_usec && is_success)
                i->closes_after_usec = i->closed_after_usec - i->closed_after_usec / 10;
        else if (r->call.transfer.n_dialled == 0 &&
                 r->call.transfer.idle_usec > i->closes_after_usec)
                i->closes_after_usec = USEC_INFINITY;
        i->closed_after_usec = 0;
}

/* A server whose connection ended, and that answers once more without leaving a connection to
 * watch, may be dying all the same. */
static void instance_look_again(HttpInstance *i, bool is_success) {
        if (!is_success || peer_watch_is_on(&i->watch))
                i->n_looks = 0;
        if (i->n_looks == 0)
                return;
        i->n_looks--;
        check_trigger(i->check);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void run_finish(CheckRun *run, Result *result) {
        HttpRun *r = check_run_data(run);
        HttpInstance *i = check_run_instance(run);

        instance_learn(i, r, outcome_is_success(result->outcome));
        instance_look_again(i, outcome_is_success(result->outcome));
        http_call_finish(&r->call, result);
}

/* Starts the request, or its second attempt on a new connection. */
static int run_request(CheckRun *run) {
        HttpRun *r = check_run_data(run);
        HttpShared *shared = check_shared(check_run_check(run));

        r->reply = (HttpReply){ .text = "" };
        strbuf_reset(&r->body);
        return http_call_request(&r->call, shared->multi,
                                 !r->is_retried &&
                                         http_request_may_be_kept(check_run_settings(run)));
}

static bool run_deserves_retry(const HttpRun *r, CURLcode code) {
        return !r->is_retried && r->call.transfer.n_dialled == 0 &&
               !r->call.transfer.socket_error && http_may_try_again(code, &r->reply);
}

static void on_transfer_done(void *userdata, CURLcode code) {
        CheckRun *run = userdata;
        HttpRun *r = check_run_data(run);
        HttpInstance *i = check_run_instance(run);
        Result result;

        if (run_deserves_retry(r, code)) {
                r->is_retried = true;
                if (run_request(run) >= 0)
                        return;
        }
        peer_watch_drop(&i->watch);
        (void) multi_watch(&r->call.transfer, &i->watch, on_peer_closed, i);
        http_call_complete(&r->call, code, &r->reply);
        r->reply.body = r->body.text;
        r->reply.n_body = r->body.length;
        http_judge(check_run_settings(run), &r->reply, &result);
        run_finish(run, &result);
}

static const Address *run_server(CheckRun *run) {
        const HttpSettings *s = check_run_settings(run);

        return &s->server;
}

static const HttpCallHandler call_handler = {
        .server = run_server,
        .request = run_request,
        .done = on_transfer_done,
        .finish = run_finish,
};

static int http_start(CheckRun *run) {
        HttpRun *r = check_run_data(run);
        HttpInstance *i = check_run_instance(run);
        HttpShared *shared = check_shared(i->check);
        const HttpSettings *s = check_run_settings(run);

        r->easy = http_handle_take(&shared->handles);
        if (!r->easy || !easy_set_functions(r->easy) || !http_request_set(r->easy, s, &i->lists))
                return -ENOMEM;
        http_call_prepare(&r->call, run, r->easy, &i->resolve, &call_handler);
        (void) curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, &r->reply);
        (void) curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
        if (!http_request_may_be_kept(s))
                (void) curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
        r->max_reply = s->max_reply;
        r->keeps_body = http_settings_need_body(s);
        if (s->unix_socket || s->resolve.is_set)
                return run_request(run);
        return http_call_start(&r->call);
}

static void http_stop(CheckRun *run) {
        HttpRun *r = check_run_data(run);
        HttpShared *shared = check_shared(check_run_check(run));

        http_call_stop(&r->call);
        strbuf_done(&r->body);
        http_handle_give(&shared->handles, r->easy);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const char *const method_words[] = {
        [HTTP_METHOD_GET] = "GET",
        [HTTP_METHOD_HEAD] = "HEAD",
        [HTTP_METHOD_POST] = "POST",
        NULL,
};

static const Option http_options[] = {
        { "URL", &option_string, offsetof(HttpSettings, url) },
        { "Profile", &option_word, offsetof(HttpSettings, profile), "none",
          .words = http_profile_words },
        { "Method", &option_word, offsetof(HttpSettings, method), "GET", .words = method_words },
        { "Body", &option_string, offsetof(HttpSettings, body) },
        { "ContentType", &option_string, offsetof(HttpSettings, content_type) },
        { "Header", &option_strv, offsetof(HttpSettings, headers) },
        { "HeaderCredential", &option_header_credential,
          offsetof(HttpSettings, header_credentials) },
        { "KeyCredential", &option_credential, offsetof(HttpSettings, key) },
        { "BearerCredential", &option_credential, offsetof(HttpSettings, bearer) },
        { "Username", &option_string, offsetof(HttpSettings, username) },
        { "PasswordCredential", &option_credential, offsetof(HttpSettings, password) },
        { "ExpectStatus", &option_status_set, offsetof(HttpSettings, expect_status), "200-299" },
        { "ExpectBody", &option_pattern, offsetof(HttpSettings, expect_body) },
        { "ExpectJSON", &option_json_expectations, offsetof(HttpSettings, expect_json) },
        { "HTTP2", &option_bool, offsetof(HttpSettings, is_http2), "no" },
        { "Resolve", &option_http_resolve, offsetof(HttpSettings, resolve) },
        { "CACertificate", &option_path, offsetof(HttpSettings, ca_certificate) },
        { "RevocationList", &option_path, offsetof(HttpSettings, revocation_list) },
        { "ClientCertificate", &option_path, offsetof(HttpSettings, client_certificate) },
        { "ClientKey", &option_path, offsetof(HttpSettings, client_key) },
        { "ClientKeyCredential", &option_credential,
          offsetof(HttpSettings, client_key_credential) },
        { "CertificateWarn", &option_timespan, offsetof(HttpSettings, certificate_warn_usec), NULL,
          0, CERTIFICATE_MAX_USEC },
        { "CertificateFail", &option_timespan, offsetof(HttpSettings, certificate_fail_usec), NULL,
          0, CERTIFICATE_MAX_USEC },
        { "UnixSocket", &option_path, offsetof(HttpSettings, unix_socket) },
        { "MaxReply", &option_size, offsetof(HttpSettings, max_reply), NULL, 1,
          HTTP_REPLY_MAX_BYTES },
};

static const CheckScheme http_schemes[] = {
        { .scheme = "http", .key = "URL", .takes_url = true },
        { .scheme = "https", .key = "URL", .takes_url = true },
        {},
};

const CheckDriver http_driver = {
        .type = {
                .name = "http",
                .timeout_usec = 3 * USEC_PER_SEC,
                .schemes = http_schemes,
                .schema = SCHEMA(http_options),
                .settings_size = sizeof(HttpSettings),
                .validate = http_settings_validate,
                .describe = http_settings_describe,
        },
        .shared_size = sizeof(HttpShared),
        .attach = http_attach,
        .detach = http_detach,
        .instance_size = sizeof(HttpInstance),
        .open = http_open,
        .close = http_close,
        .run_size = sizeof(HttpRun),
        .start = http_start,
        .stop = http_stop,
};
