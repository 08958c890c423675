/* SPDX-License-Identifier: MIT */

/* Runs the checks of one service by the engine alone, without states, verdicts and outputs: for
 * tests of drivers and for measurements.
 *
 *     check-runner FILE [system|user]
 *
 * FILE is a service's configuration; checks that ask systemd do so over that bus. Each result is
 * printed as one line of JSON; that vitald itself was late is none, nor is a success of which it is
 * not known how long it took, and the check is run again at once. Commands on standard input: "run
 * CHECK TIMES" runs a check so many times in a row, each as soon as the one before has ended, and
 * prints one line with the count of each outcome at the end instead of each result; "stop" or the
 * end of the input ends the program.
 */

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "check/engine.h"
#include "config/loader.h"

#define FILE_MAX    65536
#define COMMAND_MAX 256

typedef struct Runner {
        sd_event *event;
        SystemdLink *systemd;
        Engine *engine;
        Config *config;
        size_t batch_check; /* INDEX_NONE: no batch */
        uint64_t batch_left, batch_serial;
        uint64_t batch_outcomes[OUTCOME_ERROR + 1];
} Runner;

static void print_json(json_object *o) {
        puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
        (void) fflush(stdout);
        json_object_put(o);
}

static json_object *result_json(const Result *r) {
        json_object *o = json_object_new_object();
        char reason[REASON_WORD_MAX];

        json_object_object_add(o, "outcome", json_object_new_string(outcome_to_string(r->outcome)));
        json_object_object_add(o, "reason",
                               json_object_new_string(reason_format(reason, r->reason, r->detail)));
        json_object_object_add(o, "message", json_object_new_string(r->message));
        if (r->latency_usec != USEC_INFINITY)
                json_object_object_add(o, "latency_ms",
                                       json_object_new_double((double) r->latency_usec / 1000));
        if (r->retry_after_usec > 0)
                json_object_object_add(o, "retry_after_ms",
                                       json_object_new_int64((int64_t) r->retry_after_usec / 1000));
        for (size_t i = 0; i < r->n_values; i++)
                json_object_object_add(o, r->values[i].name,
                                       json_object_new_double(r->values[i].number));
        return o;
}

static void batch_continue(Runner *r) {
        int error;

        error = engine_run(r->engine, r->batch_check, &r->batch_serial);
        assert(error >= 0);
}

static void batch_end(Runner *r, const Result *last) {
        json_object *o = result_json(last);

        json_object_object_add(o, "batch", json_object_new_boolean(true));
        for (Outcome i = OUTCOME_PASS; i <= OUTCOME_ERROR; i++)
                json_object_object_add(o, outcome_to_string(i),
                                       json_object_new_int64((int64_t) r->batch_outcomes[i]));
        print_json(o);
        r->batch_check = INDEX_NONE;
}

/* What is reported has no run. */
static bool is_spoilt(uint64_t serial, const Result *r) {
        bool has_no_latency = outcome_is_success(r->outcome) && r->latency_usec == USEC_INFINITY;

        return r->reason == REASON_LATE || (serial > 0 && has_no_latency);
}

static void run_again(Runner *r, size_t check, const Result *late) {
        uint64_t serial;

        fprintf(stderr, "%s: %s\n", r->config->checks[check]->name, late->message);
        (void) engine_run(r->engine, check, &serial);
}

static bool on_result(void *userdata, size_t check, uint64_t serial, const Result *result) {
        Runner *r = userdata;
        json_object *o;

        if (is_spoilt(serial, result)) {
                run_again(r, check, result);
                return false;
        }
        if (check == r->batch_check) {
                if (serial < r->batch_serial)
                        return false;
                r->batch_outcomes[result->outcome]++;
                if (--r->batch_left == 0)
                        batch_end(r, result);
                return false;
        }
        o = result_json(result);
        json_object_object_add(o, "check", json_object_new_string(r->config->checks[check]->name));
        json_object_object_add(o, "time",
                               json_object_new_double((double) clock_usec(CLOCK_MONOTONIC) / 1e6));
        print_json(o);
        return false;
}

static void on_forgotten(void *userdata _unused_, size_t check _unused_) {}

static void on_void(void *userdata _unused_, size_t check _unused_) {}

static void on_turn(void *userdata) {
        Runner *r = userdata;

        if (r->batch_check != INDEX_NONE && r->batch_left > 0 &&
            engine_next_run_usec(r->engine, r->batch_check) > 0)
                batch_continue(r);
}

static void on_stall(void *userdata _unused_, usec_t stall_usec) {
        fprintf(stderr, "stall of %" PRIu64 " us\n", stall_usec);
}

static size_t find_check(const Runner *r, const char *name) {
        for (size_t i = 0; i < r->config->n_checks; i++)
                if (str_equal(r->config->checks[i]->name, name))
                        return i;
        return INDEX_NONE;
}

static void command(Runner *r, const char *line) {
        char name[NAME_LENGTH_MAX + 1];

        if (str_starts_with(line, "stop")) {
                (void) sd_event_exit(r->event, 0);
                return;
        }
        memset(r->batch_outcomes, 0, sizeof(r->batch_outcomes));
        if (sscanf(line, "run %64s %" SCNu64, name, &r->batch_left) != 2 || r->batch_left == 0 ||
            (r->batch_check = find_check(r, name)) == INDEX_NONE) {
                fprintf(stderr, "bad command: %s\n", line);
                (void) sd_event_exit(r->event, EXIT_FAILURE);
                return;
        }
        batch_continue(r);
}

static int on_input(sd_event_source *s _unused_, int fd, uint32_t revents _unused_,
                    void *userdata) {
        Runner *r = userdata;
        char line[COMMAND_MAX];
        ssize_t n;

        n = read(fd, line, sizeof(line) - 1);
        if (n <= 0)
                (void) sd_event_exit(r->event, 0);
        else {
                line[n] = 0;
                command(r, line);
        }
        return 0;
}

static int load(Runner *r, const char *path) {
        ConfigSources sources = {
                .credentials_directory = getenv("CREDENTIALS_DIRECTORY"),
                .types = check_types(),
        };
        _cleanup_free_ char *text = NULL, *faults = NULL;
        size_t n;
        int error;

        error = file_read(path, FILE_MAX, &text, &n);
        if (error < 0)
                return error;
        error = config_load_text(&sources, "test", text, &r->config);
        if (error < 0 || diagnostics_is_empty(&r->config->diagnostics))
                return error;
        if (diagnostics_format(&r->config->diagnostics, &faults) >= 0)
                fputs(faults, stderr);
        return -EINVAL;
}

static int run(Runner *r, const char *path, const char *bus) {
        static const EngineHandler handler = { on_result, on_forgotten, on_void, on_turn,
                                               on_stall };
        int error;

        error = load(r, path);
        if (error < 0)
                return error;
        error = sd_event_default(&r->event);
        if (error < 0)
                return error;
        error = engine_new(r->event, &handler, r, &r->engine);
        if (error >= 0 && bus)
                error = systemd_link_new(r->event, str_equal(bus, "user") ? BUS_USER : BUS_SYSTEM,
                                         &r->systemd);
        if (error < 0)
                return error;
        engine_set_systemd(r->engine, r->systemd);
        error = engine_configure(r->engine, r->config);
        if (error < 0)
                return error;
        error = sd_event_add_io(r->event, NULL, STDIN_FILENO, EPOLLIN, on_input, r);
        return error < 0 ? error : sd_event_loop(r->event);
}

int main(int argc, char **argv) {
        Runner r = { .batch_check = INDEX_NONE };
        int error;

        if (argc != 2 && argc != 3)
                return 2;
        (void) signal(SIGPIPE, SIG_IGN);
        error = run(&r, argv[1], argc == 3 ? argv[2] : NULL);
        engine_free(r.engine);
        systemd_link_free(r.systemd);
        config_unref(r.config);
        sd_event_unref(r.event);
        if (error < 0)
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-error));
        return error < 0 ? EXIT_FAILURE : error;
}
