/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include "base/address.h"
#include "base/text.h"
#include "config/verify.h"

/* Whatever stands in a service's file: either all of it is good, or there is a fault, a defect and
 * no check. Every field type is tried. */

typedef struct Fields {
        char *text, *path, *unit;
        char **list;
        uint64_t count, size;
        Amount amount;
        unsigned word;
        Address address;
        Credential credential;
        HeaderCredentials headers;
} Fields;

static const char *const words[] = { "red", "green", NULL };

/* clang-format off */
#define FIELD(Key, t, member, ...) \
        { .key = Key, .type = &t, .offset = offsetof(Fields, member), __VA_ARGS__ }

static const Option options[] = {
        FIELD("Text", option_string, text, .flags = OPTION_REQUIRED),
        FIELD("Path", option_path, path, .fallback = "/"),
        FIELD("Unit", option_unit, unit),
        FIELD("List", option_strv, list, .fallback = "one"),
        FIELD("Count", option_unsigned, count, .min = 1, .max = 10),
        FIELD("Size", option_size, size),
        FIELD("Amount", option_amount, amount),
        FIELD("Word", option_word, word, .words = words),
        FIELD("Address", option_address, address, .min = 6379),
        FIELD("Credential", option_credential, credential),
        FIELD("HeaderCredential", option_header_credential, headers),
};
/* clang-format on */

static void describe(const void *settings, CheckTarget *ret) {
        const Fields *f = settings;

        address_format(ret->text, &f->address);
}

static const CheckType type = {
        .name = "all",
        .timeout_usec = USEC_PER_SEC,
        .schema = SCHEMA(options),
        .settings_size = sizeof(Fields),
        .describe = describe,
};

static const CheckType *const built_in[] = { &type, NULL };
static const CheckTypes types = { .built_in = built_in };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size), *report = NULL;
        _cleanup_(findings_done) Findings findings = {};
        _cleanup_(places_done) Places places = {};
        ConfigSources sources = { .types = &types, .places = &places };
        Verification v = { .places = &places, .findings = &findings };
        Config *c;

        FUZZ_ASSERT(text && config_load_text(&sources, "fuzz", text, &c) == 0);
        FUZZ_ASSERT(c->n_services == 1 && c->services[0].n_checks == c->n_checks);
        FUZZ_ASSERT(diagnostics_is_empty(&c->diagnostics) == !c->services[0].defect);
        FUZZ_ASSERT(!c->services[0].defect || c->n_checks == 0);
        for (size_t i = 0; i < c->n_checks; i++) {
                const CheckConfig *k = c->checks[i];

                FUZZ_ASSERT(name_is_valid(k->name) && k->type == &type && k->probes > 0);
                FUZZ_ASSERT(k->interval_usec >= k->retry_interval_usec);
                FUZZ_ASSERT(k->max_age_usec >= k->interval_usec + k->timeout_usec);
                FUZZ_ASSERT(config_find_check(c, "fuzz", k->name) == i);
                FUZZ_ASSERT(utf8_is_valid(k->canonical, strlen(k->canonical)));
        }
        FUZZ_ASSERT(lint_config(c, &(LintFacts){ USEC_PER_SEC }, &findings) == 0);
        v.config = c;
        FUZZ_ASSERT(verification_format(&v, &report) == 0);
        FUZZ_ASSERT(utf8_is_valid(report, strlen(report)));
        findings_done(&findings);
        config_unref(c);
        return 0;
}
