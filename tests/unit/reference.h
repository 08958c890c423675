/* SPDX-License-Identifier: MIT */
#pragma once

/* The semantics of checks and services once more, written from the manual as naively as possible
 * and without regard to speed: from the history of results to what must be published. The
 * simulation holds the model against it. */

#include "fixture.h"
#include "model/snapshot.h"

#define REFERENCE_MAX 64

/* P, H, D, U, ?, S: pending, healthy, degraded, unhealthy, unknown, skipped. */
typedef struct RefCheck {
        const CheckConfig *config; /* borrowed */
        char history[32];          /* p, w, f, or e of an undecided check; since the last cut */
        size_t n;
        char base; /* the state at the cut */
        bool is_base_dead, had_result, was_good;
        bool is_waiting;       /* After=, or for the unit */
        bool is_combined_dead; /* of a combined check */
        usec_t fresh_boottime; /* 0: no real result */
        usec_t pause_usec;     /* that came with it */
        Override override;
} RefCheck;

typedef struct RefService {
        const ServiceConfig *config; /* borrowed */
        bool is_started, has_failed;
        usec_t clock_boottime; /* USEC_INFINITY: stands still */
        UnitState unit;
        char invocation_id[INVOCATION_ID_MAX];
        Drain drain;
} RefService;

typedef struct Reference {
        Config *config; /* owned reference */
        RefCheck checks[REFERENCE_MAX];
        RefService services[REFERENCE_MAX];
        Drain drain;
        bool is_going_down;
} Reference;

void reference_init(Reference *r, Config *config, Time now);
void reference_done(Reference *r);
void reference_apply(Reference *r, const Event *e, Time now);

char reference_letter(Health h);
char reference_measured(const Reference *r, size_t check);
char reference_published(const Reference *r, size_t check);
bool reference_is_dead(const Reference *r, size_t check); /* measured */

/* For the reference itself: one check by its own history, or that history ended in this state. */
char reference_own_measured(const RefCheck *c);
bool reference_own_is_dead(const RefCheck *c);
void reference_cut(RefCheck *c, char base);

bool reference_is_up(UnitState u);

/* Draws all conclusions for checks that hang on others. failed: the service of which a check has
 * just failed, or NULL. */
void reference_derive(Reference *r, const char *failed);

bool verdict_equal(const Verdict *a, const Verdict *b);

/* What must be published. Which checks and services are joining is taken from the snapshot. */
Verdict reference_service(const Reference *r, size_t service, const Snapshot *s);
Verdict reference_host(const Reference *r, const Snapshot *s);
