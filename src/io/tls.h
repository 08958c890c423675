/* SPDX-License-Identifier: MIT */
#pragma once

/* The client's side of TLS by OpenSSL, over bytes that somebody else carries (io/stream.h): nothing
 * here touches a socket or waits. A handshake is taken to its end even when the certificate is bad,
 * so that all of it can be told; who uses the session judges tls_session_peer(). */

#include "base/clock.h"
#include "base/strbuf.h"

#define TLS_WHY_MAX     200
#define TLS_SUBJECT_MAX 80

typedef struct TlsContext TlsContext;
typedef struct TlsSession TlsSession;

/* Borrowed for the call; paths are of PEM files; NULL: none. */
typedef struct TlsFiles {
        const char *authorities;        /* NULL: those of the system */
        const char *revocations;        /* then each certificate of a chain needs a list */
        const char *client_certificate; /* and what stands between it and an authority */
        const char *client_key;         /* NULL: in the certificate's file, or below */
        const char *client_key_text;    /* PEM */
} TlsFiles;

/* The directory of the system's authorities. */
const char *tls_authorities(void);

/* What many sessions share. -ENOMEM, or -EINVAL with why, a sentence that names the file. */
int tls_context_new(const TlsFiles *files, TlsContext **ret, char why[static TLS_WHY_MAX]);

/* Sessions may live on. */
TlsContext *tls_context_free(TlsContext *c);
DEFINE_CLEANUP(TlsContext *, tls_context_free);

typedef enum TlsProgress {
        TLS_SHAKING,
        TLS_OPEN_IN_DOUBT, /* open for us, but the server asked for a certificate that we did not
                              have, and may yet refuse; an end in order means that it did not */
        TLS_OPEN,
        TLS_ENDED, /* by the peer, in order */
        TLS_FAILED,
} TlsProgress;

/* name is a host name or an IP address: what the certificate must be for. -ENOMEM. */
int tls_session_new(TlsContext *c, const char *name, TlsSession **ret);

TlsSession *tls_session_free(TlsSession *s);
DEFINE_CLEANUP(TlsSession *, tls_session_free);

/* Takes n bytes that came from the peer, none to begin with, and appends to out what is to be sent.
 */
TlsProgress tls_session_shake(TlsSession *s, const void *bytes, size_t n, StrBuf *out);

/* The same for a session that is used: TLS_SHAKING, or TLS_OPEN from then on, and what the peer has
 * said goes to plain. Whether the peer is the right one is to be judged at the first TLS_OPEN. */
TlsProgress tls_session_take(TlsSession *s, const void *bytes, size_t n, StrBuf *plain,
                             StrBuf *out);

/* Appends to out how n bytes are sent by an open session. -EPROTO when it cannot be used any more.
 */
int tls_session_seal(TlsSession *s, const void *bytes, size_t n, StrBuf *out);

/* Ends the session: appends to out what tells the peer. */
void tls_session_end(TlsSession *s, StrBuf *out);

/* What the certificate must be for. */
const char *tls_session_name(const TlsSession *s);

/* OpenSSL's words on why it failed, "wrong version number"; "" before. */
const char *tls_session_error(const TlsSession *s);

/* Whether the peer asked for a client certificate and got none. */
bool tls_session_lacks_certificate(const TlsSession *s);

/* What is known of the peer once the session is open. */
typedef struct TlsPeer {
        const char *version;           /* constant: "TLSv1.3" */
        bool has_certificate;          /* without one the rest is empty */
        long verify;                   /* X509_V_*: 0 when chain, dates and name are good */
        const char *verify_text;       /* constant: "certificate has expired" */
        usec_t expires_usec;           /* CLOCK_REALTIME: the first of the chain to do so */
        char subject[TLS_SUBJECT_MAX]; /* of that one: "CN = shop.example" */
} TlsPeer;

TlsPeer tls_session_peer(const TlsSession *s);

/* The same of a session that somebody else made: ssl is an SSL *. */
TlsPeer tls_peer_of(const void *ssl);

/* Sets *lacks_certificate when a peer asks for a client certificate and there is none to give, in a
 * handshake of somebody else's SSL_CTX *, before which it is called; no other may follow, so that
 * renegotiation is forbidden. */
void tls_note_request(void *ssl_ctx, bool *lacks_certificate);
