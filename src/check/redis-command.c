/* SPDX-License-Identifier: MIT */
#include "check/redis-command.h"

#include <errno.h>
#include <strings.h>

#include "base/text.h"
#include "check/command-line.h"

static const char info[] = "INFO";

static const RedisCommandType types[] = {
        { "BITCOUNT", "KEY", "" },      { "DBSIZE", "", "" },
        { "EXISTS", "KEY", "" },        { "GET", "KEY", "" },
        { "HEXISTS", "KEY FIELD", "" }, { "HGET", "KEY FIELD", "" },
        { "HLEN", "KEY", "" },          { info, "SECTION FIELD", "" },
        { "LASTSAVE", "", "" },         { "LINDEX", "KEY INDEX", "" },
        { "LLEN", "KEY", "" },          { "PTTL", "KEY", "ms" },
        { "SCARD", "KEY", "" },         { "SISMEMBER", "KEY MEMBER", "" },
        { "STRLEN", "KEY", "bytes" },   { "TTL", "KEY", "seconds" },
        { "TYPE", "KEY", "" },          { "XLEN", "KEY", "" },
        { "ZCARD", "KEY", "" },         { "ZCOUNT", "KEY MIN MAX", "" },
        { "ZSCORE", "KEY MEMBER", "" },
};

static const RedisCommandType *type_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcasecmp(types[i].name, name) == 0)
                        return &types[i];
        return NULL;
}

static size_t type_count_arguments(const RedisCommandType *t) {
        size_t n = 0;

        for (const char *p = t->arguments; *p; p += strcspn(p, " "), n++)
                p += strspn(p, " ");
        return n;
}

static void tell_types(const char *name, char why[static OPTION_WHY_MAX]) {
        char shown[32];
        int n;

        text_sanitize(shown, sizeof(shown), name, strlen(name));
        n = snprintf(why, OPTION_WHY_MAX, "\"%s\" is none of those that only read:", shown);
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                n += snprintf(why + n, OPTION_WHY_MAX - (size_t) n, "%s %s", i > 0 ? "," : "",
                              types[i].name);
}

static void command_clear(void *field) {
        RedisCommand *c = field;

        c->words = strv_free(c->words);
        free(c->field);
        *c = (RedisCommand){};
}

static void command_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const RedisCommand *c = field;

        STRV_FOREACH(word, c->words)
                strbuf_printf(out, "%zu:%s ", strlen(*word), *word);
        strbuf_append(out, c->field ? c->field : "");
}

static int command_split(const char *value, char ***ret, char why[static OPTION_WHY_MAX]) {
        const char *fault;
        int r;

        r = command_line_split(value, ret, &fault);
        if (r == -EINVAL)
                snprintf(why, OPTION_WHY_MAX, "%s", fault);
        if (r >= 0 && !*ret) {
                snprintf(why, OPTION_WHY_MAX, "there is no command");
                return -EINVAL;
        }
        return r;
}

static int command_parse(const Option *o _unused_, const char *value, void *field,
                         char why[static OPTION_WHY_MAX]) {
        _cleanup_strv_ char **words = NULL;
        RedisCommand *c = field;
        const RedisCommandType *type;
        int r;

        r = command_split(value, &words, why);
        if (r < 0)
                return r;
        type = type_find(words[0]);
        if (!type) {
                tell_types(words[0], why);
                return -EINVAL;
        }
        if (strv_length(words) != 1 + type_count_arguments(type)) {
                snprintf(why, OPTION_WHY_MAX, "the command is to be: %s%s%s", type->name,
                         *type->arguments ? " " : "", type->arguments);
                return -EINVAL;
        }
        /* The field is for us; the server is asked for the section. */
        *c = (RedisCommand){ .type = type, .words = TAKE(words) };
        if (type->name == info)
                c->field = TAKE(c->words[2]);
        return 0;
}

const OptionType option_redis_command = {
        .expected = "a command that only reads",
        .parse = command_parse,
        .clear = command_clear,
        .canonical = command_canonical,
        .size = sizeof(RedisCommand),
};

const char *redis_command_text(char buf[static REDIS_COMMAND_TEXT_MAX], const RedisCommand *c) {
        char text[4 * REDIS_COMMAND_TEXT_MAX];
        const char *subject = c->field ? c->field : c->words[1];

        snprintf(text, sizeof(text), "%s%s%s", c->type->name, subject ? " " : "",
                 subject ? subject : "");
        return text_sanitize(buf, REDIS_COMMAND_TEXT_MAX, text, strlen(text));
}
