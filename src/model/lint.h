/* SPDX-License-Identifier: MIT */
#pragma once

/* What is well-formed and will hurt: the semantic linter over a loaded configuration. Pure: what it
 * knows stands in the configuration and in the facts. Called by --verify for people, and by the
 * daemon for a count. A configuration with faults is not looked at: it may lack half of itself. */

#include "model/config.h"

typedef enum LintSeverity {
        LINT_WARNING, /* will not do what was meant */
        LINT_HINT,    /* works, and has a price that may have been overlooked */
} LintSeverity;

const char *lint_severity_to_string(LintSeverity s); /* "warning" */

typedef enum LintRight { LINT_RIGHT_UNKNOWN, LINT_RIGHT_GIVEN, LINT_RIGHT_DENIED } LintRight;

/* What is not in the files. */
typedef struct LintFacts {
        usec_t watchdog_usec;       /* WatchdogSec= of vitald's unit; 0: not known */
        usec_t shutdown_delay_usec; /* InhibitDelayMaxSec= of logind; 0: not known */

        /* Whether vitald may restart that unit; NULL: nobody asks. */
        LintRight (*restart_right)(void *userdata, const char *unit);
        void *userdata;
} LintFacts;

typedef struct Finding {
        const char *rule; /* constant: "timeout-interval" */
        LintSeverity severity;
        const ServiceConfig *service; /* borrowed from the configuration; NULL: vitald.conf */
        const CheckConfig *check;     /* likewise; NULL: the service as a whole */
        const char *key;              /* constant: what to change */
        char *text;                   /* owned: what happens, and the remedy */
} Finding;

/* More are counted and not kept. */
#define FINDINGS_MAX 200

/* Zero-initialise; valid as long as the configuration. */
typedef struct Findings {
        Finding *items; /* owned; by rule, then as in the files */
        size_t n;
        size_t n_warnings, n_hints; /* those beyond FINDINGS_MAX, too */
} Findings;

void findings_done(Findings *f);

/* 0 or -ENOMEM. */
int lint_config(const Config *c, const LintFacts *facts, Findings *ret);

/* The name of a rule for tests and documentation; NULL behind the last. */
const char *lint_rule_name(size_t i);
