/* SPDX-License-Identifier: MIT */
#pragma once

/* The measurements for Prometheus and its kin, from one snapshot and what the daemon says of
 * itself. */

#include "base/strbuf.h"
#include "model/actions.h"
#include "output/http-server.h"

typedef struct MetricsStats {
        const HttpCounters *http; /* borrowed */
        unsigned n_connections;
        usec_t loop_lag_usec;     /* the longest turn of the loop lately */
        usec_t lateness_usec;     /* how late its timers were at most lately */
        uint64_t log_dropped;     /* messages that the log's receiver did not take */
        uint64_t n_stalls;        /* times that the host or vitald stood still */
        usec_t restored_realtime; /* of the picture from before a restart; 0: none was taken up */
        uint64_t state_write_failures;
        const Actions *actions; /* borrowed */
} MetricsStats;

typedef enum MetricsFormat {
        METRICS_CLASSIC,     /* text/plain; version=0.0.4 */
        METRICS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
} MetricsFormat;

#define METRICS_CLASSIC_TYPE     "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void metrics_render(const Snapshot *s, const MetricsStats *stats, MetricsFormat format,
                    StrBuf *out);
