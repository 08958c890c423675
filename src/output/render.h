/* SPDX-License-Identifier: MIT */
#pragma once

/* The bodies that HTTP serves, each made from one snapshot and nothing else. */

#include "base/json.h"
#include "model/snapshot.h"
#include "output/history.h"

/* What is asked for, and by whom. */
typedef struct RenderView {
        const Snapshot *snapshot; /* borrowed */
        const History *history;   /* borrowed */
        size_t service;           /* INDEX_NONE: the host */
        size_t check;             /* of the service, it alone; INDEX_NONE: all */
        const size_t *excluded;   /* borrowed: checks (by index) that are left out, ascending */
        size_t n_excluded;
        Probe probe;    /* whose verdict it is about */
        bool is_report; /* about all checks, not only those that feed the probe */
        bool is_verbose;
        bool with_detail; /* for readers who may see full messages; others see a text that is made
                           * from the reason */
        Verdict verdict;  /* by render_view_judge() */
        unsigned status;  /* of the answer */
} RenderView;

/* Finds out the verdict of what is asked for; call it first. That of a single check is as if it
 * were all there is. 0 or -ENOMEM. */
int render_view_judge(RenderView *v);

/* Whether the checks of this service (INDEX_NONE: there is none) belong into the view. */
bool render_has_service(const RenderView *v, size_t service);

/* Since when the verdict of a service or of the host is this one. */
const ProbeSince *render_since(const RenderView *v, Probe p);

/* Goes through the checks that belong into the view: those of the service, or those of every
 * service that the host's verdict rests on, and the built-in ones; without those that are left out.
 */
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

/* The check that is the worst cause of a bad verdict: the one that has been so for the longest.
 * INDEX_NONE if no check is the cause. */
size_t render_worst_check(const RenderView *v);

#define RENDER_TEXT_MAX 512

/* Why the check is not healthy: "Timeout after 1000ms". Returns buf. */
const char *render_check_error(char buf[static RENDER_TEXT_MAX], const RenderView *v,
                               const CheckState *c);

/* The same as a word: "timeout", "tls/expired", "". Returns buf. */
const char *render_check_reason(char buf[static REASON_WORD_MAX], const CheckState *c);

/* How long the last run took, or USEC_INFINITY: a latency belongs to what the check says now, so a
 * failure has none, and neither has a healthy check whose latest run failed. */
usec_t render_check_latency(const CheckState *c);

/* Why the verdict is a bad one where no check is the cause: "Drained by root: new kernel". Returns
 * buf. */
const char *render_obstacle(char buf[static RENDER_TEXT_MAX], const RenderView *v);

/* /health/live, /health/ready, /health/started, /health/status and the same of services. */
void render_live(const RenderView *v, StrBuf *out);
void render_ready(const RenderView *v, StrBuf *out);
void render_started(const RenderView *v, StrBuf *out);
void render_status(const RenderView *v, StrBuf *out);

/* /health/history */
void render_history(const RenderView *v, StrBuf *out);

/* Layout=components: /ready and /live. */
void render_components_ready(const RenderView *v, StrBuf *out);
void render_components_live(const RenderView *v, StrBuf *out);

/* /, as a line of text and for browsers. page_fields: what the latter needs among the header's. */
void render_root(const RenderView *v, StrBuf *out);
void render_page(const RenderView *v, StrBuf *out);
extern const char page_fields[];
