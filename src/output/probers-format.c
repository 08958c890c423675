/* SPDX-License-Identifier: MIT */
#include "base/json-scan.h"
#include "base/json.h"
#include "output/probers-file.h"

static void put(JsonWriter *w, const HttpProber *p) {
        char address[INET6_ADDRSTRLEN];

        json_open(w, NULL, '{');
        if (!p->is_local)
                json_string(w, "address", http_prober_address(address, p));
        json_string(w, "route", p->route);
        json_string(w, "agent", p->agent);
        json_unsigned(w, "seen", p->seen_usec);
        json_unsigned(w, "interval", MIN(p->interval_usec, JSON_NUMBER_MAX));
        json_unsigned(w, "status", p->status);
        json_close(w, '}');
}

void probers_file_format(StrBuf *out, const HttpProbers *p, const char *boot, usec_t now_usec) {
        JsonWriter w = { .out = out };
        const HttpProber *i;
        size_t at = 0;

        json_open(&w, NULL, '{');
        json_string(&w, "boot", boot);
        json_open(&w, "probers", '[');
        while ((i = http_probers_next(p, now_usec, &at)))
                put(&w, i);
        json_close(&w, ']');
        json_close(&w, '}');
        strbuf_append(out, "\n");
}
