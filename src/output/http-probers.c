/* SPDX-License-Identifier: MIT */
#include "output/http-probers.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/random.h>

#include "base/text.h"

/* Where a key was found last: power of two. */
#define HINTS 256

#define RECENT_INTERVALS 3
#define RECENT_MIN_USEC  (3 * USEC_PER_SEC)

/* Who has asked once may be a person, or a load balancer's first question to us. */
#define RECENT_ONCE_USEC (10 * USEC_PER_SEC)

struct HttpProbers {
        uint64_t seed;
        uint64_t keys[HTTP_PROBERS_MAX]; /* 0: free */
        unsigned char hints[HINTS];
        HttpProber items[HTTP_PROBERS_MAX];
};

/* -- who it is --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
        return hash ^ hash >> 32;
}

/* In words of eight bytes, the last of which begins in the one before it. */
static uint64_t mix_slice(uint64_t hash, HttpSlice s) {
        size_t n = s.start ? s.length : 0;
        uint64_t word = 0;

        hash = mix(hash, n);
        if (n < sizeof(word)) {
                memcpy(&word, n > 0 ? s.start : "", n);
                return mix(hash, word);
        }
        for (size_t i = 0; i + sizeof(word) < n; i += sizeof(word)) {
                memcpy(&word, s.start + i, sizeof(word));
                hash = mix(hash, word);
        }
        memcpy(&word, s.start + n - sizeof(word), sizeof(word));
        return mix(hash, word);
}

static uint64_t key_of(const HttpProbers *p, const HttpRequest *request, const HttpPeer *peer) {
        uint64_t words[2], hash = p->seed;

        if (!peer->is_local) {
                memcpy(words, &peer->address, sizeof(words));
                hash = mix(mix(hash, words[0]), words[1]);
        }
        hash = mix_slice(hash, request->path);
        return mix_slice(hash, request->user_agent) | 1;
}

/* -- the table --------------------------------------------------------------------------------- */

static size_t find(const HttpProbers *p, uint64_t key) {
        for (size_t i = 0; i < HTTP_PROBERS_MAX; i++)
                if (p->keys[i] == key)
                        return i;
        return HTTP_PROBERS_MAX;
}

/* A free place, else that of the one who was silent for longest. */
static size_t make_room(const HttpProbers *p) {
        size_t oldest = 0;

        for (size_t i = 0; i < HTTP_PROBERS_MAX; i++) {
                if (p->keys[i] == 0)
                        return i;
                if (p->items[i].seen_usec < p->items[oldest].seen_usec)
                        oldest = i;
        }
        return oldest;
}

static HttpProber *add(HttpProbers *p, uint64_t key, const HttpRequest *request,
                       const HttpPeer *peer) {
        HttpSlice agent = request->user_agent;
        size_t place = make_room(p);
        HttpProber *i = &p->items[place];

        *i = (HttpProber){ .is_local = peer->is_local, .address = peer->address };
        text_sanitize(i->route, sizeof(i->route), request->path.start, request->path.length);
        text_sanitize(i->agent, sizeof(i->agent), agent.start ? agent.start : "",
                      agent.start ? agent.length : 0);
        p->keys[place] = key;
        p->hints[key >> 8 & (HINTS - 1)] = (unsigned char) place;
        return i;
}

/* NULL: it has not asked before. */
static HttpProber *known(HttpProbers *p, uint64_t key) {
        unsigned char *hint = &p->hints[key >> 8 & (HINTS - 1)];

        if (p->keys[*hint] != key) {
                size_t place = find(p, key);

                if (place == HTTP_PROBERS_MAX)
                        return NULL;
                *hint = (unsigned char) place;
        }
        return &p->items[*hint];
}

/* Where several ask under one name the longer pauses count, and fade when they do not come again.
 */
static usec_t interval_after(const HttpProber *i, usec_t now_usec) {
        usec_t pause = usec_sub(now_usec, i->seen_usec);

        if (pause > HTTP_PROBER_PERIOD_MAX)
                return 0;
        return pause >= i->interval_usec ? MAX(pause, (usec_t) 1)
                                         : i->interval_usec - (i->interval_usec - pause) / 8;
}

void http_probers_note(HttpProbers *p, const HttpRequest *request, const HttpPeer *peer,
                       unsigned status, bool is_ready, usec_t now_usec) {
        uint64_t key = key_of(p, request, peer);
        HttpProber *i = known(p, key);

        if (i)
                i->interval_usec = interval_after(i, now_usec);
        else
                i = add(p, key, request, peer);
        i->seen_usec = now_usec;
        i->status = status;
        i->n_not_ready = is_ready ? 0 : i->n_not_ready + 1;
}

/* Names that were cut short are those of nobody who asks again. */
static bool is_whole(const char *text, size_t size) {
        return strlen(text) + 1 < size;
}

void http_probers_recall(HttpProbers *p, const HttpProber *item) {
        HttpRequest request = {
                .path = { item->route, strlen(item->route) },
                .user_agent = { item->agent, strlen(item->agent) },
        };
        HttpPeer peer = { .is_local = item->is_local, .address = item->address };
        uint64_t key = key_of(p, &request, &peer);
        HttpProber *i;

        if (!is_whole(item->route, sizeof(item->route)) ||
            !is_whole(item->agent, sizeof(item->agent)) || known(p, key))
                return;
        i = add(p, key, &request, &peer);
        i->seen_usec = item->seen_usec;
        i->interval_usec = item->interval_usec;
        i->status = item->status;
}

static usec_t recent_usec(const HttpProber *i) {
        usec_t span = RECENT_INTERVALS * i->interval_usec;

        if (i->interval_usec == 0)
                return RECENT_ONCE_USEC;
        return MAX(MIN(span, HTTP_PROBER_PERIOD_MAX), RECENT_MIN_USEC);
}

const HttpProber *http_probers_next(const HttpProbers *p, usec_t now_usec, size_t *at) {
        while (*at < HTTP_PROBERS_MAX) {
                size_t place = (*at)++;
                const HttpProber *i = &p->items[place];

                if (p->keys[place] != 0 && usec_sub(now_usec, i->seen_usec) <= recent_usec(i))
                        return i;
        }
        return NULL;
}

const char *http_prober_address(char buf[static INET6_ADDRSTRLEN], const HttpProber *p) {
        const struct in6_addr *a = &p->address;

        if (p->is_local)
                return "local";
        return IN6_IS_ADDR_V4MAPPED(a) ? inet_ntop(AF_INET, &a->s6_addr[12], buf, INET6_ADDRSTRLEN)
                                       : inet_ntop(AF_INET6, a, buf, INET6_ADDRSTRLEN);
}

HttpProbers *http_probers_free(HttpProbers *p) {
        free(p);
        return NULL;
}

HttpProbers *http_probers_new(void) {
        HttpProbers *p = calloc(1, sizeof(HttpProbers));

        if (!p)
                return NULL;

        /* Without entropy the places are merely predictable. */
        (void) !getrandom(&p->seed, sizeof(p->seed), GRND_NONBLOCK);
        return p;
}
