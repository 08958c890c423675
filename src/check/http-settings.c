/* SPDX-License-Identifier: MIT */
#include "check/http-settings.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/http-headers.h"
#include "check/http-profile.h"

#define REPLY_DEFAULT_BYTES ((uint64_t) 64 * 1024)

/* -- Resolve= ---------------------------------------------------------------------------------- */

static int resolve_parse(const Option *o _unused_, const char *value, void *field,
                         char why[static OPTION_WHY_MAX] _unused_) {
        HttpResolve *resolve = field;

        if (ip_parse(value, &resolve->ip) < 0)
                return -EINVAL;
        resolve->is_set = true;
        return 0;
}

static void resolve_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const HttpResolve *resolve = field;
        char ip[IP_TEXT_MAX];

        if (resolve->is_set)
                strbuf_append(out, ip_format(ip, &resolve->ip));
}

const OptionType option_http_resolve = {
        .expected = "an IP address such as 10.0.0.7 or fd00::7",
        .parse = resolve_parse,
        .canonical = resolve_canonical,
        .size = sizeof(HttpResolve),
};

/* -- URL= -------------------------------------------------------------------------------------- */

/* 1: yes; 0: no; -ENOMEM. */
static int url_has(CURLU *url, CURLUPart part) {
        char *text = NULL;
        CURLUcode code = curl_url_get(url, part, &text, 0);

        curl_free(text);
        return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : code == CURLUE_OK;
}

/* The part, or "" where the URL has none; false without memory. */
static bool url_part(CURLU *url, CURLUPart part, unsigned flags, size_t size, char *buf) {
        char *text = NULL;
        CURLUcode code = curl_url_get(url, part, &text, flags);

        snprintf(buf, size, "%s", code == CURLUE_OK ? text : "");
        curl_free(text);
        return code != CURLUE_OUT_OF_MEMORY;
}

/* The host as libcurl understands it, so that there are no two opinions on where it leads. */
static int url_find_server(CURLU *url, HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        char host[ADDRESS_TEXT_MAX], port[8], text[2 * ADDRESS_TEXT_MAX], zone[32];
        size_t n;
        const char *error;

        if (!url_part(url, CURLUPART_HOST, 0, sizeof(host), host) ||
            !url_part(url, CURLUPART_ZONEID, 0, sizeof(zone), zone) ||
            !url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, sizeof(port), port))
                return -ENOMEM;
        n = strlen(host);
        if (n > 0 && host[n - 1] == ']' && zone[0])
                snprintf(text, sizeof(text), "%.*s%%%s]:%s", (int) n - 1, host, zone, port);
        else
                snprintf(text, sizeof(text), "%s:%s", host, port);
        if (host[0] == '/' || address_parse(text, 0, &s->server, &error) < 0) {
                snprintf(why, OPTION_WHY_MAX, "%s",
                         host[0] == '/' ? "the host is missing: http://HOST/" : error);
                return -EINVAL;
        }
        return 0;
}

static int url_check(CURLU *url, HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        static const char *const schemes[] = { "http", "https" };
        CURLUcode code = curl_url_set(url, CURLUPART_URL, s->url, CURLU_NON_SUPPORT_SCHEME);
        char scheme[16];
        int has_user, has_password;

        if (code == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (code != CURLUE_OK) {
                snprintf(why, OPTION_WHY_MAX, "not a URL such as http://HOST:PORT/PATH: %s",
                         curl_url_strerror(code));
                return -EINVAL;
        }
        if (!url_part(url, CURLUPART_SCHEME, 0, sizeof(scheme), scheme))
                return -ENOMEM;
        s->is_tls = str_equal(scheme, schemes[1]);
        if (!s->is_tls && !str_equal(scheme, schemes[0])) {
                snprintf(why, OPTION_WHY_MAX, "the scheme is neither http nor https");
                return -EINVAL;
        }
        has_user = url_has(url, CURLUPART_USER);
        has_password = url_has(url, CURLUPART_PASSWORD);
        if (has_user < 0 || has_password < 0)
                return -ENOMEM;
        if (has_user || has_password) {
                snprintf(why, OPTION_WHY_MAX,
                         "a user and a password do not stand in a URL; use Username= and "
                         "PasswordCredential= or HeaderCredential=");
                return -EINVAL;
        }
        return url_find_server(url, s, why);
}

/* -- Profile= ---------------------------------------------------------------------------------- */

/* Whether the URL says more than which server it is. */
static bool url_has_path(const char *url) {
        const char *host = strstr(url, "://"), *path = host ? strpbrk(host + 3, "/?#") : NULL;

        return path && !str_equal(path, "/");
}

static int url_set_profile(HttpSettings *s, const HttpProfile *profile) {
        const char *server = s->url ? s->url : profile->url;
        char *url;

        if (asprintf(&url, "%.*s%s", (int) (strcspn(server + 8, "/") + 8), server, profile->path) <
            0)
                return -ENOMEM;
        free(s->url);
        s->url = url;
        return 0;
}

/* A URL with a path of its own is no list of models: then little is known of the answer. */
static int settings_take_profile(HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        const HttpProfile *profile = http_profile(s->profile);
        bool has_expectations = s->expect_json.n > 0 || s->expect_body.text;
        int r;

        if (s->max_reply == 0)
                s->max_reply = profile ? HTTP_EXPECT_MAX_BYTES : REPLY_DEFAULT_BYTES;
        if (!s->url && (!profile || !profile->url)) {
                snprintf(why, OPTION_WHY_MAX, "%s",
                         profile ? "needed, since each customer has one "
                                   "such as https://NAME.openai.azure.com"
                                 : "required, but not set");
                return -EINVAL;
        }
        if (!profile || (s->url && (url_has_path(s->url) || strlen(s->url) < strlen("http://x"))))
                return 0;
        r = url_set_profile(s, profile);
        for (size_t i = 0; i < HTTP_PROFILE_EXPECT_MAX && profile->expect_json[i]; i++)
                if (r >= 0 && !has_expectations)
                        r = json_expectations_add(&s->expect_json, profile->expect_json[i], why);
        return r;
}

/* -- the type ---------------------------------------------------------------------------------- */

typedef struct Conflict {
        bool is_there;
        const char *key, *text;
} Conflict;

static const char *conflict_find(const Conflict *conflicts, size_t n,
                                 char why[static OPTION_WHY_MAX]) {
        for (size_t i = 0; i < n; i++)
                if (conflicts[i].is_there) {
                        snprintf(why, OPTION_WHY_MAX, "%s", conflicts[i].text);
                        return conflicts[i].key;
                }
        return NULL;
}

/* The key that makes no sense beside the others, or NULL. */
static const char *connection_conflict(const HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        static const char https[] = "needs an https:// URL";
        bool has_key = s->client_key || s->client_key_credential.name;
        const Conflict conflicts[] = {
                { !s->is_tls && s->ca_certificate, "CACertificate", https },
                { !s->is_tls && s->revocation_list, "RevocationList", https },
                { !s->is_tls && s->client_certificate, "ClientCertificate", https },
                { !s->is_tls && s->certificate_warn_usec > 0, "CertificateWarn", https },
                { !s->is_tls && s->certificate_fail_usec > 0, "CertificateFail", https },
                { s->client_key && s->client_key_credential.name, "ClientKey",
                  "ClientKeyCredential= is given as well" },
                { !s->client_certificate && has_key,
                  s->client_key ? "ClientKey" : "ClientKeyCredential", "needs ClientCertificate=" },
                { s->unix_socket && strlen(s->unix_socket) > ADDRESS_PATH_MAX, "UnixSocket",
                  "the path of a unix socket is longer than 107 bytes" },
                { s->unix_socket && s->resolve.is_set, "Resolve", "UnixSocket= is given as well" },
                { s->resolve.is_set && s->server.kind != ADDRESS_NAME, "Resolve",
                  "the URL has an address instead of a host name" },
        };

        return conflict_find(conflicts, ELEMENTSOF(conflicts), why);
}

static const char *request_conflict(const HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        static const char by_header[] = "HeaderCredential= sets Authorization already",
                          by_key[] = "KeyCredential= sets Authorization already",
                          by_bearer[] = "BearerCredential= sets Authorization already";
        const HttpProfile *profile = http_profile(s->profile);
        bool has_header = http_header_credentials_have(&s->header_credentials, "Authorization");
        bool has_key = s->key.name && profile && !profile->key_header;
        const Conflict conflicts[] = {
                { s->key.name && !profile, "KeyCredential", "needs Profile=" },
                { s->key.name && profile && profile->key_header &&
                          http_header_credentials_have(&s->header_credentials, profile->key_header),
                  "KeyCredential", "HeaderCredential= sets this header already" },
                { has_key && has_header, "KeyCredential", by_header },
                { s->bearer.name && has_header, "BearerCredential", by_header },
                { s->bearer.name && has_key, "BearerCredential", by_key },
                { s->username && has_header, "Username", by_header },
                { s->username && has_key, "Username", by_key },
                { s->username && s->bearer.name, "Username", by_bearer },
                { s->username && !s->password.name, "Username", "needs PasswordCredential=" },
                { s->username && strchr(s->username, ':'), "Username",
                  "a colon cannot stand in it" },
                { s->password.name && !s->username, "PasswordCredential", "needs Username=" },
                { s->body && s->method != HTTP_METHOD_POST, "Body", "needs Method=POST" },
                { s->content_type && !s->body, "ContentType", "needs Body=" },
                { s->content_type && http_headers_have(s->headers, "Content-Type"), "ContentType",
                  "Header= sets it already" },
        };

        return conflict_find(conflicts, ELEMENTSOF(conflicts), why);
}

static const char *reply_conflict(const HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        static const char head[] = "an answer to HEAD has no body";
        const Conflict conflicts[] = {
                { s->method == HTTP_METHOD_HEAD && s->expect_body.text, "ExpectBody", head },
                { s->method == HTTP_METHOD_HEAD && s->expect_json.n > 0, "ExpectJSON", head },
                { http_settings_need_body(s) && s->max_reply > HTTP_EXPECT_MAX_BYTES, "MaxReply",
                  "of a body that is looked into at most 1M is read" },
        };

        return conflict_find(conflicts, ELEMENTSOF(conflicts), why);
}

bool http_settings_need_body(const HttpSettings *s) {
        return s->expect_body.text || s->expect_json.n > 0 || http_profile(s->profile);
}

static int url_validate(HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        CURLU *url = curl_url();
        int r;

        if (!url)
                return -ENOMEM;
        r = url_check(url, s, why);
        curl_url_cleanup(url);
        return r;
}

int http_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        static const char *(*const conflicts[])(const HttpSettings *,
                                                char[static OPTION_WHY_MAX]) = {
                connection_conflict,
                request_conflict,
                reply_conflict,
        };
        HttpSettings *s = settings;
        int r;

        *ret_key = "URL";
        r = settings_take_profile(s, why);
        if (r >= 0)
                r = url_validate(s, why);
        if (r < 0)
                return r;
        *ret_key = "Header";
        r = http_headers_check(s->headers, why);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(conflicts); i++) {
                *ret_key = conflicts[i](s, why);
                r = *ret_key ? -EINVAL : 0;
        }
        return r;
}

/* The query is left out: keys are often passed in it. */
void http_settings_describe(const void *settings, CheckTarget *ret) {
        const HttpSettings *s = settings;
        int n = (int) strcspn(s->url, "?#");
        char ip[IP_TEXT_MAX];

        ret->host[0] = 0;
        ret->is_remote = !s->unix_socket && !address_is_local(&s->server);
        if (s->unix_socket)
                snprintf(ret->text, sizeof(ret->text), "%s %.*s", s->unix_socket, n, s->url);
        else if (s->resolve.is_set) {
                snprintf(ret->text, sizeof(ret->text), "%s %.*s", ip_format(ip, &s->resolve.ip), n,
                         s->url);
                ret->is_remote = !ip_is_loopback(&s->resolve.ip);
        } else
                snprintf(ret->text, sizeof(ret->text), "%.*s", n, s->url);
        if (s->server.kind == ADDRESS_NAME && !s->unix_socket && !s->resolve.is_set)
                snprintf(ret->host, sizeof(ret->host), "%s", s->server.name);
}
