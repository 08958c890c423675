/* SPDX-License-Identifier: MIT */
/* The command line of vitalctl(1). */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "base/parse.h"
#include "ctl/ctl.h"

/* Options that only some verbs take. */
enum {
        TAKES_JSON = 1 << 0,
        TAKES_QUESTION = 1 << 1, /* --ready, --started, --live */
        TAKES_TIMEOUT = 1 << 2,
        TAKES_REASON = 1 << 3,
        TAKES_ALL = 1 << 4,
        TAKES_QUIET = 1 << 5,
        TAKES_ROOT = 1 << 6,
        TAKES_VALUES = 1 << 7,
        TAKES_STRICT = 1 << 8,
        TAKES_WAIT = 1 << 9, /* --wait, --count= */
};

typedef struct Verb {
        const char *name, *arguments, *help;
        int min, max; /* arguments */
        unsigned takes;
        int (*run)(const Ctl *ctl);
} Verb;

static const Verb verbs[] = {
        { "status", "[SERVICE]", "What is ready, and why not", 0, 1, TAKES_JSON, verb_status },
        { "list", "", "All checks", 0, 0, TAKES_JSON, verb_list },
        { "show", "SERVICE/CHECK", "All of a check, and how soon it acts", 1, 1, TAKES_JSON,
          verb_show },
        { "history", "SERVICE/CHECK", "Its last runs and changes of state", 1, 1, TAKES_JSON,
          verb_history },
        { "why", "[SERVICE]", "The causes of the present verdict", 0, 1, TAKES_JSON, verb_why },
        { "watch", "[SERVICE]", "The status again at every change", 0, 1, TAKES_JSON, verb_watch },
        { "is-ready", "[SERVICE]", "Whether it is ready, as exit code", 0, 1, TAKES_QUIET,
          verb_is_ready },
        { "wait", "[SERVICE]", "Wait until it is ready", 0, 1,
          TAKES_QUESTION | TAKES_TIMEOUT | TAKES_QUIET, verb_wait },
        { "follow", "[SERVICE]", "Be a unit that lives while it is ready", 0, 1,
          TAKES_QUESTION | TAKES_QUIET, verb_follow },
        { "run", "SERVICE/CHECK", "Run a check now", 1, 1, TAKES_JSON, verb_run },
        { "drain", "SERVICE", "Withdraw readiness", 0, 1,
          TAKES_TIMEOUT | TAKES_REASON | TAKES_ALL | TAKES_WAIT, verb_drain },
        { "undrain", "SERVICE", "Give readiness back", 0, 1, TAKES_ALL, verb_undrain },
        { "reset-restarts", "SERVICE", "It is repaired: forget which restarts have not helped", 1,
          1, 0, verb_reset_restarts },
        { "override", "SERVICE/CHECK STATE", "Publish this state instead", 2, 2,
          TAKES_TIMEOUT | TAKES_REASON, verb_override },
        { "clear-override", "SERVICE/CHECK", "Publish what is measured again", 1, 1, 0,
          verb_clear_override },
        { "report", "SERVICE/CHECK STATE [MESSAGE]", "Report pass, warn or fail", 2, 3,
          TAKES_VALUES, verb_report },
        { "reload", "", "Load the configuration again", 0, 0, 0, verb_reload },
        { "verify", "", "What is wrong with the configuration, or will hurt", 0, 0,
          TAKES_ROOT | TAKES_STRICT | TAKES_JSON, verb_verify },
        { "probe", "URL", "Run one check that is not configured", 1, 1, 0, verb_probe },
};

static void print_help(void) {
        char usage[64];

        puts("vitalctl [OPTIONS...] [VERB] [ARGUMENTS...]\n\n"
             "Shows and controls vitald, the health prober. Without a verb: status.\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                snprintf(usage, sizeof(usage), "%s %s", verbs[i].name, verbs[i].arguments);
                printf("  %-36s %s\n", usage, verbs[i].help);
        }
        puts("\n"
             "  -h --help                   Show this help\n"
             "     --version                Show the version\n"
             "     --runtime-directory=DIR  Where the vitald is that is meant (/run/vitald)\n"
             "     --bus=system|user        Reach it by this bus, not by its private socket\n"
             "     --json=short|pretty      Print JSON\n"
             "     --ready --started --live Which verdict to wait for or follow (--ready)\n"
             "     --timeout=TIME           How long to wait; when a drain or override ends\n"
             "     --reason=TEXT            Why, for those who see the drain or override\n"
             "     --value=NAME=NUMBER[UNIT]  Report a value as well; may be repeated\n"
             "     --all                    Drain or undrain the whole host\n"
             "     --wait                   Wait until all who probe have read of the drain\n"
             "     --count=N                How often each has to have read it\n"
             "     --connections=PORT[:N]   And until PORT has N (0) connections at most\n"
             "     --root=DIR               Verify the configuration below DIR\n"
             "     --strict                 Warnings count as faults\n"
             "  -q --quiet                  Say it by the exit code alone\n"
             "     --no-pager               For the sake of habit; no pager is ever used\n\n"
             "Exit codes: 0 yes, 1 error, 2 usage, 3 no, 4 unknown name, 69 vitald cannot be\n"
             "reached, 75 timed out. See vitalctl(1).");
}

static int usage_error(const char *what, const char *value) {
        fprintf(stderr, "vitalctl: %s%s%s; see vitalctl --help\n", what, value ? ": " : "",
                value ? value : "");
        return -EINVAL;
}

/* -- options ----------------------------------------------------------------------------------- */

typedef struct Arguments {
        Ctl ctl;
        unsigned given;   /* TAKES_*: options that only some verbs take */
        bool is_answered; /* --help or --version: nothing is left to do */
} Arguments;

/* The index of the word, or -EINVAL with a message. */
static int parse_word(const char *option, const char *const *words, const char *s) {
        for (int i = 0; words[i]; i++)
                if (str_equal(words[i], s))
                        return i;
        fprintf(stderr, "vitalctl: %s takes", option);
        for (int i = 0; words[i]; i++)
                fprintf(stderr, "%s %s", i == 0 ? "" : words[i + 1] ? "," : " or", words[i]);
        fprintf(stderr, ", not \"%s\"\n", s);
        return -EINVAL;
}

static int option_help(Arguments *a, _unused_ const char *value) {
        print_help();
        a->is_answered = true;
        return 0;
}

static int option_version(Arguments *a, _unused_ const char *value) {
        puts(PACKAGE_STRING);
        a->is_answered = true;
        return 0;
}

static int option_directory(Arguments *a, const char *value) {
        a->ctl.where.runtime_directory = value;
        return 0;
}

static int option_bus(Arguments *a, const char *value) {
        static const char *const words[] = { "system", "user", NULL };
        int r = parse_word("--bus=", words, value);

        a->ctl.where.bus = r == 1 ? CLIENT_BUS_USER : CLIENT_BUS_SYSTEM;
        return r;
}

static int option_json(Arguments *a, const char *value) {
        static const char *const words[] = {
                [JSON_OFF] = "off",
                [JSON_SHORT] = "short",
                [JSON_PRETTY] = "pretty",
                NULL,
        };
        int r = parse_word("--json=", words, value);

        a->ctl.json = r < 0 ? JSON_OFF : (JsonMode) r;
        return r;
}

static int option_ready(Arguments *a, _unused_ const char *value) {
        a->ctl.question = QUESTION_READY;
        return 0;
}

static int option_started(Arguments *a, _unused_ const char *value) {
        a->ctl.question = QUESTION_STARTED;
        return 0;
}

static int option_live(Arguments *a, _unused_ const char *value) {
        a->ctl.question = QUESTION_LIVE;
        return 0;
}

static int option_timeout(Arguments *a, const char *value) {
        if (timespan_parse(value, USEC_PER_SEC, &a->ctl.timeout_usec) < 0)
                return usage_error("--timeout= takes a time span such as 30s or 1h, not", value);
        return 0;
}

static int option_reason(Arguments *a, const char *value) {
        a->ctl.reason = value;
        return 0;
}

static int option_value(Arguments *a, const char *value) {
        strbuf_printf(&a->ctl.values, "%s%s", a->ctl.values.length > 0 ? " " : "", value);
        return a->ctl.values.failed ? -ENOMEM : 0;
}

static int option_all(Arguments *a, _unused_ const char *value) {
        a->ctl.all = true;
        return 0;
}

static int option_wait(Arguments *a, _unused_ const char *value) {
        a->ctl.wait = true;
        return 0;
}

static int option_count(Arguments *a, const char *value) {
        if (parse_uint64(value, &a->ctl.count) < 0 || a->ctl.count == 0 || a->ctl.count > 100)
                return usage_error("--count= takes a whole number from 1 to 100, not", value);
        return 0;
}

static int option_connections(Arguments *a, const char *value) {
        const char *colon = strchr(value, ':');
        _cleanup_free_ char *port =
                strndup(value, colon ? (size_t) (colon - value) : strlen(value));

        if (!port)
                return -ENOMEM;
        if (parse_uint64(port, &a->ctl.port) < 0 || a->ctl.port == 0 || a->ctl.port > UINT16_MAX ||
            (colon && parse_uint64(colon + 1, &a->ctl.connections) < 0))
                return usage_error("--connections= takes PORT or PORT:NUMBER, not", value);
        return 0;
}

static int option_root(Arguments *a, const char *value) {
        a->ctl.root = value;
        return 0;
}

static int option_strict(Arguments *a, _unused_ const char *value) {
        a->ctl.is_strict = true;
        return 0;
}

static int option_quiet(Arguments *a, _unused_ const char *value) {
        a->ctl.is_quiet = true;
        return 0;
}

static int option_nothing(_unused_ Arguments *a, _unused_ const char *value) {
        return 0;
}

static const struct OptionSpec {
        const char *name;
        char letter; /* 0: none */
        int has_value;
        unsigned takes; /* TAKES_*, or 0: all verbs do */
        int (*apply)(Arguments *a, const char *value);
} option_specs[] = {
        { "help", 'h', no_argument, 0, option_help },
        { "version", 0, no_argument, 0, option_version },
        { "runtime-directory", 0, required_argument, 0, option_directory },
        { "bus", 0, required_argument, 0, option_bus },
        { "no-pager", 0, no_argument, 0, option_nothing },
        { "json", 0, required_argument, TAKES_JSON, option_json },
        { "ready", 0, no_argument, TAKES_QUESTION, option_ready },
        { "started", 0, no_argument, TAKES_QUESTION, option_started },
        { "live", 0, no_argument, TAKES_QUESTION, option_live },
        { "timeout", 0, required_argument, TAKES_TIMEOUT, option_timeout },
        { "reason", 0, required_argument, TAKES_REASON, option_reason },
        { "value", 0, required_argument, TAKES_VALUES, option_value },
        { "all", 0, no_argument, TAKES_ALL, option_all },
        { "wait", 0, no_argument, TAKES_WAIT, option_wait },
        { "count", 0, required_argument, TAKES_WAIT, option_count },
        { "connections", 0, required_argument, TAKES_WAIT, option_connections },
        { "quiet", 'q', no_argument, TAKES_QUIET, option_quiet },
        { "root", 0, required_argument, TAKES_ROOT, option_root },
        { "strict", 0, no_argument, TAKES_STRICT, option_strict },
};

/* What getopt returns for an option: beyond all letters. */
#define OPTION_CODE(i) (0x100 + (int) (i))

static int option_take(Arguments *a, int code) {
        for (size_t i = 0; i < ELEMENTSOF(option_specs); i++) {
                const struct OptionSpec *o = &option_specs[i];

                if (code != OPTION_CODE(i) && (!o->letter || code != o->letter))
                        continue;
                a->given |= o->takes;
                return o->apply(a, optarg);
        }
        return -EINVAL; /* getopt has said what is wrong */
}

static int arguments_parse(Arguments *a, int argc, char *argv[]) {
        struct option options[ELEMENTSOF(option_specs) + 1] = {};
        int c, r;

        for (size_t i = 0; i < ELEMENTSOF(option_specs); i++)
                options[i] = (struct option){
                        .name = option_specs[i].name,
                        .has_arg = option_specs[i].has_value,
                        .val = OPTION_CODE(i),
                };
        while ((c = getopt_long(argc, argv, "hq", options, NULL)) >= 0) {
                r = option_take(a, c);
                if (r < 0 || a->is_answered)
                        return r;
        }
        if (a->ctl.where.runtime_directory && a->ctl.where.bus != CLIENT_BUS_ANY)
                return usage_error("--runtime-directory= and --bus= exclude each other", NULL);
        return 0;
}

/* -- verbs ------------------------------------------------------------------------------------- */

static int verb_find(const char *name, const Verb **ret) {
        unsigned best = UINT_MAX;
        const char *near = NULL;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                unsigned distance = typo_distance(name, verbs[i].name);

                if (str_equal(name, verbs[i].name)) {
                        *ret = &verbs[i];
                        return 0;
                }
                if (distance < best) {
                        best = distance;
                        near = verbs[i].name;
                }
        }
        fprintf(stderr, "vitalctl: there is no verb \"%s\"", name);
        if (near)
                fprintf(stderr, "; is it %s?\n", near);
        else
                fputs("; see vitalctl --help\n", stderr);
        return -EINVAL;
}

static int verb_check(const Verb *v, const Arguments *a, int n) {
        if (n < v->min || n > v->max) {
                fprintf(stderr, "vitalctl: usage: vitalctl %s %s\n", v->name, v->arguments);
                return -EINVAL;
        }
        for (size_t i = 0; i < ELEMENTSOF(option_specs); i++)
                if (a->given & option_specs[i].takes & ~v->takes) {
                        fprintf(stderr, "vitalctl: %s does not take --%s\n", v->name,
                                option_specs[i].name);
                        return -EINVAL;
                }
        return 0;
}

static void arguments_done(Arguments *a) {
        strbuf_done(&a->ctl.values);
}

int main(int argc, char *argv[]) {
        _cleanup_(arguments_done)
                Arguments a = { .ctl = { .timeout_usec = USEC_INFINITY, .reason = "" } };
        const Verb *verb;
        int r;

        r = arguments_parse(&a, argc, argv);
        if (r < 0)
                return EXIT_USAGE;
        if (a.is_answered)
                return EXIT_YES;
        r = verb_find(optind < argc ? argv[optind] : "status", &verb);
        if (r < 0)
                return EXIT_USAGE;
        a.ctl.arguments = argv + MIN(optind + 1, argc);
        r = verb_check(verb, &a, MAX(argc - optind - 1, 0));
        if (r < 0)
                return EXIT_USAGE;
        a.ctl.screen = screen_of(stdout);
        return verb->run(&a.ctl);
}
