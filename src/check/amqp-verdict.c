/* SPDX-License-Identifier: MIT */
#include "check/amqp-verdict.h"

#include <stdio.h>

#include "base/text.h"

#define SHOWN_MAX 200

static const struct {
        const char *name;
        Reason reason;
        const char *detail; /* NULL: none */
} conditions[] = {
        { "amqp:unauthorized-access", REASON_AUTH, "permission" },
        { "amqp:not-found", REASON_MISSING, "source" },
        { "amqp:connection:forced", REASON_CLOSED, "forced" },
        { "amqp:link:detach-forced", REASON_CLOSED, "forced" },
        { "amqp:resource-deleted", REASON_MISSING, "source" },
        { "amqp:connection:framing-error", REASON_PROTOCOL, NULL },
        { "amqp:decode-error", REASON_PROTOCOL, NULL },
        { "amqp:invalid-field", REASON_PROTOCOL, NULL },
        { "amqp:frame-size-too-small", REASON_PROTOCOL, NULL },
        { "amqp:not-implemented", REASON_PROTOCOL, NULL },
};

/* -- the server's name ------------------------------------------------------------------------- */

static bool bytes_equal(pn_bytes_t bytes, const char *word) {
        return bytes.size == strlen(word) && memcmp(bytes.start, word, bytes.size) == 0;
}

static pn_bytes_t text_of(pn_data_t *d) {
        switch ((unsigned) pn_data_type(d)) {
        case PN_STRING:
                return pn_data_get_string(d);
        case PN_SYMBOL:
                return pn_data_get_symbol(d);
        default:
                return (pn_bytes_t){};
        }
}

const char *amqp_server_name(pn_data_t *properties, char buf[static AMQP_SERVER_MAX]) {
        char product[AMQP_SERVER_MAX / 2] = "", version[AMQP_SERVER_MAX / 2] = "";
        pn_bytes_t key, value;

        pn_data_rewind(properties);
        if (pn_data_next(properties) && pn_data_type(properties) == PN_MAP &&
            pn_data_enter(properties))
                while (pn_data_next(properties)) {
                        key = text_of(properties);
                        if (!pn_data_next(properties))
                                break;
                        value = text_of(properties);
                        if (bytes_equal(key, "product"))
                                text_sanitize(product, sizeof(product), value.start, value.size);
                        else if (bytes_equal(key, "version"))
                                text_sanitize(version, sizeof(version), value.start, value.size);
                }
        snprintf(buf, AMQP_SERVER_MAX, "%s%s%s", product, *product && *version ? " " : "", version);
        return buf;
}

/* -- errors ------------------------------------------------------------------------------------ */

/* "server-busy" of "com.microsoft:server-busy" */
static const char *last_word(const char *name) {
        const char *colon = strrchr(name, ':');

        return colon ? colon + 1 : name;
}

static void show(pn_condition_t *c, char shown[static SHOWN_MAX]) {
        const char *text = pn_condition_get_description(c);

        if (str_is_empty(text))
                text = pn_condition_get_name(c);
        text_sanitize(shown, SHOWN_MAX, text ? text : "", text ? strlen(text) : 0);
}

void amqp_judge_condition(pn_condition_t *c, Result *ret) {
        const char *name = pn_condition_get_name(c);
        char shown[SHOWN_MAX];

        if (!name) {
                result_fail(ret, REASON_CLOSED, "Ended by the server without a reason");
                return;
        }
        show(c, shown);
        for (size_t i = 0; i < ELEMENTSOF(conditions); i++)
                if (str_equal(conditions[i].name, name)) {
                        result_fail(ret, conditions[i].reason, "%s", shown);
                        if (conditions[i].detail)
                                result_set_detail(ret, conditions[i].detail);
                        return;
                }
        result_fail(ret, REASON_STATUS, "%s", shown);
        result_set_detail(ret, last_word(name));
}

/* For the library this is just the wrong header. */
static bool wants_login(const char *text) {
        return strstr(text, "Expected AMQP protocol header got: AMQP SASL");
}

void amqp_judge_transport(pn_condition_t *c, pn_sasl_t *sasl, Result *ret) {
        pn_sasl_outcome_t outcome = pn_sasl_outcome(sasl);
        const char *name = pn_condition_get_name(c);
        char shown[SHOWN_MAX];

        show(c, shown);
        if (name && str_equal(name, "amqp:resource-limit-exceeded"))
                result_fail(ret, REASON_TIMEOUT, "No sign of life for two heartbeats");
        else if (wants_login(shown)) {
                result_fail(ret, REASON_AUTH, "The server wants a user to log in");
                result_set_detail(ret, "missing");
        } else if (outcome == PN_SASL_NONE || outcome == PN_SASL_OK)
                result_fail(ret, REASON_PROTOCOL, "%s", shown);
        else if (pn_sasl_get_mech(sasl)) {
                result_fail(ret, REASON_AUTH, "%s", shown);
                result_set_detail(ret, "password");
        } else {
                result_fail(ret, REASON_AUTH, "The server offers no way to log in as wanted");
                result_set_detail(ret, "method");
        }
}
