/* SPDX-License-Identifier: MIT */
#pragma once

/* What a failed stream means for a check. For drivers that speak a protocol of their own over
 * io/stream.h. */

#include "io/stream.h"
#include "model/check-type.h"

/* A fail, or an error `resource` when it was our own lack. address is the one dialled. */
void result_stream(Result *ret, const Address *address, const StreamFailure *f);

/* Says in the message when the addresses were the resolver's last good ones. For the run that
 * dialled. */
void result_note_stream(Result *r, const Stream *s);

/* Adds the value `certificate`, the days until the peer's expires; nothing without TLS. */
void result_add_certificate(Result *r, const Stream *s);

/* What the settings' address points at. */
void target_set_address(CheckTarget *ret, const Address *address);

/* The phases of a run, for check_run_set_phase(). */
#define STREAM_PHASE_MAX (ADDRESS_TEXT_MAX + 16)

/* "resolving cache.internal", "connecting to 10.0.0.7:6379" or "in the TLS handshake". Returns buf.
 */
const char *stream_phase_text(char buf[static STREAM_PHASE_MAX], const Address *address,
                              StreamPhase phase);
