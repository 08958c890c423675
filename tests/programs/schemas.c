/* SPDX-License-Identifier: MIT */
/* Prints what the code knows and the manual must say, for tests/lint/test_manual.py: one fact a
 * line, its parts separated by tabs.
 *
 *     type     NAME TIMEOUT                          of [Check NAME], then its options
 *     section  NAME                                  of a file, then its options
 *     option   KEY KIND FLAGS DEFAULT MIN MAX WORDS
 *     scheme   NAME                                  of a URL that stands for the type before
 *     reason   WORD
 *
 * What does not apply is "-". */

#include <inttypes.h>
#include <stdio.h>

#include "check/engine.h"

static const struct Kind {
        const OptionType *type;
        const char *name;
} kinds[] = {
        { &option_string, "string" },
        { &option_strv, "strings" },
        { &option_bool, "bool" },
        { &option_unsigned, "unsigned" },
        { &option_timespan, "timespan" },
        { &option_size, "size" },
        { &option_amount, "amount" },
        { &option_word, "word" },
        { &option_words, "words" },
        { &option_path, "path" },
        { &option_address, "address" },
        { &option_credential, "credential" },
        { &option_unit, "unit" },
        { &option_unit_pattern, "unit-pattern" },
        { &option_header_credential, "header-credentials" },
        { &option_limits, "limits" },
        { &option_paths, "paths" },
        { &option_names, "names" },
        { &option_units, "units" },
};

static const char *kind_of(const OptionType *type) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (kinds[i].type == type)
                        return kinds[i].name;
        return "other";
}

static void print_bound(const Option *o, uint64_t bound) {
        char span[TIMESPAN_MAX];

        if (o->max == 0)
                fputs("\t-", stdout);
        else if (o->type == &option_timespan)
                printf("\t%s", timespan_format(span, bound));
        else
                printf("\t%" PRIu64, bound);
}

static void print_option(const Option *o) {
        printf("option\t%s\t%s\t%s%s%s\t%s", o->key, kind_of(o->type),
               o->flags & OPTION_REQUIRED ? "required" : "optional",
               o->flags & OPTION_OWN ? ",own" : "", o->type->is_list ? ",list" : "",
               o->fallback ? o->fallback : "-");
        print_bound(o, o->min);
        print_bound(o, o->max);
        fputs("\t", stdout);
        for (size_t i = 0; o->words && o->words[i]; i++)
                printf("%s%s", i > 0 ? " " : "", o->words[i]);
        puts(o->words ? "" : "-");
}

static void print_schema(const Schema *s) {
        for (size_t i = 0; i < s->n; i++)
                print_option(&s->options[i]);
}

static void print_type(const char *name) {
        char span[TIMESPAN_MAX], why[OPTION_WHY_MAX];
        const CheckType *type = check_types_find(check_types(), name, why);

        if (!type) {
                printf("absent\t%s\n", name);
                return;
        }
        printf("type\t%s\t%s\n", name,
               type->timeout_usec == 0 ? "-" : timespan_format(span, type->timeout_usec));
        print_schema(&type->schema);
        for (const CheckScheme *s = type->schemes; s && s->scheme; s++)
                printf("scheme\t%s\n", s->scheme);
}

int main(void) {
        static const struct {
                const char *name;
                const Schema *schema;
        } sections[] = {
                { "Service", &service_schema }, { "Check", &check_schema },
                { "Daemon", &daemon_schema },   { "HTTP", &http_schema },
                { "Agent", &agent_schema },
        };
        const char *name;

        for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
                printf("section\t%s\n", sections[i].name);
                print_schema(sections[i].schema);
        }
        for (size_t i = 0; (name = check_types_name(check_types(), i)); i++)
                print_type(name);
        for (Reason r = REASON_TIMEOUT; r < REASON_COUNT_; r++)
                printf("reason\t%s\n", reason_to_string(r));
        return 0;
}
