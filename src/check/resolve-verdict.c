/* SPDX-License-Identifier: MIT */
#include "check/resolve-verdict.h"

#include <stdio.h>

static const char *const details[] = {
        [RESOLVE_NOT_FOUND] = "not-found",         [RESOLVE_NO_ADDRESS] = "no-address",
        [RESOLVE_SERVER_FAILED] = "server-failed", [RESOLVE_TIMEOUT] = "timeout",
        [RESOLVE_UNREACHABLE] = "unreachable",     [RESOLVE_RESOURCE] = NULL,
};

void result_resolve(Result *ret, const char *host, ResolveStatus status) {
        if (status == RESOLVE_RESOURCE) {
                result_error(ret, REASON_RESOURCE, "%s: %s", host, resolve_status_text(status));
                return;
        }
        result_fail(ret, REASON_DNS, "%s: %s", host, resolve_status_text(status));
        result_set_detail(ret, details[status]);
}

void result_note_stale(Result *r, ResolveStatus why) {
        size_t n = strlen(r->message);

        snprintf(r->message + n, sizeof(r->message) - n, "%s(last known address: %s)",
                 n > 0 ? " " : "", resolve_status_text(why));
}
