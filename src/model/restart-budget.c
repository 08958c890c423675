/* SPDX-License-Identifier: MIT */
#include "model/restart-budget.h"

static size_t count_out(const RestartBudget *b, usec_t now) {
        size_t n = 0;

        for (size_t i = 0; i < b->n_spent; i++)
                n += b->back_usec[i] > now;
        return n;
}

void restart_budget_set(RestartBudget *b, unsigned burst, usec_t interval_usec) {
        assert(burst <= RESTART_BUDGET_MAX);
        b->burst = burst;
        b->interval_usec = interval_usec;
}

unsigned restart_budget_left(const RestartBudget *b, usec_t now) {
        size_t n_out = count_out(b, now);

        return n_out < b->burst ? b->burst - (unsigned) n_out : 0;
}

/* With fewer tokens than were spent before a reload, more than one must come back first. */
usec_t restart_budget_next(const RestartBudget *b, usec_t now) {
        usec_t at = now;

        if (b->burst == 0)
                return USEC_INFINITY;
        while (restart_budget_left(b, at) == 0) {
                usec_t next = USEC_INFINITY;

                for (size_t i = 0; i < b->n_spent; i++)
                        if (b->back_usec[i] > at)
                                next = MIN(next, b->back_usec[i]);
                at = next;
        }
        return at;
}

static void forget_returned(RestartBudget *b, usec_t now) {
        size_t n = 0;

        for (size_t i = 0; i < b->n_spent; i++)
                if (b->back_usec[i] > now)
                        b->back_usec[n++] = b->back_usec[i];
        b->n_spent = n;
}

bool restart_budget_take(RestartBudget *b, usec_t now) {
        if (restart_budget_left(b, now) == 0)
                return false;
        forget_returned(b, now);
        b->back_usec[b->n_spent++] = usec_add(now, b->interval_usec);
        return true;
}

void restart_budget_give_back(RestartBudget *b, usec_t taken_usec) {
        for (size_t i = 0; i < b->n_spent; i++)
                if (b->back_usec[i] == usec_add(taken_usec, b->interval_usec)) {
                        b->back_usec[i] = b->back_usec[--b->n_spent];
                        return;
                }
}

void restart_budget_restore(RestartBudget *b, const usec_t *back_usec, size_t n, usec_t now) {
        b->n_spent = MIN(n, (size_t) RESTART_BUDGET_MAX);
        for (size_t i = 0; i < b->n_spent; i++)
                b->back_usec[i] = MIN(back_usec[i], usec_add(now, b->interval_usec));
}

void restart_budget_drain(RestartBudget *b, usec_t now) {
        b->n_spent = b->burst;
        for (size_t i = 0; i < b->n_spent; i++)
                b->back_usec[i] = usec_add(now, b->interval_usec / b->burst * (i + 1));
}
