/* SPDX-License-Identifier: MIT */
#pragma once

/* What drivers over libcurl have in common: how a handle is set up, where it connects, and what is
 * known when its transfer is over. */

#include "check/http-verdict.h"
#include "io/multi.h"
#include "io/resolver.h"

/* Lists of "Name: value", for CURLOPT_HTTPHEADER. -ENOMEM leaves the list as it was. */
int http_headers_append(struct curl_slist **l, const char *header);
int http_headers_append_secret(struct curl_slist **l, const HeaderCredential *h);
int http_headers_append_bearer(struct curl_slist **l, const Credential *token);
void http_headers_free(struct curl_slist *l); /* and wipes them */

/* What is the same for all checks. False without memory, as below. */
bool http_set_common(CURL *easy);

/* Files and a key, all copied: settings may go while the handle stays. NULL: none. */
typedef struct HttpTls {
        const char *ca_certificate; /* NULL: those of the system */
        const char *client_certificate;
        const char *client_key; /* NULL: in the certificate's file, or below */
        char *client_key_text;  /* PEM */
} HttpTls;

/* Leaves nothing of what was set before. */
bool http_set_tls(CURL *easy, const HttpTls *tls);

/* Lets the next transfer connect to these addresses of the server, which has a name; answer has
 * some. list is what the handle borrows, the caller's to free. -ENOMEM. */
int http_set_addresses(CURL *easy, struct curl_slist **list, const Address *server,
                       const ResolverAnswer *answer);

/* Fills in what libcurl knows when a transfer has ended; text is its CURLOPT_ERRORBUFFER. */
void http_reply_complete(HttpReply *reply, const Transfer *t, CURLcode code, const char *text);
