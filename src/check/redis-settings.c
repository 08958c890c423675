/* SPDX-License-Identifier: MIT */
#include "check/redis-settings.h"

#include <errno.h>
#include <stdio.h>

#include "check/stream-verdict.h"

/* -- Sentinel= --------------------------------------------------------------------------------- */

static int sentinels_parse(const Option *o, const char *value, void *field,
                           char why[static OPTION_WHY_MAX]) {
        RedisSentinelList *l = field;
        const char *error;
        Address address, *items;
        int r;

        r = address_parse(value, (uint16_t) o->min, &address, &error);
        if (r < 0) {
                snprintf(why, OPTION_WHY_MAX, "%s", error);
                return r;
        }
        if (l->n == REDIS_SENTINELS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "there are more than %d", REDIS_SENTINELS_MAX);
                return -ERANGE;
        }
        items = reallocarray(l->items, l->n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        l->items = items;
        l->items[l->n++] = address;
        return 0;
}

static void sentinels_clear(void *field) {
        RedisSentinelList *l = field;

        free(l->items);
        *l = (RedisSentinelList){};
}

static void sentinels_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const RedisSentinelList *l = field;
        char text[ADDRESS_TEXT_MAX];

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(out, "%s ", address_format(text, &l->items[i]));
}

const OptionType option_sentinels = {
        .expected = "HOST:PORT, [IPV6]:PORT or an absolute path",
        .is_list = true,
        .parse = sentinels_parse,
        .clear = sentinels_clear,
        .canonical = sentinels_canonical,
        .size = sizeof(RedisSentinelList),
};

/* -- all of them ------------------------------------------------------------------------------- */

static bool has_address(const RedisSettings *s) {
        return s->address.name[0] || s->address.port > 0;
}

bool redis_settings_want_info(const RedisSettings *s) {
        return s->role != REDIS_ROLE_ANY || s->wants_replication;
}

static const char *server_fault(const RedisSettings *s, const char **ret_key) {
        const struct {
                bool is_fault;
                const char *key, *text;
        } faults[] = {
                { !has_address(s) && !s->sentinel_master, "Address",
                  "needed, or SentinelMaster= and Sentinel= instead" },
                { has_address(s) && s->sentinel_master, "SentinelMaster",
                  "Address= is given as well" },
                { s->sentinel_master && s->sentinels.n == 0, "SentinelMaster", "needs Sentinel=" },
                { !s->sentinel_master && s->sentinels.n > 0, "Sentinel", "needs SentinelMaster=" },
                { !s->sentinel_master && s->sentinel_password.name, "SentinelPasswordCredential",
                  "needs SentinelMaster=" },
                { s->sentinel_master && s->role == REDIS_ROLE_REPLICA, "Role",
                  "sentinels tell of a master, no replica" },
                { s->username && !s->password.name, "Username", "needs PasswordCredential=" },
                { s->expected && !s->command.type, "ExpectValue", "needs Command=" },
        };

        for (size_t i = 0; i < ELEMENTSOF(faults); i++)
                if (faults[i].is_fault) {
                        *ret_key = faults[i].key;
                        return faults[i].text;
                }
        return NULL;
}

int redis_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        RedisSettings *s = settings;
        const char *text = server_fault(s, ret_key);

        if (!text)
                text = tls_options_fault(&s->tls, s->is_tls, &s->address, ret_key);
        for (size_t i = 0; !text && i < s->sentinels.n; i++)
                text = tls_options_fault(&s->tls, s->is_tls, &s->sentinels.items[i], ret_key);
        if (text) {
                snprintf(why, OPTION_WHY_MAX, "%s", text);
                return -EINVAL;
        }
        if (s->sentinel_master)
                s->role = REDIS_ROLE_MASTER;
        return 0;
}

/* Where the master of sentinels is shows in a run only. */
void redis_settings_describe(const void *settings, CheckTarget *ret) {
        const RedisSettings *s = settings;
        char text[ADDRESS_TEXT_MAX];

        if (!s->sentinel_master) {
                target_set_address(ret, &s->address);
                return;
        }
        *ret = (CheckTarget){ .is_remote = true };
        snprintf(ret->text, sizeof(ret->text), "%.100s of %.150s", s->sentinel_master,
                 address_format(text, &s->sentinels.items[0]));
}
