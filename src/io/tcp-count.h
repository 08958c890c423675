/* SPDX-License-Identifier: MIT */
#pragma once

/* How many TCP connections there are, as the kernel knows it (sock_diag(7)): of this network
 * namespace, whoever's they are. Needs no privilege. Does not wait: the kernel answers at once. */

#include "base/macro.h"

/* Established connections, IPv4 and IPv6, whose end on this host has this port. 0, or negative
 * errno: -EAFNOSUPPORT, -EPERM where netlink is not to be had. */
int tcp_count_established(uint16_t port, uint64_t *ret);
