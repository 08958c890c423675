/* SPDX-License-Identifier: MIT */
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "config/logind.h"
#include "config/verify.h"
#include "io/json-tree.h"
#include "verify-rights.h"

int verify_format_from_string(const char *s, VerifyFormat *ret) {
        static const char *const words[] = {
                [VERIFY_TEXT] = "off",
                [VERIFY_JSON_SHORT] = "short",
                [VERIFY_JSON_PRETTY] = "pretty",
        };

        for (VerifyFormat f = 0; f < ELEMENTSOF(words); f++)
                if (str_equal(s, words[f])) {
                        *ret = f;
                        return 0;
                }
        return -EINVAL;
}

usec_t watchdog_from_environment(void) {
        const char *s = getenv("WATCHDOG_USEC");
        uint64_t usec;

        return s && parse_uint64(s, &usec) >= 0 ? usec : 0;
}

static int print_pretty(const char *text) {
        _cleanup_json_ json_object *o = NULL, *again = NULL;
        const char *pretty;
        JsonFault fault;

        if (json_tree_parse(text, strlen(text), &o, &fault) < 0)
                return -ENOMEM;
        pretty = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                           JSON_C_TO_STRING_SPACED |
                                                           JSON_C_TO_STRING_NOSLASHESCAPE);
        /* Without memory json-c leaves out what it cannot write, and does not say so. */
        if (!pretty || json_tree_parse(pretty, strlen(pretty), &again, &fault) < 0 ||
            !json_object_equal(o, again))
                return -ENOMEM;
        puts(pretty);
        return 0;
}

static int verification_print(const Verification *v, VerifyFormat format) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = format == VERIFY_TEXT ? verification_format(v, &text)
                                  : verification_format_json(v, &text);
        if (r < 0)
                return r;
        switch (format) {
        case VERIFY_TEXT:
                fputs(text, stderr);
                return 0;
        case VERIFY_JSON_SHORT:
                puts(text);
                return 0;
        case VERIFY_JSON_PRETTY:
                return print_pretty(text);
        }
        assert(false);
        return -EINVAL;
}

int verify(const VerifyOptions *options) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_(findings_done) Findings findings = {};
        _cleanup_(places_done) Places places = {};
        _cleanup_(verify_rights_done) VerifyRights rights = {};
        ConfigSources sources = options->sources;
        LintFacts facts = {
                .watchdog_usec = options->watchdog_usec,
                .restart_right = verify_rights_ask,
                .userdata = &rights,
        };
        Verification v = { .places = &places, .findings = &findings };
        int r;

        sources.places = &places;
        rights.is_elsewhere = options->sources.root && *options->sources.root;
        r = config_load(&sources, &config);
        if (r >= 0)
                r = logind_delay_max(sources.root, &facts.shutdown_delay_usec);
        if (r >= 0)
                r = lint_config(config, &facts, &findings);
        v.config = config;
        if (r >= 0)
                r = verification_print(&v, options->format);
        if (r < 0) {
                log_errno(LOG_ERR, r, "Cannot load the configuration");
                return EXIT_FAILURE;
        }
        if (!diagnostics_is_empty(&config->diagnostics) ||
            (options->is_strict && findings.n_warnings > 0))
                return EX_CONFIG;
        return EXIT_SUCCESS;
}
