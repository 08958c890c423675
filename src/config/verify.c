/* SPDX-License-Identifier: MIT */
/* What --verify says of a load. */

#include "config/loader.h"

int config_verify_format(const Config *c, char **ret) {
        _cleanup_free_ char *faults = NULL;
        _cleanup_strbuf_ StrBuf b = {};
        size_t n = c->diagnostics.n + c->diagnostics.n_left_out;
        int r;

        r = diagnostics_format(&c->diagnostics, &faults);
        if (r < 0)
                return r;
        strbuf_append(&b, faults);
        if (n > 0)
                strbuf_printf(&b, "%zu fault%s\n", n, n == 1 ? "" : "s");
        else
                strbuf_printf(&b, "%zu service%s, %zu check%s: good\n", c->n_services,
                              c->n_services == 1 ? "" : "s", c->n_checks,
                              c->n_checks == 1 ? "" : "s");
        if (n == 0 && !config_has_services(c))
                strbuf_append(&b, "no service is configured: the host would not be ready, reason "
                                  "unconfigured\n");
        return strbuf_finish(&b, ret);
}
