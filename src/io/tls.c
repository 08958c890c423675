/* SPDX-License-Identifier: MIT */
#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/fd.h"
#include "base/text.h"

#define FILE_MAX   (4 * 1024 * 1024) /* takes all authorities of a system */
#define READ_BYTES 4096

struct TlsContext {
        SSL_CTX *ssl; /* owned */
};

struct TlsSession {
        SSL *ssl;      /* owned */
        BIO *in, *out; /* of ssl */
        char *name;    /* owned */
        bool is_open, lacks_certificate;
        char error[TLS_WHY_MAX];
};

DEFINE_CLEANUP(BIO *, BIO_free);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);

/* -- files ------------------------------------------------------------------------------------- */

typedef STACK_OF(X509_INFO) PemItems;

static void pem_items_freep(PemItems **items) {
        sk_X509_INFO_pop_free(*items, X509_INFO_free);
}

/* OpenSSL's words for what failed last. */
static const char *error_text(void) {
        const char *text = ERR_reason_error_string(ERR_peek_last_error());

        return text ? text : "unknown error";
}

/* A key with a passphrase would be asked for at the terminal. */
static int no_passphrase(char *buf _unused_, int size _unused_, int rw _unused_,
                         void *userdata _unused_) {
        return 0;
}

/* A BIO that reads the file's copy in *text. */
static int pem_open(const char *path, char **text, BIO **ret, char why[static TLS_WHY_MAX]) {
        size_t n;
        int r;

        r = file_read(path, FILE_MAX, text, &n);
        if (r < 0) {
                snprintf(why, TLS_WHY_MAX, "%s: %s", path, strerror(-r));
                return r == -ENOMEM ? r : -EINVAL;
        }
        *ret = BIO_new_mem_buf(*text, (int) n);
        return *ret ? 0 : -ENOMEM;
}

static int pem_read(const char *path, PemItems **ret, char why[static TLS_WHY_MAX]) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(BIO_freep) BIO *bio = NULL;
        int r;

        r = pem_open(path, &text, &bio, why);
        if (r < 0)
                return r;
        *ret = PEM_X509_INFO_read_bio(bio, NULL, no_passphrase, NULL);
        if (*ret)
                return 0;
        snprintf(why, TLS_WHY_MAX, "%s: %s", path, error_text());
        return -EINVAL;
}

/* Certificates and revocation lists, whichever the file holds. */
static int context_trust_file(SSL_CTX *ssl, const char *path, char why[static TLS_WHY_MAX]) {
        _cleanup_(pem_items_freep) PemItems *items = NULL;
        X509_STORE *store = SSL_CTX_get_cert_store(ssl);
        int r, n_taken = 0;

        r = pem_read(path, &items, why);
        if (r < 0)
                return r;
        for (int i = 0; i < sk_X509_INFO_num(items); i++) {
                const X509_INFO *item = sk_X509_INFO_value(items, i);

                if ((item->x509 && X509_STORE_add_cert(store, item->x509) != 1) ||
                    (item->crl && X509_STORE_add_crl(store, item->crl) != 1))
                        return -ENOMEM;
                n_taken += item->x509 || item->crl;
        }
        if (n_taken > 0)
                return 0;
        snprintf(why, TLS_WHY_MAX, "%s: there is nothing of use in it", path);
        return -EINVAL;
}

/* The first certificate is ours, the others go with it. */
static int context_use_certificate(SSL_CTX *ssl, const char *path, char why[static TLS_WHY_MAX]) {
        _cleanup_(pem_items_freep) PemItems *items = NULL;
        bool has_own = false;
        int r;

        r = pem_read(path, &items, why);
        if (r < 0)
                return r;
        for (int i = 0; i < sk_X509_INFO_num(items); i++) {
                X509 *certificate = sk_X509_INFO_value(items, i)->x509;

                if (!certificate)
                        continue;
                if (has_own ? SSL_CTX_add1_chain_cert(ssl, certificate) != 1
                            : SSL_CTX_use_certificate(ssl, certificate) != 1) {
                        snprintf(why, TLS_WHY_MAX, "%s: %s", path, error_text());
                        return -EINVAL;
                }
                has_own = true;
        }
        if (has_own)
                return 0;
        snprintf(why, TLS_WHY_MAX, "%s: there is no certificate in it", path);
        return -EINVAL;
}

static int context_use_key(SSL_CTX *ssl, const TlsFiles *f, char why[static TLS_WHY_MAX]) {
        const char *path = f->client_key ? f->client_key : f->client_certificate;
        _cleanup_free_ char *text = NULL;
        _cleanup_(BIO_freep) BIO *bio = NULL;
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        int r = 0;

        if (f->client_key_text)
                bio = BIO_new_mem_buf(f->client_key_text, -1);
        else
                r = pem_open(path, &text, &bio, why);
        if (r < 0 || !bio)
                return r < 0 ? r : -ENOMEM;
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        if (text)
                explicit_bzero(text, strlen(text));
        if (key && SSL_CTX_use_PrivateKey(ssl, key) == 1)
                return 0;
        snprintf(why, TLS_WHY_MAX, "%s: the key cannot be used: %s",
                 f->client_key_text ? "credential" : path, error_text());
        return -EINVAL;
}

const char *tls_authorities(void) {
        return X509_get_default_cert_dir();
}

/* Never by the environment's SSL_CERT_FILE, which other programs honour. */
static int context_trust_system(SSL_CTX *ssl) {
        if (SSL_CTX_load_verify_file(ssl, X509_get_default_cert_file()) != 1)
                ERR_clear_error(); /* as a rule there is only the directory */
        return SSL_CTX_load_verify_dir(ssl, tls_authorities()) == 1 ? 0 : -ENOMEM;
}

/* -- contexts ---------------------------------------------------------------------------------- */

/* The peer asked for a certificate and there is none to give. */
static int on_certificate_wanted(SSL *ssl, void *userdata _unused_) {
        TlsSession *s = SSL_get_app_data(ssl);

        s->lacks_certificate = !SSL_get_certificate(ssl);
        return 1;
}

/* The system's authorities last: they take 20 ms, which nobody shall pay again and again because a
 * file of his own is bad. */
static int context_load(SSL_CTX *ssl, const TlsFiles *f, char why[static TLS_WHY_MAX]) {
        int r;

        if (f->client_certificate) {
                r = context_use_certificate(ssl, f->client_certificate, why);
                if (r >= 0)
                        r = context_use_key(ssl, f, why);
                if (r < 0)
                        return r;
        }
        if (f->revocations) {
                r = context_trust_file(ssl, f->revocations, why);
                if (r < 0)
                        return r;
                X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_CRL_CHECK);
        }
        return f->authorities ? context_trust_file(ssl, f->authorities, why)
                              : context_trust_system(ssl);
}

int tls_context_new(const TlsFiles *files, TlsContext **ret, char why[static TLS_WHY_MAX]) {
        _cleanup_(tls_context_freep) TlsContext *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        ERR_clear_error();
        c->ssl = SSL_CTX_new(TLS_client_method());
        if (!c->ssl || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1)
                return -ENOMEM;
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_cert_cb(c->ssl, on_certificate_wanted, NULL);
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS); /* sessions are held for long */
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION);
        r = context_load(c->ssl, files, why);
        ERR_clear_error();
        if (r < 0)
                return r;
        *ret = TAKE(c);
        return 0;
}

TlsContext *tls_context_free(TlsContext *c) {
        if (!c)
                return NULL;
        SSL_CTX_free(c->ssl);
        free(c);
        return NULL;
}

/* -- sessions ---------------------------------------------------------------------------------- */

/* The final dot of a full name stands in no certificate. */
static int session_set_name(TlsSession *s, const char *name) {
        X509_VERIFY_PARAM *p = SSL_get0_param(s->ssl);
        _cleanup_free_ char *host = NULL;
        size_t n = strlen(name);

        if (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1)
                return 0;
        if (n > 0 && name[n - 1] == '.')
                n--;
        host = strndup(name, n);
        if (!host || SSL_set_tlsext_host_name(s->ssl, host) != 1 ||
            SSL_set1_host(s->ssl, host) != 1)
                return -ENOMEM;
        SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        return 0;
}

int tls_session_new(TlsContext *c, const char *name, TlsSession **ret) {
        _cleanup_(tls_session_freep) TlsSession *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->name = strdup(name);
        s->ssl = SSL_new(c->ssl);
        s->in = BIO_new(BIO_s_mem());
        s->out = BIO_new(BIO_s_mem());
        if (!s->name || !s->ssl || !s->in || !s->out) {
                BIO_free(s->in);
                BIO_free(s->out);
                return -ENOMEM;
        }
        SSL_set_bio(s->ssl, s->in, s->out);
        (void) SSL_set_app_data(s->ssl, s);
        SSL_set_connect_state(s->ssl);
        r = session_set_name(s, name);
        ERR_clear_error();
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

TlsSession *tls_session_free(TlsSession *s) {
        if (!s)
                return NULL;
        SSL_free(s->ssl);
        free(s->name);
        free(s);
        return NULL;
}

static void session_take_output(TlsSession *s, StrBuf *out) {
        char *bytes;
        long n = BIO_get_mem_data(s->out, &bytes);

        if (n > 0)
                strbuf_append_bytes(out, bytes, (size_t) n);
        (void) BIO_reset(s->out);
}

static TlsProgress session_fail(TlsSession *s) {
        snprintf(s->error, sizeof(s->error), "%s", error_text());
        return TLS_FAILED;
}

static bool session_goes_on(const TlsSession *s, int code) {
        return SSL_get_error(s->ssl, code) == SSL_ERROR_WANT_READ;
}

/* From version 1.3 on the server judges our certificate when all is open for us. */
static TlsProgress session_settle(TlsSession *s, size_t n) {
        char byte;
        int code;

        if (!s->lacks_certificate || SSL_version(s->ssl) < TLS1_3_VERSION)
                return TLS_OPEN;
        code = SSL_read(s->ssl, &byte, sizeof(byte));
        if (code <= 0 && SSL_get_error(s->ssl, code) != SSL_ERROR_ZERO_RETURN &&
            !session_goes_on(s, code))
                return session_fail(s);
        return code <= 0 && (n == 0 || SSL_has_pending(s->ssl)) ? TLS_OPEN_IN_DOUBT : TLS_OPEN;
}

static TlsProgress session_advance(TlsSession *s, size_t n) {
        int code;

        if (s->is_open)
                return session_settle(s, n);
        code = SSL_do_handshake(s->ssl);
        if (code != 1)
                return session_goes_on(s, code) ? TLS_SHAKING : session_fail(s);
        s->is_open = true;
        return session_settle(s, BIO_ctrl_pending(s->in));
}

TlsProgress tls_session_shake(TlsSession *s, const void *bytes, size_t n, StrBuf *out) {
        TlsProgress progress;

        ERR_clear_error();
        if (n > 0 && BIO_write(s->in, bytes, (int) n) != (int) n)
                return session_fail(s);
        progress = session_advance(s, n);
        session_take_output(s, out);
        ERR_clear_error();
        return progress;
}

/* All that has come so far. */
static TlsProgress session_read(TlsSession *s, StrBuf *plain) {
        char buf[READ_BYTES];
        int n;

        while ((n = SSL_read(s->ssl, buf, sizeof(buf))) > 0)
                strbuf_append_bytes(plain, buf, (size_t) n);
        if (session_goes_on(s, n))
                return TLS_OPEN;
        return SSL_get_error(s->ssl, n) == SSL_ERROR_ZERO_RETURN ? TLS_ENDED : session_fail(s);
}

TlsProgress tls_session_take(TlsSession *s, const void *bytes, size_t n, StrBuf *plain,
                             StrBuf *out) {
        TlsProgress progress = TLS_OPEN;
        int code;

        ERR_clear_error();
        if (n > 0 && BIO_write(s->in, bytes, (int) n) != (int) n)
                return session_fail(s);
        if (!s->is_open) {
                code = SSL_do_handshake(s->ssl);
                s->is_open = code == 1;
                if (!s->is_open)
                        progress = session_goes_on(s, code) ? TLS_SHAKING : session_fail(s);
        }
        if (s->is_open)
                progress = session_read(s, plain);
        session_take_output(s, out);
        ERR_clear_error();
        return progress;
}

int tls_session_seal(TlsSession *s, const void *bytes, size_t n, StrBuf *out) {
        int code;

        ERR_clear_error();
        code = n > 0 ? SSL_write(s->ssl, bytes, (int) n) : 0;
        session_take_output(s, out);
        ERR_clear_error();
        return code == (int) n ? 0 : -EPROTO;
}

void tls_session_end(TlsSession *s, StrBuf *out) {
        (void) SSL_shutdown(s->ssl);
        session_take_output(s, out);
        ERR_clear_error();
}

/* -- what is known ----------------------------------------------------------------------------- */

const char *tls_session_name(const TlsSession *s) {
        return s->name;
}

const char *tls_session_error(const TlsSession *s) {
        return s->error;
}

bool tls_session_lacks_certificate(const TlsSession *s) {
        return s->lacks_certificate;
}

static usec_t time_usec(const ASN1_TIME *t) {
        struct tm tm;
        time_t sec;

        if (ASN1_TIME_to_tm(t, &tm) != 1)
                return 0;
        sec = timegm(&tm);
        return sec < 0 ? 0 : usec_mul(USEC_PER_SEC, (uint64_t) sec);
}

static void subject_of(const X509 *certificate, char buf[static TLS_SUBJECT_MAX]) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        long n;

        buf[0] = 0;
        if (!bio)
                return;
        (void) X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
        n = BIO_get_mem_data(bio, &text);
        text_sanitize(buf, TLS_SUBJECT_MAX, text, n > 0 ? (size_t) n : 0);
        BIO_free(bio);
}

/* The chain as it was built; what the peer sent where none could be. */
static void peer_set_expiry(const SSL *ssl, TlsPeer *p) {
        const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
        const X509 *first = NULL;

        if (p->verify != X509_V_OK || !chain)
                chain = SSL_get_peer_cert_chain(ssl);
        p->expires_usec = USEC_INFINITY;
        for (int i = 0; i < sk_X509_num(chain); i++) {
                const X509 *certificate = sk_X509_value(chain, i);
                usec_t expires_usec = time_usec(X509_get0_notAfter(certificate));

                if (expires_usec >= p->expires_usec)
                        continue;
                p->expires_usec = expires_usec;
                first = certificate;
        }
        if (first)
                subject_of(first, p->subject);
}

TlsPeer tls_peer_of(const void *ssl) {
        TlsPeer p = {
                .version = SSL_get_version(ssl),
                .has_certificate = SSL_get0_peer_certificate(ssl),
                .verify = SSL_get_verify_result(ssl),
        };

        p.verify_text = X509_verify_cert_error_string(p.verify);
        if (p.has_certificate)
                peer_set_expiry(ssl, &p);
        return p;
}

static int on_request(SSL *ssl, void *userdata) {
        bool *lacks_certificate = userdata;

        *lacks_certificate = !SSL_get_certificate(ssl);
        return 1;
}

void tls_note_request(void *ssl_ctx, bool *lacks_certificate) {
        (void) SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION);
        SSL_CTX_set_cert_cb(ssl_ctx, on_request, lacks_certificate);
}

TlsPeer tls_session_peer(const TlsSession *s) {
        return tls_peer_of(s->ssl);
}
