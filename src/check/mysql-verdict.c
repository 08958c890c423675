/* SPDX-License-Identifier: MIT */
#include "check/mysql-verdict.h"

#include <errno.h>
#include <mysql.h>

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>

#include "base/text.h"
#include "check/tls-verdict.h"

#define SHOWN_MAX 200

static const struct {
        unsigned number;
        Reason reason;
        const char *detail;
} errors[] = {
        { ER_ACCESS_DENIED_ERROR, REASON_AUTH, "password" },
        { ER_ACCESS_DENIED_NO_PASSWORD_ERROR, REASON_AUTH, "missing" },
        { ER_DBACCESS_DENIED_ERROR, REASON_AUTH, "permission" },
        { ER_TABLEACCESS_DENIED_ERROR, REASON_AUTH, "permission" },
        { ER_COLUMNACCESS_DENIED_ERROR, REASON_AUTH, "permission" },
        { ER_SPECIFIC_ACCESS_DENIED_ERROR, REASON_AUTH, "permission" },
        { ER_HOST_NOT_PRIVILEGED, REASON_AUTH, "host" },
        { ER_HOST_IS_BLOCKED, REASON_AUTH, "host" },
        { CR_AUTH_PLUGIN_CANNOT_LOAD, REASON_AUTH, "method" },
        { CR_AUTH_PLUGIN_ERR, REASON_AUTH, "method" },
        { ER_CON_COUNT_ERROR, REASON_STATUS, "max-clients" },
        { ER_TOO_MANY_USER_CONNECTIONS, REASON_STATUS, "max-clients" },
        { ER_BAD_DB_ERROR, REASON_STATUS, "database" },
        { ER_NO_DB_ERROR, REASON_STATUS, "database" },
        { ER_SERVER_SHUTDOWN, REASON_STATUS, "shutdown" },
        { ER_NORMAL_SHUTDOWN, REASON_STATUS, "shutdown" },
        { ER_CONNECTION_KILLED, REASON_STATUS, "killed" },
        { ER_OPTION_PREVENTS_STATEMENT, REASON_STATUS, "read-only" },
        { ER_PARSE_ERROR, REASON_STATUS, "query" },
        { ER_NO_SUCH_TABLE, REASON_STATUS, "query" },
};

bool sql_error_is_answer(unsigned number) {
        return number > 0 && number < CR_MIN_ERROR;
}

/* The number of the system's error in "Can't connect to server on 'db' (111)" and "Lost connection
 * …, system error: 104"; 0: none. */
static int system_error(const char *text) {
        const char *at = strstr(text, "system error: ");
        int number = 0;

        if (at)
                return sscanf(at, "system error: %d", &number) == 1 ? number : 0;
        at = strrchr(text, '(');
        return at && sscanf(at, "(%d", &number) == 1 ? number : 0;
}

static void judge_connecting(const Address *server, int error, const char *text, Result *ret) {
        char address[ADDRESS_TEXT_MAX];

        if (error > 0)
                result_errno(ret, error, "%s", address_format(address, server));
        else
                result_fail(ret, REASON_UNREACHABLE, "%s", text);
}

static void judge_lost(int error, const char *text, Result *ret) {
        if (error == ECONNRESET || error == EPIPE)
                result_fail(ret, REASON_RESET, "%s", text);
        else
                result_fail(ret, REASON_TRUNCATED, "%s", text);
}

static void judge_tls(const char *text, Result *ret) {
        const char *detail = tls_text_detail(text);

        if (strstr(text, "Validation of SSL server certificate failed"))
                detail = "name";
        else if (strstr(text, "server does not support it"))
                detail = "refused";
        result_fail(ret, REASON_TLS, "%s", text);
        result_set_detail(ret, detail ? detail : "handshake");
}

static void judge_library(const Address *server, unsigned number, const char *text, Result *ret) {
        int error = system_error(text);

        switch (number) {
        case CR_CONNECTION_ERROR:
        case CR_CONN_HOST_ERROR:
        case CR_SOCKET_CREATE_ERROR:
        case CR_IPSOCK_ERROR:
                judge_connecting(server, error, text, ret);
                break;
        case CR_SERVER_GONE_ERROR:
        case CR_SERVER_LOST:
        case CR_SERVER_LOST_EXTENDED:
        case CR_SERVER_HANDSHAKE_ERR:
                judge_lost(error, text, ret);
                break;
        case CR_SSL_CONNECTION_ERROR:
                judge_tls(text, ret);
                break;
        case CR_OUT_OF_MEMORY:
                result_error(ret, REASON_RESOURCE, "%s", text);
                break;
        default:
                result_fail(ret, REASON_PROTOCOL, "%s", text);
                break;
        }
}

void sql_judge_error(const Address *server, unsigned number, const char *text, Result *ret) {
        char shown[SHOWN_MAX], detail[RESULT_DETAIL_MAX];

        text_sanitize(shown, sizeof(shown), text, strlen(text));
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].number == number) {
                        result_fail(ret, errors[i].reason, "%s", shown);
                        result_set_detail(ret, errors[i].detail);
                        return;
                }
        if (!sql_error_is_answer(number)) {
                judge_library(server, number, shown, ret);
                return;
        }
        result_fail(ret, REASON_STATUS, "%s", shown);
        snprintf(detail, sizeof(detail), "%u", number);
        result_set_detail(ret, detail);
}
