/* SPDX-License-Identifier: MIT */
#include "check/http-transfer.h"

#include <errno.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/resolve-verdict.h"

#define CA_CACHE_SEC       300L /* how soon a changed CACertificate= is seen */
#define RECEIVE_BUFFER_MAX 16384L
#define CONNECT_EXTRA_MSEC 1000
#define HTTP_SCHEME_MAX    16

/* -- headers ----------------------------------------------------------------------------------- */

void http_headers_free(struct curl_slist *l) {
        for (struct curl_slist *i = l; i; i = i->next)
                explicit_bzero(i->data, strlen(i->data));
        curl_slist_free_all(l);
}

int http_headers_append(struct curl_slist **l, const char *header) {
        struct curl_slist *longer = curl_slist_append(*l, header);

        if (!longer)
                return -ENOMEM;
        *l = longer;
        return 0;
}

static int headers_append_wiped(struct curl_slist **l, const char *begin, const char *between,
                                const char *secret) {
        char *text;
        int r;

        if (strpbrk(secret, "\r\n"))
                return -EINVAL;
        r = asprintf(&text, "%s%s%s", begin, between, secret);
        if (r < 0)
                return -ENOMEM;
        r = http_headers_append(l, text);
        explicit_bzero(text, strlen(text));
        free(text);
        return r;
}

int http_headers_append_secret(struct curl_slist **l, const HeaderCredential *h) {
        return headers_append_wiped(l, h->header, ": ", h->credential.secret);
}

int http_headers_append_authorization(struct curl_slist **l, const char *scheme,
                                      const Credential *secret) {
        char between[HTTP_SCHEME_MAX];

        snprintf(between, sizeof(between), ": %s ", scheme);
        return headers_append_wiped(l, "Authorization", between, secret->secret);
}

/* -- handles ----------------------------------------------------------------------------------- */

/* What is the same for all checks: nothing of the environment, nothing but this one request. */
bool http_set_common(CURL *easy) {
        static const struct {
                CURLoption option;
                long value;
        } longs[] = {
                { CURLOPT_FOLLOWLOCATION, 0 },
                { CURLOPT_NETRC, CURL_NETRC_IGNORED },
                { CURLOPT_HTTP09_ALLOWED, 0 },
                { CURLOPT_DNS_CACHE_TIMEOUT, -1 },
                { CURLOPT_SSL_VERIFYPEER, 1 },
                { CURLOPT_SSL_VERIFYHOST, 2 },
                { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
                { CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SEC },
                { CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_MAX },
        };
        /* A directory of authorities would keep libcurl from holding on to those of the file, and
         * reading that anew takes ten milliseconds. */
        bool ok = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_USERAGENT, "vitald/" PACKAGE_VERSION) == CURLE_OK;

        for (size_t i = 0; i < ELEMENTSOF(longs); i++)
                ok = ok && curl_easy_setopt(easy, longs[i].option, longs[i].value) == CURLE_OK;
        return ok;
}

static CURLcode on_context(CURL *easy _unused_, void *ssl_ctx, void *userdata) {
        HttpCall *call = userdata;

        check_run_set_phase(call->run, "in the TLS handshake");
        tls_note_request(ssl_ctx, &call->lacks_certificate);
        return CURLE_OK;
}

bool http_set_tls(CURL *easy, const HttpTls *tls) {
        const char *key = tls->client_key ? tls->client_key : tls->client_certificate;
        const struct {
                CURLoption option;
                const char *value;
        } texts[] = {
                { CURLOPT_CAINFO, tls->ca_certificate
                                          ? tls->ca_certificate
                                          : curl_version_info(CURLVERSION_NOW)->cainfo },
                { CURLOPT_CRLFILE, tls->revocation_list },
                { CURLOPT_SSLCERT, tls->client_certificate },
                { CURLOPT_SSLKEY, tls->client_key_text ? NULL : key },
        };
        struct curl_blob blob = {
                .data = tls->client_key_text,
                .len = tls->client_key_text ? strlen(tls->client_key_text) : 0,
                .flags = CURL_BLOB_COPY,
        };
        curl_ssl_ctx_callback on_ssl = tls->client_certificate ? NULL : on_context;
        bool ok =
                curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, blob.data ? &blob : NULL) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl) == CURLE_OK;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                ok = ok && curl_easy_setopt(easy, texts[i].option, texts[i].value) == CURLE_OK;
        return ok;
}

/* -- one run ----------------------------------------------------------------------------------- */

/* "HOST:PORT:ADDRESS,ADDRESS": libcurl takes the addresses as its own finding. */
static int set_addresses(CURL *easy, struct curl_slist **list, const Address *server,
                         const ResolverAnswer *answer) {
        _cleanup_strbuf_ StrBuf b = {};
        char ip[IP_TEXT_MAX];

        strbuf_printf(&b, "%s:%u:", server->name, (unsigned) server->port);
        for (size_t n = 0; n < answer->n_addresses; n++)
                strbuf_printf(&b, "%s%s", n > 0 ? "," : "", ip_format(ip, &answer->addresses[n]));
        if (b.failed)
                return -ENOMEM;
        if (!*list || !str_equal((*list)->data, b.text)) {
                (void) curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
                curl_slist_free_all(*list);
                *list = curl_slist_append(NULL, b.text);
        }
        /* Each time: libcurl looks at the list once. */
        if (!*list || curl_easy_setopt(easy, CURLOPT_RESOLVE, *list) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

/* libcurl keeps the errno of earlier transfers: it counts only where the text says that a system
 * call failed. */
static int reply_errno(const Transfer *t, const char *text, CURLcode code, long os_errno) {
        const char *number = strstr(text, " errno ");

        if (t->socket_error)
                return t->socket_error;
        if (code == CURLE_COULDNT_CONNECT || strstr(text, " failure: "))
                return (int) os_errno;
        return number ? atoi(number + strlen(" errno ")) : 0;
}

void http_call_complete(const HttpCall *call, CURLcode code, HttpReply *reply) {
        curl_off_t retry_after_sec = 0;
        long os_errno = 0;

        reply->code = code;
        (void) curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &reply->status);
        (void) curl_easy_getinfo(call->easy, CURLINFO_SSL_VERIFYRESULT, &reply->verify);
        (void) curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &reply->version);
        (void) curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os_errno);
        (void) curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_sec);
        if (retry_after_sec > 0)
                reply->retry_after_usec = usec_mul(USEC_PER_SEC, (uint64_t) retry_after_sec);
        if (call->peer.has_certificate) {
                reply->expires_usec = call->peer.expires_usec;
                reply->subject = call->peer.subject;
        }
        reply->lacks_certificate = call->lacks_certificate;
        reply->now_realtime = clock_usec(CLOCK_REALTIME);
        reply->interval_usec = check_config(check_run_check(call->run))->interval_usec;
        reply->text = call->text;
        reply->error = reply_errno(&call->transfer, call->text, code, os_errno);
}

static void call_find_peer(HttpCall *call) {
        struct curl_tlssessioninfo *tls = NULL;

        call->peer = (TlsPeer){};
        if (curl_easy_getinfo(call->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
            tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals)
                call->peer = tls_peer_of(tls->internals);
}

static int on_connected(void *userdata, char *peer _unused_, char *local _unused_,
                        int peer_port _unused_, int local_port _unused_) {
        HttpCall *call = userdata;

        check_run_set_phase(call->run, "waiting for the reply");
        call_find_peer(call);
        return CURL_PREREQFUNC_OK;
}

/* Since this host stood still; USEC_INFINITY: it did not. */
static usec_t call_since_stall_usec(const HttpCall *call) {
        usec_t stalled = engine_stalled_usec(check_engine(check_run_check(call->run)));

        return stalled > 0 ? usec_sub(clock_usec(CLOCK_MONOTONIC), stalled) : USEC_INFINITY;
}

static long seconds_limited(usec_t t) {
        return (long) MIN(t / USEC_PER_SEC, (usec_t) INT32_MAX);
}

/* How long connections are kept; none from before a stall of the host, whose peer may have given it
 * up without our seeing it. */
static void call_limit_age(const HttpCall *call) {
        const CheckConfig *c = check_config(check_run_check(call->run));
        long age_sec = seconds_limited(c->connection_max_age_usec);
        long since_sec = MAX(seconds_limited(call_since_stall_usec(call)), 1L);

        (void) curl_easy_setopt(call->easy, CURLOPT_MAXLIFETIME_CONN, MIN(age_sec, since_sec));
        (void) curl_easy_setopt(call->easy, CURLOPT_MAXAGE_CONN, age_sec);
        (void) curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, (long) (age_sec == 0));
}

void http_call_prepare(HttpCall *call, CheckRun *run, CURL *easy, struct curl_slist **resolve,
                       const HttpCallHandler *handler) {
        const CheckConfig *c = check_config(check_run_check(run));

        call->handler = handler;
        call->run = run;
        call->easy = easy;
        call->resolve = resolve;
        (void) curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
        (void) curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
        (void) curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, call);
        (void) curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->text);
        /* The deadline is the engine's and comes first; from this one libcurl derives how long it
         * waits before it tries the next address. */
        (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                                (long) MIN(c->timeout_usec / USEC_PER_MSEC + CONNECT_EXTRA_MSEC,
                                           (usec_t) INT32_MAX));
        call_limit_age(call);
}

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        HttpCall *call = userdata;
        const Address *server = call->handler->server(call->run);
        Result result;
        int r;

        call->query = NULL;
        if (answer->n_addresses == 0) {
                result_resolve(&result, server->name, answer->status);
                call->handler->finish(call->run, &result);
                return;
        }
        call->is_stale = answer->is_stale;
        call->why_stale = answer->status;
        r = set_addresses(call->easy, call->resolve, server, answer);
        if (r >= 0)
                r = call->handler->request(call->run);
        if (r >= 0)
                return;
        result_errno(&result, r, "Cannot start the request");
        call->handler->finish(call->run, &result);
}

int http_call_start(HttpCall *call) {
        const Address *server = call->handler->server(call->run);
        Engine *engine = check_engine(check_run_check(call->run));

        if (server->kind != ADDRESS_NAME)
                return call->handler->request(call->run);
        check_run_set_phase(call->run, "resolving the host name");
        return resolver_query(engine_resolver(engine), server->name, on_resolved, call,
                              &call->query);
}

int http_call_request(HttpCall *call, Multi *multi, bool may_be_kept) {
        bool is_fresh = !may_be_kept || call_since_stall_usec(call) < USEC_PER_SEC;

        call->text[0] = 0;
        call->lacks_certificate = false;
        check_run_set_phase(call->run, "connecting");
        (void) curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, (long) is_fresh);
        return multi_add(multi, &call->transfer, call->easy, call->handler->done, call->run);
}

bool http_may_try_again(CURLcode code, const HttpReply *reply) {
        return code != CURLE_OK && code != CURLE_ABORTED_BY_CALLBACK && !reply->is_cut;
}

void http_call_finish(HttpCall *call, Result *result) {
        if (call->is_stale)
                result_note_stale(result, call->why_stale);
        check_run_finish(call->run, result);
}

void http_call_stop(HttpCall *call) {
        call->query = resolver_query_free(call->query);
        /* A stream of HTTP/2 that is dropped leaves its connection alone: but one on which no
         * answer came must not be the next run's. */
        if (call->easy)
                (void) curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
        multi_remove(&call->transfer);
}

/* -- shared ------------------------------------------------------------------------------------ */

int http_multi_new(Engine *engine, unsigned connections_max, Multi **ret) {
        int r;

        /* The one thing that libcurl takes from the environment without being asked: where to write
         * the keys of all connections. */
        (void) unsetenv("SSLKEYLOGFILE");
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        r = multi_new(engine_poll_set(engine), connections_max, ret);
        if (r < 0)
                curl_global_cleanup();
        return r;
}

Multi *http_multi_free(Multi *m) {
        m = multi_free(m);
        curl_global_cleanup();
        return m;
}
