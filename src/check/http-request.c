/* SPDX-License-Identifier: MIT */
#include "check/http-request.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/http-headers.h"
#include "check/http-profile.h"
#include "check/http-transfer.h"

/* -- lists ------------------------------------------------------------------------------------- */

/* "Authorization: Basic " and both, as base64. */
static int headers_append_basic(struct curl_slist **l, const HttpSettings *s) {
        Credential basic = {};
        unsigned char *plain = NULL;
        int n, r = -ENOMEM;

        n = asprintf((char **) &plain, "%s:%s", s->username, s->password.secret);
        if (n < 0)
                return -ENOMEM;
        basic.secret = calloc(1, ((size_t) n + 2) / 3 * 4 + 1);
        if (basic.secret) {
                (void) EVP_EncodeBlock((unsigned char *) basic.secret, plain, n);
                r = http_headers_append_authorization(l, "Basic", &basic);
                explicit_bzero(basic.secret, strlen(basic.secret));
        }
        explicit_bzero(plain, (size_t) n);
        free(basic.secret);
        free(plain);
        return r;
}

static int headers_append_key(struct curl_slist **l, const HttpProfile *profile, Credential *key) {
        HeaderCredential h = { .credential = *key };
        int r;

        if (!profile->key_header)
                return http_headers_append_authorization(l, "Bearer", key);
        h.header = strdup(profile->key_header);
        if (!h.header)
                return -ENOMEM;
        r = http_headers_append_secret(l, &h);
        free(h.header);
        return r;
}

static int headers_append_credentials(struct curl_slist **l, const HttpSettings *s) {
        Credential key = s->key;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->header_credentials.n; i++)
                r = http_headers_append_secret(l, &s->header_credentials.items[i]);
        if (r >= 0 && s->bearer.secret)
                r = http_headers_append_authorization(l, "Bearer", &s->bearer);
        if (r >= 0 && s->password.secret)
                r = headers_append_basic(l, s);
        if (r >= 0 && key.secret)
                r = headers_append_key(l, http_profile(s->profile), &key);
        return r;
}

static int headers_append_plain(struct curl_slist **l, const HttpSettings *s) {
        const HttpProfile *profile = http_profile(s->profile);
        int r = 0;

        STRV_FOREACH(header, s->headers) {
                r = http_headers_append(l, *header);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; profile && i < HTTP_PROFILE_HEADERS_MAX && profile->headers[i]; i++)
                if (r >= 0 && !http_headers_have(s->headers, profile->headers[i]) &&
                    !http_header_credentials_have(&s->header_credentials, profile->headers[i]))
                        r = http_headers_append(l, profile->headers[i]);
        return r;
}

/* libcurl would say that a body is a form, and wait for leave to send a long one. */
static int headers_append_body(struct curl_slist **l, const HttpSettings *s) {
        _cleanup_free_ char *type = NULL;
        int r;

        r = http_headers_append(l, "Expect:");
        if (r < 0 || http_headers_have(s->headers, "Content-Type"))
                return r;
        if (asprintf(&type, "Content-Type:%s%s", s->body ? " " : "",
                     !s->body          ? ""
                     : s->content_type ? s->content_type
                                       : "application/json") < 0)
                return -ENOMEM;
        return http_headers_append(l, type);
}

static int connect_to_make(const HttpSettings *s, struct curl_slist **ret) {
        char ip[IP_TEXT_MAX], text[IP_TEXT_MAX + 8];
        bool is_ip6 = s->resolve.ip.family == AF_INET6;

        if (!s->resolve.is_set)
                return 0;
        snprintf(text, sizeof(text), "::%s%s%s:", is_ip6 ? "[" : "", ip_format(ip, &s->resolve.ip),
                 is_ip6 ? "]" : "");
        *ret = curl_slist_append(NULL, text);
        return *ret ? 0 : -ENOMEM;
}

int http_lists_make(const HttpSettings *s, HttpLists *ret) {
        HttpLists l = {};
        int r;

        r = headers_append_plain(&l.headers, s);
        if (r >= 0)
                r = headers_append_credentials(&l.headers, s);
        if (r >= 0 && s->method == HTTP_METHOD_POST)
                r = headers_append_body(&l.headers, s);
        if (r >= 0)
                r = connect_to_make(s, &l.connect_to);
        if (r < 0)
                http_lists_done(&l);
        else
                *ret = l;
        return r;
}

void http_lists_done(HttpLists *l) {
        http_headers_free(l->headers);
        curl_slist_free_all(l->connect_to);
        *l = (HttpLists){};
}

/* -- the handle -------------------------------------------------------------------------------- */

static bool set_method(CURL *easy, const HttpSettings *s) {
        const char *body = s->body ? s->body : "";
        bool ok = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, NULL) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;

        switch ((HttpMethod) s->method) {
        case HTTP_METHOD_GET:
                return ok;
        case HTTP_METHOD_HEAD:
                return ok && curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
        case HTTP_METHOD_POST:
                return ok && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
                       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(body)) ==
                               CURLE_OK &&
                       curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK;
        }
        return false;
}

static long http_version(const HttpSettings *s) {
        if (!s->is_http2)
                return CURL_HTTP_VERSION_1_1;
        return s->is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

bool http_request_set(CURL *easy, const HttpSettings *s, const HttpLists *l) {
        const HttpTls tls = {
                .ca_certificate = s->ca_certificate,
                .revocation_list = s->revocation_list,
                .client_certificate = s->client_certificate,
                .client_key = s->client_key,
                .client_key_text = s->client_key_credential.secret,
        };

        return http_set_tls(easy, &tls) && set_method(easy, s) &&
               curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http_version(s)) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_URL, s->url) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, s->unix_socket) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_CONNECT_TO, l->connect_to) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_HTTPHEADER, l->headers) == CURLE_OK;
}
