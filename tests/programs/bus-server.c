/* SPDX-License-Identifier: MIT */

/* The bus outputs and the journal by themselves, on a state that standard input changes: for tests
 * that must make flips at will.
 *
 *     bus-server system|user|none RUNTIME_DIRECTORY SERVICES [units]
 *
 * There are SERVICES services s000, s001, ..., each with the checks "a-1" (critical), "b" (not
 * critical, liveness) and "push" (takes reports). A threshold is one failure. With "units" each
 * stands for a unit, s000.service, ..., and has 2 s to start. Commands:
 *     result CHECK pass|warn|fail|error    (index of the check)
 *     all pass|warn|fail|error             every check at once
 *     unit SERVICE STATE INVOCATION        what its unit does (index of the service)
 *     reload SERVICES                      another number of services
 *     refuse TEXT                          the next Reload() fails with this text
 *     hold | release                       keeps Run() waiting | ends all that wait
 * Each is answered with one line, "ok". The end of the input ends the program. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../unit/fixture.h"
#include "base/log.h"
#include "base/parse.h"
#include "output/bus.h"
#include "output/journal.h"

#define SERVICES_MAX 1000
#define WAITING_MAX  1024

#define UNIT_STARTUP_TIMEOUT_USEC (2 * USEC_PER_SEC)

typedef struct Waiting {
        CheckConfig *check; /* owned reference */
        ControlDone done;
        void *userdata;
} Waiting;

typedef struct Server {
        sd_event *event;
        Publisher *publisher;
        History *history;     /* owned */
        HttpProbers *probers; /* owned */
        Actions *actions;     /* owned: nothing is ever restarted */
        State *state;
        Bus *bus;
        char refusal[256];
        bool is_holding, has_units;
        size_t n_waiting;
        Waiting waiting[WAITING_MAX];
} Server;

static Config *make_config(size_t n, bool has_units) {
        static const FixtureCheck checks[] = {
                { .name = "a-1", .failure_threshold = 1 },
                { .name = "b",
                  .failure_threshold = 1,
                  .is_uncritical = true,
                  .probes = READINESS | LIVENESS },
                { .name = "push", .failure_threshold = 1, .type_flags = CHECK_TYPE_PUSH },
        };
        FixtureService *services = fixture_need(calloc(n + 1, sizeof(*services)));
        char *names = fixture_need(calloc(n + 1, 8)), *units = fixture_need(calloc(n + 1, 16));
        Config *c;

        for (size_t i = 0; i < n; i++) {
                snprintf(names + 8 * i, 8, "s%03zu", i % SERVICES_MAX);
                services[i].name = names + 8 * i;
                snprintf(units + 16 * i, 16, "s%03zu.service", i % SERVICES_MAX);
                if (has_units) {
                        services[i].unit = units + 16 * i;
                        services[i].startup_timeout_usec = UNIT_STARTUP_TIMEOUT_USEC;
                }
                memcpy(services[i].checks, checks, sizeof(checks));
        }
        c = fixture_config(services, n);
        free(services);
        free(names);
        free(units);
        for (size_t i = 0; i < c->n_services; i++)
                if (!c->services[i].is_builtin)
                        c->services[i].documentation = fixture_need(strdup("https://wiki/s"));
        return c;
}

static void publish(Server *s) {
        _cleanup_(snapshot_unrefp) Snapshot *new =
                fixture_need(snapshot_new(s->state, publisher_current(s->publisher), time_now()));

        publisher_publish(s->publisher, new);
}

static int apply(Server *s, const Event *e) {
        int r;

        r = state_apply(s->state, e, time_now());
        if (r >= 0)
                publish(s);
        return r;
}

static int apply_result(Server *s, size_t check, Outcome outcome) {
        Result result = fixture_result(outcome);

        result_add_value(&result, "connections", 7, "");
        return apply(s, &(Event){ .type = EVENT_RESULT, .check = check, .result = &result });
}

static void end_run(Server *s, Waiting *w) {
        size_t check = config_find_check(s->state->config, w->check->service, w->check->name);

        if (check != INDEX_NONE)
                apply_result(s, check, OUTCOME_PASS);
        w->done(w->userdata, 0, NULL, publisher_current(s->publisher));
        check_config_unref(w->check);
}

static int control_run(void *daemon, size_t check, ControlDone done, void *userdata) {
        Server *s = daemon;
        CheckConfig *c = s->state->config->checks[check];
        Waiting w = { .done = done, .userdata = userdata };

        if (c->type->flags & CHECK_TYPE_PUSH)
                return -EOPNOTSUPP;
        w.check = check_config_ref(c);
        if (s->is_holding && s->n_waiting < WAITING_MAX)
                s->waiting[s->n_waiting++] = w;
        else
                end_run(s, &w);
        return 0;
}

static int control_report(void *daemon, size_t check, const Result *result, const Sender *sender) {
        Server *s = daemon;

        if (!(s->state->config->checks[check]->type->flags & CHECK_TYPE_PUSH))
                return -EOPNOTSUPP;
        if (!sender->is_privileged)
                return -EACCES;
        return apply(s, &(Event){ .type = EVENT_RESULT, .check = check, .result = result });
}

static int control_override(void *daemon, size_t check, Health state, usec_t timeout_usec,
                            const char *note, const char *who) {
        Time now = time_now();
        Override o = {
                .is_active = timeout_usec > 0,
                .state = state,
                .since_realtime = now.realtime,
                .until_boottime = usec_add(now.boottime, timeout_usec),
        };

        snprintf(o.note, sizeof(o.note), "%s", note);
        snprintf(o.who, sizeof(o.who), "%s", who);
        return apply(daemon, &(Event){ .type = EVENT_OVERRIDE, .check = check, .override = &o });
}

static int control_drain(void *daemon, size_t service, usec_t timeout_usec, const char *note,
                         const char *who) {
        Time now = time_now();
        Drain d = {
                .is_active = timeout_usec > 0,
                .since_realtime = now.realtime,
                .until_boottime = usec_add(now.boottime, timeout_usec),
        };

        snprintf(d.note, sizeof(d.note), "%s", note);
        snprintf(d.who, sizeof(d.who), "%s", who);
        return apply(daemon, &(Event){ .type = EVENT_DRAIN, .service = service, .drain = &d });
}

static int control_drain_until_start(void *daemon, size_t service, const char *note,
                                     const char *who) {
        return control_drain(daemon, service, USEC_INFINITY, note, who);
}

/* Nothing is ever restarted here. */
static int control_reset_restarts(void *daemon _unused_, size_t service _unused_,
                                  const char *who _unused_) {
        return 0;
}

static int take_config(Server *s, size_t n) {
        _cleanup_(config_unrefp) Config *c = make_config(n, s->has_units);

        return apply(s, &(Event){ .type = EVENT_CONFIG, .config = c });
}

static int control_reload(void *daemon, ControlDone done, void *userdata) {
        Server *s = daemon;
        int r;

        if (*s->refusal) {
                apply(s, &(Event){ .type = EVENT_CONFIG, .reload_error = s->refusal });
                done(userdata, -EBADMSG, s->refusal, publisher_current(s->publisher));
                s->refusal[0] = 0;
                return 0;
        }
        r = take_config(s, s->state->config->n_services);
        done(userdata, r, NULL, publisher_current(s->publisher));
        return 0;
}

static usec_t next_run(_unused_ void *userdata, size_t check) {
        return 1000 + check;
}

static char *const *listening(_unused_ void *userdata) {
        static char address[] = "127.0.0.1:9911";
        static char *const addresses[] = { address, NULL };

        return addresses;
}

static int outcome_parse(const char *s, Outcome *ret) {
        for (Outcome o = OUTCOME_PASS; o <= OUTCOME_ERROR; o++)
                if (str_equal(s, outcome_to_string(o))) {
                        *ret = o;
                        return 0;
                }
        return -EINVAL;
}

/* All at once, so that one snapshot holds all flips. */
static int change_all(Server *s, Outcome outcome) {
        Result result = fixture_result(outcome);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->state->config->n_checks; i++)
                r = state_apply(s->state,
                                &(Event){ .type = EVENT_RESULT, .check = i, .result = &result },
                                time_now());
        publish(s);
        return r;
}

/* "0 active 0123456789abcdef" */
static int change_unit(Server *s, const char *words) {
        char state[16] = "", id[INVOCATION_ID_MAX] = "";
        Event e = { .type = EVENT_UNIT, .invocation_id = id };

        if (sscanf(words, "%zu %15s %32s", &e.service, state, id) < 2 ||
            e.service >= s->state->config->n_services)
                return -EINVAL;
        for (e.unit = UNIT_ACTIVATING; e.unit <= UNIT_FAILED; e.unit++)
                if (str_equal(state, unit_state_to_string(e.unit)))
                        return apply(s, &e);
        return -EINVAL;
}

static int release(Server *s) {
        size_t n = s->n_waiting;

        s->is_holding = false;
        s->n_waiting = 0;
        for (size_t i = 0; i < n; i++)
                end_run(s, &s->waiting[i]);
        return 0;
}

static int obey(Server *s, const char *command) {
        char word[16] = "", rest[256] = "", outcome_word[16] = "";
        size_t check = 0;
        Outcome outcome;
        uint64_t n;

        if (sscanf(command, "%15s %255[^\n]", word, rest) < 1)
                return -EINVAL;
        if (str_equal(word, "hold")) {
                s->is_holding = true;
                return 0;
        }
        if (str_equal(word, "release"))
                return release(s);
        if (str_equal(word, "refuse")) {
                snprintf(s->refusal, sizeof(s->refusal), "%s", rest);
                return 0;
        }
        if (str_equal(word, "reload"))
                return parse_uint64(rest, &n) < 0 ? -EINVAL : take_config(s, n);
        if (str_equal(word, "all"))
                return outcome_parse(rest, &outcome) < 0 ? -EINVAL : change_all(s, outcome);
        if (str_equal(word, "unit"))
                return change_unit(s, rest);
        if (str_equal(word, "result") && sscanf(rest, "%zu %15s", &check, outcome_word) == 2 &&
            outcome_parse(outcome_word, &outcome) >= 0)
                return apply_result(s, check, outcome);
        return -EINVAL;
}

static int on_input(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
                    void *userdata) {
        Server *s = userdata;
        char command[512];
        ssize_t n;
        int r;

        n = read(fd, command, sizeof(command) - 1);
        if (n <= 0) {
                sd_event_exit(s->event, 0);
                return 0;
        }
        command[n] = 0;
        r = obey(s, command);
        if (r >= 0)
                puts("ok");
        else
                printf("error: %s\n", strerror(-r));
        (void) fflush(stdout);
        return 0;
}

static int serve(Server *s, BusMode mode, const char *runtime_directory) {
        const Control control = {
                .daemon = s,
                .run = control_run,
                .report = control_report,
                .override = control_override,
                .drain = control_drain,
                .drain_until_start = control_drain_until_start,
                .reset_restarts = control_reset_restarts,
                .reload = control_reload,
        };
        BusContext context = {
                .publisher = s->publisher,
                .control = &control,
                .next_run = next_run,
                .listening = listening,
        };
        int r;

        if ((r = journal_subscribe(s->publisher)) < 0 ||
            (r = history_new(s->publisher, &s->history)) < 0)
                return r;
        s->probers = http_probers_new();
        s->actions = actions_new(time_now());
        if (!s->probers || !s->actions)
                return -ENOMEM;
        context.history = s->history;
        context.probers = s->probers;
        context.actions = s->actions;
        if ((r = bus_new(s->event, &context, mode, runtime_directory, &s->bus)) < 0 ||
            (r = sd_event_add_io(s->event, NULL, STDIN_FILENO, POLLIN, on_input, s)) < 0 ||
            (r = sd_event_set_signal_exit(s->event, true)) < 0)
                return r;
        publish(s);
        return sd_event_loop(s->event);
}

int main(int argc, char **argv) {
        _cleanup_(config_unrefp) Config *config = NULL;
        Server s = {};
        sigset_t mask;
        BusMode mode;
        uint64_t n;
        int r;

        if (argc < 4 || argc > 5 || bus_mode_from_string(argv[1], &mode) < 0 ||
            parse_uint64(argv[3], &n) < 0 || n > SERVICES_MAX)
                return 2;
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        signal(SIGPIPE, SIG_IGN);
        log_open();
        s.has_units = argc == 5;
        config = make_config(n, s.has_units);
        s.state = fixture_need(state_new(config, time_now()));
        s.publisher = fixture_need(publisher_new());
        r = sd_event_new(&s.event);
        if (r >= 0)
                r = serve(&s, mode, argv[2]);
        bus_free(s.bus);
        for (size_t i = 0; i < s.n_waiting; i++) {
                s.waiting[i].done(s.waiting[i].userdata, -ECANCELED, "shutting down", NULL);
                check_config_unref(s.waiting[i].check);
        }
        publisher_free(s.publisher);
        history_free(s.history);
        http_probers_free(s.probers);
        actions_free(s.actions);
        state_free(s.state);
        sd_event_unref(s.event);
        return r < 0 ? 1 : 0;
}
