/* SPDX-License-Identifier: MIT */
#include "check/tls-options.h"

#include <errno.h>

static const char *key_given(const TlsOptions *o) {
        const struct {
                const char *key;
                bool is_given;
        } keys[] = {
                { "ServerName", o->server_name },
                { "CACertificate", o->ca_certificate },
                { "ClientCertificate", o->client_certificate },
                { "ClientKey", o->client_key },
                { "ClientKeyCredential", o->client_key_credential.name },
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (keys[i].is_given)
                        return keys[i].key;
        return NULL;
}

const char *tls_options_fault(const TlsOptions *o, bool is_used, const Address *server,
                              const char **ret_key) {
        if (!is_used) {
                *ret_key = key_given(o);
                return *ret_key ? "needs TLS=yes" : NULL;
        }
        if (server->kind == ADDRESS_UNIX && !o->server_name) {
                *ret_key = "ServerName";
                return "needed with the path of a unix socket";
        }
        if (o->client_key && o->client_key_credential.name) {
                *ret_key = "ClientKey";
                return "ClientKeyCredential= is given as well";
        }
        if (!o->client_certificate && (o->client_key || o->client_key_credential.name)) {
                *ret_key = o->client_key ? "ClientKey" : "ClientKeyCredential";
                return "needs ClientCertificate=";
        }
        return NULL;
}

const char *tls_options_name(const TlsOptions *o, const Address *server,
                             char buf[static IP_TEXT_MAX]) {
        if (o->server_name)
                return o->server_name;
        return server->kind == ADDRESS_IP ? ip_format(buf, &server->ip) : server->name;
}

int tls_keeper_renew(TlsKeeper *k, const TlsOptions *o, usec_t max_age_usec, Result *ret) {
        TlsFiles files = {
                .authorities = o->ca_certificate,
                .revocations = o->revocation_list,
                .client_certificate = o->client_certificate,
                .client_key = o->client_key,
                .client_key_text = o->client_key_credential.secret,
        };
        usec_t now_usec = clock_usec(CLOCK_MONOTONIC);
        char why[TLS_WHY_MAX];
        int r;

        if (k->context && now_usec < k->renew_usec)
                return 0;
        tls_keeper_done(k);
        k->renew_usec = usec_add(now_usec, max_age_usec);
        r = tls_context_new(&files, &k->context, why);
        if (r == -EINVAL)
                result_error(ret, REASON_CONFIGURATION, "%s", why);
        else if (r < 0)
                result_errno(ret, r, "TLS");
        return r;
}

void tls_keeper_done(TlsKeeper *k) {
        k->context = tls_context_free(k->context);
}
