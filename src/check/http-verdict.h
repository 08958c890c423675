/* SPDX-License-Identifier: MIT */
#pragma once

/* What an HTTP transfer means for its check: libcurl's findings in, a result out. Pure. */

#include <curl/curl.h>

#include "check/http-settings.h"

#define HTTP_HEAD_MAX 65536 /* bytes of all heads of one reply together */

/* What is known when a transfer is over. */
typedef struct HttpReply {
        CURLcode code;
        long status;      /* 0: no status line came */
        long version;     /* CURL_HTTP_VERSION_* */
        long verify;      /* OpenSSL's verdict on the certificate, X509_V_*; 0: none */
        int error;        /* errno of what failed, 0: none known */
        const char *text; /* borrowed: libcurl's words, "" for none; not trusted */
        usec_t retry_after_usec;
        uint64_t head_bytes, body_bytes;
        const char *body; /* borrowed, n_body bytes; kept only if it is to be looked into */
        size_t n_body;
        usec_t expires_usec;  /* CLOCK_REALTIME: the first certificate to expire; 0: none */
        const char *subject;  /* borrowed: of that one */
        usec_t now_realtime;  /* when it was over */
        usec_t interval_usec; /* of the check */
        bool is_head_complete;
        bool lacks_certificate; /* the server asked for one of ours, and there is none */
        bool is_cut;            /* the body is longer than MaxReply=, the rest was not read */
} HttpReply;

/* Writes the result. Latency is left to the engine. */
void http_judge(const HttpSettings *s, const HttpReply *reply, Result *ret);

/* The same of an answer that came whole, or as much of it as is read: its status, its body, the
 * certificate of its connection.
 *
 * 429 is a warning, and asks for the pause that comes with it, at most an hour. Any other status is
 * what it is, and its pause counts for no more than the check's interval: a server that is down
 * must not say when it is looked at. */
void http_judge_answer(const HttpSettings *s, const HttpReply *reply, Result *ret);
