/* SPDX-License-Identifier: MIT */
#include "io/hmac-limit.h"

#include <dlfcn.h>
#include <string.h>

/* OpenSSL's, whose header is not needed to hand its arguments on. */
typedef int (*HmacInit)(void *context, const void *key, int n, const void *digest, void *engine);

int HMAC_Init_ex(void *context, const void *key, int n, const void *digest, void *engine);

/* No global state, since it is nothing outside of one call. */
static _Thread_local struct {
        bool is_on, is_reached;
        unsigned left;
        HmacInit next; /* looked up for the call, since that takes as long as some rounds */
} limit;

static HmacInit find_next(void) {
        void *symbol = dlsym(RTLD_NEXT, "HMAC_Init_ex");
        HmacInit next;

        /* ISO C knows no conversion from data to code. */
        static_assert(sizeof(next) == sizeof(symbol), "another kind of machine");
        memcpy(&next, &symbol, sizeof(next));
        return next;
}

void hmac_limit_begin(unsigned max) {
        assert(!limit.is_on);
        limit.is_on = true;
        limit.is_reached = false;
        limit.left = max;
        limit.next = NULL;
}

bool hmac_limit_end(void) {
        limit.is_on = false;
        return limit.is_reached;
}

int HMAC_Init_ex(void *context, const void *key, int n, const void *digest, void *engine) {
        HmacInit next = limit.is_on && limit.next ? limit.next : find_next();

        if (limit.is_on) {
                limit.next = next;
                limit.is_reached |= limit.left == 0;
                limit.left -= limit.left > 0;
        }
        return next && !(limit.is_on && limit.is_reached) ? next(context, key, n, digest, engine)
                                                          : 0;
}
