/* SPDX-License-Identifier: MIT */
#pragma once

/* Which path is what page, for which service and check. */

#include "output/http-parse.h"
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
