/* SPDX-License-Identifier: MIT */
#include "check/dns-records.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/address.h"
#include "base/text.h"

#define MX_HEAD  2 /* bytes before the name */
#define SRV_HEAD 6

void dns_records_done(DnsRecords *r) {
        r->texts = strv_free(r->texts);
}

/* -- one record: each writes its text, or says that the bytes make no sense -----------------------
 */

typedef bool (*RecordFormatter)(const ns_msg *m, const ns_rr *rr, char *buf, size_t size);

static bool format_a(const ns_msg *m _unused_, const ns_rr *rr, char *buf, size_t size) {
        return ns_rr_rdlen(*rr) == NS_INADDRSZ &&
               inet_ntop(AF_INET, ns_rr_rdata(*rr), buf, (socklen_t) size);
}

static bool format_aaaa(const ns_msg *m _unused_, const ns_rr *rr, char *buf, size_t size) {
        return ns_rr_rdlen(*rr) == NS_IN6ADDRSZ &&
               inet_ntop(AF_INET6, ns_rr_rdata(*rr), buf, (socklen_t) size);
}

/* The name that begins so many bytes into the record. */
static bool format_name_at(const ns_msg *m, const ns_rr *rr, size_t at, char *buf, size_t size) {
        char name[NS_MAXDNAME];

        if (ns_rr_rdlen(*rr) <= at ||
            ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), ns_rr_rdata(*rr) + at, name,
                               sizeof(name)) < 0)
                return false;
        text_sanitize(buf, size, name, strlen(name));
        return true;
}

static bool format_name(const ns_msg *m, const ns_rr *rr, char *buf, size_t size) {
        return format_name_at(m, rr, 0, buf, size);
}

static bool format_mx(const ns_msg *m, const ns_rr *rr, char *buf, size_t size) {
        int n;

        if (ns_rr_rdlen(*rr) <= MX_HEAD)
                return false;
        n = snprintf(buf, size, "%u ", ns_get16(ns_rr_rdata(*rr)));
        return format_name_at(m, rr, MX_HEAD, buf + n, size - (size_t) n);
}

static bool format_srv(const ns_msg *m, const ns_rr *rr, char *buf, size_t size) {
        const unsigned char *data = ns_rr_rdata(*rr);
        int n;

        if (ns_rr_rdlen(*rr) <= SRV_HEAD)
                return false;
        n = snprintf(buf, size, "%u %u %u ", ns_get16(data), ns_get16(data + 2),
                     ns_get16(data + 4));
        return format_name_at(m, rr, SRV_HEAD, buf + n, size - (size_t) n);
}

/* Strings of up to 255 bytes, which make one text together. */
static bool format_txt(const ns_msg *m _unused_, const ns_rr *rr, char *buf, size_t size) {
        const unsigned char *data = ns_rr_rdata(*rr);
        size_t left = ns_rr_rdlen(*rr), n = 0;
        char text[DNS_RECORD_TEXT_MAX];

        while (left > 0) {
                size_t length = data[0], taken = MIN(length, sizeof(text) - n);

                if (length + 1 > left)
                        return false;
                memcpy(text + n, data + 1, taken);
                n += taken;
                data += length + 1;
                left -= length + 1;
        }
        text_sanitize(buf, size, text, n);
        return true;
}

static RecordFormatter formatter_of(ns_type type) {
        static const struct {
                ns_type type;
                RecordFormatter format;
        } table[] = {
                { ns_t_a, format_a },     { ns_t_aaaa, format_aaaa }, { ns_t_cname, format_name },
                { ns_t_mx, format_mx },   { ns_t_ns, format_name },   { ns_t_ptr, format_name },
                { ns_t_srv, format_srv }, { ns_t_txt, format_txt },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].type == type)
                        return table[i].format;
        return NULL;
}

/* -- all records ------------------------------------------------------------------------------- */

static int records_take(DnsRecords *r, const ns_msg *m, const ns_rr *rr, ns_type type) {
        char text[DNS_RECORD_TEXT_MAX];

        r->ttl_sec = MIN(r->ttl_sec, (uint32_t) ns_rr_ttl(*rr));
        if (ns_rr_type(*rr) != type || strv_length(r->texts) >= DNS_RECORDS_MAX)
                return 0;
        if (!formatter_of(type)(m, rr, text, sizeof(text)))
                return -EBADMSG;
        return strv_append(&r->texts, text);
}

int dns_records_parse(const void *message, size_t n, ns_type type, DnsRecords *ret) {
        DnsRecords records = { .ttl_sec = UINT32_MAX };
        ns_msg m;
        ns_rr rr;
        int r = 0;

        assert(formatter_of(type));
        if (n > NS_MAXMSG || ns_initparse(message, (int) n, &m) < 0)
                return -EBADMSG;
        for (int i = 0; r >= 0 && i < ns_msg_count(m, ns_s_an); i++)
                r = ns_parserr(&m, ns_s_an, i, &rr) < 0 ? -EBADMSG
                                                        : records_take(&records, &m, &rr, type);
        if (r < 0) {
                dns_records_done(&records);
                return r;
        }
        *ret = records;
        return 0;
}

bool dns_record_equal(ns_type type, const char *a, const char *b) {
        size_t n = strlen(a), k = strlen(b);
        IpAddress one, other;

        if (ip_parse(a, &one) >= 0 && ip_parse(b, &other) >= 0)
                return ip_equal(&one, &other);
        if (type == ns_t_txt)
                return str_equal(a, b);
        n -= n > 0 && a[n - 1] == '.';
        k -= k > 0 && b[k - 1] == '.';
        return n == k && strncasecmp(a, b, n) == 0;
}
