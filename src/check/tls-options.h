/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of a check that speaks TLS over a stream, and the context that is made of them. */

#include "base/address.h"
#include "io/tls.h"
#include "model/option.h"
#include "model/result.h"

typedef struct TlsOptions {
        char *server_name;        /* owned, may be NULL */
        char *ca_certificate;     /* owned, may be NULL */
        char *revocation_list;    /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
} TlsOptions;

/* Their lines of an option table; tls is the member of Settings that holds them. */
#define TLS_OPTIONS(Settings, tls)                                                                 \
        { "ServerName", &option_string, offsetof(Settings, tls.server_name) },                     \
                { "CACertificate", &option_path, offsetof(Settings, tls.ca_certificate) },         \
                { "ClientCertificate", &option_path, offsetof(Settings, tls.client_certificate) }, \
                { "ClientKey", &option_path, offsetof(Settings, tls.client_key) }, {               \
                "ClientKeyCredential", &option_credential,                                         \
                        offsetof(Settings, tls.client_key_credential)                              \
        }

/* For CheckType.validate: what is wrong with them, and the key; NULL: nothing. is_used: TLS is
 * spoken at all. */
const char *tls_options_fault(const TlsOptions *o, bool is_used, const Address *server,
                              const char **ret_key);

/* Whose certificate it must be, and what the server is told. */
const char *tls_options_name(const TlsOptions *o, const Address *server,
                             char buf[static IP_TEXT_MAX]);

/* A context whose files are read again now and then. All zero before its first use. */
typedef struct TlsKeeper {
        TlsContext *context; /* owned; NULL: not made yet */
        usec_t renew_usec;   /* CLOCK_MONOTONIC */
} TlsKeeper;

/* Makes the context, or anew when it is older than max_age_usec. Negative errno with ret: how the
 * run is to be finished, an error `configuration` that names the file. */
int tls_keeper_renew(TlsKeeper *k, const TlsOptions *o, usec_t max_age_usec, Result *ret);

void tls_keeper_done(TlsKeeper *k);
