/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-verdict.h"

#include <amqp_framing.h>
#include <stdio.h>

#include "base/text.h"

#define SHOWN_MAX 200

static const struct {
        uint16_t code;
        const char *words; /* in the text; NULL: any. The first that fits decides. */
        Reason reason;
        const char *detail;
} closes[] = {
        { AMQP_CONNECTION_FORCED, NULL, REASON_CLOSED, "forced" },
        { AMQP_NOT_FOUND, "queue", REASON_MISSING, "queue" },
        { AMQP_NOT_FOUND, NULL, REASON_MISSING, NULL },
        { AMQP_RESOURCE_LOCKED, NULL, REASON_STATUS, "locked" },
        { AMQP_RESOURCE_ERROR, NULL, REASON_STATUS, "resource" },
        { AMQP_NOT_ALLOWED, "not found", REASON_MISSING, "vhost" },
        { AMQP_NOT_ALLOWED, "refused for user", REASON_AUTH, "permission" },
        { AMQP_NOT_ALLOWED, "limit", REASON_STATUS, "max-clients" },
        { AMQP_NOT_ALLOWED, NULL, REASON_STATUS, "not-allowed" },
        { AMQP_INTERNAL_ERROR, NULL, REASON_STATUS, "internal" },
        { AMQP_INVALID_PATH, NULL, REASON_MISSING, "vhost" },
        { AMQP_FRAME_ERROR, NULL, REASON_PROTOCOL, NULL },
        { AMQP_SYNTAX_ERROR, NULL, REASON_PROTOCOL, NULL },
        { AMQP_COMMAND_INVALID, NULL, REASON_PROTOCOL, NULL },
        { AMQP_CHANNEL_ERROR, NULL, REASON_PROTOCOL, NULL },
        { AMQP_UNEXPECTED_FRAME, NULL, REASON_PROTOCOL, NULL },
        { AMQP_NOT_IMPLEMENTED, NULL, REASON_PROTOCOL, NULL },
};

static const amqp_field_value_t *table_find(const amqp_table_t *t, const char *key) {
        for (int i = 0; i < t->num_entries; i++)
                if (t->entries[i].key.len == strlen(key) &&
                    memcmp(t->entries[i].key.bytes, key, strlen(key)) == 0)
                        return &t->entries[i].value;
        return NULL;
}

static void table_show(const amqp_table_t *t, const char *key, char *buf, size_t size) {
        const amqp_field_value_t *v = table_find(t, key);

        buf[0] = 0;
        if (v && v->kind == AMQP_FIELD_KIND_UTF8)
                text_sanitize(buf, size, v->value.bytes.bytes, v->value.bytes.len);
}

const char *rabbit_server_name(const amqp_table_t *properties, char buf[static RABBIT_SERVER_MAX]) {
        char product[RABBIT_SERVER_MAX / 2], version[RABBIT_SERVER_MAX / 2];

        table_show(properties, "product", product, sizeof(product));
        table_show(properties, "version", version, sizeof(version));
        snprintf(buf, RABBIT_SERVER_MAX, "%s%s%s", product, *product && *version ? " " : "",
                 version);
        return buf;
}

bool rabbit_list_has(amqp_bytes_t list, const char *word) {
        const char *at = list.bytes, *end = at + list.len;
        size_t n = strlen(word);

        while (at && at < end) {
                const char *blank = memchr(at, ' ', (size_t) (end - at));
                const char *next = blank ? blank : end;

                if ((size_t) (next - at) == n && memcmp(at, word, n) == 0)
                        return true;
                at = next + 1;
        }
        return false;
}

void rabbit_judge_close(uint16_t code, amqp_bytes_t text, bool had_logged_in, Result *ret) {
        char shown[SHOWN_MAX], detail[RESULT_DETAIL_MAX];

        text_sanitize(shown, sizeof(shown), text.bytes, text.len);
        if (code == AMQP_ACCESS_REFUSED) {
                result_fail(ret, REASON_AUTH, "%s", shown);
                result_set_detail(ret, had_logged_in ? "permission" : "password");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(closes); i++) {
                if (closes[i].code != code || (closes[i].words && !strstr(shown, closes[i].words)))
                        continue;
                result_fail(ret, closes[i].reason, "%s", shown);
                if (closes[i].detail)
                        result_set_detail(ret, closes[i].detail);
                return;
        }
        result_fail(ret, REASON_STATUS, "%s", shown);
        snprintf(detail, sizeof(detail), "%u", (unsigned) code);
        result_set_detail(ret, detail);
}

void rabbit_judge_greeting(const char *bytes, size_t n, Result *ret) {
        char shown[SHOWN_MAX];

        if (n >= 8 && memcmp(bytes, "AMQP", 4) == 0) {
                result_fail(ret, REASON_PROTOCOL,
                            "The server does not speak AMQP 0-9-1 but %d-%d-%d", bytes[5], bytes[6],
                            bytes[7]);
                result_set_detail(ret, "version");
                return;
        }
        text_sanitize(shown, sizeof(shown), bytes, n);
        result_fail(ret, REASON_PROTOCOL, "Not an answer of AMQP: \"%s\"", shown);
}
