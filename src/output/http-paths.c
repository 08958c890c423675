/* SPDX-License-Identifier: MIT */
#include "output/http-paths.h"

#include <string.h>

#include "output/http-query.h"
#include "output/metrics.h"

#define PATH_MAX_BYTES 256 /* longer than any route with any service and check */

#define JSON_TYPE  "application/json"
#define PLAIN_TYPE "text/plain; charset=utf-8"

typedef struct Route {
        const char *path;
        const Page *page;
        bool has_services; /* path/SERVICE and path/SERVICE/CHECK are the same for less */
} Route;

/* -- pages ------------------------------------------------------------------------------------ */

static unsigned status_live(const RenderView *v) {
        return v->verdict.live == LIVENESS_ALIVE ? 200 : 503;
}

static unsigned status_ready(const RenderView *v) {
        if (v->verdict.ready != READINESS_READY)
                return 503;
        return v->verdict.is_degraded ? (unsigned) v->snapshot->config->http.degraded_status : 200;
}

static unsigned status_started(const RenderView *v) {
        return v->verdict.started == STARTUP_STARTED ? 200 : 503;
}

static unsigned status_report(const RenderView *v) {
        return v->verdict.ready == READINESS_READY
                       ? 200
                       : (unsigned) v->snapshot->config->http.down_status;
}

static unsigned status_components(const RenderView *v) {
        return v->verdict.ready == READINESS_READY ? 200 : 500;
}

static unsigned status_always(const RenderView *v _unused_) {
        return 200;
}

/* clang-format off */
const Page page_root = { PLAIN_TYPE, PROBE_READINESS, false, status_ready, render_root,
                         "Vary: Accept\r\n" };
const Page page_html = { "text/html; charset=utf-8", PROBE_READINESS, true, status_ready,
                         render_page, page_fields };
const Page page_events = { "text/event-stream", PROBE_READINESS, false, status_always, NULL };
static const Page page_live = { JSON_TYPE, PROBE_LIVENESS, false, status_live, render_live };
static const Page page_ready = { JSON_TYPE, PROBE_READINESS, false, status_ready, render_ready };
static const Page page_started = { JSON_TYPE, PROBE_STARTUP, false, status_started,
                                   render_started };
static const Page page_status = { JSON_TYPE, PROBE_READINESS, true, status_report, render_status };

static const Page page_history = { JSON_TYPE, PROBE_READINESS, true, status_always, render_history,
                                   .is_for_trusted = true };

static const Page page_components_status = { JSON_TYPE, PROBE_READINESS, true, status_components,
                                             render_status };
static const Page page_components_ready = { JSON_TYPE, PROBE_READINESS, false, status_ready,
                                            render_components_ready };
static const Page page_components_live = { PLAIN_TYPE, PROBE_LIVENESS, false, status_live,
                                           render_components_live };

const Page page_metrics = { METRICS_CLASSIC_TYPE, PROBE_READINESS, true, status_always, NULL };
const Page page_openmetrics = { METRICS_OPENMETRICS_TYPE, PROBE_READINESS, true, status_always,
                                NULL };
/* clang-format on */

static const Route standard_routes[] = {
        { "/", &page_root },
        { "/health", &page_live },
        { "/health/live", &page_live, .has_services = true },
        { "/live", &page_live },
        { "/livez", &page_live },
        { "/health/ready", &page_ready, .has_services = true },
        { "/ready", &page_ready },
        { "/readyz", &page_ready },
        { "/health/started", &page_started, .has_services = true },
        { "/startupz", &page_started },
        { "/health/status", &page_status, .has_services = true },
        { "/health/history", &page_history, .has_services = true },
        { "/metrics", &page_metrics },
        { "/events", &page_events },
};

/* What Layout=components has instead of the above. */
static const Route components_routes[] = {
        { "/health", &page_components_status },
        { "/ready", &page_components_ready },
        { "/live", &page_components_live },
};

/* -- from a path to a page -------------------------------------------------------------------- */

static HttpSlice path_trim(HttpSlice path) {
        if (path.length > 1 && path.start[path.length - 1] == '/')
                path.length--;

        return path;
}

/* Whether the verdict of the page can be that of this check. To say so of one that has no part in
 * it would be a green that means nothing. */
static bool page_has_check(const Page *page, const Config *config, size_t service,
                           const CheckConfig *check) {
        const ServiceConfig *s = &config->services[service];

        if (page->is_report || check_config_feeds(check, page->probe))
                return true;
        return page->probe == PROBE_STARTUP && check_config_feeds(check, PROBE_READINESS) &&
               !service_has_startup_checks(s, config->checks + s->first_check);
}

/* "SERVICE" or "SERVICE/CHECK"; takes the text apart. */
static bool route_find_name(const Page *page, char *name, const Config *config, HttpTarget *ret) {
        char *slash = strchr(name, '/');

        if (slash)
                *slash = 0;
        ret->service = config_find_service(config, name);
        if (ret->service == INDEX_NONE || !slash)
                return ret->service != INDEX_NONE;

        ret->check = config_find_check(config, name, slash + 1);
        return ret->check != INDEX_NONE &&
               page_has_check(page, config, ret->service, config->checks[ret->check]);
}

static bool routes_find(const Route *routes, size_t n_routes, char *path, const Config *config,
                        HttpTarget *ret) {
        for (size_t i = 0; i < n_routes; i++) {
                const Route *route = &routes[i];
                size_t n = strlen(route->path);

                if (strncmp(path, route->path, n) != 0)
                        continue;
                ret->page = route->page;
                if (path[n] == 0)
                        return true;
                if (route->has_services && path[n] == '/')
                        return route_find_name(route->page, path + n + 1, config, ret);
        }

        return false;
}

/* The path, perhaps with a query, that answers for this one; start is NULL without one. An alias is
 * spelled as the requests for it. */
static HttpSlice alias_find(const HttpConfig *http, HttpSlice path) {
        for (size_t i = 0; i < http->aliases.n; i++) {
                const HttpAlias *alias = &http->aliases.items[i];
                HttpSlice own = path_trim((HttpSlice){ alias->path, strlen(alias->path) });

                if (own.length == path.length && memcmp(own.start, path.start, own.length) == 0)
                        return (HttpSlice){ alias->target, strlen(alias->target) };
        }

        return (HttpSlice){};
}

bool http_path_find(const Config *config, HttpSlice path, HttpTarget *ret) {
        HttpSlice own = path_trim(path), other = alias_find(&config->http, own);
        const char *mark = other.start ? memchr(other.start, '?', other.length) : NULL;
        char decoded[PATH_MAX_BYTES];

        *ret = (HttpTarget){ .service = INDEX_NONE, .check = INDEX_NONE };
        if (mark) {
                size_t n = (size_t) (mark - other.start);

                ret->query = (HttpSlice){ mark + 1, other.length - n - 1 };
                other.length = n;
        }
        if (!http_slice_decode(other.start ? other : own, decoded, sizeof(decoded)))
                return false;

        if (config->http.layout == HTTP_LAYOUT_COMPONENTS &&
            routes_find(components_routes, ELEMENTSOF(components_routes), decoded, config, ret))
                return true;
        return routes_find(standard_routes, ELEMENTSOF(standard_routes), decoded, config, ret);
}

bool http_target_tells_readiness(const HttpTarget *t) {
        return t->check == INDEX_NONE && t->page->probe == PROBE_READINESS &&
               t->page->status != status_always && t->page != &page_html;
}

const HttpProber *http_path_next_prober(const HttpProbers *p, const Config *config, size_t service,
                                        usec_t now_usec, size_t *at) {
        const HttpProber *i;

        while ((i = http_probers_next(p, now_usec, at))) {
                HttpTarget t;

                if (!http_path_find(config, (HttpSlice){ i->route, strlen(i->route) }, &t) ||
                    !http_target_tells_readiness(&t))
                        continue;
                if (service == INDEX_NONE || t.service == service ||
                    (t.service == INDEX_NONE && config->services[service].counts_for_host &&
                     !config->services[service].is_shadow))
                        return i;
        }
        return NULL;
}
