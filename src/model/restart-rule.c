/* SPDX-License-Identifier: MIT */
#include "model/restart-rule.h"

#include "base/text.h"

/* Names of units may hold backslashes. */
static void append_quoted(StrBuf *b, const char *unit) {
        strbuf_append(b, "\"");
        for (; *unit; unit++)
                strbuf_printf(b, "%s%c", *unit == '\\' || *unit == '"' ? "\\" : "", *unit);
        strbuf_append(b, "\"");
}

/* Several services may stand for one unit. */
static bool is_first_of_unit(const Config *c, size_t service) {
        for (size_t i = 0; i < service; i++)
                if (service_config_restarts(&c->services[i]) &&
                    str_equal(c->services[i].unit, c->services[service].unit))
                        return false;
        return true;
}

void restart_rule_format(StrBuf *b, const Config *c) {
        bool any = false;

        strbuf_append(b, "var vitaldUnits = [");
        for (size_t i = 0; i < c->n_services; i++) {
                if (!service_config_restarts(&c->services[i]) || !is_first_of_unit(c, i))
                        continue;
                strbuf_append(b, any ? ", " : "");
                append_quoted(b, c->services[i].unit);
                any = true;
        }
        strbuf_append(b, "];");
}
