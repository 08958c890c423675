/* SPDX-License-Identifier: MIT */
#include "check/redis-replication.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"

#define NODE_MAX (2 * REDIS_INFO_MAX)

/* -- lines of INFO ----------------------------------------------------------------------------- */

static const char *line_next(const char *line) {
        line += strcspn(line, "\r\n");
        return line + strspn(line, "\r\n");
}

bool redis_info_find(const char *text, const char *field, char buf[static REDIS_INFO_MAX]) {
        size_t n = strlen(field);

        for (const char *line = text; *line; line = line_next(line))
                if (str_starts_with(line, field) && line[n] == ':') {
                        line += n + 1;
                        text_sanitize(buf, REDIS_INFO_MAX, line, strcspn(line, "\r\n"));
                        return true;
                }
        return false;
}

static bool info_number(const char *text, const char *field, double *ret) {
        char value[REDIS_INFO_MAX];

        return redis_info_find(text, field, value) && parse_double(value, ret) >= 0;
}

static bool info_is(const char *text, const char *field, const char *expected) {
        char value[REDIS_INFO_MAX];

        return redis_info_find(text, field, value) && str_equal(value, expected);
}

/* -- a master ---------------------------------------------------------------------------------- */

/* "slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0": how far the last of them is. */
static bool replicas_offset(const char *text, double *ret) {
        char value[REDIS_INFO_MAX], field[24];
        bool is_found = false;
        double offset;

        for (unsigned i = 0;; i++) {
                const char *at;

                snprintf(field, sizeof(field), "slave%u", i);
                if (!redis_info_find(text, field, value))
                        return is_found;
                at = strstr(value, "state=online,offset=");
                if (!at || sscanf(at, "state=online,offset=%lf", &offset) != 1)
                        continue;
                *ret = is_found ? MIN(*ret, offset) : offset;
                is_found = true;
        }
}

static void add_of_master(const char *text, Result *r) {
        double replicas, written, taken;

        if (info_number(text, "connected_slaves", &replicas))
                result_add_value(r, "replicas", replicas, "");
        if (info_number(text, "master_repl_offset", &written) && replicas_offset(text, &taken))
                result_add_value(r, "lag_bytes", MAX(written - taken, 0.0), "bytes");
}

static void judge_master(const char *text, const char *server, Result *ret) {
        double replicas = 0;

        (void) info_number(text, "connected_slaves", &replicas);
        result_pass(ret, "Master %s, %.0f replicas", server, replicas);
}

/* -- a replica --------------------------------------------------------------------------------- */

static const char *master_of(const char *text, char buf[static NODE_MAX]) {
        char host[REDIS_INFO_MAX] = "?", port[REDIS_INFO_MAX] = "?";

        (void) redis_info_find(text, "master_host", host);
        (void) redis_info_find(text, "master_port", port);
        snprintf(buf, NODE_MAX, strchr(host, ':') ? "[%.100s]:%.10s" : "%.100s:%.10s", host, port);
        return buf;
}

static void add_of_replica(const char *text, Result *r) {
        double number, received, applied;

        if (info_number(text, "slave_read_repl_offset", &received) &&
            info_number(text, "slave_repl_offset", &applied))
                result_add_value(r, "lag_bytes", MAX(received - applied, 0.0), "bytes");
        if (info_number(text, "master_last_io_seconds_ago", &number) && number >= 0)
                result_add_value(r, "last_io", number, "seconds");
        if (info_number(text, "master_sync_left_bytes", &number) && number >= 0)
                result_add_value(r, "sync_left", number, "bytes");
}

static void judge_replica(const char *text, Result *ret) {
        char master[NODE_MAX];
        double down_sec = 0;

        (void) master_of(text, master);
        if (info_is(text, "master_link_status", "up")) {
                result_pass(ret, "Replica of %s", master);
        } else if (info_is(text, "master_sync_in_progress", "1")) {
                result_fail(ret, REASON_STATUS, "Replica that still copies from %s", master);
                result_set_detail(ret, "sync");
        } else {
                if (info_number(text, "master_link_down_since_seconds", &down_sec) && down_sec > 0)
                        result_fail(ret, REASON_STATUS,
                                    "The link to the master %s is down for %.0fs", master,
                                    down_sec);
                else
                        result_fail(ret, REASON_STATUS, "The link to the master %s is down",
                                    master);
                result_set_detail(ret, "master-link");
        }
}

/* -- both -------------------------------------------------------------------------------------- */

static bool is_replica(const char *text) {
        return info_is(text, "role", "slave");
}

void redis_judge_replication(const char *text, const char *server, RedisRole wanted, Result *ret) {
        char role[REDIS_INFO_MAX], master[NODE_MAX];

        if (!redis_info_find(text, "role", role)) {
                result_fail(ret, REASON_PROTOCOL, "INFO does not tell the server's role");
        } else if (is_replica(text) && wanted == REDIS_ROLE_MASTER) {
                result_fail(ret, REASON_MISMATCH, "The server is no master but a replica of %s",
                            master_of(text, master));
                result_set_detail(ret, "role");
        } else if (!is_replica(text) && wanted == REDIS_ROLE_REPLICA) {
                result_fail(ret, REASON_MISMATCH, "The server is no replica but a %s", role);
                result_set_detail(ret, "role");
        } else if (is_replica(text)) {
                judge_replica(text, ret);
        } else
                judge_master(text, server, ret);
}

void redis_add_replication(const char *text, Result *r) {
        if (is_replica(text))
                add_of_replica(text, r);
        else
                add_of_master(text, r);
}
