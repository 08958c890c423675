/* SPDX-License-Identifier: MIT */
#include "check/tls-verdict.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "base/text.h"

static const struct {
        long verify;
        const char *detail;
} verify_details[] = {
        { X509_V_ERR_CERT_NOT_YET_VALID, "not-yet-valid" },
        { X509_V_ERR_CERT_HAS_EXPIRED, "expired" },
        { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed" },
        { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "untrusted" },
        { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "untrusted" },
        { X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "untrusted" },
        { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "untrusted" },
        { X509_V_ERR_CERT_REVOKED, "revoked" },
        { X509_V_ERR_UNABLE_TO_GET_CRL, "revocation-list" },
        { X509_V_ERR_CRL_NOT_YET_VALID, "revocation-list" },
        { X509_V_ERR_CRL_HAS_EXPIRED, "revocation-list" },
        { X509_V_ERR_CRL_SIGNATURE_FAILURE, "revocation-list" },
        { X509_V_ERR_INVALID_PURPOSE, "purpose" },
        { X509_V_ERR_HOSTNAME_MISMATCH, "name" },
        { X509_V_ERR_IP_ADDRESS_MISMATCH, "name" },
        { X509_V_ERR_EE_KEY_TOO_SMALL, "weak" },
        { X509_V_ERR_CA_KEY_TOO_SMALL, "weak" },
        { X509_V_ERR_CA_MD_TOO_WEAK, "weak" },
};

static const struct {
        const char *words, *detail;
} handshake_details[] = {
        { "wrong version number", "plaintext" },
        { "packet length too long", "plaintext" },
        { "http request", "plaintext" },
        { "protocol version", "version" },
        { "unsupported protocol", "version" },
        { "certificate required", "client-certificate" },
        { "bad certificate", "client-certificate" },
        { "certificate unknown", "client-certificate" },
        { "unknown ca", "client-certificate" },
        { "key too small", "weak" },
        { "unrecognized name", "unknown-name" },
        { "subject name", "name" },
};

const char *tls_verify_detail(long verify) {
        for (size_t i = 0; i < ELEMENTSOF(verify_details); i++)
                if (verify_details[i].verify == verify)
                        return verify_details[i].detail;
        return NULL;
}

const char *tls_handshake_detail(const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(handshake_details); i++)
                if (strcasestr(text, handshake_details[i].words))
                        return handshake_details[i].detail;
        return NULL;
}

/* "self-signed certificate" is the beginning of another one's text. */
const char *tls_text_detail(const char *text) {
        const char *detail = NULL;
        size_t n_longest = 0;

        for (size_t i = 0; i < ELEMENTSOF(verify_details); i++) {
                const char *words = X509_verify_cert_error_string(verify_details[i].verify);

                if (strlen(words) <= n_longest || !strstr(text, words))
                        continue;
                n_longest = strlen(words);
                detail = verify_details[i].detail;
        }
        return detail ? detail : tls_handshake_detail(text);
}

void result_certificate(Result *r, const char *subject, usec_t expires_usec, usec_t now_usec,
                        usec_t warn_usec, usec_t fail_usec) {
        usec_t left_usec = usec_sub(expires_usec, now_usec);
        double days = expires_usec >= now_usec
                              ? (double) left_usec / (double) USEC_PER_DAY
                              : -(double) (now_usec - expires_usec) / (double) USEC_PER_DAY;
        Outcome outcome = left_usec < fail_usec   ? OUTCOME_FAIL
                          : left_usec < warn_usec ? OUTCOME_WARN
                                                  : OUTCOME_PASS;

        result_add_value(r, "certificate", days, "days");
        if (outcome == OUTCOME_PASS || !outcome_is_success(r->outcome))
                return;
        r->outcome = outcome;
        r->reason = REASON_TLS;
        result_set_detail(r, "expires");
        snprintf(r->message, sizeof(r->message), "The certificate of %s expires in %.1f days",
                 subject, days);
}

void result_tls_handshake(Result *ret, const TlsSession *s, const char *text) {
        const char *detail = tls_handshake_detail(text);
        bool lacks_certificate = tls_session_lacks_certificate(s);

        if (lacks_certificate && (!detail || str_equal(detail, "name")))
                detail = "client-certificate";
        result_fail(ret, REASON_TLS, "TLS handshake: %s%s", text,
                    lacks_certificate ? "; the server asked for a client certificate" : "");
        result_set_detail(ret, detail ? detail : "handshake");
}

bool result_tls_certificate(Result *ret, const TlsSession *s, const TlsPeer *peer) {
        const char *detail = tls_verify_detail(peer->verify);

        if (!peer->has_certificate) {
                result_fail(ret, REASON_TLS, "The server shows no certificate");
                result_set_detail(ret, "missing");
        } else if (peer->verify != 0) {
                result_fail(ret, REASON_TLS, "Certificate of %s for %s: %s", peer->subject,
                            tls_session_name(s), peer->verify_text);
                result_set_detail(ret, detail ? detail : "certificate");
        }
        return peer->has_certificate && peer->verify == 0;
}
