/* SPDX-License-Identifier: MIT */
#pragma once

/* How many units the whole host may restart: a bucket of tokens, each of which comes back a while
 * after it was spent. So within any such while there are never more restarts than tokens, whatever
 * goes on. Times are CLOCK_BOOTTIME. Pure. */

#include "base/clock.h"

#define RESTART_BUDGET_MAX 100

typedef struct RestartBudget {
        unsigned burst;                       /* how many tokens there are */
        usec_t interval_usec;                 /* after which a spent one comes back */
        usec_t back_usec[RESTART_BUDGET_MAX]; /* when each of those that are spent comes back */
        size_t n_spent;
} RestartBudget;

/* Other limits; what is spent stays so. */
void restart_budget_set(RestartBudget *b, unsigned burst, usec_t interval_usec);

unsigned restart_budget_left(const RestartBudget *b, usec_t now);

/* When there is one: now, later, or USEC_INFINITY for never. */
usec_t restart_budget_next(const RestartBudget *b, usec_t now);

/* Takes one if there is one. */
bool restart_budget_take(RestartBudget *b, usec_t now);

/* One that was taken at that time has done nothing. */
void restart_budget_give_back(RestartBudget *b, usec_t taken_usec);

/* What was spent before, by when each comes back; no later than it can. */
void restart_budget_restore(RestartBudget *b, const usec_t *back_usec, size_t n, usec_t now);

/* Nothing is left, and it comes back bit by bit: nobody knows what was spent. */
void restart_budget_drain(RestartBudget *b, usec_t now);
