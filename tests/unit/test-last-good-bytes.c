/* SPDX-License-Identifier: MIT */
/* The last good configuration as bytes, and what is made of bytes that are none of ours. */

#include "loader.h"

#include <errno.h>
#include <string.h>

#define ORDERS "etc/vitald/services/orders.conf"

#define N_MUTATIONS 20000

/* All that a configuration may have, without fault. */
static const File files_good[] = {
        { "etc/vitald/vitald.conf", "[Defaults]\nInterval=9s\n" },
        { "etc/vitald/vitald.conf.d/a.conf", "[Daemon]\nMaxConcurrentChecks=7\n" },
        { "etc/vitald/checks/db.conf", "[Check]\nType=plain\nAddress=127.0.0.1:5432\n" },
        { ORDERS, "[Check db]\nFrom=db\n" GOOD },
        { ORDERS ".d/10.conf", "[Check app]\nInterval=3s\n" },
        { "etc/vitald/services/web.conf",
          "\xef\xbb\xbf[Service]\r\nDescription=\xc3\xbc\r\n" GOOD },
        { NULL, NULL },
};

static const File files_bad[] = {
        { "etc/vitald/vitald.conf", "nonsense\n" },
        { "etc/vitald/checks/db.conf", "nonsense\n" },
        { ORDERS, "nonsense\n" },
        { "etc/vitald/services/web.conf", "nonsense\n" },
        { NULL, NULL },
};

static LastGood last_good_of_good_files(void) {
        Tree t = tree_make(files_good);
        LastGood kept = {}, loaded = {};
        ConfigSources sources = { .root = t.root, .types = &loader_types, .loaded = &loaded };
        Config *c;

        assert_int_equal(config_load(&sources, &c), 0);
        assert_faults(c, "");
        assert_true(last_good_merge(&kept, &loaded, c, 1));
        assert_int_equal(kept.n, 5);
        config_unref(c);
        tree_remove(&t);
        return kept;
}

static char *bytes_of(const LastGood *l, size_t *ret_n) {
        _cleanup_strbuf_ StrBuf b = {};
        char *bytes;

        last_good_format(l, &b);
        *ret_n = b.length;
        assert_true(b.length <= last_good_size(l));
        assert_int_equal(strbuf_finish(&b, &bytes), 0);
        return bytes;
}

static void test_bytes_come_back(void **state _unused_) {
        _cleanup_(last_good_done) LastGood kept = last_good_of_good_files();
        size_t n, n_again;
        _cleanup_free_ char *bytes = bytes_of(&kept, &n), *again = NULL;
        LastGood read = {};

        assert_int_equal(last_good_parse(bytes, n, &read), 0);
        again = bytes_of(&read, &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        last_good_done(&read);

        /* Cut off anywhere but between two entries, it is nothing. */
        for (size_t i = 1; i < n; i++)
                if (last_good_parse(bytes, i, &read) >= 0) {
                        assert_true(read.n < kept.n);
                        last_good_done(&read);
                }
}

static void test_bytes_that_are_none_of_ours(void **state _unused_) {
        static const char *const texts[] = {
                "\n",
                "vitald 1\n",
                "vitald 1 0 \n",
                "vitald -1 0\n",
                "vitald 1 0",
                "vitald 99999999999999999999 0\n",
                "vitald 1 258\n",
                "vitald 1 18446744073709551615\n",
                "vitald 1 0\nvitald 1 0\n",
                "vitald 1 0\nservices/a 1 0\n",
                "services/.a 1 0\n",
                "services/../../x 1 0\n",
                "services/ 1 0\n",
                "other/a 1 0\n",
                "vitald 1 1\n",
                "vitald 1 1\n1 0\na\n",
                "vitald 1 1\n1 0\na\n\n",
                "vitald 1 1\n1 18446744073709551615\na\n\n\n",
                "vitald 1 1\n18446744073709551615 1\na\nx\n\n",
                "vitald 1 1\n1 1\n\xff\nx\n\n",
                "vitald 1 1\n1 1048577\na\nx\n\n",
        };
        static const char nul[] = "vitald 1 1\n1 1\n\0\nx\n\n";
        LastGood l;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (last_good_parse(texts[i], strlen(texts[i]), &l) != -EBADMSG)
                        fail_msg("taken: %s", texts[i]);
        assert_int_equal(last_good_parse(nul, sizeof(nul) - 1, &l), -EBADMSG);
        assert_int_equal(last_good_parse("", 0, &l), 0);
        assert_int_equal(l.n, 0);
        last_good_done(&l);
}

/* Whatever the bytes are, a start with them ends in a configuration. */
static void start_with(const Tree *t, const char *bytes, size_t n, size_t *n_taken, size_t *n_ran) {
        _cleanup_(last_good_done) LastGood read = {};
        ConfigSources sources = { .root = t->root, .types = &loader_types };
        const ServiceConfig *s;
        Config *c;

        if (last_good_parse(bytes, n, &read) < 0)
                return;
        ++*n_taken;
        sources.last_good = &read;
        assert_int_equal(config_load(&sources, &c), 0);
        s = service_of(c, "orders");
        assert_true(!s->defect != !s->fault);
        assert_true(!s->defect || s->n_checks == 0);
        *n_ran += s->fault && s->n_checks > 0;
        config_unref(c);
}

static void test_mutations(void **state _unused_) {
        _cleanup_(last_good_done) LastGood kept = last_good_of_good_files();
        size_t n, n_taken = 0, n_ran = 0;
        _cleanup_free_ char *bytes = bytes_of(&kept, &n);
        Tree t = tree_make(files_bad);
        uint64_t seed = 20261120;

        for (int i = 0; i < N_MUTATIONS; i++) {
                /* Of a size of its own, so that the sanitizers see a read beyond it. */
                size_t m = (seed >> 40) % 8 == 0 ? (seed >> 20) % n : n;
                _cleanup_free_ char *copy = malloc(m + 1);

                assert_non_null(copy);
                memcpy(copy, bytes, m);
                for (uint64_t k = 0; m > 0 && k < 1 + (seed >> 50) % 3; k++) {
                        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                        copy[(seed >> 20) % m] = (char) (seed >> 56);
                }
                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                if (m < n)
                        copy = realloc(copy, m > 0 ? m : 1);
                start_with(&t, copy, m, &n_taken, &n_ran);
        }
        /* Most of it is text of files, where a byte more or less is for the loader to judge. */
        assert_true(n_taken > N_MUTATIONS / 4 && n_taken < N_MUTATIONS);
        assert_true(n_ran > 0 && n_ran < n_taken);
        tree_remove(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bytes_come_back),
                cmocka_unit_test(test_bytes_that_are_none_of_ours),
                cmocka_unit_test(test_mutations),
        };

        return cmocka_run_group_tests_name("last-good-bytes", tests, NULL, NULL);
}
