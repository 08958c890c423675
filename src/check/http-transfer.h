/* SPDX-License-Identifier: MIT */
#pragma once

/* What drivers over libcurl have in common: how a handle is set up, where it connects, and what is
 * known when its transfer is over. */

#include "check/driver.h"
#include "check/http-verdict.h"
#include "io/multi.h"
#include "io/tls.h"

/* Lists of "Name: value", for CURLOPT_HTTPHEADER. -ENOMEM leaves the list as it was;
 * -EINVAL: a secret has a line break, which no header can hold. */
int http_headers_append(struct curl_slist **l, const char *header);
int http_headers_append_secret(struct curl_slist **l, const HeaderCredential *h);
int http_headers_append_authorization(struct curl_slist **l, const char *scheme,
                                      const Credential *secret);
void http_headers_free(struct curl_slist *l); /* and wipes them */

/* What is the same for all checks. False without memory, as below. */
bool http_set_common(CURL *easy);

/* Files and a key, all copied: settings may go while the handle stays. NULL: none. */
typedef struct HttpTls {
        const char *ca_certificate; /* NULL: those of the system */
        const char *revocation_list;
        const char *client_certificate;
        const char *client_key; /* NULL: in the certificate's file, or below */
        char *client_key_text;  /* PEM */
} HttpTls;

/* Leaves nothing of what was set before. For a handle that a call is prepared with, see below. */
bool http_set_tls(CURL *easy, const HttpTls *tls);

/* -- what all checks of a driver share ----------------------------------------------------------
 */

int http_multi_new(Engine *engine, unsigned connections_max, Multi **ret);
Multi *http_multi_free(Multi *m);

/* -- one run ------------------------------------------------------------------------------------
 */

typedef struct HttpCallHandler {
        /* Where to; asked for when it is needed, because a reload may exchange the settings. */
        const Address *(*server)(CheckRun *run);
        /* The server's addresses are known: starts the transfer. Negative errno. */
        int (*request)(CheckRun *run);
        TransferHandler done; /* userdata is the run */
        void (*finish)(CheckRun *run, Result *result);
} HttpCallHandler;

/* The way of one run to its server. Lives in the run's memory, all zero at first. The members are
 * for reading, once http_call_prepare() was there. */
typedef struct HttpCall {
        const HttpCallHandler *handler;
        CheckRun *run; /* borrowed */
        CURL *easy;    /* borrowed */
        struct curl_slist *
                *resolve; /* borrowed: the check's list of addresses, what easy borrows */
        Transfer transfer;
        ResolverQuery *query; /* owned; NULL: none under way */
        ResolveStatus why_stale;
        bool lacks_certificate;     /* the server asked for one of ours, and there is none */
        bool is_stale;              /* the addresses are the last good ones */
        TlsPeer peer;               /* of the connection in use; empty without TLS */
        char text[CURL_ERROR_SIZE]; /* libcurl's words on a failure */
} HttpCall;

/* Sets on easy what belongs to this run, or may change on a reload. handler is constant; resolve
 * outlives easy's use and is the caller's to free. */
void http_call_prepare(HttpCall *call, CheckRun *run, CURL *easy, struct curl_slist **resolve,
                       const HttpCallHandler *handler);

/* Finds the addresses of a server that has a name, and has the request made. What goes wrong later
 * than at once finishes the run. Negative errno. */
int http_call_start(HttpCall *call);

/* Starts the transfer itself, on a kept connection if there is one and it may be. -ENOMEM. */
int http_call_request(HttpCall *call, Multi *multi, bool may_be_kept);

/* A kept connection that failed is no failure of the server yet: whether what happened to a request
 * on one is worth a new connection. */
bool http_may_try_again(CURLcode code, const HttpReply *reply);

/* Finishes the run; a result that rests on old addresses says so. */
void http_call_finish(HttpCall *call, Result *result);

/* For stop(): nothing comes any more, and easy is free. */
void http_call_stop(HttpCall *call);

/* Fills in what libcurl knows when the transfer has ended. */
void http_call_complete(const HttpCall *call, CURLcode code, HttpReply *reply);
