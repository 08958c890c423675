/* SPDX-License-Identifier: MIT */
#include "check/restart-log.h"

static void log_advance(RestartLog *l, usec_t window_usec, usec_t now) {
        uint64_t slot = now / MAX(window_usec / RESTART_SLOTS, (usec_t) 1);
        uint64_t n = slot > l->slot ? MIN(slot - l->slot, (uint64_t) RESTART_SLOTS) : 0;

        for (uint64_t i = 1; i <= n; i++)
                l->by_slot[(l->slot + i) % RESTART_SLOTS] = 0;
        l->slot = MAX(l->slot, slot);
        if (n == RESTART_SLOTS)
                for (size_t i = 0; i < RESTART_SLOTS; i++)
                        l->by_slot[i] = 0;
}

/* A start by hand sets the counter back. */
void restart_log_note(RestartLog *l, uint32_t count, usec_t window_usec, usec_t now) {
        log_advance(l, window_usec, now);
        if (l->has_count)
                l->by_slot[l->slot % RESTART_SLOTS] += count >= l->count ? count - l->count : count;
        l->has_count = true;
        l->count = count;
}

uint64_t restart_log_sum(RestartLog *l, usec_t window_usec, usec_t now) {
        uint64_t sum = 0;

        log_advance(l, window_usec, now);
        for (size_t i = 0; i < RESTART_SLOTS; i++)
                sum += l->by_slot[i];
        return sum;
}
