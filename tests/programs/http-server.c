/* SPDX-License-Identifier: MIT */

/* The HTTP server by itself, with a handler that answers as the tests need it, for tests that drive
 * it with raw sockets and for scripts/bench.
 *
 *     http-server [KEY=VALUE]... FD[:trusted]...
 *
 * takes listening sockets as inherited fds and limits as KEY=VALUE (the fields of
 * HttpServerLimits; times in ms). SIGTERM stops it in order. */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "output/http-server.h"

#define BIG_BYTES (4 * 1024 * 1024)

/* What a kick of the watchdog is tested with. */
#define KICK_USEC (50 * USEC_PER_MSEC)

typedef struct Program {
        sd_event *event;         /* owned reference */
        sd_event_source *kicker; /* owned */
        HttpServer *server;      /* owned */
        HttpAnswer *ok;          /* owned reference: a cached answer */
        HttpServerLimits limits;
        uint64_t n_kicks, n_progressed;
} Program;

static HttpAnswer *answer_text(unsigned status, const StrBuf *b) {
        return b->failed ? NULL : http_answer_new(status, "text/plain", NULL, b->text, b->length);
}

static HttpAnswer *answer_echo(const HttpRequest *request, const HttpPeer *peer) {
        _cleanup_strbuf_ StrBuf b = {};
        const struct {
                const char *name;
                HttpSlice value;
        } slices[] = {
                { "path", request->path },
                { "query", request->query },
                { "host", request->host },
                { "accept", request->accept },
                { "authorization", request->authorization },
                { "user-agent", request->user_agent },
                { "if-none-match", request->if_none_match },
        };

        strbuf_printf(&b, "trusted=%d local=%d mapped=%d\n", peer->is_trusted, peer->is_local,
                      IN6_IS_ADDR_V4MAPPED(&peer->address));
        for (size_t i = 0; i < ELEMENTSOF(slices); i++)
                if (slices[i].value.start)
                        strbuf_printf(&b, "%s=%.*s\n", slices[i].name, (int) slices[i].value.length,
                                      slices[i].value.start);

        return answer_text(200, &b);
}

static HttpAnswer *answer_counters(const Program *p) {
        const HttpCounters *counters = http_server_counters(p->server);
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_printf(&b,
                      "accepted=%" PRIu64 "\nevicted=%" PRIu64 "\nrefused=%" PRIu64
                      "\ntimed_out=%" PRIu64 "\nconnections=%u\nkicks=%" PRIu64
                      "\nprogressed=%" PRIu64 "\n",
                      counters->accepted, counters->evicted, counters->refused, counters->timed_out,
                      http_server_n_connections(p->server), p->n_kicks, p->n_progressed);
        for (unsigned i = 0; i < HTTP_STATUS_END; i++)
                if (counters->answers[i] > 0)
                        strbuf_printf(&b, "%u=%" PRIu64 "\n", i, counters->answers[i]);

        return answer_text(200, &b);
}

static HttpAnswer *answer_big(void) {
        _cleanup_free_ char *body = malloc(BIG_BYTES);

        if (!body)
                return NULL;

        memset(body, 'x', BIG_BYTES);
        return http_answer_new(200, "text/plain", NULL, body, BIG_BYTES);
}

static HttpAnswer *on_request(void *userdata, const HttpRequest *request, const HttpPeer *peer) {
        Program *p = userdata;
        char path[32];

        if (request->is_asterisk)
                return http_answer_new_status(204, "Allow: " HTTP_ALLOW "\r\n");

        snprintf(path, sizeof(path), "%.*s", (int) request->path.length, request->path.start);
        if (str_equal(path, "/"))
                return http_answer_ref(p->ok);
        if (str_equal(path, "/counters"))
                return answer_counters(p);
        if (str_equal(path, "/big"))
                return answer_big();
        if (str_equal(path, "/unavailable"))
                return http_answer_new_status(503, NULL);
        if (str_equal(path, "/fault"))
                return NULL;

        return answer_echo(request, peer);
}

static int on_kick(sd_event_source *source, uint64_t when, void *userdata) {
        Program *p = userdata;

        if (p->n_kicks++ > 0 && http_server_has_progressed(p->server))
                p->n_progressed++;
        http_server_kick(p->server);
        (void) sd_event_source_set_time(source, when + KICK_USEC);
        return 0;
}

static void on_stopped(void *userdata) {
        Program *p = userdata;

        (void) sd_event_exit(p->event, 0);
}

static int on_sigterm(sd_event_source *source _unused_,
                      const struct signalfd_siginfo *info _unused_, void *userdata) {
        Program *p = userdata;

        http_server_stop(p->server, on_stopped, p);
        return 0;
}

static int set_limit(HttpServerLimits *limits, const char *assignment) {
        unsigned number = 0, *const numbers[] = { &limits->connections,
                                                  &limits->connections_per_address,
                                                  &limits->requests_per_connection };
        static const char *const number_names[] = { "connections", "connections_per_address",
                                                    "requests_per_connection" };
        usec_t *const times[] = { &limits->header_usec, &limits->idle_usec, &limits->write_usec,
                                  &limits->linger_usec };
        static const char *const time_names[] = { "header", "idle", "write", "linger" };
        const char *value = strchr(assignment, '=') + 1;
        size_t length = (size_t) (value - assignment) - 1;

        number = (unsigned) strtoul(value, NULL, 10);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (strlen(number_names[i]) == length &&
                    strncmp(number_names[i], assignment, length) == 0) {
                        *numbers[i] = number;
                        return 0;
                }
        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                if (strlen(time_names[i]) == length &&
                    strncmp(time_names[i], assignment, length) == 0) {
                        *times[i] = number * USEC_PER_MSEC;
                        return 0;
                }

        return -EINVAL;
}

static int program_prepare(Program *p) {
        sigset_t mask;
        int r;

        p->limits = HTTP_SERVER_LIMITS_DEFAULT;
        p->ok = http_answer_new(200, "application/json", "X-Health: ready\r\n",
                                "{\"status\":\"ready\"}", strlen("{\"status\":\"ready\"}"));
        if (!p->ok)
                return -ENOMEM;
        r = sd_event_new(&p->event);
        if (r < 0)
                return r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(p->event, NULL, SIGTERM, on_sigterm, p);
        if (r < 0)
                return r;

        return sd_event_add_time_relative(p->event, &p->kicker, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                          on_kick, p);
}

static int program_run(Program *p, int argc, char *argv[]) {
        int i, r;

        for (i = 1; i < argc && strchr(argv[i], '='); i++) {
                r = set_limit(&p->limits, argv[i]);
                if (r < 0)
                        return r;
        }
        r = http_server_new(p->event, &p->limits, on_request, p, &p->server);
        if (r < 0)
                return r;
        for (; i < argc; i++) {
                r = http_server_listen(p->server, atoi(argv[i]), strstr(argv[i], ":trusted"));
                if (r < 0)
                        return r;
        }

        r = sd_event_source_set_enabled(p->kicker, SD_EVENT_ON);
        if (r < 0)
                return r;
        return sd_event_loop(p->event);
}

int main(int argc, char *argv[]) {
        Program p = {};
        int r;

        r = program_prepare(&p);
        if (r >= 0)
                r = program_run(&p, argc, argv);
        if (r < 0)
                log_errno(LOG_ERR, r, "http-server");

        http_server_free(p.server);
        http_answer_unref(p.ok);
        sd_event_source_disable_unref(p.kicker);
        sd_event_unref(p.event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
