/* SPDX-License-Identifier: MIT */
#pragma once

/* The bodies that HTTP serves, each made from one snapshot and nothing else. */

#include "base/json.h"
#include "model/snapshot.h"

typedef struct RenderView {
        const Snapshot *snapshot; /* borrowed */
        size_t service;           /* INDEX_NONE: the host */
        bool with_detail; /* for readers who may see full messages; others see a text that is made
                           * from the reason */
} RenderView;

const Verdict *render_verdict(const RenderView *v);
const ProbeSince *render_since(const RenderView *v, Probe p);

/* Goes through the checks that belong into the view: those of the service, or those of every
 * service that the host's verdict rests on, and the built-in ones. */
typedef struct RenderWalk {
        size_t service, check; /* of the check that was returned last */
} RenderWalk;

#define RENDER_WALK_INIT ((RenderWalk){ .service = INDEX_NONE, .check = INDEX_NONE })

/* The next one, or NULL. */
const CheckState *render_walk_next(RenderWalk *w, const RenderView *v);

/* What the check is called in this view. */
const char *render_check_name(const RenderView *v, const CheckState *c);

/* Whether it is why the view's verdict says "degraded". */
bool render_check_degrades(const RenderView *v, const RenderWalk *w);

#define RENDER_TEXT_MAX 512

/* Why the check is not healthy: "Timeout after 1000ms". Returns buf. */
const char *render_check_error(char buf[static RENDER_TEXT_MAX], const RenderView *v,
                               const CheckState *c);

/* The same as a word: "timeout", "tls/expired", "". Returns buf. */
const char *render_check_reason(char buf[static REASON_WORD_MAX], const CheckState *c);

/* Why the verdict is a bad one where no check is the cause: "Drained by root: new kernel". Returns
 * buf. */
const char *render_obstacle(char buf[static RENDER_TEXT_MAX], const RenderView *v);

/* /health/live, /health/ready, /health/started, /health/status and the same of services. */
void render_live(const RenderView *v, StrBuf *out);
void render_ready(const RenderView *v, StrBuf *out);
void render_started(const RenderView *v, StrBuf *out);
void render_status(const RenderView *v, StrBuf *out);

/* Layout=components: /ready and /live. */
void render_components_ready(const RenderView *v, StrBuf *out);
void render_components_live(const RenderView *v, StrBuf *out);

/* / */
void render_root(const RenderView *v, StrBuf *out);
