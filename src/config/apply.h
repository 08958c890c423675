/* SPDX-License-Identifier: MIT */
#pragma once

/* Sets the fields of settings structs from a section's assignments, by the tables of their options.
 * Called by the loader; all faults are diagnostics. */

#include "config/document.h"
#include "model/option.h"

/* A table may have at most so many options. */
#define SCHEMA_OPTIONS_MAX 64

/* One struct that a section's keys may set. A section may fill several. */
typedef struct SettingsTarget {
        const Schema *schema;
        void *settings; /* borrowed; schema_init() was done */
        unsigned flags; /* that all its options have on top of their own */
        const Assignment *set[SCHEMA_OPTIONS_MAX]; /* by option: what set it last, or NULL */
} SettingsTarget;

typedef struct SectionApply {
        const Section *section;
        SettingsTarget *targets; /* borrowed; searched in this order */
        size_t n_targets;
        bool is_for_all;          /* [Defaults]: OPTION_OWN is a fault */
        unsigned refused;         /* flags of options that may not stand here */
        const char *refusal;      /* borrowed: why */
        bool takes_any_key;       /* unknown keys are no fault: their table could not be had */
        Diagnostics *diagnostics; /* NULL: the faults are listed elsewhere */
} SectionApply;

/* All assignments in their order. A bad one changes nothing. 0 or -ENOMEM. */
int section_apply(const SectionApply *a);

/* Says which required options are not set. */
void section_require(const SectionApply *a);

/* A fault of one key, at the place where it was set last, else at the section's header. */
void section_fault(const SectionApply *a, const char *key, const char *why);

/* The same for who knows nothing of the options. */
void section_fault_at(const Section *s, Diagnostics *d, const char *key, const char *why);
