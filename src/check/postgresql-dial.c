/* SPDX-License-Identifier: MIT */
#include "check/postgresql-dial.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/postgresql-verdict.h"
#include "check/resolve-verdict.h"

#define TIMER_ACCURACY_USEC (5 * USEC_PER_MSEC)

static size_t dial_count_attempts(const PostgresqlSettings *s) {
        return s->prefers_standby ? 2 * s->n_servers : s->n_servers;
}

static bool dial_has_choice(const PostgresqlDial *d) {
        const PostgresqlSettings *s = check_run_settings(d->run);

        return s->n_servers > 1;
}

static void _printf_(2, 3) dial_set_phase(PostgresqlDial *d, const char *format, ...) {
        size_t n;
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(d->phase, sizeof(d->phase), format, ap);
        va_end(ap);
        n = strlen(d->phase);
        if (*d->before)
                snprintf(d->phase + n, sizeof(d->phase) - n, "; before: %s", d->before);
        check_run_set_phase(d->run, d->phase);
}

/* -- attempts that fail ------------------------------------------------------------------------ */

/* A result's message with the server's address, where it is not there yet. */
static void dial_describe(const PostgresqlDial *d, const Result *result, StrBuf *out) {
        char address[ADDRESS_TEXT_MAX];

        address_format(address, &d->server);
        if (!strstr(result->message, address))
                strbuf_printf(out, "%s: ", address);
        strbuf_append(out, result->message);
}

/* The latest attempt's failure, and the others' messages behind it. */
static void dial_fail(PostgresqlDial *d, const Result *result, bool may_go_on) {
        size_t n_attempts = dial_count_attempts(check_run_settings(d->run));
        _cleanup_strbuf_ StrBuf b = {};
        const char *text;

        session_close(d->session);
        d->failure = *result;
        if (dial_has_choice(d)) {
                dial_describe(d, result, &b);
                if (*d->before)
                        strbuf_printf(&b, "; before: %s", d->before);
                text = b.text ? b.text : "";
                text_sanitize(d->failure.message, sizeof(d->failure.message), text, strlen(text));
        }
        if (!may_go_on || d->attempt + 1 >= n_attempts) {
                d->has_failed = true;
                return;
        }
        memcpy(d->before, d->failure.message, sizeof(d->before));
        d->attempt++;
        d->is_due = true;
}

static void dial_fail_errno(PostgresqlDial *d, int error) {
        Result result;

        result_errno(&result, error, "Cannot connect");
        dial_fail(d, &result, false);
}

static void dial_fail_lost(PostgresqlDial *d) {
        PostgresqlLoss loss = {
                .server = &d->server,
                .message = PQerrorMessage(d->session->conn),
                .is_reset = d->session->is_reset,
                .received_bytes = d->session->received_bytes,
        };
        PostgresqlError error;
        Result result;

        postgresql_judge_loss(&loss, &result);
        dial_fail(d, &result,
                  !postgresql_error_find(&error, loss.message) ||
                          postgresql_error_is_passing(&error));
}

static void dial_fail_too_long(PostgresqlDial *d) {
        Result result;

        result_fail(&result, REASON_PROTOCOL, "The reply is too long");
        dial_fail(d, &result, true);
}

static void dial_fail_overworked(PostgresqlDial *d) {
        Result result;

        result_fail(&result, REASON_AUTH, "The server wants more than %d rounds of SCRAM",
                    SESSION_ROUNDS_MAX);
        result_set_detail(&result, "scram");
        dial_fail(d, &result, true);
}

/* -- one connection ---------------------------------------------------------------------------- */

static int dial_watch(PostgresqlDial *d, uint32_t events) {
        Engine *engine = check_engine(check_run_check(d->run));

        return session_watch(d->session, engine_poll_set(engine), events, d->on_socket, d);
}

static int dial_open(PostgresqlDial *d) {
        const PostgresqlSettings *s = check_run_settings(d->run);
        const CheckConfig *config = check_config(check_run_check(d->run));
        PostgresqlParams params;
        PostgresqlPeer peer = {
                .server = d->attempt % s->n_servers,
                .addresses = d->addresses,
                .n_addresses = d->n_addresses,
                .statement_timeout_usec = d->memory->takes_no_options ? 0 : config->timeout_usec,
        };
        int r;

        if (s->prefers_standby)
                peer.session_attributes = d->attempt < s->n_servers ? "standby" : "any";
        d->memory->server = peer.server;
        r = postgresql_params_make(&params, s, &peer);
        if (r >= 0)
                r = session_open(d->session, &params);
        postgresql_params_done(&params);
        return r;
}

static void dial_connect(PostgresqlDial *d) {
        char address[ADDRESS_TEXT_MAX];
        int r;

        dial_set_phase(d, "connecting to %s", address_format(address, &d->server));
        r = dial_open(d);
        if (r >= 0 && PQstatus(d->session->conn) == CONNECTION_BAD) {
                dial_fail_lost(d);
                return;
        }
        /* libpq: begin as if PQconnectPoll() had said "writing". */
        if (r >= 0)
                r = dial_watch(d, EPOLLOUT);
        if (r < 0)
                dial_fail_errno(d, r);
}

/* libpq tries the addresses of a name in turn, and stays with a silent one; the dial after that
 * begins with the next. */
static void dial_set_addresses(PostgresqlDial *d, const ResolverAnswer *answer) {
        char ip[IP_TEXT_MAX];
        size_t length = 0;

        d->n_addresses = answer->n_addresses;
        for (size_t n = 0; n < answer->n_addresses; n++) {
                size_t index = (d->memory->first_address + n) % answer->n_addresses;

                length += (size_t) snprintf(d->addresses + length, sizeof(d->addresses) - length,
                                            "%s%s", n > 0 ? "," : "",
                                            ip_format(ip, &answer->addresses[index]));
        }
}

/* -- one attempt after the other --------------------------------------------------------------- */

/* While servers are left, each may take its part of the time that is left. */
static int dial_arm(PostgresqlDial *d) {
        size_t n_left = dial_count_attempts(check_run_settings(d->run)) - d->attempt;
        usec_t now = clock_usec(CLOCK_MONOTONIC), deadline = check_run_deadline_usec(d->run);
        sd_event *event = engine_event(check_engine(check_run_check(d->run)));

        d->patience = sd_event_source_unref(d->patience);
        if (n_left <= 1 || deadline <= now)
                return 0;
        return sd_event_add_time(event, &d->patience, CLOCK_MONOTONIC,
                                 now + (deadline - now) / n_left, TIMER_ACCURACY_USEC,
                                 d->on_patience, d);
}

static void dial_try(PostgresqlDial *d) {
        const PostgresqlSettings *s = check_run_settings(d->run);
        Resolver *resolver = engine_resolver(check_engine(check_run_check(d->run)));
        ConninfoServer server;
        int r;

        d->is_stale = false;
        r = postgresql_settings_server(s, d->attempt % s->n_servers, &server);
        if (r >= 0) {
                d->server = server.address;
                r = dial_arm(d);
        }
        if (r >= 0 && d->server.kind == ADDRESS_NAME) {
                dial_set_phase(d, "resolving %s", d->server.name);
                r = resolver_query(resolver, d->server.name, d->on_resolved, d, &d->query);
        } else if (r >= 0)
                dial_connect(d);
        if (r < 0)
                dial_fail_errno(d, r);
}

static void dial_finish(PostgresqlDial *d) {
        d->patience = sd_event_source_unref(d->patience);
        d->run = NULL;
        d->handler(d->userdata, d->has_failed ? &d->failure : NULL);
}

static void dial_go_on(PostgresqlDial *d) {
        while (d->is_due) {
                d->is_due = false;
                dial_try(d);
        }
        if (d->is_done || d->has_failed)
                dial_finish(d);
}

/* -- events ------------------------------------------------------------------------------------ */

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        PostgresqlDial *d = userdata;
        Result result;

        d->query = NULL;
        if (answer->n_addresses == 0) {
                result_resolve(&result, d->server.name, answer->status);
                dial_fail(d, &result, true);
        } else {
                d->is_stale = answer->is_stale;
                d->why_stale = answer->status;
                dial_set_addresses(d, answer);
                dial_connect(d);
        }
        dial_go_on(d);
}

/* Nothing at all has come from the address that libpq is trying. */
static void dial_note_silence(PostgresqlDial *d) {
        if (d->session->conn && PQstatus(d->session->conn) == CONNECTION_STARTED)
                d->memory->first_address++;
}

static int on_patience(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        PostgresqlDial *d = userdata;
        Result result;

        d->query = resolver_query_free(d->query);
        dial_note_silence(d);
        *d->before = 0;
        result_fail(&result, REASON_TIMEOUT, "No answer in time, %s", d->phase);
        dial_fail(d, &result, true);
        dial_go_on(d);
        return 0;
}

/* A pooler may take no options=; without them the server ends no query by itself. */
static bool dial_wants_no_options(const PostgresqlDial *d) {
        PostgresqlError error;

        return !d->memory->takes_no_options &&
               postgresql_error_find(&error, PQerrorMessage(d->session->conn)) &&
               strstr(error.text, "unsupported startup parameter");
}

static void dial_lost(PostgresqlDial *d) {
        if (!dial_wants_no_options(d)) {
                dial_fail_lost(d);
                return;
        }
        d->memory->takes_no_options = true;
        session_close(d->session);
        dial_connect(d);
}

static void dial_poll(PostgresqlDial *d) {
        PostgresPollingStatusType status = session_connect(d->session);
        ConnStatusType step = PQstatus(d->session->conn);
        char address[ADDRESS_TEXT_MAX];
        int r;

        if (session_is_flooded(d->session)) {
                dial_fail_too_long(d);
                return;
        }
        if (d->session->is_overworked) {
                dial_fail_overworked(d);
                return;
        }
        if (status == PGRES_POLLING_FAILED || status == PGRES_POLLING_ACTIVE) {
                dial_lost(d);
                return;
        }
        address_format(address, &d->server);
        if (step == CONNECTION_SSL_STARTUP)
                dial_set_phase(d, "negotiating TLS with %s", address);
        else if (step == CONNECTION_AWAITING_RESPONSE || step == CONNECTION_AUTH_OK)
                dial_set_phase(d, "logging in to %s", address);
        r = dial_watch(d, status == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN);
        if (r < 0)
                dial_fail_errno(d, r);
        else if (status == PGRES_POLLING_OK && PQsetnonblocking(d->session->conn, 1) != 0)
                dial_fail_lost(d);
        else if (status == PGRES_POLLING_OK)
                d->is_done = true;
}

static void on_socket(void *userdata, uint32_t revents) {
        PostgresqlDial *d = userdata;

        if (revents & EPOLLERR)
                d->session->is_reset = true;
        dial_poll(d);
        dial_go_on(d);
}

/* -- entry points ------------------------------------------------------------------------------ */

void dial_begin(PostgresqlDial *d, CheckRun *run, PostgresqlSession *session,
                PostgresqlMemory *memory, DialHandler handler, void *userdata) {
        *d = (PostgresqlDial){
                .run = run,
                .session = session,
                .memory = memory,
                .handler = handler,
                .userdata = userdata,
                .on_resolved = on_resolved,
                .on_patience = on_patience,
                .on_socket = on_socket,
                .is_due = true,
        };
        dial_go_on(d);
}

void dial_end(PostgresqlDial *d) {
        if (!d->run)
                return;
        d->query = resolver_query_free(d->query);
        d->patience = sd_event_source_unref(d->patience);
        dial_note_silence(d);
        session_close(d->session);
        d->run = NULL;
}
