/* SPDX-License-Identifier: MIT */
#include "check/http-headers.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/text.h"

#define HEADERS_MAX       32
#define HEADER_LENGTH_MAX 4096

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
        { "Content-Length", "the request's body is as long as Body=" },
        { "Transfer-Encoding", "the request's body has none" },
        { "Expect", "the request does not wait" },
        { "Upgrade", "the connection stays HTTP/1.1; use HTTP2=yes" },
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

int http_headers_check(char *const *headers, char why[static OPTION_WHY_MAX]) {
        int r;

        if (strv_length(headers) > HEADERS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d headers", HEADERS_MAX);
                return -EINVAL;
        }
        STRV_FOREACH(header, headers) {
                r = header_check(*header, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool http_headers_have(char *const *headers, const char *header) {
        size_t n = strcspn(header, ":");

        STRV_FOREACH(h, headers)
                if (strcspn(*h, ":") == n && strncasecmp(*h, header, n) == 0)
                        return true;
        return false;
}

bool http_header_credentials_have(const HeaderCredentials *l, const char *header) {
        size_t n = strcspn(header, ":");

        for (size_t i = 0; i < l->n; i++)
                if (header_is(header, n, l->items[i].header))
                        return true;
        return false;
}
