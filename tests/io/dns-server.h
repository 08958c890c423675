/* SPDX-License-Identifier: MIT */
#pragma once

/* A real, tiny name server in a thread, on UDP and TCP of one loopback port. What it answers
 * depends on the first label of the name, see dns-server.c. */

#include <stdatomic.h>

#include "base/macro.h"

typedef struct DnsServer DnsServer;

DnsServer *dns_server_start(void);
DnsServer *dns_server_stop(DnsServer *s);
uint16_t dns_server_port(const DnsServer *s);

/* What the name "mood" gets. */
typedef enum DnsMood { DNS_ANSWERS, DNS_IS_SILENT, DNS_SERVFAIL, DNS_NXDOMAIN } DnsMood;
void dns_server_set_mood(DnsServer *s, DnsMood mood);

/* Queries of type A so far. */
unsigned dns_server_queries(const DnsServer *s);
