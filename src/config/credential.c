/* SPDX-License-Identifier: MIT */
#include "config/credential.h"

#include <errno.h>

#include "base/fd.h"
#include "base/text.h"

static int credential_read(const CredentialStore *store, const char *prefix, const char *name,
                           char **ret, size_t *ret_size) {
        _cleanup_strbuf_ StrBuf path = {};

        strbuf_printf(&path, "%s/%s%s", store->directory, prefix, name);
        return path.failed ? -ENOMEM : file_read(path.text, CREDENTIAL_MAX, ret, ret_size);
}

static size_t without_line_end(const char *s, size_t n) {
        if (n > 0 && s[n - 1] == '\n')
                n--;
        if (n > 0 && s[n - 1] == '\r')
                n--;
        return n;
}

static int credential_missing(const CredentialStore *store, const char *name,
                              char why[static OPTION_WHY_MAX]) {
        snprintf(why, OPTION_WHY_MAX, "Credential %s not configured%s", name,
                 store->is_reload ? "; one that was added needs a restart of vitald" : "");
        return -ENOENT;
}

int credential_lookup(void *userdata, const char *name, char **ret_secret,
                      char why[static OPTION_WHY_MAX]) {
        const CredentialStore *store = userdata;
        size_t size, n;
        char *text;
        int r;

        if (str_is_empty(store->directory))
                return credential_missing(store, name, why);
        r = credential_read(store, "", name, &text, &size);
        if (r == -ENOENT)
                r = credential_read(store, "vitald_", name, &text, &size);
        if (r == -ENOENT)
                return credential_missing(store, name, why);
        if (r == -ENOMEM)
                return r;
        if (r == -EFBIG) {
                snprintf(why, OPTION_WHY_MAX, "Credential %s is larger than 64 KiB", name);
                return r;
        }
        if (r < 0) {
                snprintf(why, OPTION_WHY_MAX, "Credential %s cannot be read: %s", name,
                         strerror(-r));
                return r;
        }

        n = without_line_end(text, size);
        if (n == 0) {
                snprintf(why, OPTION_WHY_MAX, "Credential %s is empty", name);
                r = -ENODATA;
        } else if (memchr(text, 0, n)) {
                snprintf(why, OPTION_WHY_MAX, "Credential %s holds a NUL byte", name);
                r = -EINVAL;
        } else {
                *ret_secret = strndup(text, n);
                r = *ret_secret ? 0 : -ENOMEM;
        }
        explicit_bzero(text, size);
        free(text);
        return r;
}

int http_token_resolve(HttpConfig *http, CredentialStore *store) {
        char why[OPTION_WHY_MAX] = "";
        int r;

        r = schema_resolve(&http_schema, http, credential_lookup, store, why);
        if (r >= 0 || r == -ENOMEM)
                return r;

        http->token_defect = strdup(why);
        return http->token_defect ? 0 : -ENOMEM;
}
