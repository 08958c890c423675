/* SPDX-License-Identifier: MIT */
#pragma once

/* Networks as they stand in a configuration: 10.0.0.0/8, 2001:db8::/32, or one address. Plain
 * values. */

#include <netinet/in.h>

#include "base/macro.h"

/* IPv4 is kept as ::ffff:a.b.c.d, which is how it arrives on an IPv6 socket. */
typedef struct IpNetwork {
        struct in6_addr address;
        unsigned n_bits; /* of 128, that an address has in common with it */
} IpNetwork;

/* On failure -EINVAL, and *ret_error is a constant text that says what is wrong. */
int ip_network_parse(const char *s, IpNetwork *ret, const char **ret_error);

#define IP_NETWORK_TEXT_MAX (INET6_ADDRSTRLEN + 4)
const char *ip_network_format(char buf[static IP_NETWORK_TEXT_MAX], const IpNetwork *n);

/* No network of IPv6 contains an IPv4 address. */
bool ip_network_contains(const IpNetwork *n, const struct in6_addr *address);

static inline bool ip_network_is_single(const IpNetwork *n) {
        return n->n_bits == 128;
}

/* 127/8, also as IPv4-mapped, and ::1. */
bool in6_is_loopback(const struct in6_addr *address);
