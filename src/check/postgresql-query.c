/* SPDX-License-Identifier: MIT */
#include "check/postgresql-query.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"

#define OID_BOOL     16
#define OID_INTERVAL 1186

#define INTERVAL_TEXT_MAX 100

/* -- what is asked ----------------------------------------------------------------------------- */

enum {
        COLUMN_REPLICA,
        COLUMN_READ_ONLY,
        COLUMN_PAUSED,
        COLUMN_LINKED,
        COLUMN_KNOWN,
        COLUMN_REPLAYED,
        COLUMN_AGE,
};

#define STATE_QUERY "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"

/* Positions as bytes since the first. Roles without pg_read_all_stats see no latest_end_lsn, which
 * is how far the primary has written; then it is what was received. */
#define REPLICATION_QUERY                                                           \
        STATE_QUERY                                                                 \
        ", CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END"        \
        ", r.pid IS NOT NULL"                                                       \
        ", GREATEST(pg_last_wal_receive_lsn(), r.latest_end_lsn) - '0/0'"           \
        ", pg_last_wal_replay_lsn() - '0/0'"                                        \
        ", extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())" \
        " FROM (VALUES (1)) one LEFT JOIN pg_stat_wal_receiver r ON true"

int postgresql_query_make(const PostgresqlSettings *s, usec_t statement_timeout_usec, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};

        if (s->wants_replication)
                strbuf_append(&b, REPLICATION_QUERY ";");
        else if (s->must_be_writable)
                strbuf_append(&b, STATE_QUERY ";");
        if (s->is_console || !postgresql_settings_have_query(s)) {
                strbuf_append(&b, s->query);
                return strbuf_finish(&b, ret);
        }
        /* Committed and not rolled back, since databases count what is rolled back. */
        strbuf_append(&b, "BEGIN READ ONLY;");
        if (statement_timeout_usec > 0)
                strbuf_printf(&b, "SET LOCAL statement_timeout=%" PRIu64 ";",
                              statement_timeout_usec / USEC_PER_MSEC);
        strbuf_printf(&b, "\n%s\n;COMMIT", s->query);
        return strbuf_finish(&b, ret);
}

/* -- values ------------------------------------------------------------------------------------ */

/* "1 year 2 mons -3 days 04:05:06.7" in seconds, as extract(epoch FROM ...) counts them. */
static int interval_parse(const char *s, double *ret) {
        static const struct {
                const char *word;
                double seconds;
        } units[] = { { "year", 31557600 }, { "mon", 2592000 }, { "day", 86400 } };
        double sum = 0, number, minutes, seconds;
        char word[8];
        int n;

        if (strlen(s) > INTERVAL_TEXT_MAX)
                return -EINVAL;
        for (; *s; s += n, s += strspn(s, " ")) {
                double unit = NAN;

                if (sscanf(s, "%lf:%lf:%lf%n", &number, &minutes, &seconds, &n) == 3) {
                        seconds += fabs(number) * 3600 + minutes * 60;
                        sum += *s == '-' ? -seconds : seconds;
                        continue;
                }
                if (sscanf(s, "%lf %7[a-z]%n", &number, word, &n) != 2)
                        return -EINVAL;
                for (size_t i = 0; i < ELEMENTSOF(units); i++)
                        if (str_starts_with(word, units[i].word))
                                unit = units[i].seconds;
                if (isnan(unit))
                        return -EINVAL;
                sum += number * unit;
        }
        if (!isfinite(sum))
                return -EINVAL;
        *ret = sum;
        return 0;
}

static void answer_add_column(QueryAnswer *a, const PGresult *rows, int column) {
        const char *text = PQgetvalue(rows, 0, column), *name = PQfname(rows, column);
        double number;

        if (PQgetisnull(rows, 0, column))
                return;
        if (PQftype(rows, column) == OID_BOOL)
                query_answer_add(a, column == 0, name, *text == 't', NULL);
        else if (PQftype(rows, column) == OID_INTERVAL && interval_parse(text, &number) >= 0)
                query_answer_add(a, column == 0, name, number, "seconds");
        else if (parse_double(text, &number) >= 0)
                query_answer_add(a, column == 0, name, number, NULL);
}

/* -- what comes back --------------------------------------------------------------------------- */

static bool state_has(const PGresult *row, int column) {
        return column < PQnfields(row) && !PQgetisnull(row, 0, column);
}

static bool state_bool(const PGresult *row, int column) {
        const char *text = state_has(row, column) ? PQgetvalue(row, 0, column) : "f";

        return *text == 't' || str_equal(text, "on");
}

static void answer_take_state(PostgresqlAnswer *a, const PGresult *row) {
        ServerState *s = &a->state;

        if (PQntuples(row) != 1)
                return;
        s->is_replica = state_bool(row, COLUMN_REPLICA);
        s->is_read_only = state_bool(row, COLUMN_READ_ONLY);
        s->is_paused = state_bool(row, COLUMN_PAUSED);
        s->is_linked = state_bool(row, COLUMN_LINKED);
        s->has_positions = state_has(row, COLUMN_KNOWN) && state_has(row, COLUMN_REPLAYED) &&
                           parse_uint64(PQgetvalue(row, 0, COLUMN_KNOWN), &s->known) >= 0 &&
                           parse_uint64(PQgetvalue(row, 0, COLUMN_REPLAYED), &s->replayed) >= 0;
        if (!state_has(row, COLUMN_AGE) ||
            parse_double(PQgetvalue(row, 0, COLUMN_AGE), &s->age_sec) < 0)
                s->age_sec = NAN;
        a->has_state = true;
}

void answer_take_rows(PostgresqlAnswer *a, const PostgresqlSettings *s, const PGresult *rows) {
        QueryAnswer *q = &a->rows;

        if ((s->must_be_writable || s->wants_replication) && !a->has_state) {
                answer_take_state(a, rows);
                return;
        }
        *q = (QueryAnswer){ .n_rows = PQntuples(rows), .n_columns = PQnfields(rows) };
        if (q->n_rows != 1 || q->n_columns == 0)
                return;
        query_answer_set_first(q, PQgetisnull(rows, 0, 0) ? NULL : PQgetvalue(rows, 0, 0),
                               (size_t) PQgetlength(rows, 0, 0), s->expected);
        for (int i = 0; i < q->n_columns && q->n_values < QUERY_VALUES_MAX; i++)
                answer_add_column(q, rows, i);
}

void answer_take_error(PostgresqlAnswer *a, const PGresult *error) {
        if (a->has_error)
                return;
        a->has_error = true;
        postgresql_error_set(&a->error, PQresultErrorField(error, PG_DIAG_SQLSTATE),
                             PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY));
}

/* -- what it means ----------------------------------------------------------------------------- */

static bool judge_writable(const PostgresqlAnswer *a, const char *server, Result *ret) {
        if (a->state.is_replica) {
                result_fail(ret, REASON_MISMATCH, "%s is a replica", server);
                result_set_detail(ret, "replica");
        } else if (a->state.is_read_only) {
                result_fail(ret, REASON_MISMATCH, "%s is read-only: default_transaction_read_only",
                            server);
                result_set_detail(ret, "read-only");
        }
        return a->state.is_replica || a->state.is_read_only;
}

static void add_values(const PostgresqlAnswer *a, const PostgresqlSettings *s,
                       const ReplicationLag *lag, Result *ret) {
        const Value ours[] = {
                { "lag", "seconds", lag->seconds },
                { "lag_bytes", "bytes", lag->bytes },
                { "cut_off", "", a->state.is_replica && !a->state.is_linked },
                { "rows", "", a->rows.n_rows },
        };

        if (postgresql_settings_have_query(s))
                query_answer_add_values(&a->rows, ret);
        for (size_t i = s->wants_replication ? 0 : ELEMENTSOF(ours) - 1; i < ELEMENTSOF(ours); i++)
                result_add_new_value(ret, ours[i].name, ours[i].number, ours[i].unit);
}

void answer_judge(const PostgresqlAnswer *a, const CheckConfig *config, const PostgresqlSettings *s,
                  const char *server, const ReplicationLag *lag, Result *ret) {
        /* A limit without a name is for the number that Query= gives, so there has to be one. */
        bool wants_number = postgresql_settings_have_query(s) && query_wants_number(config);

        if (s->must_be_writable && judge_writable(a, server, ret))
                return;
        if (a->has_error) {
                postgresql_judge_error(&a->error, ret);
                return;
        }
        if ((s->expected || wants_number) &&
            !query_answer_judge(&a->rows, s->expected, wants_number, ret))
                return;
        result_pass(ret, "%s%s%s%s", server,
                    !s->wants_replication ? ""
                    : a->state.is_replica ? ", a replica"
                                          : ", a primary",
                    a->state.is_paused ? ", replay is paused" : "",
                    s->wants_replication && a->state.is_replica && !a->state.is_linked
                            ? ", nothing is sent to it"
                            : "");
        add_values(a, s, lag, ret);
}
