/* SPDX-License-Identifier: MIT */
#include "output/http-routes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "output/dialect.h"
#include "output/http-gate.h"
#include "output/http-paths.h"
#include "output/http-query.h"

/* Answers kept at a time; what falls on the same place is rendered again. */
#define CACHE_SLOTS 64

/* Measurements are dear to render and change with every request, so they may be so old. */
#define METRICS_AGE_USEC USEC_PER_SEC

#define ETAG_MAX 24

/* Who loses the connection comes back after so many milliseconds. */
#define EVENTS_BEGIN "retry: 3000\n\n"

#define PLAIN_TYPE "text/plain; charset=utf-8"

/* Everything that an answer depends on, beside the snapshot. */
typedef struct CacheKey {
        const Page *page;       /* NULL: nothing */
        const Dialect *dialect; /* NULL: the page's own */
        size_t service, check;
        bool with_detail, is_options, is_verbose;
        size_t n_excluded;
        size_t excluded[HTTP_EXCLUDED_MAX]; /* ascending */
} CacheKey;

typedef struct CacheSlot {
        CacheKey key;
        HttpAnswer *answer;       /* owned reference */
        HttpAnswer *not_modified; /* owned reference: for who has the body already; or NULL */
        char etag[ETAG_MAX];      /* "": the body is for once */
        bool is_ready;            /* what it says, if it is asked for readiness */
        usec_t made_usec;
} CacheSlot;

struct HttpRoutes {
        Publisher *publisher; /* borrowed */
        HttpRoutesStats stats;
        void *userdata;                                         /* borrowed */
        const History *history;                                 /* borrowed */
        HttpProbers *probers;                                   /* borrowed */
        HttpGate *gate;                                         /* owned */
        HttpAnswer *not_found, *asterisk, *forbidden, *limited; /* owned references */
        HttpAnswer *events; /* owned reference: how a stream begins */
        uint64_t sequence;  /* of the snapshot that the answers were made from */
        CacheSlot cache[CACHE_SLOTS];
};

/* -- rendering -------------------------------------------------------------------------------- */

static void routes_render(HttpRoutes *r, const CacheKey *key, const RenderView *v, StrBuf *out) {
        MetricsStats stats = {};

        if (key->dialect) {
                key->dialect->render(v, out);
                return;
        }
        if (key->page->render) {
                key->page->render(v, out);
                return;
        }

        r->stats(r->userdata, &stats);
        metrics_render(v->snapshot, &stats,
                       key->page == &page_openmetrics ? METRICS_OPENMETRICS : METRICS_CLASSIC, out);
}

static void fields_append(StrBuf *out, const CacheSlot *slot, const RenderView *v) {
        strbuf_printf(out, "X-Health: %s\r\nX-Health-Sequence: %" PRIu64 "\r\n",
                      verdict_summary(&v->verdict), v->snapshot->sequence);
        if (*slot->etag)
                strbuf_printf(out, "ETag: %s\r\n", slot->etag);
        if (slot->key.page->fields)
                strbuf_append(out, slot->key.page->fields);
        if (slot->key.is_options)
                strbuf_append(out, "Allow: " HTTP_ALLOW "\r\n");
}

/* Only who was told yes may be told that nothing has changed: others go by the status. */
static int slot_set_etag(CacheSlot *slot, const RenderView *v, const StrBuf *body) {
        _cleanup_strbuf_ StrBuf fields = {};

        snprintf(slot->etag, sizeof(slot->etag), "\"%016" PRIx64 "\"",
                 hash_bytes(HASH_INIT, body->text, body->length));
        fields_append(&fields, slot, v);
        if (fields.failed)
                return -ENOMEM;

        slot->not_modified = http_answer_new(304, NULL, fields.text, NULL, 0);
        return slot->not_modified ? 0 : -ENOMEM;
}

static RenderView key_view(const HttpRoutes *r, const CacheKey *key, const Snapshot *s) {
        return (RenderView){
                .snapshot = s,
                .history = r->history,
                .service = key->service,
                .check = key->check,
                .excluded = key->excluded,
                .n_excluded = key->n_excluded,
                .probe = key->page->probe,
                .is_report = key->page->is_report,
                .is_verbose = key->is_verbose,
                .with_detail = key->with_detail,
        };
}

static int slot_fill(HttpRoutes *r, CacheSlot *slot, const Snapshot *s) {
        const Page *page = slot->key.page;
        const Dialect *dialect = slot->key.dialect;
        bool is_always_ok = dialect && dialect->is_always_ok;
        RenderView v = key_view(r, &slot->key, s);
        _cleanup_strbuf_ StrBuf body = {}, fields = {};
        int e;

        e = render_view_judge(&v);
        if (e < 0)
                return e;
        v.status = is_always_ok ? 200 : page->status(&v);
        slot->is_ready = v.verdict.ready == READINESS_READY;
        if (!slot->key.is_options)
                routes_render(r, &slot->key, &v, &body);
        if (body.failed)
                return -ENOMEM;
        if (v.status == 200 && page->render && !is_always_ok && !slot->key.is_options) {
                e = slot_set_etag(slot, &v, &body);
                if (e < 0)
                        return e;
        }

        fields_append(&fields, slot, &v);
        if (fields.failed)
                return -ENOMEM;
        slot->answer =
                http_answer_new(v.status, dialect ? dialect->content_type : page->content_type,
                                fields.text, body.text, body.length);
        return slot->answer ? 0 : -ENOMEM;
}

/* -- the cache -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
        return (hash ^ value) * 0x9e3779b97f4a7c15ULL;
}

static CacheSlot *cache_slot(HttpRoutes *r, const CacheKey *key) {
        uint64_t hash = mix(0, (uintptr_t) key->page);

        hash = mix(hash, (uintptr_t) key->dialect);
        hash = mix(hash, key->service);
        hash = mix(hash, key->check);
        hash = mix(hash, 4U * key->with_detail + 2U * key->is_options + key->is_verbose);
        for (size_t i = 0; i < key->n_excluded; i++)
                hash = mix(hash, key->excluded[i]);
        return &r->cache[(hash >> 32) % CACHE_SLOTS];
}

static bool slot_answers(const CacheSlot *slot, const CacheKey *key) {
        const CacheKey *own = &slot->key;

        if (own->page != key->page || own->dialect != key->dialect ||
            own->is_verbose != key->is_verbose || own->service != key->service ||
            own->check != key->check || own->with_detail != key->with_detail ||
            own->is_options != key->is_options || own->n_excluded != key->n_excluded)
                return false;
        for (size_t i = 0; i < key->n_excluded; i++)
                if (own->excluded[i] != key->excluded[i])
                        return false;

        return key->page->render ||
               clock_usec(CLOCK_MONOTONIC) < usec_add(slot->made_usec, METRICS_AGE_USEC);
}

static void slot_clear(CacheSlot *slot) {
        http_answer_unref(slot->answer);
        http_answer_unref(slot->not_modified);
        *slot = (CacheSlot){};
}

/* The answer to this question, rendered once a snapshot. NULL without memory. */
static const CacheSlot *routes_answer(HttpRoutes *r, const CacheKey *key, const Snapshot *s) {
        CacheSlot *slot = cache_slot(r, key);

        if (r->sequence != s->sequence)
                for (size_t i = 0; i < CACHE_SLOTS; i++)
                        slot_clear(&r->cache[i]);
        r->sequence = s->sequence;

        if (!slot_answers(slot, key)) {
                slot_clear(slot);
                slot->key = *key;
                if (slot_fill(r, slot, s) < 0) {
                        slot_clear(slot);
                        return NULL;
                }
                slot->made_usec = clock_usec(CLOCK_MONOTONIC);
        }

        return slot;
}

/* -- questions -------------------------------------------------------------------------------- */

static bool accepts(const HttpRequest *request, const char *type) {
        return request->accept.start &&
               memmem(request->accept.start, request->accept.length, type, strlen(type));
}

/* Prometheus lists the formats that it takes; the others, and people, get the older one. */
static bool wants_openmetrics(const HttpRequest *request) {
        return accepts(request, "application/openmetrics-text");
}

/* Browsers list it; others get a line of text. */
static bool wants_html(const CacheKey *key, const HttpRequest *request, const HttpQuery *query) {
        return key->page == &page_root && !query->format.start && accepts(request, "text/html");
}

/* Whether If-None-Match lists it, or anything. Our tags are quoted, so none is part of another. */
static bool matches_etag(const HttpRequest *request, const char *etag) {
        HttpSlice list = request->if_none_match;

        if (!list.start || request->method == HTTP_OPTIONS || !*etag)
                return false;
        return (list.length == 1 && list.start[0] == '*') ||
               memmem(list.start, list.length, etag, strlen(etag));
}

/* A check of the view by the name that it has there; INDEX_NONE. */
static size_t view_find_check(const RenderView *v, const char *name) {
        const Config *config = v->snapshot->config;
        const char *slash = strchr(name, '/');
        char service[NAME_LENGTH_MAX + 1];
        size_t check;

        if (v->service != INDEX_NONE)
                check = config_find_check(config, config->services[v->service].name, name);
        else if (!slash)
                check = config_find_check(config, SERVICE_BARE, name);
        else if ((size_t) (slash - name) < sizeof(service)) {
                snprintf(service, sizeof(service), "%.*s", (int) (slash - name), name);
                check = config_find_check(config, service, slash + 1);
        } else
                check = INDEX_NONE;

        if (check == INDEX_NONE || !render_has_service(v, config_service_of(config, check)) ||
            !str_equal(render_check_name(v, v->snapshot->checks[check]), name))
                return INDEX_NONE;
        return check;
}

static HttpAnswer *answer_unknown_check(const RenderView *v, const char *name) {
        RenderWalk walk = RENDER_WALK_INIT;
        _cleanup_strbuf_ StrBuf body = {};
        char shown[CHECK_ID_MAX];
        const CheckState *c;

        strbuf_printf(&body, "There is no check \"%s\" to exclude. Known are:\n",
                      text_sanitize(shown, sizeof(shown), name, strlen(name)));
        while ((c = render_walk_next(&walk, v)))
                strbuf_printf(&body, "%s\n", render_check_name(v, c));
        if (body.failed)
                return NULL;

        return http_answer_new(400, PLAIN_TYPE, NULL, body.text, body.length);
}

static HttpAnswer *answer_unknown_format(void) {
        _cleanup_strbuf_ StrBuf body = {};

        strbuf_append(&body, "There is no such format. Known are:\n");
        dialect_append_names(&body);
        strbuf_append(&body, "\n");
        if (body.failed)
                return NULL;

        return http_answer_new(400, PLAIN_TYPE, NULL, body.text, body.length);
}

/* Who does not say in so many words gets what the path has by itself, unless he asks for details
 * as of Kubernetes. */
static bool key_choose_dialect(CacheKey *key, const HttpRequest *request, const HttpQuery *query) {
        if (query->format.start)
                return dialect_find(query->format, &key->dialect);

        if (request->accept.start)
                key->dialect = dialect_accept(request->accept);
        if (!key->dialect && query->is_verbose)
                return dialect_find(
                        (HttpSlice){ DIALECT_VERBOSE_NAME, strlen(DIALECT_VERBOSE_NAME) },
                        &key->dialect);
        if (key->dialect && str_equal(key->dialect->content_type, key->page->content_type))
                key->dialect = NULL;
        return true;
}

static void key_exclude(CacheKey *key, size_t check) {
        size_t at = 0;

        while (at < key->n_excluded && key->excluded[at] < check)
                at++;
        if (at < key->n_excluded && key->excluded[at] == check)
                return;

        memmove(key->excluded + at + 1, key->excluded + at,
                (key->n_excluded - at) * sizeof(key->excluded[0]));
        key->excluded[at] = check;
        key->n_excluded++;
}

/* Puts what the query leaves out into the key. False: *ret is the answer. A single check is all
 * that there is. */
static bool key_take_excluded(const HttpRoutes *r, CacheKey *key, const Snapshot *s,
                              const HttpQuery *query, HttpAnswer **ret) {
        RenderView v = key_view(r, key, s);

        for (size_t i = 0; key->check == INDEX_NONE && i < query->n_excluded; i++) {
                char name[CHECK_ID_MAX] = "";
                size_t check;

                check = http_slice_decode(query->excluded[i], name, sizeof(name))
                                ? view_find_check(&v, name)
                                : INDEX_NONE;
                if (check == INDEX_NONE) {
                        *ret = answer_unknown_check(&v, name);
                        return false;
                }
                key_exclude(key, check);
        }

        return true;
}

/* What is asked for beside the path. Measurements are nobody's verdict, and in no dialect. False:
 * *ret is the answer. */
static bool key_take_query(const HttpRoutes *r, CacheKey *key, const Snapshot *s,
                           const HttpRequest *request, HttpSlice own, HttpAnswer **ret) {
        HttpQuery query;

        if (!key->page->render) {
                if (wants_openmetrics(request))
                        key->page = &page_openmetrics;
                return true;
        }
        if (own.length == 0 && request->query.length == 0 && !request->accept.start)
                return true; /* as load balancers ask */
        if (key->page->is_for_trusted)
                return true;

        query = (HttpQuery){};
        if (!http_query_parse(own, &query) || !http_query_parse(request->query, &query))
                *ret = http_answer_new_status(400, NULL);
        else if (wants_html(key, request, &query)) {
                key->page = &page_html;
                return key_take_excluded(r, key, s, &query, ret);
        } else if (!key_choose_dialect(key, request, &query))
                *ret = answer_unknown_format();
        else {
                key->is_verbose = query.is_verbose;
                return key_take_excluded(r, key, s, &query, ret);
        }
        return false;
}

HttpAnswer *http_routes_handle(void *userdata, const HttpRequest *request, const HttpPeer *peer) {
        HttpRoutes *r = userdata;
        const Snapshot *s = publisher_current(r->publisher);
        HttpAnswer *refusal = NULL;
        const CacheSlot *slot;
        HttpAnswer *answer;
        HttpTarget target;
        HttpEntry entry;
        CacheKey key;

        entry = http_gate_enter(r->gate, &s->config->http, request, peer);
        if (entry == HTTP_ENTRY_FORBIDDEN)
                return http_answer_ref(r->forbidden);
        if (entry == HTTP_ENTRY_LIMITED)
                return http_answer_ref(r->limited);
        if (request->is_asterisk)
                return http_answer_ref(r->asterisk);
        if (!http_path_find(s->config, request->path, &target))
                return http_answer_ref(r->not_found);
        if (target.page->is_for_trusted && entry != HTTP_ENTRY_TRUSTED)
                return http_answer_ref(r->forbidden);
        if (target.page == &page_events)
                return http_answer_ref(r->events);

        key = (CacheKey){
                .page = target.page,
                .service = target.service,
                .check = target.check,
                .with_detail = entry == HTTP_ENTRY_TRUSTED,
                .is_options = request->method == HTTP_OPTIONS,
        };
        if (!key_take_query(r, &key, s, request, target.query, &refusal))
                return refusal;

        slot = routes_answer(r, &key, s);
        if (!slot)
                return NULL;
        answer = matches_etag(request, slot->etag) ? slot->not_modified : slot->answer;
        target.page = key.page;
        if (http_target_tells_readiness(&target))
                http_probers_note(r->probers, request, peer, answer->status, slot->is_ready,
                                  clock_usec(CLOCK_MONOTONIC_COARSE));
        return http_answer_ref(answer);
}

/* -- life ------------------------------------------------------------------------------------- */

HttpRoutes *http_routes_free(HttpRoutes *r) {
        if (!r)
                return NULL;

        for (size_t i = 0; i < CACHE_SLOTS; i++)
                slot_clear(&r->cache[i]);
        http_answer_unref(r->not_found);
        http_answer_unref(r->asterisk);
        http_answer_unref(r->forbidden);
        http_answer_unref(r->limited);
        http_gate_free(r->gate);
        http_answer_unref(r->events);
        free(r);
        return NULL;
}

int http_routes_new(Publisher *publisher, const History *history, HttpProbers *probers,
                    HttpRoutesStats stats, void *userdata, HttpRoutes **ret) {
        _cleanup_(http_routes_freep) HttpRoutes *r = calloc(1, sizeof(HttpRoutes));

        if (!r)
                return -ENOMEM;

        r->publisher = publisher;
        r->history = history;
        r->probers = probers;
        r->stats = stats;
        r->userdata = userdata;
        r->not_found = http_answer_new_status(404, NULL);
        r->asterisk = http_answer_new_status(204, "Allow: " HTTP_ALLOW "\r\n");
        r->forbidden = http_answer_new_status(403, NULL);
        r->limited = http_answer_new_status(429, "Retry-After: " HTTP_GATE_RETRY_SEC "\r\n");
        r->gate = http_gate_new();
        r->events = http_answer_new_stream(page_events.content_type, EVENTS_BEGIN);
        if (!r->not_found || !r->asterisk || !r->forbidden || !r->limited || !r->gate || !r->events)
                return -ENOMEM;

        *ret = TAKE(r);
        return 0;
}
