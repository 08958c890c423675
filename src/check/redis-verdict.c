/* SPDX-License-Identifier: MIT */
#include "check/redis-verdict.h"

#include <ctype.h>

#include "base/text.h"

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

/* What a healthy server answers. */
static const char *const expected[] = {
        [REDIS_AUTH] = "OK",
        [REDIS_SELECT] = "OK",
        [REDIS_PING] = "PONG",
};

static const char *const step_words[] = {
        [REDIS_AUTH] = "AUTH",
        [REDIS_SELECT] = "SELECT",
        [REDIS_PING] = "PING",
};

/* Errors begin with a word in capitals: "LOADING", "MASTERDOWN", "BUSY", "MISCONF". */
static void set_detail_from_word(Result *r, const char *text) {
        char word[RESULT_DETAIL_MAX] = "";

        for (size_t i = 0; i < sizeof(word) - 1 && isupper((unsigned char) text[i]); i++)
                word[i] = (char) tolower((unsigned char) text[i]);
        result_set_detail(r, word);
}

static void judge_error(RedisStep step, const char *text, Result *ret) {
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (str_starts_with(text, errors[i].prefix)) {
                        result_fail(ret, errors[i].reason, "%s", text);
                        result_set_detail(ret, errors[i].detail);
                        return;
                }
        /* "ERR" says nothing; which command it was does. */
        if (str_starts_with(text, "ERR ")) {
                result_fail(ret, step == REDIS_AUTH ? REASON_AUTH : REASON_STATUS, "%s: %s",
                            step_words[step], text);
                return;
        }
        result_fail(ret, REASON_STATUS, "%s", text);
        set_detail_from_word(ret, text);
}

bool redis_judge(RedisStep step, const RedisReply *reply, Result *ret) {
        switch (reply->kind) {
        case REDIS_STATUS:
                if (str_equal(reply->text, expected[step]))
                        return true;
                result_fail(ret, REASON_PROTOCOL, "The answer to %s is \"%s\"", step_words[step],
                            reply->text);
                return false;
        case REDIS_ERROR:
                judge_error(step, reply->text, ret);
                return false;
        case REDIS_OTHER:
                result_fail(ret, REASON_PROTOCOL, "The answer to %s is of the wrong kind",
                            step_words[step]);
                return false;
        }
        return false;
}
