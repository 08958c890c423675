/* SPDX-License-Identifier: MIT */
#pragma once

/* How one check and one service change. Only files of the model include this. All change in place:
 * the caller has seen to it that no snapshot holds the same one. */

#include "model/state.h"

/* A pending check; NULL without memory. */
CheckState *check_state_new(CheckConfig *config, Time now);

/* A copy with one reference; NULL without memory. */
CheckState *check_state_copy(const CheckState *s);

/* Replaces the configuration by one of the same target. */
void check_state_set_config(CheckState *s, CheckConfig *config);

/* Healthy in every respect, and no failure since. If that holds before and after a result, then the
 * result has changed nothing but numbers. */
bool check_state_is_steady(const CheckState *s);

void check_state_take_result(CheckState *s, const Result *result, Time now);

/* 0, or -ENOMEM with nothing changed. */
int check_state_take_override(CheckState *s, const Override *override, Time now);

/* A new start of the unit, or another reason why what is known says nothing any more. */
void check_state_restart(CheckState *s, Time now);

/* A check of After=: waits for that one, or (NULL) no longer waits. What was measured before says
 * nothing any more, and nothing ages meanwhile. */
void check_state_wait(CheckState *s, const CheckState *obstacle, Time now);

/* A check of a service whose unit is down rests: it is skipped, and nothing ages. NULL: the unit is
 * up (again). */
void check_state_rest(CheckState *s, const char *unit, Time now);

/* A combined check: its states from those of others, and why. has_failed: some result of the
 * service was a failure just now, so that the state may take something away. */
void check_state_combine(CheckState *s, Health measured, Health published, const Result *why,
                         bool has_failed, Time now);

/* Does what is due by the passing of time; nothing if nothing is. */
void check_state_expire(CheckState *s, Time now);

ServiceState *service_state_new(Time now);
ServiceState *service_state_copy(const ServiceState *s);

/* Takes a change of the unit. Returns whether a new start of it began. */
bool service_state_take_unit(ServiceState *s, UnitState unit, const char *invocation_id, Time now);

/* The drain, where nothing else is known any more: one that the unit's next start would end has
 * nothing to wait for, as nobody could tell which start that is. */
Drain service_state_lasting_drain(const ServiceState *s);

/* Another Unit= than before: what is known of the old one says nothing. */
void service_state_drop_unit(ServiceState *s, Time now);

void service_state_expire(ServiceState *s, const ServiceConfig *config, Time now);

/* Whether service_state_settle() could change anything, whatever the checks are. */
bool service_state_is_unsettled(const ServiceState *s);

/* Started, if all that the start waits for has come. */
void service_state_latch_start(ServiceState *s, const ServiceConfig *config,
                               CheckState *const checks[], Time now);

/* Draws the conclusions from the states of the service's checks: latches the start, ends joining.
 */
void service_state_settle(ServiceState *s, const ServiceConfig *config, CheckState *const checks[],
                          Time now);

/* The three clocks so long ago. */
Time time_before(Time t, usec_t usec);

/* drain, or none if it is not active or over already. */
Drain drain_at(const Drain *drain, Time now);

/* -- the state as a whole ---------------------------------------------------------------------- */

/* Make a check or service safe to change: copies it if a snapshot holds it too. 0 or -ENOMEM. */
int state_own_check(State *s, size_t check);
int state_own_service(State *s, size_t service);

/* The same for all checks of a service that hang on others. */
int state_own_derived(State *s, size_t service);

/* Draws the conclusions from the states of checks for those that hang on them; these are safe to
 * change. has_failed: see check_state_combine(). */
void state_derive(State *s, size_t service, bool has_failed, Time now);

/* Lets the checks of a service rest while its unit is down, those that hang on others aside: these
 * follow. */
int state_own_resting(State *s, size_t service);
void state_rest(State *s, size_t service, Time now);

/* See service_state_latch_start() and service_state_settle(). */
void state_latch_start(State *s, size_t service, Time now);
void state_settle(State *s, size_t service, Time now);

/* When the first of all things changes by itself. */
usec_t state_next_expiry(const State *s);

/* Changes what has expired. 0, or -ENOMEM with nothing changed. */
int state_expire(State *s, Time now);

/* state_derive() and state_rest() of all; takes care of copies. 0 or -ENOMEM. */
int state_derive_all(State *s, Time now);

/* A check that would withdraw readiness does not do so until it has a result, for no longer after
 * since (CLOCK_BOOTTIME) than a result would hold. 0 or -ENOMEM. */
int state_keep_check_ready(State *to, size_t check, usec_t since, Time now);

/* Hands what is known from one to the other, and back; not the revision nor what is known of
 * reloads. */
void state_swap(State *a, State *b);

/* What was known before a restart. 0, or -ENOMEM with nothing changed. */
int state_take_kept(State *s, const struct Kept *k, Time now);

/* A new configuration: what it has in common with the old one is carried over, and what it adds or
 * changes withdraws no readiness by itself. 0, or -ENOMEM with nothing changed. */
int state_take_config(State *s, Config *config, Time now);
