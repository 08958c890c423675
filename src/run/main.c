/* SPDX-License-Identifier: MIT */
/* The command line of vitald-run(1). */

#include <getopt.h>
#include <stdio.h>

#include "base/text.h"
#include "run/launch.h"

enum { EXIT_USAGE = 2 };

static void print_help(void) {
        puts("vitald-run [OPTIONS...] [--] PROGRAM [ARGUMENTS...]\n\n"
             "Becomes PROGRAM, in a unit of Type=notify, and leaves a companion beside it that "
             "tells\n"
             "systemd what vitald says of its health: READY=1, WATCHDOG=1, STATUS=.\n\n"
             "  -h --help                       Show this help\n"
             "     --version                    Show the version\n"
             "     --service=NAME               The service of vitald (as the unit is called)\n"
             "     --runtime-directory=DIR      Where its private socket is (/run/vitald)\n"
             "     --bus=system|user            The bus on which it is otherwise (system)\n"
             "     --ready-without-vitald=TIME  Count as started after so long without a word of\n"
             "                                  vitald (never)\n\n"
             "See vitald-run(1).");
}

static int usage_error(const char *what, const char *value) {
        fprintf(stderr, "vitald-run: %s%s%s; see vitald-run --help\n", what, value ? ": " : "",
                value ? value : "");
        return EXIT_USAGE;
}

static int option_service(Launch *l, const char *value) {
        l->service = value;
        return str_is_empty(value) ? usage_error("--service= takes a name", NULL) : 0;
}

static int option_runtime_directory(Launch *l, const char *value) {
        l->runtime_directory = value;
        return 0;
}

static int option_bus(Launch *l, const char *value) {
        if (!str_equal(value, "system") && !str_equal(value, "user"))
                return usage_error("--bus= takes system or user, not", value);
        l->scope = str_equal(value, "user") ? BUS_USER : BUS_SYSTEM;
        return 0;
}

static int option_ready_without(Launch *l, const char *value) {
        if (timespan_parse(value, USEC_PER_SEC, &l->ready_without_usec) >= 0)
                return 0;
        return usage_error("--ready-without-vitald= takes a time span such as 30s, not", value);
}

static const struct {
        const char *name;
        int (*apply)(Launch *l, const char *value); /* 0, or the exit code */
} option_specs[] = {
        { "service", option_service },
        { "ready-without-vitald", option_ready_without },
        { "runtime-directory", option_runtime_directory },
        { "bus", option_bus },
};

/* What getopt returns: above all letters, and behind the options above. */
enum { OPTION_FIRST = 0x100, OPTION_VERSION = OPTION_FIRST + ELEMENTSOF(option_specs) };

/* -1 to go on with the program, or the exit code. */
static int options_parse(Launch *l, int argc, char *argv[]) {
        struct option options[ELEMENTSOF(option_specs) + 3] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
        };
        int c, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(option_specs); i++)
                options[i + 2] = (struct option){ .name = option_specs[i].name,
                                                  .has_arg = required_argument,
                                                  .val = OPTION_FIRST + (int) i };
        while (r == 0 && (c = getopt_long(argc, argv, "+h", options, NULL)) >= 0) {
                if (c == 'h') {
                        print_help();
                        return EXIT_SUCCESS;
                }
                if (c == OPTION_VERSION) {
                        puts(PACKAGE_STRING);
                        return EXIT_SUCCESS;
                }
                if (c < OPTION_FIRST)
                        return EXIT_USAGE; /* getopt has said what is wrong */
                r = option_specs[c - OPTION_FIRST].apply(l, optarg);
        }
        return r == 0 ? -1 : r;
}

int main(int argc, char *argv[]) {
        Launch l = {
                .runtime_directory = "/run/vitald",
                .ready_without_usec = USEC_INFINITY,
                .argc = argc,
                .argv = argv,
        };
        int r;

        r = options_parse(&l, argc, argv);
        if (r >= 0)
                return r;
        if (optind >= argc)
                return usage_error("which program?", NULL);
        l.program = argv + optind;
        return launch(&l);
}
