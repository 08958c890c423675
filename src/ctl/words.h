/* SPDX-License-Identifier: MIT */
#pragma once

/* How verdicts and checks are put into words for people. Functions that take a buffer or a StrBuf
 * append or return it. */

#include <limits.h>

#include "base/strbuf.h"
#include "ctl/model.h"
#include "ctl/screen.h"

#define HOST_NAME_MAX_ (HOST_NAME_MAX + 1)
#define WORD_MAX       32

/* The name of this machine without its domain. Returns buf. */
const char *host_name(char buf[static HOST_NAME_MAX_]);

/* "not_ready" -> "not ready". Returns buf. */
const char *state_word(char buf[static WORD_MAX], const char *state);

/* Of a state of a check, a service or the host. */
Tone state_tone(const char *state);

/* "2min 14s" from then to now; "never" without a date. Returns buf. */
const char *age_format(char buf[static TIMESPAN_MAX], usec_t then, usec_t now);

/* "3.2ms", "-" for none. Returns buf. */
const char *latency_format(char buf[static TIMESPAN_MAX], usec_t latency);

/* The reason, or the state where there is none: "refused". */
const char *check_reason(const CheckInfo *c);

bool check_is_good(const CheckInfo *c);

/* "Connection refused (cache:6379), 14 in a row, next run in 2s" */
void check_describe(StrBuf *b, const CheckInfo *c, const View *v);

/* Whether a check is told of beside its service: those that spoil a verdict, then the rest. */
typedef enum CauseKind { CAUSE_BLOCKING, CAUSE_OTHER, CAUSE_KINDS } CauseKind;
bool check_is_cause(const CheckInfo *c, CauseKind kind);

/* "first: Connection reset at 03:12:44; see https://wiki/redis", or nothing. */
void check_describe_first(StrBuf *b, const CheckInfo *c, const ServiceInfo *s, const View *v);

/* "drained by root 5min ago, until 03:40:00: kernel update" */
void drain_describe(StrBuf *b, const Verdicts *d, const View *v);

/* "1 of 2 probers have read 503", so many times at least. */
void probers_describe(StrBuf *b, const ProberList *l, uint64_t times);

/* "READY (200)", "DEAD, NOT READY (503)" */
void verdict_headline(StrBuf *b, const Verdicts *d);

/* Its checks that spoil a verdict, or only degrade it: the one that has done so for the longest. */
const CheckInfo *service_worst_check(const ServiceInfo *s);
const CheckInfo *service_worst_degraded(const ServiceInfo *s);

bool service_is_inactive(const ServiceInfo *s);

/* Not ready because of its files, no copy of which runs. */
bool service_is_refused(const ServiceInfo *s);

/* "runs its last good copy, of 14:03:12; at fault is orders.conf:3: unknown key Foo=" */
void copy_describe(StrBuf *b, const char *fault, usec_t copy_time, const View *v);

/* Not ready because of its unit: "orders.service is stopping". */
bool service_is_down(const ServiceInfo *s);
void unit_describe(StrBuf *b, const ServiceInfo *s);

/* The cause of a service's verdict, in few words: "redis refused for 2min 14s", at host level
 * "shop/redis refused for 2min 14s"; nothing for a good one. */
void service_cause(StrBuf *b, const ServiceInfo *s, bool at_host, const View *v);

/* The cause of the host's, from the service that has been bad for the longest; which is returned,
 * or NULL if it is another. */
const ServiceInfo *host_cause(StrBuf *b, const View *v);
