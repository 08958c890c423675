/* SPDX-License-Identifier: MIT */
/* What is kept of a configuration, and what a load makes of that when files are at fault. */

#include "loader.h"

#include <string.h>

#include "base/text.h"

#define ORDERS "etc/vitald/services/orders.conf"
#define WEB    "etc/vitald/services/web.conf"
#define MAIN   "etc/vitald/vitald.conf"
#define DB     "etc/vitald/checks/db.conf"

#define BAD     "[Check app]\nType=plain\nAdress=127.0.0.1:80\n"
#define SHARED  "[Check]\nType=plain\nAddress=127.0.0.1:5432\n"
#define USES_DB "[Check db]\nFrom=db\n"
#define FIRST   1000000

/* A daemon's life, as far as this goes: each load is a start or a reload. */
typedef struct Life {
        Tree tree;
        LastGood kept;
        Config *config; /* owned: of the latest load */
        bool has_changed;
        usec_t now;
} Life;

static Life life_begin(const File *files) {
        return (Life){ .tree = tree_make(files), .now = FIRST };
}

static void life_end(Life *l) {
        tree_remove(&l->tree);
        last_good_done(&l->kept);
        config_unref(l->config);
}

static void life_start(Life *l) {
        _cleanup_(last_good_done) LastGood loaded = {};
        ConfigSources sources = {
                .root = l->tree.root,
                .types = &loader_types,
                .last_good = &l->kept,
                .loaded = &loaded,
        };

        config_unref(l->config);
        assert_int_equal(config_load(&sources, &l->config), 0);
        l->has_changed = last_good_merge(&l->kept, &loaded, l->config, l->now++);
        assert_int_equal(loaded.n, 0);
}

static void life_write(const Life *l, const char *path, const char *text) {
        tree_add(&l->tree, path, text);
}

static void life_remove(const Life *l, const char *path) {
        char buf[512];

        tree_path(&l->tree, path, buf, sizeof(buf));
        assert_int_equal(remove(buf), 0);
}

/* The fault of a service that runs its copy, and when that was taken. */
static void assert_copy(const Life *l, const char *name, const char *fault, usec_t since) {
        const ServiceConfig *s = service_of(l->config, name);
        _cleanup_free_ char *text = s->fault ? without_root(s->fault) : NULL;

        assert_null(s->defect);
        assert_non_null(text);
        assert_string_equal(text, fault);
        assert_int_equal(s->copy_realtime, since);
}

static void assert_defect(const Life *l, const char *name, const char *defect) {
        const ServiceConfig *s = service_of(l->config, name);
        _cleanup_free_ char *text = s->defect ? without_root(s->defect) : NULL;

        assert_null(s->fault);
        assert_non_null(text);
        assert_string_equal(text, defect);
        assert_int_equal(s->n_checks, 0);
}

static void assert_files(const Life *l, const char *name) {
        const ServiceConfig *s = service_of(l->config, name);

        assert_null(s->defect);
        assert_null(s->fault);
        assert_int_equal(s->copy_realtime, 0);
}

static const char *port_of(const Life *l, const char *service, const char *check) {
        return check_of(l->config, service, check)->target.text;
}

/* -- services ---------------------------------------------------------------------------------- */

static void test_a_bad_file_runs_its_copy(void **state _unused_) {
        static const File files[] = { { ORDERS, GOOD }, { WEB, GOOD }, { NULL, NULL } };
        Life l = life_begin(files);

        life_start(&l);
        assert_true(l.has_changed);
        life_start(&l);
        assert_false(l.has_changed);

        life_write(&l, ORDERS, BAD);
        life_start(&l);
        assert_false(l.has_changed);
        assert_copy(&l, "orders",
                    "/etc/vitald/services/orders.conf:3: unknown key Adress= in [Check app]; did "
                    "you mean Address=?",
                    FIRST);
        assert_files(&l, "web");
        assert_outline(l.config, "orders(app) web(app)");
        assert_string_equal(port_of(&l, "orders", "app"), "127.0.0.1:80");
        /* All that is wrong is told nevertheless. */
        assert_int_equal(l.config->diagnostics.n, 2);

        life_start(&l);
        assert_copy(&l, "orders",
                    "/etc/vitald/services/orders.conf:3: unknown key Adress= in [Check app]; did "
                    "you mean Address=?",
                    FIRST);
        life_write(&l, ORDERS, GOOD "Interval=7s\n");
        life_start(&l);
        assert_files(&l, "orders");
        assert_int_equal(check_of(l.config, "orders", "app")->interval_usec, 7 * USEC_PER_SEC);
        life_end(&l);
}

static void test_the_latest_good_one_is_kept(void **state _unused_) {
        static const File files[] = { { ORDERS, GOOD }, { WEB, BAD }, { NULL, NULL } };
        Life l = life_begin(files);

        life_start(&l);
        assert_outline(l.config, "orders(app) web!()");
        life_write(&l, ORDERS, "[Check other]\nType=plain\nAddress=127.0.0.1:81\n");
        life_start(&l);
        assert_true(l.has_changed);
        life_write(&l, ORDERS, BAD);
        life_start(&l);
        assert_outline(l.config, "orders(other) web!()");
        assert_int_equal(service_of(l.config, "orders")->copy_realtime, FIRST + 1);
        life_end(&l);
}

static void test_drop_ins_belong_to_the_copy(void **state _unused_) {
        static const File files[] = {
                { ORDERS, GOOD },
                { ORDERS ".d/10.conf", "[Check app]\nInterval=3s\n" },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, ORDERS ".d/10.conf", "[Check app]\nIntervall=4s\n");
        life_write(&l, ORDERS, "[Check app]\nType=plain\nAddress=127.0.0.1:99\n");
        life_start(&l);
        assert_copy(&l, "orders",
                    "/etc/vitald/services/orders.conf.d/10.conf:2: unknown key Intervall= in "
                    "[Check app]; did you mean Interval=?",
                    FIRST);
        /* All of the service is as it was. */
        assert_string_equal(port_of(&l, "orders", "app"), "127.0.0.1:80");
        assert_int_equal(check_of(l.config, "orders", "app")->interval_usec, 3 * USEC_PER_SEC);
        life_end(&l);
}

static void test_what_is_gone_is_gone(void **state _unused_) {
        static const File files[] = {
                { ORDERS, GOOD },
                { WEB, GOOD },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_remove(&l, ORDERS);
        life_write(&l, WEB, LINK_TO_NULL);
        life_start(&l);
        assert_outline(l.config, "");
        assert_true(l.has_changed);
        /* And what comes anew begins anew. */
        life_write(&l, ORDERS, BAD);
        life_start(&l);
        assert_outline(l.config, "orders!()");
        life_end(&l);
}

static void test_a_copy_that_is_at_fault_now(void **state _unused_) {
        static const File files[] = { { ORDERS, GOOD }, { NULL, NULL } };
        Life l = life_begin(files);
        GoodEntry *e;

        life_start(&l);
        life_write(&l, ORDERS, BAD);
        /* As another version would have written it, with options that this one does not have. */
        for (size_t i = 0; i < l.kept.n; i++) {
                e = &l.kept.items[i];
                if (!str_equal(e->key, "services/orders"))
                        continue;
                memcpy(strstr(e->files[0].text, "Address"), "Adresse", strlen("Adresse"));
        }
        life_start(&l);
        assert_defect(&l, "orders",
                      "/etc/vitald/services/orders.conf:3: unknown key Adress= in [Check app]; did "
                      "you mean Address=?; its last good copy is at fault, too: "
                      "/etc/vitald/services/orders.conf:3: unknown key Adresse= in [Check app]; "
                      "did you mean Address=?");
        /* It is not thrown away: the version that knew it may come back. */
        assert_false(l.has_changed);
        life_end(&l);
}

static void test_a_file_that_cannot_be_read(void **state _unused_) {
        static const char *const stand_ins[] = { DIRECTORY, FIFO, "" };

        for (size_t i = 0; i < ELEMENTSOF(stand_ins); i++) {
                static const File files[] = { { ORDERS, GOOD }, { NULL, NULL } };
                Life l = life_begin(files);

                life_start(&l);
                life_remove(&l, ORDERS);
                life_write(&l, ORDERS, stand_ins[i]);
                life_start(&l);
                assert_outline(l.config, "orders(app)");
                assert_non_null(service_of(l.config, "orders")->fault);
                life_end(&l);
        }
}

static void test_the_built_in_service(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/services/host.conf.d/a.conf", "[Check disk]\nMinFree=1K\n" },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, "etc/vitald/services/host.conf.d/a.conf", "[Check disk]\nMinFre=1K\n");
        life_start(&l);
        assert_non_null(service_of(l.config, "host")->fault);
        assert_true(service_of(l.config, "host")->is_builtin);
        assert_int_equal(service_of(l.config, "host")->n_checks, 1);
        life_end(&l);
}

/* -- shared checks ----------------------------------------------------------------------------- */

static void test_a_shared_check_at_fault(void **state _unused_) {
        static const File files[] = {
                { DB, SHARED },
                { ORDERS, USES_DB },
                { WEB, USES_DB GOOD },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, DB, "[Check]\nType=plain\nAddress=127.0.0.1:99999\n");
        life_start(&l);
        assert_copy(&l, "orders",
                    "/etc/vitald/services/orders.conf:2: From= in [Check db]: "
                    "/etc/vitald/checks/db.conf is at fault",
                    FIRST);
        assert_outline(l.config, "orders(db) web(db app)");
        assert_string_equal(port_of(&l, "web", "db"), "127.0.0.1:5432");
        /* One run serves both. */
        assert_int_equal(config_runs_as(l.config, config_find_check(l.config, "web", "db")),
                         config_find_check(l.config, "orders", "db"));
        life_end(&l);
}

/* The copy is as it was then; who has good files has the shared check of now. */
static void test_two_versions_of_a_shared_check(void **state _unused_) {
        static const File files[] = {
                { DB, SHARED },
                { ORDERS, USES_DB },
                { WEB, USES_DB },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, DB, "[Check]\nType=plain\nAddress=127.0.0.1:6000\n");
        life_write(&l, ORDERS, USES_DB "Criticall=no\n");
        for (int i = 0; i < 2; i++) { /* It stays like that at further starts. */
                life_start(&l);
                assert_string_equal(port_of(&l, "orders", "db"), "127.0.0.1:5432");
                assert_string_equal(port_of(&l, "web", "db"), "127.0.0.1:6000");
                for (size_t j = 0; j < l.config->n_checks; j++)
                        assert_int_equal(config_runs_as(l.config, j), j);
        }
        life_write(&l, ORDERS, USES_DB);
        life_start(&l);
        assert_string_equal(port_of(&l, "orders", "db"), "127.0.0.1:6000");
        assert_true(l.has_changed);
        life_end(&l);
}

static void test_a_shared_check_that_is_gone(void **state _unused_) {
        static const File files[] = { { DB, SHARED }, { ORDERS, USES_DB }, { NULL, NULL } };
        Life l = life_begin(files);

        life_start(&l);
        life_remove(&l, DB);
        life_start(&l);
        assert_copy(&l, "orders",
                    "/etc/vitald/services/orders.conf:2: From= in [Check db]: there is no "
                    "checks/db.conf",
                    FIRST);
        life_start(&l);
        assert_outline(l.config, "orders(db)");
        life_end(&l);
}

/* -- vitald.conf ------------------------------------------------------------------------------- */

static void test_a_bad_vitald_conf(void **state _unused_) {
        static const File files[] = {
                { MAIN, "[Daemon]\nMaxConcurrentChecks=7\n[Defaults]\nInterval=9s\n" },
                { ORDERS, GOOD },
                { NULL, NULL },
        };
        Life l = life_begin(files);
        _cleanup_free_ char *fault = NULL;

        life_start(&l);
        life_write(&l, MAIN, "[Daemon]\nMaxConcurrentCheck=8\n[Defaults]\nInterval=2s\n");
        life_start(&l);
        assert_null(l.config->defect);
        fault = without_root(l.config->fault);
        assert_string_equal(fault, "/etc/vitald/vitald.conf:2: unknown key MaxConcurrentCheck= in "
                                   "[Daemon]; did you mean MaxConcurrentChecks=?");
        assert_int_equal(l.config->copy_realtime, FIRST);
        assert_int_equal(l.config->daemon.max_concurrent_checks, 7);
        assert_files(&l, "orders");
        assert_int_equal(check_of(l.config, "orders", "app")->interval_usec, 9 * USEC_PER_SEC);
        /* It was no good, so it is not what is kept. */
        assert_false(l.has_changed);
        life_remove(&l, MAIN);
        life_start(&l);
        assert_null(l.config->fault);
        assert_int_equal(l.config->daemon.max_concurrent_checks, 128);
        life_end(&l);
}

static void test_no_vitald_conf_is_a_good_one(void **state _unused_) {
        static const File files[] = { { ORDERS, GOOD }, { NULL, NULL } };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, MAIN, "nonsense\n");
        life_start(&l);
        assert_null(l.config->defect);
        assert_non_null(l.config->fault);
        assert_outline(l.config, "orders(app)");
        life_end(&l);
}

/* Good by itself, but not for what is there: the services run as they did under the old one. */
static void test_defaults_that_services_cannot_bear(void **state _unused_) {
        static const File files[] = {
                { MAIN, "[Defaults]\nInterval=9s\n" },
                { ORDERS, GOOD },
                { WEB, GOOD "Interval=1s\nTimeout=1s\n" },
                { NULL, NULL },
        };
        Life l = life_begin(files);

        life_start(&l);
        life_write(&l, MAIN, "[Defaults]\nInterval=8s\nMaxAge=3s\n");
        for (int i = 0; i < 2; i++) {
                life_start(&l);
                assert_null(l.config->fault);
                assert_non_null(service_of(l.config, "orders")->fault);
                assert_int_equal(check_of(l.config, "orders", "app")->interval_usec,
                                 9 * USEC_PER_SEC);
                assert_files(&l, "web");
                assert_int_equal(check_of(l.config, "web", "app")->max_age_usec, 3 * USEC_PER_SEC);
        }
        life_end(&l);
}

static void test_nothing_kept(void **state _unused_) {
        static const File files[] = { { MAIN, "nonsense\n" }, { ORDERS, BAD }, { NULL, NULL } };
        Life l = life_begin(files);

        life_start(&l);
        assert_non_null(l.config->defect);
        assert_null(l.config->fault);
        assert_outline(l.config, "orders!()");
        life_end(&l);
}

static void test_faults_that_are_no_files(void **state _unused_) {
        static const File files[] = { { ORDERS, GOOD }, { WEB, GOOD }, { NULL, NULL } };
        Life l = life_begin(files);
        size_t n_kept;

        life_start(&l);
        n_kept = l.kept.n;
        /* The folder is no folder: nobody has removed the services. */
        life_remove(&l, ORDERS);
        life_remove(&l, WEB);
        life_remove(&l, "etc/vitald/services");
        life_write(&l, "etc/vitald/services", "");
        life_start(&l);
        assert_non_null(l.config->defect);
        assert_int_equal(l.kept.n, n_kept);
        life_remove(&l, "etc/vitald/services");
        life_write(&l, ORDERS, BAD);
        life_start(&l);
        assert_outline(l.config, "orders(app)");
        life_end(&l);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_bad_file_runs_its_copy),
                cmocka_unit_test(test_the_latest_good_one_is_kept),
                cmocka_unit_test(test_drop_ins_belong_to_the_copy),
                cmocka_unit_test(test_what_is_gone_is_gone),
                cmocka_unit_test(test_a_copy_that_is_at_fault_now),
                cmocka_unit_test(test_a_file_that_cannot_be_read),
                cmocka_unit_test(test_the_built_in_service),
                cmocka_unit_test(test_a_shared_check_at_fault),
                cmocka_unit_test(test_two_versions_of_a_shared_check),
                cmocka_unit_test(test_a_shared_check_that_is_gone),
                cmocka_unit_test(test_a_bad_vitald_conf),
                cmocka_unit_test(test_no_vitald_conf_is_a_good_one),
                cmocka_unit_test(test_defaults_that_services_cannot_bear),
                cmocka_unit_test(test_nothing_kept),
                cmocka_unit_test(test_faults_that_are_no_files),
        };

        return cmocka_run_group_tests_name("last-good", tests, NULL, NULL);
}
