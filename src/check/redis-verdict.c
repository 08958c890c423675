/* SPDX-License-Identifier: MIT */
#include "check/redis-verdict.h"

#include <ctype.h>

#include "base/parse.h"
#include "base/text.h"
#include "check/redis-replication.h"

#define SHOWN_MAX 64 /* of a value that is not the expected one */

/* The first of these that the error begins with decides. */
static const struct {
        const char *prefix;
        Reason reason;
        const char *detail;
} errors[] = {
        { "NOAUTH", REASON_AUTH, "missing" },
        { "WRONGPASS", REASON_AUTH, "password" },
        { "NOPERM", REASON_AUTH, "permission" },
        { "DENIED", REASON_AUTH, "protected-mode" },
        { "ERR invalid password", REASON_AUTH, "password" },
        { "ERR max number of clients", REASON_STATUS, "max-clients" },
        { "ERR DB index", REASON_STATUS, "database" },
        { "ERR Protocol error", REASON_PROTOCOL, "" },
};

/* Errors begin with a word in capitals: "LOADING", "MASTERDOWN", "BUSY", "MISCONF". */
static void set_detail_from_word(Result *r, const char *text) {
        char word[RESULT_DETAIL_MAX] = "";

        for (size_t i = 0; i < sizeof(word) - 1 && isupper((unsigned char) text[i]); i++)
                word[i] = (char) tolower((unsigned char) text[i]);
        result_set_detail(r, word);
}

static void judge_error(const char *command, const char *text, Result *ret) {
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (str_starts_with(text, errors[i].prefix)) {
                        result_fail(ret, errors[i].reason, "%s", text);
                        result_set_detail(ret, errors[i].detail);
                        return;
                }
        /* "ERR" says nothing; which command it was does. */
        if (str_starts_with(text, "ERR ")) {
                result_fail(ret, str_equal(command, "AUTH") ? REASON_AUTH : REASON_STATUS, "%s: %s",
                            command, text);
                return;
        }
        result_fail(ret, REASON_STATUS, "%s", text);
        set_detail_from_word(ret, text);
}

void redis_reply_reset(RedisReply *r) {
        for (size_t i = 0; i < REDIS_WORDS_MAX; i++)
                free(r->words[i]);
        *r = (RedisReply){};
}

bool redis_judge_kind(const char *command, RedisKind wanted, const RedisReply *reply, Result *ret) {
        if (reply->kind == wanted)
                return true;
        if (reply->kind == REDIS_ERROR)
                judge_error(command, reply->text, ret);
        else
                result_fail(ret, REASON_PROTOCOL, "The answer to %s is of the wrong kind", command);
        return false;
}

bool redis_judge_status(const char *command, const char *expected, const RedisReply *reply,
                        Result *ret) {
        if (!redis_judge_kind(command, REDIS_STATUS, reply, ret))
                return false;
        if (str_equal(reply->text, expected))
                return true;
        result_fail(ret, REASON_PROTOCOL, "The answer to %s is \"%s\"", command, reply->text);
        return false;
}

/* -- values ------------------------------------------------------------------------------------ */

/* The reply as a text; NULL: there is none. */
static const char *value_text(const RedisCommand *c, const RedisReply *reply,
                              char buf[static REDIS_INFO_MAX]) {
        switch (reply->kind) {
        case REDIS_STATUS:
                return reply->text;
        case REDIS_INTEGER:
                snprintf(buf, REDIS_INFO_MAX, "%lld", reply->number);
                return buf;
        case REDIS_STRING:
                if (!c->field)
                        return reply->words[0];
                return redis_info_find(reply->words[0], c->field, buf) ? buf : NULL;
        case REDIS_NIL:
        case REDIS_ERROR:
        case REDIS_ARRAY:
                return NULL;
        }
        return NULL;
}

static void judge_mismatch(const char *subject, const char *text, const char *expected,
                           Result *ret) {
        char shown[SHOWN_MAX];

        text_sanitize(shown, sizeof(shown), text, strlen(text));
        result_fail(ret, REASON_MISMATCH, "%s is \"%s\", not \"%s\"", subject, shown, expected);
        result_set_detail(ret, "value");
}

bool redis_judge_value(const RedisCommand *c, const char *expected, const RedisReply *reply,
                       Result *ret) {
        char subject[REDIS_COMMAND_TEXT_MAX], buf[REDIS_INFO_MAX];
        const char *text = value_text(c, reply, buf);
        double number;

        (void) redis_command_text(subject, c);
        if (reply->kind == REDIS_ERROR || reply->kind == REDIS_ARRAY)
                return redis_judge_kind(c->type->name, REDIS_STRING, reply, ret);
        /* TTL and PTTL say -2 where there is no key. */
        if (!text || (*c->type->unit && reply->kind == REDIS_INTEGER && reply->number == -2)) {
                result_fail(ret, REASON_MISSING, "%s: there is none", subject);
                result_set_detail(ret, "value");
                return false;
        }
        if (expected && !str_equal(text, expected)) {
                judge_mismatch(subject, text, expected, ret);
                return false;
        }
        if (parse_double(text, &number) < 0) {
                result_pass(ret, "%s is there", subject);
                return true;
        }
        result_pass(ret, "%s is %.15g", subject, number);
        result_add_value(ret, "value", number, c->type->unit);
        return true;
}
