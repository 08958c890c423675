/* SPDX-License-Identifier: MIT */
#pragma once

/* The records of a name server's answer as texts. Pure: bytes in, texts out. */

#include <arpa/nameser.h>

#include "base/clock.h"

#define DNS_RECORDS_MAX     64 /* more of them are not looked at */
#define DNS_RECORD_TEXT_MAX 512

typedef struct DnsRecords {
        char **texts; /* owned, in the server's order: "10.0.0.7", "10 mail.example", one line */
        uint32_t ttl_sec; /* the least of all records on the way to them */
} DnsRecords;

void dns_records_done(DnsRecords *r);

/* The records of this type in a message: A, AAAA, CNAME, MX, NS, PTR, SRV or TXT. None is no error.
 * Names are without the final dot. -EBADMSG, -ENOMEM. */
int dns_records_parse(const void *message, size_t n, ns_type type, DnsRecords *ret);

/* Whether two texts of this type mean the same: names in any case, addresses in any spelling. */
bool dns_record_equal(ns_type type, const char *a, const char *b);
