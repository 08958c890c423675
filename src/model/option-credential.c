/* SPDX-License-Identifier: MIT */
#include "model/option.h"

#include <errno.h>

#include "base/text.h"

/* Messages here never quote the value: who confuses the name of a credential with the credential
 * would read it in the journal. */

/* A file's name, as systemd accepts it for LoadCredential=. */
static bool credential_name_is_valid(const char *s, size_t n) {
        return n > 0 && n <= CREDENTIAL_NAME_MAX && s[0] != '.' &&
               strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@+-") ==
                       n;
}

static void secret_free(char *s) {
        if (s)
                explicit_bzero(s, strlen(s));
        free(s);
}

static void credential_done(Credential *c) {
        free(c->name);
        secret_free(c->secret);
        *c = (Credential){};
}

/* What a digest may hold of a secret: enough to see that it changed, too little to find it by
 * trying. */
static void credential_print(const Credential *c, StrBuf *out) {
        uint64_t h;

        if (!c->name)
                return;
        strbuf_append(out, c->name);
        if (!c->secret)
                return;
        h = hash_bytes(HASH_INIT, c->secret, strlen(c->secret));
        strbuf_printf(out, "#%08x", (unsigned) (uint32_t) (h ^ h >> 32));
}

static int credential_resolve(Credential *c, CredentialLookup lookup, void *userdata,
                              char why[static OPTION_WHY_MAX]) {
        char *secret;
        int r;

        if (!c->name)
                return 0;
        r = lookup(userdata, c->name, &secret, why);
        if (r < 0)
                return r;
        secret_free(c->secret);
        c->secret = secret;
        return 0;
}

/* -- one credential ---------------------------------------------------------------------------- */

/* What is shorter stands in any text by chance, and would tell by its asterisks where. So much of a
 * longer one is hidden also where the text was cut. */
#define HIDDEN_MIN 4
#define HIDDEN_CUT 8

static void credential_hide(const Credential *c, char *text) {
        size_t n = c->secret ? strlen(c->secret) : 0, same;

        if (n < HIDDEN_MIN)
                return;
        for (char *p = text; *p; p++) {
                for (same = 0; same < n && p[same] == c->secret[same];)
                        same++;
                if (same == n || same >= HIDDEN_CUT)
                        memset(p, '*', same);
        }
}

static void option_credential_hide(const void *field, char *text) {
        credential_hide(field, text);
}

static int option_credential_parse(const Option *o _unused_, const char *value, void *field,
                                   char why[static OPTION_WHY_MAX]) {
        Credential *c = field;

        if (!credential_name_is_valid(value, strlen(value))) {
                snprintf(why, OPTION_WHY_MAX,
                         "not a credential's name (letters, digits, \"_.@+-\"); the secret itself "
                         "does not stand here");
                return -EINVAL;
        }
        c->name = strdup(value);
        return c->name ? 0 : -ENOMEM;
}

static void option_credential_clear(void *field) {
        credential_done(field);
}

static void option_credential_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        credential_print(field, out);
}

static int option_credential_resolve(void *field, CredentialLookup lookup, void *userdata,
                                     char why[static OPTION_WHY_MAX]) {
        return credential_resolve(field, lookup, userdata, why);
}

/* -- credentials for HTTP headers -------------------------------------------------------------- */

static int header_parse(const Option *o _unused_, const char *value, void *field,
                        char why[static OPTION_WHY_MAX]) {
        size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "!#$%&'*+-.^_`|~");
        const char *name = value + n;
        HeaderCredentials *l = field;
        HeaderCredential new = {}, *items;

        if (*name == ':')
                name += 1 + strspn(name + 1, " \t");
        if (n == 0 || value[n] != ':' || !credential_name_is_valid(name, strlen(name))) {
                snprintf(why, OPTION_WHY_MAX,
                         "not a header and a credential's name, such as \"Authorization: "
                         "orders-token\"; the secret itself does not stand here");
                return -EINVAL;
        }
        if (l->n >= HEADER_CREDENTIALS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d headers", HEADER_CREDENTIALS_MAX);
                return -ERANGE;
        }
        new.header = strndup(value, n);
        new.credential.name = strdup(name);
        items = reallocarray(l->items, l->n + 1, sizeof(HeaderCredential));
        if (items)
                l->items = items;
        if (!items || !new.header || !new.credential.name) {
                free(new.header);
                free(new.credential.name);
                return -ENOMEM;
        }
        items[l->n++] = new;
        return 0;
}

static void header_clear(void *field) {
        HeaderCredentials *l = field;

        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].header);
                credential_done(&l->items[i].credential);
        }
        free(l->items);
        *l = (HeaderCredentials){};
}

static void header_hide(const void *field, char *text) {
        const HeaderCredentials *l = field;

        for (size_t i = 0; i < l->n; i++)
                credential_hide(&l->items[i].credential, text);
}

static void header_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const HeaderCredentials *l = field;

        for (size_t i = 0; i < l->n; i++) {
                strbuf_printf(out, "%s: ", l->items[i].header);
                credential_print(&l->items[i].credential, out);
                strbuf_append(out, "\n");
        }
}

static int header_resolve(void *field, CredentialLookup lookup, void *userdata,
                          char why[static OPTION_WHY_MAX]) {
        HeaderCredentials *l = field;
        int r;

        for (size_t i = 0; i < l->n; i++) {
                Credential *c = &l->items[i].credential;

                r = credential_resolve(c, lookup, userdata, why);
                if (r < 0)
                        return r;
                /* A line break would end the header and begin another. */
                if (c->secret && strpbrk(c->secret, "\r\n")) {
                        snprintf(why, OPTION_WHY_MAX,
                                 "Credential %s has a line break, which no header can hold",
                                 c->name);
                        return -EINVAL;
                }
        }
        return 0;
}

const OptionType option_credential = {
        .expected = "a credential's name",
        .parse = option_credential_parse,
        .clear = option_credential_clear,
        .canonical = option_credential_canonical,
        .resolve = option_credential_resolve,
        .hide = option_credential_hide,
        .size = sizeof(Credential),
};

const OptionType option_header_credential = {
        .expected = "a header and a credential's name",
        .is_list = true,
        .parse = header_parse,
        .clear = header_clear,
        .canonical = header_canonical,
        .resolve = header_resolve,
        .hide = header_hide,
        .size = sizeof(HeaderCredentials),
};
