/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/json-reader.h"
#include "output/probers-file.h"

static void get_address(JsonReader *r, json_object *o, HttpProber *p) {
        const char *text = json_get_string(r, o, "address");
        struct in_addr in4;

        p->is_local = !*text;
        if (p->is_local || inet_pton(AF_INET6, text, &p->address) == 1)
                return;
        if (inet_pton(AF_INET, text, &in4) != 1) {
                json_refuse(r, "address");
                return;
        }
        p->address.s6_addr[10] = p->address.s6_addr[11] = 0xff;
        memcpy(&p->address.s6_addr[12], &in4, sizeof(in4));
}

static void take(JsonReader *r, json_object *o, usec_t now_usec, HttpProbers *probers) {
        HttpProber p = {};

        get_address(r, o, &p);
        JSON_GET_TEXT(r, o, "route", p.route);
        JSON_GET_TEXT(r, o, "agent", p.agent);
        p.seen_usec = MIN(json_get_number(r, o, "seen", 0), now_usec);
        p.interval_usec = MIN(json_get_number(r, o, "interval", 0), HTTP_PROBER_PERIOD_MAX);
        p.status = (unsigned) MIN(json_get_number(r, o, "status", 0), UINT64_C(999));
        if (!r->what)
                http_probers_recall(probers, &p);
}

int probers_file_parse(const char *text, size_t n, const char *boot, usec_t now_usec,
                       HttpProbers *p, char ret_why[static PROBERS_FILE_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        JsonReader reader = {};
        json_object *probers;
        int r;

        r = json_parse_object(text, n, &o, ret_why);
        if (r < 0)
                return r;
        if (!str_equal(json_get_string(&reader, o, "boot"), boot)) {
                snprintf(ret_why, PROBERS_FILE_WHY_MAX, "it is of another boot of this host");
                return -ESTALE;
        }
        probers = json_get(&reader, o, "probers", json_type_array);
        if (!probers || json_object_array_length(probers) > HTTP_PROBERS_MAX)
                json_refuse(&reader, "probers");
        for (size_t i = 0; !reader.what && i < json_object_array_length(probers); i++) {
                json_object *item = json_object_array_get_idx(probers, i);

                if (json_object_is_type(item, json_type_object))
                        take(&reader, item, now_usec, p);
                else
                        json_refuse(&reader, "probers");
        }
        if (!reader.what)
                return 0;
        snprintf(ret_why, PROBERS_FILE_WHY_MAX, "\"%s\" is not as vitald writes it", reader.what);
        return -EBADMSG;
}
