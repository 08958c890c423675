/* SPDX-License-Identifier: MIT */
#include "check/http-settings.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"

#define HEADERS_MAX       32
#define HEADER_LENGTH_MAX 4096

/* -- ExpectStatus= ----------------------------------------------------------------------------- */

bool status_set_has(const StatusSet *s, long status) {
        size_t i = (size_t) (status - HTTP_STATUS_MIN);

        return status >= HTTP_STATUS_MIN && status <= HTTP_STATUS_MAX &&
               s->bits[i / 8] & 1U << i % 8;
}

static void status_set_add(StatusSet *s, unsigned status) {
        size_t i = status - HTTP_STATUS_MIN;

        s->bits[i / 8] |= (uint8_t) (1U << i % 8);
}

/* Exactly three digits, "200". */
static int status_parse(const char *s, unsigned *ret) {
        unsigned v = 0;

        for (size_t i = 0; i < 3; i++) {
                if (!isdigit((unsigned char) s[i]))
                        return -EINVAL;
                v = v * 10 + (unsigned) (s[i] - '0');
        }
        if (v < HTTP_STATUS_MIN || v > HTTP_STATUS_MAX)
                return -ERANGE;
        *ret = v;
        return 0;
}

/* "200" or "200-299", n bytes long. */
static int status_range_parse(const char *s, size_t n, unsigned *ret_first, unsigned *ret_last) {
        int r;

        if (n != 3 && !(n == 7 && s[3] == '-'))
                return -EINVAL;
        r = status_parse(s, ret_first);
        if (r < 0)
                return r;
        r = status_parse(s + n - 3, ret_last);
        if (r < 0)
                return r;
        return *ret_first <= *ret_last ? 0 : -EINVAL;
}

static int status_set_parse(const Option *o _unused_, const char *value, void *field,
                            char why[static OPTION_WHY_MAX]) {
        StatusSet *set = field, parsed = *set;
        char shown[OPTION_VALUE_SHOWN_MAX];

        for (const char *p = value; *p; p += strspn(p, " \t")) {
                size_t n = strcspn(p, " \t");
                unsigned first, last;
                int r;

                r = status_range_parse(p, n, &first, &last);
                if (r < 0) {
                        snprintf(why, OPTION_WHY_MAX,
                                 "\"%s\" is not a status code from %d to %d or a range of them",
                                 text_sanitize(shown, sizeof(shown), p, n), HTTP_STATUS_MIN,
                                 HTTP_STATUS_MAX);
                        return r;
                }
                for (unsigned i = first; i <= last; i++)
                        status_set_add(&parsed, i);
                p += n;
        }
        *set = parsed;
        return 0;
}

static void status_set_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        for (long i = HTTP_STATUS_MIN; i <= HTTP_STATUS_MAX; i++)
                if (status_set_has(field, i))
                        strbuf_printf(out, " %ld", i);
}

const OptionType option_status_set = {
        .expected = "status codes and ranges of them, such as 200-299 401",
        .is_list = true,
        .parse = status_set_parse,
        .canonical = status_set_canonical,
        .size = sizeof(StatusSet),
};

/* -- URL= -------------------------------------------------------------------------------------- */

static bool url_has(CURLU *url, CURLUPart part) {
        char *text = NULL;
        CURLUcode code = curl_url_get(url, part, &text, 0);

        curl_free(text);
        return code == CURLUE_OK;
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
        if (url_has(url, CURLUPART_USER) || url_has(url, CURLUPART_PASSWORD)) {
                snprintf(why, OPTION_WHY_MAX,
                         "a user and a password do not stand in a URL; use "
                         "HeaderCredential=Authorization: NAME");
                return -EINVAL;
        }
        return url_find_server(url, s, why);
}

/* -- Header= ----------------------------------------------------------------------------------- */

/* Never configured: they hold secrets, or they would change where the request ends. */
static const struct {
        const char *name, *instead;
} headers_refused[] = {
        { "Authorization",
          "a secret: use BearerCredential=NAME or HeaderCredential=Authorization: NAME" },
        { "Proxy-Authorization", "a secret: use HeaderCredential=Proxy-Authorization: NAME" },
        { "Cookie", "a secret: use HeaderCredential=Cookie: NAME" },
        { "API-Key", "a secret: use HeaderCredential=API-Key: NAME" },
        { "X-API-Key", "a secret: use HeaderCredential=X-API-Key: NAME" },
        { "X-Auth-Token", "a secret: use HeaderCredential=X-Auth-Token: NAME" },
        { "X-Access-Token", "a secret: use HeaderCredential=X-Access-Token: NAME" },
        { "Private-Token", "a secret: use HeaderCredential=Private-Token: NAME" },
        { "X-Vault-Token", "a secret: use HeaderCredential=X-Vault-Token: NAME" },
        { "Ocp-Apim-Subscription-Key",
          "a secret: use HeaderCredential=Ocp-Apim-Subscription-Key: NAME" },
        { "Content-Length", "the request has no body" },
        { "Transfer-Encoding", "the request has no body" },
        { "Expect", "the request has no body" },
        { "Upgrade", "the connection stays HTTP/1.1" },
};

static bool header_is(const char *header, size_t n, const char *name) {
        return strlen(name) == n && strncasecmp(header, name, n) == 0;
}

static int header_check(const char *header, char why[static OPTION_WHY_MAX]) {
        static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789!#$%&'*+-.^_`|~";
        size_t n = strspn(header, token), value = n + 1;

        if (n == 0 || header[n] != ':') {
                snprintf(why, OPTION_WHY_MAX, "not a header such as \"Accept: text/plain\"");
                return -EINVAL;
        }
        value += strspn(header + value, " \t");
        if (!header[value] || strlen(header) > HEADER_LENGTH_MAX) {
                snprintf(why, OPTION_WHY_MAX, "the header's value is %s",
                         header[value] ? "too long" : "empty");
                return -EINVAL;
        }
        for (size_t i = value; header[i]; i++)
                if (iscntrl((unsigned char) header[i]) && header[i] != '\t') {
                        snprintf(why, OPTION_WHY_MAX, "a control character in the header's value");
                        return -EINVAL;
                }
        for (size_t i = 0; i < ELEMENTSOF(headers_refused); i++)
                if (header_is(header, n, headers_refused[i].name)) {
                        snprintf(why, OPTION_WHY_MAX, "%s", headers_refused[i].instead);
                        return -EINVAL;
                }
        return 0;
}

static int headers_check(const HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        int r;

        if (strv_length(s->headers) > HEADERS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d headers", HEADERS_MAX);
                return -EINVAL;
        }
        STRV_FOREACH(header, s->headers) {
                r = header_check(*header, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* -- the type ---------------------------------------------------------------------------------- */

static bool has_authorization(const HttpSettings *s) {
        for (size_t i = 0; i < s->header_credentials.n; i++)
                if (strcasecmp(s->header_credentials.items[i].header, "Authorization") == 0)
                        return true;
        return false;
}

/* The key that makes no sense beside the others, or NULL. */
static const char *settings_conflict(const HttpSettings *s, char why[static OPTION_WHY_MAX]) {
        const char *key = NULL, *text = "needs an https:// URL";

        if (!s->is_tls && s->ca_certificate)
                key = "CACertificate";
        else if (!s->is_tls && s->client_certificate)
                key = "ClientCertificate";
        else if (s->client_key && s->client_key_credential.name) {
                key = "ClientKey";
                text = "ClientKeyCredential= is given as well";
        } else if (!s->client_certificate && (s->client_key || s->client_key_credential.name)) {
                key = s->client_key ? "ClientKey" : "ClientKeyCredential";
                text = "needs ClientCertificate=";
        } else if (s->bearer.name && has_authorization(s)) {
                key = "BearerCredential";
                text = "HeaderCredential= sets Authorization already";
        } else if (s->unix_socket && strlen(s->unix_socket) > ADDRESS_PATH_MAX) {
                key = "UnixSocket";
                text = "the path of a unix socket is longer than 107 bytes";
        }
        if (key)
                snprintf(why, OPTION_WHY_MAX, "%s", text);
        return key;
}

int http_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        HttpSettings *s = settings;
        CURLU *url = curl_url();
        int r;

        if (!url)
                return -ENOMEM;
        *ret_key = "URL";
        r = url_check(url, s, why);
        curl_url_cleanup(url);
        if (r < 0)
                return r;
        *ret_key = "Header";
        r = headers_check(s, why);
        if (r < 0)
                return r;
        *ret_key = settings_conflict(s, why);
        return *ret_key ? -EINVAL : 0;
}

/* The query is left out: keys are often passed in it. */
void http_settings_describe(const void *settings, CheckTarget *ret) {
        const HttpSettings *s = settings;
        int n = (int) strcspn(s->url, "?#");

        ret->is_remote = !s->unix_socket && !address_is_local(&s->server);
        if (s->unix_socket)
                snprintf(ret->text, sizeof(ret->text), "%s %.*s", s->unix_socket, n, s->url);
        else
                snprintf(ret->text, sizeof(ret->text), "%.*s", n, s->url);
        if (s->server.kind == ADDRESS_NAME && !s->unix_socket)
                snprintf(ret->host, sizeof(ret->host), "%s", s->server.name);
        else
                ret->host[0] = 0;
}
