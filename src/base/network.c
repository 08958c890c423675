/* SPDX-License-Identifier: MIT */
#include "base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/parse.h"

#define MAPPED_BITS 96 /* of ::ffff:0:0/96 */

static struct in6_addr in6_from_ip(const IpAddress *ip) {
        struct in6_addr a = {};

        if (ip->family == AF_INET6)
                return ip->in6;

        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(a.s6_addr + 12, &ip->in4, sizeof(ip->in4));
        return a;
}

/* The first bits are those of the network, the others are 0. */
static struct in6_addr in6_mask(struct in6_addr a, unsigned n_bits) {
        for (unsigned i = 0; i < 16; i++) {
                unsigned here = n_bits > 8 * i ? MIN(n_bits - 8 * i, 8U) : 0;

                a.s6_addr[i] &= (uint8_t) (0xff00U >> here);
        }

        return a;
}

static int parse_failed(const char **ret_error, const char *error) {
        *ret_error = error;
        return -EINVAL;
}

int ip_network_parse(const char *s, IpNetwork *ret, const char **ret_error) {
        const char *slash = strchr(s, '/');
        size_t n = slash ? (size_t) (slash - s) : strlen(s);
        char text[IP_TEXT_MAX];
        uint64_t bits = 0, most;
        IpNetwork network;
        IpAddress ip;

        if (n >= sizeof(text))
                return parse_failed(ret_error, "is no address");
        memcpy(text, s, n);
        text[n] = 0;
        if (ip_parse(text, &ip) < 0)
                return parse_failed(ret_error, "is no address; write 10.0.0.0/8, 2001:db8::/32 or "
                                               "192.0.2.7");

        most = ip.family == AF_INET ? 32 : 128;
        if (slash && (parse_uint64(slash + 1, &bits) < 0 || bits > most))
                return parse_failed(ret_error, "has no number of bits behind the slash");

        network = (IpNetwork){
                .address = in6_from_ip(&ip),
                .n_bits = (unsigned) (128 - most + (slash ? bits : most)),
        };
        if (IN6_IS_ADDR_V4MAPPED(&network.address) && network.n_bits < MAPPED_BITS)
                return parse_failed(ret_error, "is neither of IPv4 nor of IPv6");
        ret->address = in6_mask(network.address, network.n_bits);
        if (!IN6_ARE_ADDR_EQUAL(&ret->address, &network.address))
                return parse_failed(ret_error, "names one address, and then as many bits as a "
                                               "network has; the address ends in zeroes then");

        ret->n_bits = network.n_bits;
        return 0;
}

const char *ip_network_format(char buf[static IP_NETWORK_TEXT_MAX], const IpNetwork *n) {
        IpAddress ip = { .family = AF_INET6, .in6 = n->address };
        char text[IP_TEXT_MAX];
        unsigned skipped = 0;

        if (IN6_IS_ADDR_V4MAPPED(&n->address)) {
                ip.family = AF_INET;
                memcpy(&ip.in4, n->address.s6_addr + 12, sizeof(ip.in4));
                skipped = MAPPED_BITS;
        }
        snprintf(buf, IP_NETWORK_TEXT_MAX, "%s/%u", ip_format(text, &ip), n->n_bits - skipped);
        return buf;
}

bool ip_network_contains(const IpNetwork *n, const struct in6_addr *address) {
        const uint8_t *a = address->s6_addr, *b = n->address.s6_addr;
        unsigned n_bytes = n->n_bits / 8, n_more = n->n_bits % 8;

        if (IN6_IS_ADDR_V4MAPPED(address) && n->n_bits < MAPPED_BITS)
                return false;
        if (memcmp(a, b, n_bytes) != 0)
                return false;
        return n_more == 0 || ((a[n_bytes] ^ b[n_bytes]) & (0xff00U >> n_more) & 0xff) == 0;
}

bool in6_is_loopback(const struct in6_addr *address) {
        if (IN6_IS_ADDR_V4MAPPED(address))
                return address->s6_addr[12] == 127;
        return IN6_IS_ADDR_LOOPBACK(address);
}
