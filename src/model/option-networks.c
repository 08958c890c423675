/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "model/config.h"

#define NETWORKS_MAX 256

static int networks_parse(const Option *o _unused_, const char *value, void *field,
                          char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        const char *error = NULL;
        Networks *l = field;
        IpNetwork network, *items;

        if (ip_network_parse(value, &network, &error) < 0) {
                snprintf(why, OPTION_WHY_MAX, "\"%s\" %s", option_show(shown, value), error);
                return -EINVAL;
        }
        if (l->n >= NETWORKS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d networks", NETWORKS_MAX);
                return -ERANGE;
        }

        items = reallocarray(l->items, l->n + 1, sizeof(IpNetwork));
        if (!items)
                return -ENOMEM;
        l->items = items;
        l->items[l->n++] = network;
        return 0;
}

static void networks_clear(void *field) {
        Networks *l = field;

        free(l->items);
        *l = (Networks){};
}

static void networks_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const Networks *l = field;
        char text[IP_NETWORK_TEXT_MAX];

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(out, "%s ", ip_network_format(text, &l->items[i]));
}

const OptionType option_networks = {
        .expected = "a network or an address, such as 10.0.0.0/8",
        .is_list = true,
        .parse = networks_parse,
        .clear = networks_clear,
        .canonical = networks_canonical,
        .size = sizeof(Networks),
};
