/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "../fuzz/state-judge.h"
#include "base/fd.h"
#include "base/kept-file.h"
#include "base/parse.h"
#include "output/history-file.h"
#include "output/state-file.h"

/* FAULTS 46: mutations of good files. VITALD_MUTATIONS makes it more; VITALD_MUTATION_SEED begins
 * elsewhere. */

#define MUTATIONS_DEFAULT 10000
#define TEXT_MAX          ((size_t) 64 << 10)

static uint64_t dice;

static uint64_t roll(uint64_t n) {
        dice += 0x9e3779b97f4a7c15;
        uint64_t z = dice;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return (z ^ z >> 31) % n;
}

static uint64_t setting(const char *name, uint64_t fallback) {
        const char *text = getenv(name);
        uint64_t n;

        return text && parse_uint64(text, &n) >= 0 ? n : fallback;
}

/* -- mutations --------------------------------------------------------------------------------- */

typedef struct Text {
        char bytes[TEXT_MAX];
        size_t n;
} Text;

static void text_replace(Text *t, size_t at, size_t n_old, const char *with, size_t n_with) {
        if (t->n - n_old + n_with > TEXT_MAX)
                return;
        memmove(t->bytes + at + n_with, t->bytes + at + n_old, t->n - at - n_old);
        memcpy(t->bytes + at, with, n_with);
        t->n += n_with - n_old;
}

static void flip_bit(Text *t) {
        t->bytes[roll(t->n)] ^= (char) (1 << roll(8));
}

static void truncate_it(Text *t) {
        t->n = roll(t->n) + 1;
}

static void drop_piece(Text *t) {
        size_t at = roll(t->n), n = MIN(roll(64) + 1, t->n - at);

        if (n < t->n)
                text_replace(t, at, n, "", 0);
}

static void double_piece(Text *t) {
        size_t at = roll(t->n), n = MIN(roll(256) + 1, t->n - at);
        char piece[256];

        memcpy(piece, t->bytes + at, n);
        text_replace(t, roll(t->n), 0, piece, n);
}

/* The next place from a random one on where such a thing begins, and its end. */
static bool find_token(const Text *t, const char *letters, size_t *ret_at, size_t *ret_n) {
        size_t at = roll(t->n), n = 0;

        while (at < t->n && (!t->bytes[at] || !strchr(letters, t->bytes[at])))
                at++;
        while (at + n < t->n && t->bytes[at + n] && strchr(letters, t->bytes[at + n]))
                n++;
        *ret_at = at;
        *ret_n = n;
        return n > 0;
}

static void other_number(Text *t) {
        static const char *const numbers[] = {
                "0",
                "1",
                "-1",
                "12",
                "18446744073709551615",
                "9223372036854775807",
                "1152921504606846976",
                "1152921504606846975",
                "1e400",
                "1e18",
                "0.5",
                "2000000000",
                "1700000099000000",
                "2119000000",
                "2120000000",
                "2120000001",
                "null",
                "[]",
                "\"7\"",
        };
        const char *with = numbers[roll(ELEMENTSOF(numbers))];
        size_t at, n;

        if (find_token(t, "0123456789", &at, &n))
                text_replace(t, at, n, with, strlen(with));
}

static void other_word(Text *t) {
        static const char *const words[] = {
                "healthy",
                "unhealthy",
                "pending",
                "unknown",
                "skipped",
                "degraded",
                "ready",
                "not_ready",
                "dead",
                "alive",
                "failed",
                "starting",
                "inactive",
                "active",
                "unfollowed",
                "stale",
                "drained",
                "",
                "\\u0000",
                "\\u0007",
                "\\ud800",
                "\xff",
                "measured",
                "fresh",
                "result",
                "since",
                "checks",
                "orders",
                "app",
                "db",
                "some",
                "later",
                "true",
                "x",
                "................................................",
        };
        const char *with = words[roll(ELEMENTSOF(words))];
        size_t at, n;

        if (find_token(t, "abcdefghijklmnopqrstuvwxyz_", &at, &n))
                text_replace(t, at, n, with, strlen(with));
}

static void mutate(Text *t) {
        static void (*const mutations[])(Text * t) = {
                flip_bit,     truncate_it,  drop_piece, double_piece, other_number,
                other_number, other_number, other_word, other_word,
        };

        for (uint64_t n = roll(4) + 1; n > 0; n--)
                mutations[roll(ELEMENTSOF(mutations))](t);
}

/* -- tests ------------------------------------------------------------------------------------- */

static void text_set(Text *t, const char *text) {
        t->n = strlen(text);
        assert_true(t->n < TEXT_MAX);
        memcpy(t->bytes, text, t->n);
}

/* A copy that ends where the text ends, so that the sanitizers see a read beyond it. */
static bool judge_copy(JudgeFile file, const Text *t) {
        _cleanup_free_ char *copy = malloc(t->n);

        assert_non_null(copy);
        memcpy(copy, t->bytes, t->n);
        return judge(file, copy, t->n);
}

static void test_good_files(_unused_ void **state) {
        for (JudgeFile file = 0; file < JUDGE_FILES_; file++) {
                _cleanup_free_ char *text = judge_example(file);

                assert_true(judge(file, text, strlen(text)));
        }
}

/* The digest is right: what is behind it must hold out by itself. */
static void test_fault_46_mutations_behind_the_digest(_unused_ void **state) {
        uint64_t n = setting("VITALD_MUTATIONS", MUTATIONS_DEFAULT) / 2;
        uint64_t n_taken = 0;
        Text *t = malloc(sizeof(Text));

        assert_non_null(t);
        dice = setting("VITALD_MUTATION_SEED", 46);
        for (JudgeFile file = 0; file < JUDGE_FILES_; file++) {
                _cleanup_free_ char *text = judge_example(file);

                for (uint64_t i = 0; i < n; i += file == JUDGE_STATE ? 1 : 4) {
                        text_set(t, text);
                        mutate(t);
                        n_taken += judge_copy(file, t);
                }
        }
        free(t);
        print_message("# %" PRIu64 " mutated files were taken\n", n_taken);
        assert_true(n_taken > n / 20 && n_taken < n);
}

/* As it lies on the disk. */
static void test_fault_46_mutations_of_the_file(_unused_ void **state) {
        uint64_t n = setting("VITALD_MUTATIONS", MUTATIONS_DEFAULT) / 2;
        char directory[] = "/tmp/vitald-test-XXXXXX", path[64];
        _cleanup_free_ char *text = judge_example(JUDGE_STATE), *whole = NULL;
        Text *t = malloc(sizeof(Text));
        size_t n_whole;

        assert_non_null(t);
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/state", directory);
        assert_int_equal(
                kept_file_write(path, STATE_FILE_KIND, STATE_FILE_VERSION, text, strlen(text)), 0);
        assert_int_equal(file_read(path, TEXT_MAX, &whole, &n_whole), 0);
        dice = setting("VITALD_MUTATION_SEED", 46);
        for (uint64_t i = 0; i < n; i++) {
                _cleanup_free_ char *read = NULL;
                FILE *f = fopen(path, "w");
                size_t n_read;
                int r;

                text_set(t, whole);
                mutate(t);
                assert_non_null(f);
                assert_int_equal(fwrite(t->bytes, 1, t->n, f), t->n);
                assert_int_equal(fclose(f), 0);
                r = kept_file_read(path, STATE_FILE_KIND, STATE_FILE_VERSION, TEXT_MAX, &read,
                                   &n_read);
                if (r < 0)
                        assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EFBIG);
                else
                        assert_true(judge(JUDGE_STATE, read, n_read));
        }
        free(t);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* -- what can never have been ------------------------------------------------------------------ */

static void test_fault_46_nonsense_is_refused(_unused_ void **state) {
        static const struct {
                const char *from, *to;
        } cases[] = {
                { "\"boot\":\"0", "\"boot\":\"1" },
                { "\"boottime\":2096000000", "\"boottime\":3096000000" },
                { "\"measured\":\"unhealthy\"", "\"measured\":\"splendid\"" },
                { "\"measured\":\"unhealthy\"", "\"measured\":7" },
                { "\"fresh\":208", "\"fresh\":308" },
                { "\"fresh\":208", "\"fresh\":-208" },
                { "\"fresh\":2", "\"fresh\":1e400,\"x\":2" },
                { "\"result\":{", "\"elsewhere\":{" },
                { "\"services\":[", "\"services\":[7," },
                { "\"checks\":[", "\"checks\":[null," },
                { "\"runs\":[", "\"runs\":[7," },
                { "\"values\":[", "\"values\":[[]," },
                { "\"number\":", "\"number\":true,\"x\":" },
                { "\"note\":\"", "\"note\":\"0123456789012345678901234567890123456789012345678901"
                                 "23456789012345678901234567890123456789012345678901234567890123"
                                 "45678901234567890123456789" },
                { "\"reason\":\"", "\"reason\":\"no-" },
                { "\"outcome\":\"", "\"outcome\":\"un" },
                { "{\"boot\"", "[{\"boot\"" },
                { "{\"boot\"", "{\"boot\":\"\",\"boot\"" },
        };
        _cleanup_free_ char *text = judge_example(JUDGE_STATE);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *at = strstr(text, cases[i].from);
                Text *t = malloc(sizeof(Text));

                if (!at)
                        fail_msg("%s is not in %s", cases[i].from, text);
                assert_non_null(t);
                text_set(t, text);
                text_replace(t, (size_t) (at - text), strlen(cases[i].from), cases[i].to,
                             strlen(cases[i].to));
                if (judge_copy(JUDGE_STATE, t))
                        fail_msg("%s was taken", cases[i].to);
                free(t);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_files),
                cmocka_unit_test(test_fault_46_nonsense_is_refused),
                cmocka_unit_test(test_fault_46_mutations_behind_the_digest),
                cmocka_unit_test(test_fault_46_mutations_of_the_file),
        };

        return cmocka_run_group_tests_name("state-file", tests, NULL, NULL);
}
