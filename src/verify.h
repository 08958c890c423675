/* SPDX-License-Identifier: MIT */
#pragma once

/* vitald --verify: loads the configuration and says what is wrong with it, or what will hurt.
 * Called by main.c. */

#include "config/loader.h"

typedef enum VerifyFormat { VERIFY_TEXT, VERIFY_JSON_SHORT, VERIFY_JSON_PRETTY } VerifyFormat;

typedef struct VerifyOptions {
        ConfigSources sources;
        usec_t watchdog_usec; /* of vitald's unit; 0: not known */
        VerifyFormat format;
        bool is_strict; /* warnings count as faults */
} VerifyOptions;

/* "off", "short", "pretty"; -EINVAL. */
int verify_format_from_string(const char *s, VerifyFormat *ret);

/* Text goes to stderr, JSON to stdout. The exit status: EX_CONFIG if there are faults. */
int verify(const VerifyOptions *options);

/* $WATCHDOG_USEC, or 0. */
usec_t watchdog_from_environment(void);
