/* SPDX-License-Identifier: MIT */
#include "check/stream-verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "check/resolve-verdict.h"
#include "check/tls-verdict.h"

/* Nothing came of an attempt to connect. */
static void judge_connecting(Result *ret, const Address *address, int error) {
        char text[ADDRESS_TEXT_MAX];

        result_errno(ret, error, "%s", address_format(text, address));
        /* No such interface (of a zone), or no such kind of address here. */
        if (error == ENODEV || error == EAFNOSUPPORT)
                ret->reason = REASON_UNREACHABLE;
}

/* The connection broke while it was in use. */
static void judge_open(Result *ret, const StreamFailure *f) {
        switch (f->error) {
        case 0:
                if (f->received == 0)
                        result_fail(ret, REASON_TRUNCATED, "Connection closed without a reply");
                else
                        result_fail(ret, REASON_TRUNCATED,
                                    "Connection closed after %" PRIu64
                                    " bytes, before the reply's end",
                                    f->received);
                break;
        case EMSGSIZE:
                result_fail(ret, REASON_PROTOCOL, "The reply is too long: %" PRIu64 " bytes so far",
                            f->received);
                break;
        case ECONNRESET:
        case EPIPE:
                result_fail(ret, REASON_RESET, "Connection reset after %" PRIu64 " bytes",
                            f->received);
                break;
        default:
                result_errno(ret, f->error, "After %" PRIu64 " bytes", f->received);
                break;
        }
}

/* A certificate that is bad; else the peer, or OpenSSL, has given up. */
static void judge_tls(Result *ret, const StreamFailure *f) {
        TlsPeer peer = tls_session_peer(f->tls);

        if (f->phase == STREAM_OPEN || f->error != EPROTO || *tls_session_error(f->tls) ||
            result_tls_certificate(ret, f->tls, &peer))
                result_tls_handshake(ret, f->tls, stream_failure_text(f));
}

/* A server that wants a certificate may say so, or just go, when all is open for us. */
static bool is_of_tls(const StreamFailure *f) {
        if (!f->tls || f->error == EMSGSIZE)
                return false;
        if (f->error == EPROTO || (f->phase == STREAM_SHAKING && f->error == 0))
                return true;
        return tls_session_lacks_certificate(f->tls) && f->received == 0;
}

void result_stream(Result *ret, const Address *address, const StreamFailure *f) {
        if (is_of_tls(f)) {
                judge_tls(ret, f);
                return;
        }
        switch (f->phase) {
        case STREAM_RESOLVING:
                result_resolve(ret, address->name, f->resolve);
                break;
        case STREAM_CONNECTING:
                judge_connecting(ret, address, f->error);
                break;
        case STREAM_SHAKING:
        case STREAM_OPEN:
                judge_open(ret, f);
                break;
        }
}

void result_note_stream(Result *r, const Stream *s) {
        ResolveStatus why;

        if (stream_is_stale(s, &why))
                result_note_stale(r, why);
}

void result_add_certificate(Result *r, const Stream *s) {
        TlsPeer peer;

        if (!stream_tls(s))
                return;
        peer = tls_session_peer(stream_tls(s));
        result_certificate(r, peer.subject, peer.expires_usec, clock_usec(CLOCK_REALTIME), 0, 0);
}

void target_set_address(CheckTarget *ret, const Address *address) {
        char text[ADDRESS_TEXT_MAX];

        *ret = (CheckTarget){ .is_remote = !address_is_local(address) };
        snprintf(ret->text, sizeof(ret->text), "%.*s", CHECK_TARGET_MAX - 1,
                 address_format(text, address));
        if (address->kind == ADDRESS_NAME)
                snprintf(ret->host, sizeof(ret->host), "%s", address->name);
}

const char *stream_phase_text(char buf[static STREAM_PHASE_MAX], const Address *address,
                              StreamPhase phase) {
        char text[ADDRESS_TEXT_MAX];

        if (phase == STREAM_RESOLVING && address->kind == ADDRESS_NAME)
                snprintf(buf, STREAM_PHASE_MAX, "resolving %s", address->name);
        else if (phase == STREAM_SHAKING)
                snprintf(buf, STREAM_PHASE_MAX, "%s", stream_phase_name(phase));
        else
                snprintf(buf, STREAM_PHASE_MAX, "connecting to %s", address_format(text, address));
        return buf;
}
