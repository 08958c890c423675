/* SPDX-License-Identifier: MIT */
#pragma once

/* Which path is what page, for which service and check. */

#include "output/http-parse.h"
#include "output/http-probers.h"
#include "output/render.h"

/* What can be asked for. */
typedef struct Page {
        const char *content_type;
        Probe probe;    /* whose verdict it tells */
        bool is_report; /* on all checks, not only on those that feed the probe */
        unsigned (*status)(const RenderView *v);
        void (*render)(const RenderView *v, StrBuf *out); /* NULL: measurements */
        const char *fields;                               /* more lines for the header, or NULL */
        bool is_for_trusted;                              /* others get 403; in no dialect */
} Page;

/* The others that stand behind the same paths, and the one that never ends. */
extern const Page page_root, page_html, page_metrics, page_openmetrics, page_events;

typedef struct HttpTarget {
        const Page *page;      /* constant */
        size_t service, check; /* INDEX_NONE: the host; all of its checks */
        HttpSlice query;       /* that an alias brings along; of the configuration */
} HttpTarget;

/* False: there is no such path. One slash at its end makes no difference. */
bool http_path_find(const Config *config, HttpSlice path, HttpTarget *ret);

/* Whether what is answered there says if this service, or the host, is ready; one check alone, and
 * what a browser shows, is nobody's traffic. */
bool http_target_tells_readiness(const HttpTarget *t);

/* As http_probers_next(), of those that a drain of the service is told: who asks for it, and who
 * asks for the host if the service counts there. INDEX_NONE, the host: all. */
const HttpProber *http_path_next_prober(const HttpProbers *p, const Config *config, size_t service,
                                        usec_t now_usec, size_t *at);
