/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of an http check, as its options in a configuration say. Shared by driver-http.c,
 * http-request.c and http-verdict.c. */

#include "base/address.h"
#include "check/json-expect.h"
#include "check/pattern.h"
#include "check/status-set.h"
#include "model/check-type.h"

#define HTTP_REPLY_MAX_BYTES  ((uint64_t) 16 * 1024 * 1024) /* of MaxReply= */
#define HTTP_EXPECT_MAX_BYTES ((uint64_t) 1024 * 1024)      /* the same, of what is looked into */

typedef enum HttpMethod { HTTP_METHOD_GET, HTTP_METHOD_HEAD, HTTP_METHOD_POST } HttpMethod;

/* An IP address without a port. */
typedef struct HttpResolve {
        bool is_set;
        IpAddress ip;
} HttpResolve;

typedef struct HttpSettings {
        char *url;          /* owned; after validate() never NULL */
        unsigned profile;   /* index into http_profile_words */
        unsigned method;    /* HttpMethod */
        char *body;         /* owned, may be NULL: of a POST */
        char *content_type; /* owned, may be NULL: of that */
        char **headers;     /* owned: "Name: value" */
        HeaderCredentials header_credentials;
        Credential key;      /* sent as the profile wants it */
        Credential bearer;   /* of "Authorization: Bearer" */
        char *username;      /* owned, may be NULL: of "Authorization: Basic", as is */
        Credential password; /* this */
        StatusSet expect_status;
        Pattern expect_body;
        JsonExpectations expect_json;
        bool is_http2;            /* else HTTP/1.1 */
        HttpResolve resolve;      /* where the URL's host is */
        char *ca_certificate;     /* owned, may be NULL */
        char *revocation_list;    /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
        usec_t certificate_warn_usec, certificate_fail_usec; /* 0: never */
        char *unix_socket;                                   /* owned, may be NULL */
        uint64_t max_reply; /* bytes of body that are read; after validate() never 0 */
        Address server;     /* of the URL, by validate() */
        bool is_tls;        /* by validate() */
} HttpSettings;

extern const OptionType option_http_resolve; /* HttpResolve */

/* Whether the body must be kept, to be looked into. */
bool http_settings_need_body(const HttpSettings *s);

/* CheckType.validate and CheckType.describe of the type. validate() also fills in what Profile=
 * says and the configuration does not. */
int http_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
void http_settings_describe(const void *settings, CheckTarget *ret);
