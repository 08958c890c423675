/* SPDX-License-Identifier: MIT */
#include "output/http-gate.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>

/* How many addresses are kept in mind, a few in each place. Where more ask at once than there is
 * room for, the one that has asked least is forgotten, and begins anew: this errs on the side of
 * answering. */
#define METER_PLACES 256
#define METER_WAYS   4

/* An address, and until when what it has asked for is paid for: each request costs a moment, and
 * who is more than a second ahead of the clock has to wait. Of IPv6 it is the network of 64 bits,
 * for a host has as many addresses there as it wants. */
typedef struct Meter {
        uint64_t address[2];
        usec_t paid_usec;
} Meter;

struct HttpGate {
        uint64_t seed;
        Meter meters[METER_PLACES][METER_WAYS];
};

/* -- how often -------------------------------------------------------------------------------- */

static Meter *meter_find(HttpGate *g, const struct in6_addr *address) {
        Meter *place, *least;
        uint64_t key[2], hash;

        memcpy(key, address, sizeof(key));
        if (!IN6_IS_ADDR_V4MAPPED(address))
                key[1] = 0;

        hash = (g->seed ^ key[0]) * 0x9e3779b97f4a7c15ULL;
        hash = (hash ^ hash >> 32 ^ key[1]) * 0x9e3779b97f4a7c15ULL;
        place = least = g->meters[(hash >> 40) % METER_PLACES];
        for (size_t i = 0; i < METER_WAYS; i++) {
                if (place[i].address[0] == key[0] && place[i].address[1] == key[1])
                        return &place[i];
                if (place[i].paid_usec < least->paid_usec)
                        least = &place[i];
        }

        *least = (Meter){ .address = { key[0], key[1] } };
        return least;
}

static bool gate_is_over_limit(HttpGate *g, uint64_t rate, const struct in6_addr *address) {
        Meter *m = meter_find(g, address);
        usec_t now = clock_usec(CLOCK_MONOTONIC), cost = MAX(USEC_PER_SEC / rate, (usec_t) 1);
        usec_t paid = usec_add(MAX(m->paid_usec, now), cost);

        if (paid > now + USEC_PER_SEC)
                return true;

        m->paid_usec = paid;
        return false;
}

/* -- from where ------------------------------------------------------------------------------- */

static const IpNetwork *networks_find(const Networks *networks, const struct in6_addr *address) {
        const IpNetwork *found = NULL;

        for (size_t i = 0; i < networks->n; i++)
                if (ip_network_contains(&networks->items[i], address)) {
                        found = &networks->items[i];
                        if (ip_network_is_single(found))
                                break;
                }

        return found;
}

/* -- a token ---------------------------------------------------------------------------------- */

/* Takes as long for any text of this length, whatever of it is right. */
static bool secret_equals(const char *secret, HttpSlice given) {
        size_t n = strlen(secret);
        volatile unsigned char difference = n != given.length;

        for (size_t i = 0; i < given.length; i++)
                difference =
                        (unsigned char) (difference | (given.start[i] ^ secret[n > 0 ? i % n : 0]));

        return difference == 0;
}

static bool has_token(const HttpConfig *config, const HttpRequest *request) {
        static const char scheme[] = "Bearer ";
        HttpSlice s = request->authorization;
        size_t n = strlen(scheme);

        if (!s.start || !config->token.secret || s.length <= n ||
            strncasecmp(s.start, scheme, n) != 0)
                return false;
        for (; n < s.length && s.start[n] == ' '; n++)
                ;
        return secret_equals(config->token.secret, (HttpSlice){ s.start + n, s.length - n });
}

/* --------------------------------------------------------------------------------------------- */

static bool peer_is_near(const HttpPeer *peer) {
        return peer->is_local || in6_is_loopback(&peer->address);
}

bool http_gate_lets_in(const HttpConfig *config, const HttpPeer *peer) {
        return peer_is_near(peer) || config->allow_from.n == 0 ||
               networks_find(&config->allow_from, &peer->address);
}

HttpEntry http_gate_enter(HttpGate *g, const HttpConfig *config, const HttpRequest *request,
                          const HttpPeer *peer) {
        if (!peer_is_near(peer) && (config->allow_from.n > 0 || config->rate_limit > 0)) {
                const IpNetwork *network = networks_find(&config->allow_from, &peer->address);

                if (config->allow_from.n > 0 && !network)
                        return HTTP_ENTRY_FORBIDDEN;
                if (config->rate_limit > 0 && !(network && ip_network_is_single(network)) &&
                    gate_is_over_limit(g, config->rate_limit, &peer->address))
                        return HTTP_ENTRY_LIMITED;
        }

        return peer->is_trusted || has_token(config, request) ? HTTP_ENTRY_TRUSTED
                                                              : HTTP_ENTRY_OPEN;
}

HttpGate *http_gate_free(HttpGate *g) {
        free(g);
        return NULL;
}

HttpGate *http_gate_new(void) {
        HttpGate *g = calloc(1, sizeof(HttpGate));

        if (!g)
                return NULL;

        /* Without entropy the places are merely predictable. */
        (void) !getrandom(&g->seed, sizeof(g->seed), GRND_NONBLOCK);
        return g;
}
