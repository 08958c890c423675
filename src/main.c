/* SPDX-License-Identifier: MIT */
/* The command line of vitald(8). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "check/engine.h"
#include "daemon.h"
#include "probe-url.h"
#include "verify.h"

#define LARGE_BYTES (128 << 10)

typedef enum Mode { MODE_DAEMON, MODE_VERIFY, MODE_PROBE } Mode;

typedef struct Arguments {
        Mode mode;
        const char *root;              /* borrowed from argv */
        const char *runtime_directory; /* borrowed from argv */
        const char *state_directory;   /* borrowed from argv */
        const char *probe_url;         /* borrowed from argv */
        char **listen;                 /* owned */
        BusMode bus;
        VerifyFormat format;
        bool is_strict;
} Arguments;

static void arguments_done(Arguments *a) {
        strv_free(a->listen);
}

static void print_help(void) {
        puts("vitald [OPTIONS...]\n\n"
             "Runs health checks and publishes liveness, readiness and startup verdicts.\n\n"
             "  -h --help                   Show this help\n"
             "     --version                Show the version\n"
             "     --root=DIR               Look for the configuration below DIR\n"
             "     --listen=ADDRESS         Serve HTTP here if systemd passes no socket: "
             "127.0.0.1:9911,\n"
             "                              [::1]:9911 or /path/http.sock; may be repeated\n"
             "     --bus=system|user|none   Which D-Bus to be on (system)\n"
             "     --runtime-directory=DIR  Where the private socket and the lock are\n"
             "                              ($RUNTIME_DIRECTORY, /run/vitald)\n"
             "     --state-directory=DIR    Where is kept what outlives a boot\n"
             "                              ($STATE_DIRECTORY, /var/lib/vitald)\n"
             "     --log-level=LEVEL        emerg alert crit err warning notice info debug\n"
             "     --verify                 Check the configuration, print what is wrong and what "
             "will\n"
             "                              hurt, exit 78 if anything is wrong\n"
             "     --strict                 With --verify: warnings count as wrong\n"
             "     --json=short|pretty      With --verify: print JSON\n"
             "     --probe URL              Run one check without configuration and print its "
             "result\n\n"
             "See vitald(8), vitald.conf(5), vitald.services(5) and vitalctl(1).");
}

static int usage_error(const char *what, const char *value) {
        fprintf(stderr, "vitald: %s%s%s; see vitald --help\n", what, value ? ": " : "",
                value ? value : "");
        return -EINVAL;
}

enum {
        ARG_VERSION = 0x100,
        ARG_ROOT,
        ARG_LISTEN,
        ARG_BUS,
        ARG_RUNTIME_DIRECTORY,
        ARG_STATE_DIRECTORY,
        ARG_LOG_LEVEL,
        ARG_VERIFY,
        ARG_STRICT,
        ARG_JSON,
        ARG_PROBE,
};

/* One option. 1: go on; 0: all is done; negative errno. */
static int option_apply(Arguments *a, int option) {
        int level, r;

        switch (option) {
        case 'h':
                print_help();
                return 0;
        case ARG_VERSION:
                puts(PACKAGE_STRING);
                return 0;
        case ARG_ROOT:
                a->root = optarg;
                return 1;
        case ARG_LISTEN:
                r = strv_append(&a->listen, optarg);
                return r < 0 ? r : 1;
        case ARG_BUS:
                r = bus_mode_from_string(optarg, &a->bus);
                return r < 0 ? usage_error("--bus= takes system, user or none, not", optarg) : 1;
        case ARG_RUNTIME_DIRECTORY:
                a->runtime_directory = optarg;
                return 1;
        case ARG_STATE_DIRECTORY:
                a->state_directory = optarg;
                return 1;
        case ARG_LOG_LEVEL:
                r = log_level_parse(optarg, &level);
                if (r < 0)
                        return usage_error("--log-level= takes emerg to debug, not", optarg);
                log_set_level(level);
                return 1;
        case ARG_VERIFY:
                a->mode = MODE_VERIFY;
                return 1;
        case ARG_STRICT:
                a->is_strict = true;
                return 1;
        case ARG_JSON:
                r = verify_format_from_string(optarg, &a->format);
                return r < 0 ? usage_error("--json= takes off, short or pretty, not", optarg) : 1;
        case ARG_PROBE:
                a->mode = MODE_PROBE;
                a->probe_url = optarg;
                return 1;
        }
        return -EINVAL; /* getopt has said what is wrong */
}

static int arguments_parse(Arguments *a, int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "root", required_argument, NULL, ARG_ROOT },
                { "listen", required_argument, NULL, ARG_LISTEN },
                { "bus", required_argument, NULL, ARG_BUS },
                { "runtime-directory", required_argument, NULL, ARG_RUNTIME_DIRECTORY },
                { "state-directory", required_argument, NULL, ARG_STATE_DIRECTORY },
                { "log-level", required_argument, NULL, ARG_LOG_LEVEL },
                { "verify", no_argument, NULL, ARG_VERIFY },
                { "strict", no_argument, NULL, ARG_STRICT },
                { "json", required_argument, NULL, ARG_JSON },
                { "probe", required_argument, NULL, ARG_PROBE },
                {},
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                r = option_apply(a, c);
                if (r <= 0)
                        return r;
        }
        if (optind < argc)
                return usage_error("Unexpected argument", argv[optind]);
        if ((a->is_strict || a->format != VERIFY_TEXT) && a->mode != MODE_VERIFY)
                return usage_error("--strict and --json= are for --verify", NULL);
        return 1;
}

/* -- the daemon's surroundings ----------------------------------------------------------------- */

/* Where something is: as the option says, or the variable that systemd sets; for root, or for any
 * other user below a directory of his. -ENOENT: nowhere. */
typedef struct Place {
        const char *option;   /* or NULL */
        const char *variable; /* a list of directories, the first of which counts */
        const char *of_root;
        const char *base, *below; /* a variable, and what is appended to its value */
} Place;

static int place_find(const Place *p, char buf[static 4096]) {
        const char *e = getenv(p->variable), *base = getenv(p->base);
        int n;

        if (p->option)
                n = snprintf(buf, 4096, "%s", p->option);
        else if (!str_is_empty(e))
                n = snprintf(buf, 4096, "%.*s", (int) strcspn(e, ":"), e);
        else if (geteuid() == 0)
                n = snprintf(buf, 4096, "%s", p->of_root);
        else if (!str_is_empty(base))
                n = snprintf(buf, 4096, "%s%s", base, p->below);
        else
                return -ENOENT;
        return n < 0 || n >= 4096 ? -ENAMETOOLONG : 0;
}

static int state_directory_find(const Arguments *a, char buf[static 4096]) {
        const Place place = {
                .option = a->state_directory,
                .variable = "STATE_DIRECTORY",
                .of_root = "/var/lib/vitald",
                .base = "HOME",
                .below = "/.local/state/vitald",
        };

        return place_find(&place, buf);
}

static int runtime_directory_find(const Arguments *a, char buf[static 4096]) {
        const Place place = {
                .option = a->runtime_directory,
                .variable = "RUNTIME_DIRECTORY",
                .of_root = "/run/vitald",
                .base = "XDG_RUNTIME_DIR",
                .below = "/vitald",
        };
        int r;

        r = place_find(&place, buf);
        if (r == -ENOENT)
                return usage_error("No runtime directory; give --runtime-directory=DIR", NULL);
        if (r < 0)
                return r;
        if (mkdir(buf, 0755) < 0 && errno != EEXIST)
                return log_errno(LOG_ERR, -errno, "Cannot make the runtime directory %s", buf);
        return 0;
}

/* One vitald for a runtime directory. The lock lives as long as the process. */
static int runtime_directory_lock(const char *directory, int *ret_fd) {
        _cleanup_fd_ int fd = -1;
        char path[4096 + 8];

        snprintf(path, sizeof(path), "%s/lock", directory);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return log_errno(LOG_ERR, -errno, "Cannot open %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno == EWOULDBLOCK) {
                        log_error("Another vitald runs on %s; give this one another "
                                  "--runtime-directory=",
                                  directory);
                        return -EBUSY;
                }
                return log_errno(LOG_ERR, -errno, "Cannot lock %s", path);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* What is large, such as the text of the file for the next start, goes back to the system as soon
 * as it is freed: by itself glibc would take its size as a reason to hold on to such memory. And
 * helper threads need no heaps of their own, as they allocate little. */
static void memory_prepare(void) {
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
        mallopt(M_ARENA_MAX, 1);
}

/* Signals that the event loop takes are blocked before any thread is there; a peer that goes away
 * is an error of a write, not a signal; and nobody of our uid reads secrets from our memory. */
static void process_prepare(void) {
        struct rlimit nofile;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        signal(SIGPIPE, SIG_IGN);
        prctl(PR_SET_DUMPABLE, 0);
        if (getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur < nofile.rlim_max) {
                nofile.rlim_cur = nofile.rlim_max;
                setrlimit(RLIMIT_NOFILE, &nofile);
        }
}

static ConfigSources sources_of(const Arguments *a) {
        return (ConfigSources){
                .root = a->root,
                .credentials_directory = getenv("CREDENTIALS_DIRECTORY"),
                .types = check_types(),
        };
}

static int run_daemon(const Arguments *a) {
        char runtime_directory[4096], state_directory[4096];
        _cleanup_fd_ int lock = -1;
        DaemonOptions options;
        int r;

        memory_prepare();
        process_prepare();
        r = runtime_directory_find(a, runtime_directory);
        if (r < 0)
                return EXIT_FAILURE;
        r = runtime_directory_lock(runtime_directory, &lock);
        if (r < 0)
                return EXIT_FAILURE;
        options = (DaemonOptions){
                .sources = sources_of(a),
                .watchdog_usec = watchdog_from_environment(),
                .listen = a->listen,
                .bus = a->bus,
                .runtime_directory = runtime_directory,
                .state_directory =
                        state_directory_find(a, state_directory) < 0 ? NULL : state_directory,
        };
        r = daemon_run(&options);
        if (r < 0) {
                log_errno(LOG_ERR, r, "vitald ends");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

static int run_verify(const Arguments *a) {
        VerifyOptions options = {
                .sources = sources_of(a),
                .watchdog_usec = watchdog_from_environment(),
                .format = a->format,
                .is_strict = a->is_strict,
        };

        return verify(&options);
}

int main(int argc, char *argv[]) {
        _cleanup_(arguments_done) Arguments arguments = { .bus = BUS_MODE_SYSTEM };
        int r;

        log_open();
        r = arguments_parse(&arguments, argc, argv);
        if (r == -ENOMEM) {
                log_errno(LOG_ERR, r, "Cannot read the arguments");
                return EXIT_FAILURE;
        }
        if (r < 0)
                return EX_USAGE;
        if (r == 0)
                return EXIT_SUCCESS;
        switch (arguments.mode) {
        case MODE_DAEMON:
                return run_daemon(&arguments);
        case MODE_VERIFY:
                return run_verify(&arguments);
        case MODE_PROBE:
                return probe_url(arguments.probe_url);
        }
        assert(false);
        return EXIT_FAILURE;
}
