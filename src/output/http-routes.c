/* SPDX-License-Identifier: MIT */
#include "output/http-routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "output/render.h"

#define PATH_MAX_BYTES 256 /* longer than any route with any service */

/* Answers kept at a time; what falls on the same place is rendered again. */
#define CACHE_SLOTS 64

/* Measurements are dear to render and change with every request, so they may be so old. */
#define METRICS_AGE_USEC USEC_PER_SEC

#define JSON_TYPE  "application/json"
#define PLAIN_TYPE "text/plain; charset=utf-8"

/* What can be asked for. */
typedef struct Page {
        const char *content_type;
        unsigned (*status)(const RenderView *v);
        void (*render)(const RenderView *v, StrBuf *out);
} Page;

typedef struct Route {
        const char *path;
        const Page *page;
        bool has_services; /* path/SERVICE is the same for one service */
} Route;

/* Everything that an answer depends on, beside the snapshot. */
typedef struct CacheKey {
        const Page *page; /* NULL: nothing */
        size_t service;
        bool with_detail, is_options;
} CacheKey;

typedef struct CacheSlot {
        CacheKey key;
        HttpAnswer *answer; /* owned reference */
        usec_t made_usec;
} CacheSlot;

struct HttpRoutes {
        Publisher *publisher; /* borrowed */
        HttpRoutesStats stats;
        void *userdata;                   /* borrowed */
        HttpAnswer *not_found, *asterisk; /* owned references */
        uint64_t sequence;                /* of the snapshot that the answers were made from */
        CacheSlot cache[CACHE_SLOTS];
};

/* -- pages ------------------------------------------------------------------------------------ */

static unsigned status_live(const RenderView *v) {
        return render_verdict(v)->live == LIVENESS_ALIVE ? 200 : 503;
}

static unsigned status_ready(const RenderView *v) {
        const Verdict *verdict = render_verdict(v);

        if (verdict->ready != READINESS_READY)
                return 503;
        return verdict->is_degraded ? (unsigned) v->snapshot->config->http.degraded_status : 200;
}

static unsigned status_started(const RenderView *v) {
        return render_verdict(v)->started == STARTUP_STARTED ? 200 : 503;
}

static unsigned status_report(const RenderView *v) {
        return render_verdict(v)->ready == READINESS_READY
                       ? 200
                       : (unsigned) v->snapshot->config->http.down_status;
}

static unsigned status_components(const RenderView *v) {
        return render_verdict(v)->ready == READINESS_READY ? 200 : 500;
}

static unsigned status_always(const RenderView *v _unused_) {
        return 200;
}

static const Page page_root = { PLAIN_TYPE, status_ready, render_root };
static const Page page_live = { JSON_TYPE, status_live, render_live };
static const Page page_ready = { JSON_TYPE, status_ready, render_ready };
static const Page page_started = { JSON_TYPE, status_started, render_started };
static const Page page_status = { JSON_TYPE, status_report, render_status };
static const Page page_components_status = { JSON_TYPE, status_components, render_status };
static const Page page_components_ready = { JSON_TYPE, status_ready, render_components_ready };
static const Page page_components_live = { PLAIN_TYPE, status_live, render_components_live };

/* Rendered with the daemon's own figures, see routes_render(). */
static const Page page_metrics = { METRICS_CLASSIC_TYPE, status_always, NULL };
static const Page page_openmetrics = { METRICS_OPENMETRICS_TYPE, status_always, NULL };

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
        { "/metrics", &page_metrics },
};

/* What Layout=components has instead of the above. */
static const Route components_routes[] = {
        { "/health", &page_components_status },
        { "/ready", &page_components_ready },
        { "/live", &page_components_live },
};

/* -- from a path to a page -------------------------------------------------------------------- */

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return (c | 0x20) - 'a' + 10; /* the parser has seen to it that it is one */
}

/* One slash at the end makes no difference. */
static HttpSlice path_trim(HttpSlice path) {
        if (path.length > 1 && path.start[path.length - 1] == '/')
                path.length--;

        return path;
}

/* Without percent-codes. False if it can be no path of ours. */
static bool path_decode(char ret[static PATH_MAX_BYTES], HttpSlice path) {
        size_t n = 0;

        for (size_t i = 0; i < path.length; i++) {
                char c = path.start[i];

                if (c == '%') {
                        c = (char) (hex_digit(path.start[i + 1]) << 4 |
                                    hex_digit(path.start[i + 2]));
                        i += 2;
                }
                if (c == 0 || n + 1 >= PATH_MAX_BYTES)
                        return false;
                ret[n++] = c;
        }

        ret[n] = 0;
        return true;
}

/* Whether the route is meant; ret_service is INDEX_NONE where the host is. */
static bool route_matches(const Route *route, const char *path, const Config *config,
                          size_t *ret_service) {
        size_t n = strlen(route->path), service;

        if (strncmp(path, route->path, n) != 0)
                return false;
        if (path[n] == 0) {
                *ret_service = INDEX_NONE;
                return true;
        }
        if (!route->has_services || path[n] != '/')
                return false;

        service = config_find_service(config, path + n + 1);
        if (service == INDEX_NONE)
                return false;

        *ret_service = service;
        return true;
}

static const Page *routes_find(const Route *routes, size_t n, const char *path,
                               const Config *config, size_t *ret_service) {
        for (size_t i = 0; i < n; i++)
                if (route_matches(&routes[i], path, config, ret_service))
                        return routes[i].page;

        return NULL;
}

/* The path that answers for this one, or NULL. An alias is spelled as the requests for it. */
static const char *alias_find(const HttpConfig *http, HttpSlice path) {
        for (size_t i = 0; i < http->aliases.n; i++) {
                const HttpAlias *alias = &http->aliases.items[i];
                HttpSlice own = path_trim((HttpSlice){ alias->path, strlen(alias->path) });

                if (own.length == path.length && memcmp(own.start, path.start, own.length) == 0)
                        return alias->target;
        }

        return NULL;
}

static const Page *page_find(const Config *config, HttpSlice raw, size_t *ret_service) {
        HttpSlice trimmed = path_trim(raw);
        const char *path = alias_find(&config->http, trimmed);
        char decoded[PATH_MAX_BYTES];
        const Page *page = NULL;

        if (!path) {
                if (!path_decode(decoded, trimmed))
                        return NULL;
                path = decoded;
        }

        if (config->http.layout == HTTP_LAYOUT_COMPONENTS)
                page = routes_find(components_routes, ELEMENTSOF(components_routes), path, config,
                                   ret_service);
        if (!page)
                page = routes_find(standard_routes, ELEMENTSOF(standard_routes), path, config,
                                   ret_service);

        return page;
}

/* Prometheus lists the formats that it takes; the others, and people, get the older one. */
static bool wants_openmetrics(const HttpRequest *request) {
        return request->accept.start &&
               memmem(request->accept.start, request->accept.length, "application/openmetrics-text",
                      strlen("application/openmetrics-text"));
}

/* -- answers ---------------------------------------------------------------------------------- */

static void routes_render(HttpRoutes *r, const CacheKey *key, const RenderView *v, StrBuf *out) {
        MetricsStats stats = {};

        if (key->page->render) {
                key->page->render(v, out);
                return;
        }

        r->stats(r->userdata, &stats);
        metrics_render(v->snapshot, &stats,
                       key->page == &page_openmetrics ? METRICS_OPENMETRICS : METRICS_CLASSIC, out);
}

static HttpAnswer *routes_make(HttpRoutes *r, const CacheKey *key, const Snapshot *s) {
        RenderView v = { .snapshot = s, .service = key->service, .with_detail = key->with_detail };
        _cleanup_strbuf_ StrBuf body = {};
        char fields[128];

        snprintf(fields, sizeof(fields), "X-Health: %s\r\nX-Health-Sequence: %llu\r\n%s",
                 verdict_summary(render_verdict(&v)), (unsigned long long) s->sequence,
                 key->is_options ? "Allow: " HTTP_ALLOW "\r\n" : "");
        if (!key->is_options)
                routes_render(r, key, &v, &body);
        if (body.failed)
                return NULL;

        return http_answer_new(key->page->status(&v), key->page->content_type, fields, body.text,
                               body.length);
}

static CacheSlot *cache_slot(HttpRoutes *r, const CacheKey *key) {
        const Page *const page = key->page;
        uint64_t hash = hash_bytes(HASH_INIT, &page, sizeof(page));

        hash = hash_bytes(hash, &key->service, sizeof(key->service));
        return &r->cache[(hash + 2 * key->with_detail + key->is_options) % CACHE_SLOTS];
}

static bool slot_answers(const CacheSlot *slot, const CacheKey *key) {
        if (slot->key.page != key->page || slot->key.service != key->service ||
            slot->key.with_detail != key->with_detail || slot->key.is_options != key->is_options)
                return false;

        return key->page->render ||
               clock_usec(CLOCK_MONOTONIC) < usec_add(slot->made_usec, METRICS_AGE_USEC);
}

static void slot_clear(CacheSlot *slot) {
        http_answer_unref(slot->answer);
        *slot = (CacheSlot){};
}

static HttpAnswer *routes_answer(HttpRoutes *r, const CacheKey *key, const Snapshot *s) {
        CacheSlot *slot = cache_slot(r, key);

        if (r->sequence != s->sequence)
                for (size_t i = 0; i < CACHE_SLOTS; i++)
                        slot_clear(&r->cache[i]);
        r->sequence = s->sequence;

        if (!slot_answers(slot, key)) {
                slot_clear(slot);
                slot->answer = routes_make(r, key, s);
                if (!slot->answer)
                        return NULL;
                slot->key = *key;
                slot->made_usec = clock_usec(CLOCK_MONOTONIC);
        }

        return http_answer_ref(slot->answer);
}

HttpAnswer *http_routes_handle(void *userdata, const HttpRequest *request, const HttpPeer *peer) {
        HttpRoutes *r = userdata;
        const Snapshot *s = publisher_current(r->publisher);
        CacheKey key = {
                .with_detail = peer->is_trusted,
                .is_options = request->method == HTTP_OPTIONS,
        };

        if (request->is_asterisk)
                return http_answer_ref(r->asterisk);

        key.page = page_find(s->config, request->path, &key.service);
        if (!key.page)
                return http_answer_ref(r->not_found);
        if (key.page == &page_metrics && wants_openmetrics(request))
                key.page = &page_openmetrics;

        return routes_answer(r, &key, s);
}

/* -- life ------------------------------------------------------------------------------------- */

HttpRoutes *http_routes_free(HttpRoutes *r) {
        if (!r)
                return NULL;

        for (size_t i = 0; i < CACHE_SLOTS; i++)
                slot_clear(&r->cache[i]);
        http_answer_unref(r->not_found);
        http_answer_unref(r->asterisk);
        free(r);
        return NULL;
}

int http_routes_new(Publisher *publisher, HttpRoutesStats stats, void *userdata, HttpRoutes **ret) {
        _cleanup_(http_routes_freep) HttpRoutes *r = calloc(1, sizeof(HttpRoutes));

        if (!r)
                return -ENOMEM;

        r->publisher = publisher;
        r->stats = stats;
        r->userdata = userdata;
        r->not_found = http_answer_new_status(404, NULL);
        r->asterisk = http_answer_new_status(204, "Allow: " HTTP_ALLOW "\r\n");
        if (!r->not_found || !r->asterisk)
                return -ENOMEM;

        *ret = TAKE(r);
        return 0;
}
