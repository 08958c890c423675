/* SPDX-License-Identifier: MIT */

/* Azure's Application Health extension with rich health states. It repairs an instance that is
 * Unhealthy or Unknown, and every status but 200 is Unknown: so the body alone tells, and it tells
 * liveness on whatever path, for readiness would have an instance replaced because a database is
 * down. */

#include "output/dialect.h"

static void azure_render(const RenderView *v, StrBuf *out) {
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "ApplicationHealthState",
                    v->verdict.live == LIVENESS_ALIVE ? "Healthy" : "Unhealthy");
        json_close(&w, '}');
}

const Dialect azure_dialect = {
        .name = "azure",
        .content_type = "application/json",
        .is_always_ok = true,
        .render = azure_render,
};
