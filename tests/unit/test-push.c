/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/kept-file.h"
#include "base/text.h"
#include "check/push-report.h"
#include "model/perfdata.h"

static int parse(const char *text, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        why[0] = 0;
        return push_report_parse(text, strlen(text), ret, why);
}

/* -- reports ----------------------------------------------------------------------------------- */

static void test_good_reports(void **state _unused_) {
        static const struct {
                const char *text, *check;
                Outcome outcome;
                const char *message;
                size_t n_values;
        } cases[] = {
                { "CHECK=a/b\nSTATE=pass", "a/b", OUTCOME_PASS, "", 0 },
                { "STATE=warn\nCHECK=a/b\n", "a/b", OUTCOME_WARN, "", 0 },
                { "CHECK=b\nSTATE=fail\nSTATUS=x = y", "b", OUTCOME_FAIL, "x = y", 0 },
                { "\nCHECK=b\n\nSTATE=pass\nSTATUS=\n", "b", OUTCOME_PASS, "", 0 },
                { "CHECK=b\nSTATE=pass\nVALUE=a=1\nVALUE=b=2s", "b", OUTCOME_PASS, "", 2 },
                { "READY=1\nCHECK=b\nFOO=\nSTATE=pass\nAT=x", "b", OUTCOME_PASS, "", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char why[PUSH_WHY_MAX];
                PushReport r;

                assert_int_equal(parse(cases[i].text, &r, why), 0);
                assert_string_equal(r.check, cases[i].check);
                assert_int_equal(r.result.outcome, cases[i].outcome);
                assert_string_equal(r.result.message, cases[i].message);
                assert_int_equal(r.result.n_values, cases[i].n_values);
                assert_int_equal(r.result.reason == REASON_NONE, r.result.outcome == OUTCOME_PASS);
                assert_true(r.result.latency_usec == USEC_INFINITY);
        }
}

static void test_bad_reports(void **state _unused_) {
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "CHECK=a/b", "STATE=" },
                { "STATE=pass", "CHECK= is missing" },
                { "CHECK=a/b\nSTATE=healthy", "STATE=" },
                { "CHECK=a/b\nSTATE=pass ", "STATE=" },
                { "CHECK=\nSTATE=pass", "SERVICE/CHECK" },
                { "CHECK=a/\nSTATE=pass", "SERVICE/CHECK" },
                { "CHECK=/b\nSTATE=pass", "SERVICE/CHECK" },
                { "CHECK=a/b/c\nSTATE=pass", "SERVICE/CHECK" },
                { "CHECK=a b\nSTATE=pass", "SERVICE/CHECK" },
                { "CHECK=a/b\nSTATE=pass\nSTATE=pass", "twice" },
                { "CHECK=a/b\nSTATE=pass\nhello", "KEY=VALUE" },
                { "CHECK=a/b\nSTATE=pass\n=x", "KEY=VALUE" },
                { "CHECK=a/b\nSTATE=pass\nVALUE=a", "VALUE=" },
                { "CHECK=a/b\nSTATE=pass\nVALUE=", "VALUE=" },
                { "CHECK=a/b\nSTATE=pass\nVALUE=a=1\nVALUE=a=2", "VALUE=" },
                { "CHECK=a/b\nSTATE=pass\nSTATUS=\xff", "UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char why[PUSH_WHY_MAX];
                PushReport r;

                assert_int_equal(parse(cases[i].text, &r, why), -EINVAL);
                assert_non_null(strstr(why, cases[i].why));
        }
}

static void test_not_for_us(void **state _unused_) {
        static const char *const texts[] = { "", "\n", "BARRIER=1", "READY=1\nSTATUS=up" };
        char why[PUSH_WHY_MAX];
        PushReport r;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_int_equal(parse(texts[i], &r, why), -ENOMSG);
        assert_int_equal(push_report_parse("CHECK=b\nSTATE=fail\0", 19, &r, why), 0);
        assert_int_equal(push_report_parse("CHECK=b\nSTATE=\0fail", 19, &r, why), -EINVAL);
}

static void test_kept_reports(void **state _unused_) {
        PushReport before = { .check = "a/b", .realtime = UINT64_MAX - 1, .boottime = 17 }, after;
        _cleanup_strbuf_ StrBuf b = {};

        result_fail(&before.result, REASON_STATUS, "100%% ü = \"x\"");
        result_add_value(&before.result, "depth", -1.0 / 3, "");
        result_add_value(&before.result, "age", 1e-9, "seconds");
        result_add_value(&before.result, "size", 1e300, "bytes");
        memset(before.invocation, 'a', sizeof(before.invocation) - 1);
        push_report_format_kept(&b, &before);
        assert_int_equal(push_report_parse_kept(b.text, b.length, &after), 0);
        assert_memory_equal(&before, &after, sizeof(before));

        assert_int_equal(push_report_parse_kept("CHECK=a/b\nSTATE=pass", 20, &after), -EINVAL);
}

static void test_strict_values(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { "", 0 },
                { "a=1", 0 },
                { " a=1  b=2.5ms ", 0 },
                { "a", -EINVAL },
                { "a=", -EINVAL },
                { "a=1 a=2", -EINVAL },
                { "a=U", -EINVAL },
                { "a=inf", -EINVAL },
                { "a=1 hello", -EINVAL },
                { "=1", -EINVAL },
                { "a=1;2;3", 0 },
                { "a=1e400", -EINVAL },
                { "a=1e5e5", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Result r;

                result_pass(&r, "%s", "");
                assert_int_equal(perfdata_parse_strict(cases[i].text, strlen(cases[i].text), &r),
                                 cases[i].r);
        }
}

/* -- kept files -------------------------------------------------------------------------------- */

typedef struct Place {
        char directory[64], path[128];
} Place;

static void place_make(Place *p) {
        snprintf(p->directory, sizeof(p->directory), "/tmp/vitald-test-kept-XXXXXX");
        assert_non_null(mkdtemp(p->directory));
        snprintf(p->path, sizeof(p->path), "%s/a/b/file", p->directory);
}

static void place_remove(const Place *p) {
        char path[160];

        assert_int_equal(unlink(p->path), 0);
        snprintf(path, sizeof(path), "%s/a/b", p->directory);
        assert_int_equal(rmdir(path), 0); /* nothing else was left in it */
        snprintf(path, sizeof(path), "%s/a", p->directory);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(p->directory), 0);
}

static int read_back(const Place *p, const char *kind, unsigned version, size_t max,
                     const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = kept_file_read(p->path, kind, version, max, &text, &n);
        if (r < 0)
                return r;
        assert_int_equal(n, strlen(expected));
        assert_string_equal(text, expected);
        return 0;
}

static void test_kept_file(void **state _unused_) {
        struct stat st;
        Place p;

        place_make(&p);
        assert_int_equal(read_back(&p, "kind", 1, 100, ""), -ENOENT);
        assert_int_equal(kept_file_write(p.path, "kind", 1, "hello", 5), 0);
        assert_int_equal(read_back(&p, "kind", 1, 100, "hello"), 0);
        assert_int_equal(kept_file_write(p.path, "kind", 1, "", 0), 0);
        assert_int_equal(read_back(&p, "kind", 1, 100, ""), 0);
        assert_int_equal(kept_file_write(p.path, "kind", 1, "world\n", 6), 0);
        assert_int_equal(read_back(&p, "kind", 1, 100, "world\n"), 0);
        assert_int_equal(stat(p.path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);

        assert_int_equal(read_back(&p, "kind", 2, 100, ""), -EPROTONOSUPPORT);
        assert_int_equal(read_back(&p, "kin", 1, 100, ""), -EPROTONOSUPPORT);
        assert_int_equal(read_back(&p, "kind", 1, 10, ""), -EFBIG);
        place_remove(&p);
}

/* Any single byte that is another one is noticed, and any length but the right one. */
static void test_damaged_kept_file(void **state _unused_) {
        static const char text[] = "some text\n";
        _cleanup_free_ char *good = NULL;
        size_t n;
        Place p;

        place_make(&p);
        assert_int_equal(kept_file_write(p.path, "kind", 1, text, strlen(text)), 0);
        assert_int_equal(file_read(p.path, 1000, &good, &n), 0);
        for (size_t i = 0; i < 2 * n; i++) {
                _cleanup_fd_ int fd = open(p.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
                size_t length = i < n ? n : i - n;
                int r;

                good[i % n] ^= 1;
                assert_int_equal(write(fd, good, length), length);
                good[i % n] ^= 1;
                r = read_back(&p, "kind", 1, 1000, text);
                assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT);
        }
        place_remove(&p);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_reports),      cmocka_unit_test(test_bad_reports),
                cmocka_unit_test(test_not_for_us),        cmocka_unit_test(test_kept_reports),
                cmocka_unit_test(test_strict_values),     cmocka_unit_test(test_kept_file),
                cmocka_unit_test(test_damaged_kept_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
