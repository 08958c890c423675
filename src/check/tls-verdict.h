/* SPDX-License-Identifier: MIT */
#pragma once

/* What OpenSSL says, as the word behind the reason `tls`, and the grade of a certificate's days.
 * For all drivers that speak TLS. Pure. */

#include "io/tls.h"
#include "model/result.h"

/* The word for a verdict on a certificate, X509_V_ERR_*: "expired"; NULL: none of its own. */
const char *tls_verify_detail(long verify);

/* The word for what went wrong in a handshake, from OpenSSL's text: "plaintext"; NULL: none. */
const char *tls_handshake_detail(const char *text);

/* The same for whatever holds OpenSSL's text on either, as libraries tell it; NULL: none. */
const char *tls_text_detail(const char *text);

/* Adds the value `certificate`, the days until expires_usec, and makes a success a warning or a
 * failure `tls/expires` when less than warn_usec or fail_usec is left. subject is for the message.
 */
void result_certificate(Result *r, const char *subject, usec_t expires_usec, usec_t now_usec,
                        usec_t warn_usec, usec_t fail_usec);

/* A fail: the handshake did not end well. text says why, tls_session_error() or what the stream
 * says. */
void result_tls_handshake(Result *ret, const TlsSession *s, const char *text);

/* Whether the peer's certificate is good; otherwise a fail. */
bool result_tls_certificate(Result *ret, const TlsSession *s, const TlsPeer *peer);
