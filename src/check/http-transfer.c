/* SPDX-License-Identifier: MIT */
#include "check/http-transfer.h"

#include <errno.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"

#define CA_CACHE_SEC       300L /* how soon a changed CACertificate= is seen */
#define RECEIVE_BUFFER_MAX 16384L

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

int http_headers_append_bearer(struct curl_slist **l, const Credential *token) {
        return headers_append_wiped(l, "Authorization", ": Bearer ", token->secret);
}

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

bool http_set_tls(CURL *easy, const HttpTls *tls) {
        const char *key = tls->client_key ? tls->client_key : tls->client_certificate;
        const struct {
                CURLoption option;
                const char *value;
        } texts[] = {
                { CURLOPT_CAINFO, tls->ca_certificate
                                          ? tls->ca_certificate
                                          : curl_version_info(CURLVERSION_NOW)->cainfo },
                { CURLOPT_SSLCERT, tls->client_certificate },
                { CURLOPT_SSLKEY, tls->client_key_text ? NULL : key },
        };
        struct curl_blob blob = {
                .data = tls->client_key_text,
                .len = tls->client_key_text ? strlen(tls->client_key_text) : 0,
                .flags = CURL_BLOB_COPY,
        };
        bool ok = curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, blob.data ? &blob : NULL) == CURLE_OK;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                ok = ok && curl_easy_setopt(easy, texts[i].option, texts[i].value) == CURLE_OK;
        return ok;
}

/* "HOST:PORT:ADDRESS,ADDRESS": libcurl takes the addresses as its own finding. */
int http_set_addresses(CURL *easy, struct curl_slist **list, const Address *server,
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

void http_reply_complete(HttpReply *reply, const Transfer *t, CURLcode code, const char *text) {
        CURL *easy = t->easy;
        curl_off_t retry_after_sec = 0;
        long os_errno = 0;

        reply->code = code;
        (void) curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply->status);
        (void) curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &reply->verify);
        (void) curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
        (void) curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_sec);
        if (retry_after_sec > 0)
                reply->retry_after_usec = usec_mul(USEC_PER_SEC, (uint64_t) retry_after_sec);
        reply->text = text;
        reply->error = reply_errno(t, text, code, os_errno);
}
