/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of an http check, as its options in a configuration say. Shared by driver-http.c and
 * http-verdict.c. */

#include "base/address.h"
#include "model/check-type.h"

#define HTTP_STATUS_MIN 100
#define HTTP_STATUS_MAX 599

/* A set of status codes. */
typedef struct StatusSet {
        uint8_t bits[(HTTP_STATUS_MAX - HTTP_STATUS_MIN) / 8 + 1];
} StatusSet;

typedef enum HttpMethod { HTTP_METHOD_GET, HTTP_METHOD_HEAD } HttpMethod;

typedef struct HttpSettings {
        char *url;       /* owned */
        unsigned method; /* HttpMethod */
        char **headers;  /* owned: "Name: value" */
        HeaderCredentials header_credentials;
        Credential bearer; /* of "Authorization: Bearer" */
        StatusSet expect_status;
        char *ca_certificate;     /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
        char *unix_socket;  /* owned, may be NULL */
        uint64_t max_reply; /* bytes of body that are read */
        Address server;     /* of the URL, by validate() */
        bool is_tls;        /* by validate() */
} HttpSettings;

extern const OptionType option_status_set; /* StatusSet: "200-299 401", a list */

bool status_set_has(const StatusSet *s, long status);

/* CheckType.validate and CheckType.describe of the type. */
int http_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
void http_settings_describe(const void *settings, CheckTarget *ret);
