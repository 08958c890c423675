/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/address.h"
#include "base/text.h"
#include "model/config.h"

typedef struct Fields {
        char *text;
        char **list;
        bool flag;
        uint64_t count;
        usec_t span, any_span, long_span;
        uint64_t size;
        Amount amount;
        unsigned word, words;
        char **paths;
        char *path;
        Address address;
        Credential credential;
        HeaderCredentials headers;
        char *unit;
} Fields;

static const char *const colours[] = { "red", "green", "blue", NULL };

/* clang-format off */
#define FIELD(member) .offset = offsetof(Fields, member)

static const Option options[] = {
        { .key = "Text", .type = &option_string, FIELD(text), .fallback = "some" },
        { .key = "List", .type = &option_strv, FIELD(list) },
        { .key = "Flag", .type = &option_bool, FIELD(flag), .fallback = "yes" },
        { .key = "Count", .type = &option_unsigned, FIELD(count), .fallback = "3",
          .min = 1, .max = 10 },
        { .key = "Span", .type = &option_timespan, FIELD(span), .fallback = "10s",
          .min = 100 * USEC_PER_MSEC, .max = USEC_PER_DAY },
        { .key = "AnySpan", .type = &option_timespan, FIELD(any_span) },
        { .key = "LongSpan", .type = &option_timespan, FIELD(long_span),
          .min = USEC_PER_MINUTE, .max = USEC_INFINITY },
        { .key = "Size", .type = &option_size, FIELD(size), .min = 1, .max = 1 << 20 },
        { .key = "Amount", .type = &option_amount, FIELD(amount) },
        { .key = "Word", .type = &option_word, FIELD(word), .words = colours },
        { .key = "Words", .type = &option_words, FIELD(words), .fallback = "red",
          .words = colours },
        { .key = "Path", .type = &option_path, FIELD(path) },
        { .key = "Paths", .type = &option_paths, FIELD(paths), .fallback = "/" },
        { .key = "Address", .type = &option_address, FIELD(address), .min = 6379 },
        { .key = "Credential", .type = &option_credential, FIELD(credential) },
        { .key = "HeaderCredential", .type = &option_header_credential, FIELD(headers) },
        { .key = "Unit", .type = &option_unit, FIELD(unit) },
};
/* clang-format on */

static const Schema schema = SCHEMA(options);

static int set(Fields *f, const char *key, const char *value, char why[static OPTION_WHY_MAX]) {
        const Option *o = schema_find(&schema, key);

        assert_non_null(o);
        return schema_set(&schema, f, o, value, why);
}

/* The canonical line of one option. */
static char *canonical_of(const Fields *f, const char *key) {
        _cleanup_strbuf_ StrBuf b = {};
        Schema one = { .options = schema_find(&schema, key), .n = 1 };
        char *s;

        schema_canonical(&one, f, &b);
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static void test_values(void **state _unused_) {
        static const struct {
                const char *key, *value, *canonical;
        } table[] = {
                { "Text", "a b", "Text=a b\n" },
                { "Text", "", "Text=some\n" },
                { "Flag", "off", "Flag=no\n" },
                { "Flag", "", "Flag=yes\n" },
                { "Count", "1", "Count=1\n" },
                { "Count", "10", "Count=10\n" },
                { "Span", "1min 30s", "Span=90000000\n" },
                { "Span", "100ms", "Span=100000\n" },
                { "AnySpan", "infinity", "AnySpan=18446744073709551615\n" },
                { "LongSpan", "infinity", "LongSpan=18446744073709551615\n" },
                { "Size", "64K", "Size=65536\n" },
                { "Amount", "10%", "Amount=0+100000ppm\n" },
                { "Amount", "1G", "Amount=1073741824+0ppm\n" },
                { "Amount", "0", "Amount=0+0ppm\n" },
                { "Amount", "", "Amount=\n" },
                { "Word", "blue", "Word=blue\n" },
                { "Path", "/var//lib/./x/", "Path=/var/lib/x\n" },
                { "Path", "/", "Path=/\n" },
                { "Path", "/a..b/...", "Path=/a..b/...\n" },
                { "Paths", "/srv//x/", "Paths=/\n/srv/x\n\n" },
                { "Address", "cache", "Address=cache:6379\n" },
                { "Address", "[::1]:7", "Address=[::1]:7\n" },
                { "Address", "/run/redis.sock", "Address=/run/redis.sock\n" },
                { "Address", "", "Address=\n" },
                { "Credential", "orders-db", "Credential=orders-db\n" },
                { "HeaderCredential", "api-key:  azure", "HeaderCredential=api-key: azure\n\n" },
                { "Unit", "orders@1.service", "Unit=orders@1.service\n" },
                { "Unit", "dev-sda\\x2d1.device", "Unit=dev-sda\\x2d1.device\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *canonical = NULL;
                char why[OPTION_WHY_MAX];
                Fields f;

                assert_int_equal(schema_init(&schema, &f), 0);
                assert_int_equal(set(&f, table[i].key, table[i].value, why), 0);
                canonical = canonical_of(&f, table[i].key);
                assert_string_equal(canonical, table[i].canonical);
                schema_clear(&schema, &f);
        }
}

static void test_refusals(void **state _unused_) {
        static const struct {
                const char *key, *value;
                int r;
                const char *why;
        } table[] = {
                { "Flag", "maybe", -EINVAL, "\"maybe\" is not yes or no" },
                { "Count", "0", -ERANGE, "\"0\" is not from 1 to 10" },
                { "Count", "11", -ERANGE, "\"11\" is not from 1 to 10" },
                { "Count", "99999999999999999999", -ERANGE,
                  "\"99999999999999999999\" is not from 1 to 10" },
                { "Count", "-1", -EINVAL, "\"-1\" is not a whole number" },
                { "Span", "99ms", -ERANGE, "\"99ms\" is not from 100ms to 1d" },
                { "Span", "infinity", -ERANGE, "\"infinity\" is not from 100ms to 1d" },
                { "Span", "5 parsecs", -EINVAL,
                  "\"5 parsecs\" is not a time span such as 5s or 1min 30s" },
                { "AnySpan", "99999999999999w", -ERANGE, "\"99999999999999w\" is too long" },
                { "LongSpan", "1s", -ERANGE, "\"1s\" is not at least 1min" },
                { "Size", "2M", -ERANGE, "\"2M\" is not from 1 to 1048576 bytes" },
                { "Amount", "101%", -ERANGE,
                  "\"101%\" is not a size such as 1G or a share such as 10%" },
                { "Word", "pink", -EINVAL, "\"pink\" is not one of red, green, blue" },
                { "Words", "red pink", -EINVAL, "\"pink\" is not one of red, green, blue" },
                { "Path", "var", -EINVAL, "\"var\" is not an absolute path" },
                { "Paths", "srv", -EINVAL, "\"srv\" is not an absolute path" },
                { "Path", "/a/../b", -EINVAL, "a path with \"..\" is not accepted" },
                { "Unit", "orders", -EINVAL,
                  "\"orders\" is not a unit's name with its suffix, such as orders.service" },
                { "Unit", "orders@.service", -EINVAL,
                  "\"orders@.service\" is not a unit's name with its suffix, such as "
                  "orders.service" },
                { "Credential", "s3cret!", -EINVAL,
                  "not a credential's name (letters, digits, \"_.@+-\"); the secret itself does "
                  "not stand here" },
                { "Credential", "../x", -EINVAL,
                  "not a credential's name (letters, digits, \"_.@+-\"); the secret itself does "
                  "not stand here" },
                { "HeaderCredential", "Authorization: Bearer s3cret", -EINVAL,
                  "not a header and a credential's name, such as \"Authorization: orders-token\"; "
                  "the secret itself does not stand here" },
                { "HeaderCredential", "api-key", -EINVAL,
                  "not a header and a credential's name, such as \"Authorization: orders-token\"; "
                  "the secret itself does not stand here" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *before = NULL, *after = NULL;
                char why[OPTION_WHY_MAX];
                Fields f;

                assert_int_equal(schema_init(&schema, &f), 0);
                before = canonical_of(&f, table[i].key);
                assert_int_equal(set(&f, table[i].key, table[i].value, why), table[i].r);
                assert_string_equal(why, table[i].why);
                after = canonical_of(&f, table[i].key);
                assert_string_equal(after, before);
                schema_clear(&schema, &f);
        }
}

static void test_bad_address_says_how_to_write_it(void **state _unused_) {
        char why[OPTION_WHY_MAX];
        Fields f;

        assert_int_equal(schema_init(&schema, &f), 0);
        assert_int_equal(set(&f, "Address", "host:0", why), -EINVAL);
        assert_non_null(strstr(why, "\"host:0\": "));
        schema_clear(&schema, &f);
}

static void test_passwords_are_not_shown(void **state _unused_) {
        static const struct {
                const char *value, *shown;
        } table[] = {
                { "host=a password=hunter2 user=b", "host=a password***" },
                { "host=a PASSWORD = hunter2", "host=a PASSWORD***" },
                { "redis://user:hunter2@cache:6379", "redis://user:***" },
                { "user:hunter2@cache:6379", "user:***" },
                { "a:b@c@d", "a:***" },
                { "orders@1.service", "orders@1.service" },
                { "http://host:80/x", "http://host:80/x" },
                { "a\tb\x1b", "a b" },
        };
        char buf[OPTION_VALUE_SHOWN_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(option_show(buf, table[i].value), table[i].shown);
}

static void test_lists(void **state _unused_) {
        char why[OPTION_WHY_MAX];
        Fields f;

        assert_int_equal(schema_init(&schema, &f), 0);
        assert_int_equal(set(&f, "List", "a", why), 0);
        assert_int_equal(set(&f, "List", "b c", why), 0);
        assert_int_equal(strv_length(f.list), 2);
        assert_string_equal(f.list[1], "b c");
        assert_int_equal(set(&f, "List", "", why), 0);
        assert_null(f.list);

        /* the fallback stays until it is cleared */
        assert_int_equal(f.words, 1);
        assert_int_equal(set(&f, "Words", "\tblue  green ", why), 0);
        assert_int_equal(f.words, 7);
        option_clear(schema_find(&schema, "Words"), &f);
        assert_int_equal(set(&f, "Words", "blue", why), 0);
        assert_int_equal(f.words, 4);

        assert_int_equal(set(&f, "HeaderCredential", "A: one", why), 0);
        assert_int_equal(set(&f, "HeaderCredential", "B: two", why), 0);
        assert_int_equal(f.headers.n, 2);
        assert_string_equal(f.headers.items[1].header, "B");
        assert_string_equal(f.headers.items[1].credential.name, "two");
        for (size_t i = 2; i < HEADER_CREDENTIALS_MAX; i++)
                assert_int_equal(set(&f, "HeaderCredential", "C: three", why), 0);
        assert_int_equal(set(&f, "HeaderCredential", "D: four", why), -ERANGE);
        schema_clear(&schema, &f);
}

static void test_nearest(void **state _unused_) {
        static const struct {
                const char *typed, *nearest;
        } table[] = {
                { "Cuont", "Count" }, /* two edits */
                { "Count", "Count" },
                { "count", "Count" },
                { "Counts", "Count" },
                { "Spam", "Span" },
                { "Adress", "Address" },
                { "WORDS", "Words" },
                { "Zebra", NULL },
                { "Credentials", "Credential" },
                { "", NULL },
                { "HeaderCredntal", "HeaderCredential" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *nearest = schema_nearest(&schema, table[i].typed);

                if (table[i].nearest)
                        assert_string_equal(nearest, table[i].nearest);
                else
                        assert_null(nearest);
        }
        assert_int_equal(typo_distance("abc", "ABC"), 0);
        assert_int_equal(typo_distance("abd", "abc"), 1);
        assert_int_equal(typo_distance("xyz", "abc"), UINT_MAX);
}

static int lookup(void *userdata, const char *name, char **ret, char why[static OPTION_WHY_MAX]) {
        const char *secret = userdata;

        if (!secret || str_equal(name, "nowhere")) {
                snprintf(why, OPTION_WHY_MAX, "Credential %s not configured", name);
                return -ENOENT;
        }
        *ret = strdup(secret);
        return *ret ? 0 : -ENOMEM;
}

static void test_secrets_are_hidden(void **state _unused_) {
        static const struct {
                const char *text, *hidden;
        } cases[] = {
                { "", "" },
                { "all well", "all well" },
                { "wrong: hunter2-canary!", "wrong: **************!" },
                { "hunter2-canaryhunter2-canary", "****************************" },
                { "wrong: hunter2-can", "wrong: ***********" },
                { "the hunter", "the hunter" },
                { "hunter2-cat", "**********t" },
        };
        char why[OPTION_WHY_MAX], secret[] = "hunter2-canary", text[64];
        Fields f;

        assert_int_equal(schema_init(&schema, &f), 0);
        schema_hide_secrets(&schema, &f, strcpy(text, "none is there"));
        assert_string_equal(text, "none is there");
        assert_int_equal(set(&f, "Credential", "db", why), 0);
        assert_int_equal(schema_resolve(&schema, &f, lookup, secret, why), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                schema_hide_secrets(&schema, &f, strcpy(text, cases[i].text));
                assert_string_equal(text, cases[i].hidden);
        }
        schema_clear(&schema, &f);
}

static void test_credentials(void **state _unused_) {
        _cleanup_free_ char *first = NULL, *same = NULL, *other = NULL;
        char why[OPTION_WHY_MAX], secret[] = "hunter2-canary", rotated[] = "hunter3-canary",
                                  folded[] = "a\r\nHost: b";
        Fields f;

        assert_int_equal(schema_init(&schema, &f), 0);
        assert_int_equal(schema_resolve(&schema, &f, lookup, NULL, why), 0); /* none is named */
        assert_int_equal(set(&f, "Credential", "db", why), 0);
        assert_int_equal(schema_resolve(&schema, &f, lookup, NULL, why), -ENOENT);
        assert_string_equal(why, "Credential db not configured");
        assert_null(f.credential.secret);

        assert_int_equal(schema_resolve(&schema, &f, lookup, secret, why), 0);
        assert_string_equal(f.credential.secret, secret);
        first = canonical_of(&f, "Credential");
        assert_null(strstr(first, "hunter"));
        assert_int_equal(schema_resolve(&schema, &f, lookup, secret, why), 0);
        same = canonical_of(&f, "Credential");
        assert_string_equal(same, first);
        assert_int_equal(schema_resolve(&schema, &f, lookup, rotated, why), 0);
        other = canonical_of(&f, "Credential");
        assert_string_not_equal(other, first);

        assert_int_equal(set(&f, "HeaderCredential", "A: token", why), 0);
        assert_int_equal(schema_resolve(&schema, &f, lookup, folded, why), -EINVAL);
        assert_string_equal(why, "Credential token has a line break, which no header can hold");
        schema_clear(&schema, &f);
}

static void test_amount_of(void **state _unused_) {
        static const struct {
                Amount amount;
                uint64_t whole, part;
        } table[] = {
                { { .bytes = 5 }, 100, 5 },
                { { .millionths = 100000 }, 1000, 100 },
                { { .millionths = 1000000 }, UINT64_MAX, UINT64_MAX },
                { { .millionths = 500000 }, UINT64_MAX, UINT64_MAX / 2 },
                { { .millionths = 5000 }, 7, 0 },
                { {}, 100, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_true(amount_of(&table[i].amount, table[i].whole) == table[i].part);
}

static void test_diagnostics(void **state _unused_) {
        _cleanup_free_ char *text = NULL;
        Diagnostics d = {};

        assert_true(diagnostics_is_empty(&d));
        diagnostics_add(&d, "/a/b.conf", 3, "unknown key %s=", "X");
        diagnostics_add(&d, "/a/c.conf", 0, "is a directory");
        assert_int_equal(diagnostics_format(&d, &text), 0);
        assert_string_equal(text, "/a/b.conf:3: unknown key X=\n/a/c.conf: is a directory\n");
        for (size_t i = 0; i < DIAGNOSTICS_MAX; i++)
                diagnostics_add(&d, "f", 1, "more");
        assert_int_equal(d.n, DIAGNOSTICS_MAX);
        assert_int_equal(d.n_left_out, 2);
        free(TAKE(text));
        assert_int_equal(diagnostics_format(&d, &text), 0);
        assert_non_null(strstr(text, "\n2 more faults are not listed\n"));
        diagnostics_done(&d);
        assert_true(diagnostics_is_empty(&d));
}

static void test_defaults(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *check = check_config_new();
        _cleanup_(config_unrefp) Config *config = config_new();

        assert_int_equal(config->daemon.notify_ready, NOTIFY_READY_CHECKED);
        assert_int_equal(config->daemon.max_concurrent_checks, 128);
        assert_int_equal(config->http.layout, HTTP_LAYOUT_STANDARD);
        assert_int_equal(config->http.down_status, 503);
        assert_int_equal(config->http.degraded_status, 200);
        assert_false(config_has_services(config));
        assert_true(config_find_service(config, "orders") == INDEX_NONE);

        assert_int_equal(check->probes, 1 << PROBE_READINESS);
        assert_true(check->is_critical);
        assert_false(check->allow_remote_liveness);
        assert_int_equal(check->interval_usec, 10 * USEC_PER_SEC);
        assert_int_equal(check->connection_max_age_usec, 5 * USEC_PER_MINUTE);
        assert_int_equal(check->failure_threshold, 2);
        assert_int_equal(check->success_threshold, 1);
        assert_int_equal(check->liveness_failure_threshold, 3);
}

static void test_http_options(void **state _unused_) {
        static const struct {
                const char *key, *value;
                int r;
                const char *why;
        } table[] = {
                { "DownStatus", "500", 0, NULL },
                { "DownStatus", "501", -EINVAL, "\"501\" is not one of 503, 500" },
                { "DegradedStatus", "503", 0, NULL },
                { "Listen", "127.0.0.1:9911", 0, NULL },
                { "Listen", "/run/x.sock", 0, NULL },
                { "Listen", "web:80", -EINVAL,
                  "\"web:80\": a name; write the address itself, such as 127.0.0.1:9911" },
                { "Alias", "/up /health/ready/orders", 0, NULL },
                { "Alias", "/down\t /metrics", 0, NULL },
                { "Alias", "/up /health/live", -EINVAL, "\"/up\" is an alias already" },
                { "Alias", "/a /b", -EINVAL,
                  "\"/b\" is not a known path, such as /health/ready or /health/ready/orders" },
                { "Alias", "/a", -EINVAL,
                  "\"/a\" is not a path and the path that answers for it, such as \"/up "
                  "/health/ready\"" },
                { "Alias", "a /health", -EINVAL,
                  "\"a /health\" is not a path and the path that answers for it, such as \"/up "
                  "/health/ready\"" },
        };
        char why[OPTION_WHY_MAX];
        HttpConfig http;

        assert_int_equal(schema_init(&http_schema, &http), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Option *o = schema_find(&http_schema, table[i].key);

                assert_int_equal(schema_set(&http_schema, &http, o, table[i].value, why),
                                 table[i].r);
                if (table[i].why)
                        assert_string_equal(why, table[i].why);
        }
        assert_int_equal(http.down_status, 500);
        assert_int_equal(http.degraded_status, 503);
        assert_int_equal(strv_length(http.listen), 2);
        assert_int_equal(http.aliases.n, 2);
        assert_string_equal(http.aliases.items[1].path, "/down");
        assert_string_equal(http.aliases.items[1].target, "/metrics");
        schema_clear(&http_schema, &http);
}

static void test_names(void **state _unused_) {
        char longest[NAME_LENGTH_MAX + 2];

        memset(longest, 'a', sizeof(longest));
        longest[NAME_LENGTH_MAX + 1] = 0;
        assert_false(name_is_valid(longest));
        longest[NAME_LENGTH_MAX] = 0;
        assert_true(name_is_valid(longest));
        assert_true(name_is_valid("a.b_c@d:e-1"));
        assert_false(name_is_valid(""));
        assert_false(name_is_valid(".a"));
        assert_false(name_is_valid("a b"));
        assert_false(name_is_valid("a/b"));
        assert_false(name_is_valid("\xc3\xa4"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_bad_address_says_how_to_write_it),
                cmocka_unit_test(test_passwords_are_not_shown),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_nearest),
                cmocka_unit_test(test_credentials),
                cmocka_unit_test(test_secrets_are_hidden),
                cmocka_unit_test(test_amount_of),
                cmocka_unit_test(test_diagnostics),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_http_options),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
