/* SPDX-License-Identifier: MIT */
#ifdef TIME_BITS_ARE_OURS
#undef _TIME_BITS
#endif

#include "io/dns-wait.h"

#include <sys/time.h>

usec_t dns_wait_usec(ares_channel channel) {
        struct timeval tv;

        if (!ares_timeout(channel, NULL, &tv))
                return USEC_INFINITY;
        return (usec_t) tv.tv_sec * USEC_PER_SEC + (usec_t) tv.tv_usec;
}
