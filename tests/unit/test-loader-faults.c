/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"

/* Each text is services/s.conf; the faults go without the file's name. */
static void test_fault_3_each_names_key_and_line(void **state _unused_) {
        static const struct {
                const char *text, *faults;
        } table[] = {
                { GOOD "Intervall=5s\n",
                  "4: unknown key Intervall= in [Check app]; did you mean Interval=?\n" },
                { GOOD "adress=x\n",
                  "4: unknown key adress= in [Check app]; did you mean Address=?\n" },
                { GOOD "Frobnicate=x\n", "4: unknown key Frobnicate= in [Check app]\n" },
                { GOOD "Password=hunter2\n",
                  "4: unknown key Password= in [Check app]; secrets do not stand in these files, "
                  "PasswordCredential= names one\n" },
                { "[Service]\nDecription=x\n" GOOD,
                  "2: unknown key Decription= in [Service]; did you mean Description=?\n" },
                { GOOD "[Servce]\n[Chek x]\n[Fish]\n",
                  "4: unknown section [Servce]; did you mean [Service]?\n"
                  "5: unknown section [Chek x]; did you mean [Check NAME]?\n"
                  "6: unknown section [Fish]\n" },
                { GOOD "[Service orders]\n", "4: [Service orders] takes no name\n" },
                { GOOD "[Check]\nType=plain\n",
                  "4: [Check] needs a name of at most 64 letters, digits and \"_.@:-\" that does "
                  "not begin with a dot\n" },
                { GOOD "[Check a/b]\nType=plain\n",
                  "4: [Check a/b] needs a name of at most 64 letters, digits and \"_.@:-\" that "
                  "does not begin with a dot\n" },
                /* wrong types of value, out of range */
                { GOOD "Interval=soon\n",
                  "4: Interval= in [Check app]: \"soon\" is not a time span such as 5s or 1min "
                  "30s\n" },
                { GOOD "Interval=1us\n",
                  "4: Interval= in [Check app]: \"1us\" is not from 10ms to 1d\n" },
                { GOOD "Critical=perhaps\n",
                  "4: Critical= in [Check app]: \"perhaps\" is not yes or no\n" },
                { GOOD "FailureThreshold=0\n",
                  "4: FailureThreshold= in [Check app]: \"0\" is not from 1 to 1000\n" },
                { GOOD "Probes=ready\n", "4: Probes= in [Check app]: \"ready\" is not one of "
                                         "readiness, liveness, startup\n" },
                { GOOD "MaxAge=11s\n",
                  "4: MaxAge= in [Check app]: shorter than Interval= and Timeout= together (12s), "
                  "so that each result would be too old before the next\n" },
                { GOOD "Warn=x\nFail=depth:5:1\n",
                  "4: Warn= in [Check app]: \"x\" is not a range such as 80, 10:, ~:5 or @1:3, "
                  "with a value's name and a colon in front where there are several values\n"
                  "5: Fail= in [Check app]: \"depth:5:1\": the range ends before it begins\n" },
                { DISK "Warn=80\n", "3: Warn= in [Check disk]: 80 is for no value; there are free, "
                                    "free_inodes\n" },
                { DISK "Fail=fre:1G:\n", "3: Fail= in [Check disk]: unknown value fre; there are "
                                         "free, free_inodes\n" },
                { DISK "Fail=free:5min:\n",
                  "3: Fail= in [Check disk]: free does not count seconds, as in 5min:\n" },
                /* missing and unknown */
                { "[Check app]\nAddress=x\n", "1: Type= in [Check app]: required, but not set\n" },
                { "[Check app]\nType=plain\n",
                  "1: Address= in [Check app]: required, but not set\n" },
                { "[Check app]\nType=plain\nAddress=x\nAddress=\n",
                  "1: Address= in [Check app]: required, but not set\n" },
                { "[Check app]\nType=plane\nAnything=x\nInterval=x\n",
                  "4: Interval= in [Check app]: \"x\" is not a time span such as 5s or 1min 30s\n"
                  "2: Type= in [Check app]: unknown type \"plane\"; did you mean plain?\n" },
                { "[Check app]\nType=postgresql\n", "2: Type= in [Check app]: unknown type "
                                                    "\"postgresql\"; known are plain, disk\n" },
                /* duplicates */
                { GOOD GOOD,
                  "4: [Check app] stands in this file twice, first in line 1\n"
                  "5: Type= in [Check app]: set twice in this file, first in line 2\n"
                  "6: Address= in [Check app]: set twice in this file, first in line 3\n" },
                { "[Service]\n" GOOD "[Service]\n",
                  "5: [Service] stands in this file twice, first in line 1\n" },
                { GOOD "Timeout=1s\nTimeout=2s\n",
                  "5: Timeout= in [Check app]: set twice in this file, first in line 4\n" },
                { GOOD "Timeout=1s\nTimeout=\nTimeout=2s\nCode=1\nCode=1\n", "" },
                /* what the type finds */
                { GOOD "ConnectionString=host=a password=hunter2\n",
                  "4: ConnectionString= in [Check app]: password= does not stand here; "
                  "PasswordCredential= names it\n" },
                { "[Check app]\nType=plain\nAddress=user:hunter2@cache:6379\n",
                  "3: Address= in [Check app]: \"user:***\": " },
                /* a remote liveness check */
                { "[Check app]\nType=plain\nProbes=liveness\nAddress=db:1\n",
                  "3: Probes= in [Check app]: liveness must not depend on another host, whose "
                  "outage would become a storm of restarts here; AllowRemoteLiveness=yes says that "
                  "it is meant\n" },
                { "[Check app]\nType=plain\nProbes=liveness\nAddress=db:1\n"
                  "AllowRemoteLiveness=yes\n",
                  "" },
                { GOOD "Probes=liveness\n", "" },
                /* the same of a start that is restarted, and what there is to restart */
                { "[Service]\nUnit=a.service\nOnStartupFailure=restart\n[Check app]\nType=plain\n"
                  "Probes=startup\nAddress=db:1\n",
                  "6: Probes= in [Check app]: with OnStartupFailure=restart a start must not "
                  "depend "
                  "on another host, whose outage would become a storm of restarts here; "
                  "AllowRemoteLiveness=yes says that it is meant\n" },
                { "[Service]\nUnit=a.service\nOnStartupFailure=restart\n[Check app]\nType=plain\n"
                  "Probes=startup\nAddress=db:1\nAllowRemoteLiveness=yes\n",
                  "" },
                { "[Service]\nUnit=a.service\n[Check app]\nType=plain\nProbes=startup\n"
                  "Address=db:1\n",
                  "" },
                { "[Service]\nOnLivenessFailure=restart\nOnStartupFailure=restart\n" GOOD,
                  "2: OnLivenessFailure= in [Service]: restart needs Unit=, the unit that is to be "
                  "restarted\n"
                  "3: OnStartupFailure= in [Service]: restart needs Unit=, the unit that is to be "
                  "restarted\n" },
                /* nothing to watch, by mistake or on purpose */
                { "# all of it is a comment\n",
                  " neither a [Check NAME] nor Unit=: there is nothing to watch\n" },
                { "[Service]\nUnit=orders.service\n", "" },
                /* syntax */
                { "Type=plain\n" GOOD "nonsense\n",
                  "1: assignment before the first section\n"
                  "5: neither a section nor an assignment, \"=\" is missing\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const File files[] = { { "etc/vitald/services/s.conf", table[i].text }, {} };
                static const char name[] = "/etc/vitald/services/s.conf:";
                _cleanup_(config_unrefp) Config *c = files_load(files);
                _cleanup_free_ char *faults = faults_of(c);
                const char *expected = table[i].faults;

                assert_int_equal(!*faults, !*expected);
                assert_outline(c, *expected                           ? "s!()"
                                  : service_of(c, "s")->n_checks == 0 ? "s()"
                                                                      : "s(app)");
                for (char *line = strtok(faults, "\n"); line; line = strtok(NULL, "\n")) {
                        size_t n = strcspn(expected, "\n");

                        assert_int_equal(strncmp(line, name, strlen(name)), 0);
                        line += strlen(name);
                        if (strncmp(line, expected, n) != 0)
                                fail_msg("row %zu: %s", i, line);
                        assert_null(strstr(line, "hunter"));
                        expected += n + (expected[n] == '\n');
                }
                assert_string_equal(expected, "");
        }
}

static void test_all_faults_are_told_together(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf",
                  "[Deamon]\n[HTTP]\nLayout=round\n[Defaults]\nIntervl=1s\n"
                  "Address=x\nFailureThreshold=none\nWarn=5\n" },
                { "etc/vitald/vitald.conf.d/x.conf", "[Daemon]\nNotifyReady=never\n" },
                { "etc/vitald/services/a.conf", "[Check a]\nType=plain\n" },
                { "etc/vitald/services/a.conf.d/x.conf", "[Check a]\nCritical=so\n" },
                { "etc/vitald/services/b c.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *text = NULL, *verify = NULL;

        assert_faults(
                c,
                "/etc/vitald/vitald.conf:1: unknown section [Deamon]; did you mean [Daemon]?\n"
                "/etc/vitald/vitald.conf:3: Layout= in [HTTP]: \"round\" is not one of standard, "
                "components\n"
                "/etc/vitald/vitald.conf:5: unknown key Intervl= in [Defaults]; did you mean "
                "Interval=?\n"
                "/etc/vitald/vitald.conf:6: unknown key Address= in [Defaults]\n"
                "/etc/vitald/vitald.conf:7: FailureThreshold= in [Defaults]: \"none\" is not a "
                "whole number\n"
                "/etc/vitald/vitald.conf:8: Warn= in [Defaults]: stands in the check that it is "
                "for\n"
                "/etc/vitald/vitald.conf.d/x.conf:2: NotifyReady= in [Daemon]: \"never\" is not "
                "one of checked, listening, started\n"
                "/etc/vitald/services/a.conf.d/x.conf:2: Critical= in [Check a]: \"so\" is not yes "
                "or no\n"
                "/etc/vitald/services/a.conf:1: Address= in [Check a]: required, but not set\n"
                "/etc/vitald/services/b c.conf: a service's name has at most 64 letters, digits "
                "and \"_.@:-\" and does not begin with a dot\n");
        text = verification_of(c);
        verify = without_root(text);
        assert_non_null(strstr(verify, "does not begin with a dot\n10 faults\n"));
}

static void test_fault_1_bad_service_leaves_others_alone(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/services/bad.conf", "[Service]\nDescription=Bad\n" GOOD "x\n" },
                { "etc/vitald/services/good.conf", GOOD },
                { "etc/vitald/services/late.conf", GOOD "[Check b]\nType=plain\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *defect = without_root(service_of(c, "bad")->defect);

        assert_outline(c, "bad!() good(app) late!()");
        assert_null(c->defect);
        assert_string_equal(service_of(c, "bad")->description, "Bad");
        assert_string_equal(defect, "/etc/vitald/services/bad.conf:6: neither a section nor an "
                                    "assignment, \"=\" is missing");
        assert_int_equal(c->n_checks, 2); /* good/app, host/disk */
        for (size_t i = 0; i < c->n_services; i++)
                assert_true(c->services[i].first_check + c->services[i].n_checks <= c->n_checks);
}

static void test_fault_1_bad_main_file_takes_the_host(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf", "[Daemon]\nMaxConcurrentChecks=0\n" },
                { "etc/vitald/services/good.conf", GOOD },
                { "etc/vitald/services/own.conf", "[Check a]\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *defect = without_root(c->defect);

        assert_string_equal(defect, "/etc/vitald/vitald.conf:2: MaxConcurrentChecks= in [Daemon]: "
                                    "\"0\" is not from 1 to 10000");
        assert_outline(c, "good!() own!()");
        assert_string_equal(service_of(c, "good")->defect, c->defect);
        assert_non_null(strstr(service_of(c, "own")->defect, "own.conf:1: "));
        assert_null(service_of(c, "host")->defect);
        assert_int_equal(c->daemon.max_concurrent_checks, 128);
}

static void test_fault_4_files_that_are_none(void **state _unused_) {
        static const struct {
                const char *text, *fault;
        } table[] = {
                { "", " is empty; to mask a file, make it a link to /dev/null\n" },
                { DIRECTORY, " is a directory, not a file\n" },
                { FIFO, " is not a regular file\n" },
                { "[Check app]\nType=plain\nAddress=x\nCode=\xff\n", "4: not valid UTF-8\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const File files[] = {
                        { "etc/vitald/services/good.conf", GOOD },
                        { "etc/vitald/services/s.conf", table[i].text },
                        {},
                };
                _cleanup_(config_unrefp) Config *c = files_load(files);
                _cleanup_free_ char *faults = faults_of(c);

                assert_outline(c, "good(app) s!()");
                assert_int_equal(strncmp(faults, "/etc/vitald/services/s.conf:", 28), 0);
                assert_string_equal(faults + 28, table[i].fault);
        }
}

static void test_fault_4_bytes(void **state _unused_) {
        static const char nul[] = GOOD "Code=a\0b\n", crlf[] = "[Check app]\r\nType=plain\r\n"
                                                               "Address=x\r\n";
        Tree t = tree_make(NULL);
        char path[512];

        tree_add_bytes(&t, "etc/vitald/services/nul.conf", nul, sizeof(nul) - 1);
        tree_add_bytes(&t, "etc/vitald/services/crlf.conf", crlf, sizeof(crlf) - 1);
        tree_add(&t, "etc/vitald/services/huge.conf", GOOD);
        tree_path(&t, "etc/vitald/services/huge.conf", path, sizeof(path));
        assert_int_equal(truncate(path, 1024L * 1024 * 1024), 0);
        tree_path(&t, "etc/vitald/services/lost.conf", path, sizeof(path));
        assert_int_equal(symlink("nowhere", path), 0);

        _cleanup_(config_unrefp) Config *c = tree_load_from(&t, NULL, false);

        assert_outline(c, "crlf(app) huge!() lost!() nul!()");
        assert_faults(c, "/etc/vitald/services/huge.conf: is larger than 1 MiB\n"
                         "/etc/vitald/services/lost.conf: cannot be read: No such file or "
                         "directory\n"
                         "/etc/vitald/services/nul.conf:4: NUL byte\n");
        tree_remove(&t);
}

static void test_fault_4_ten_thousand_checks(void **state _unused_) {
        _cleanup_strbuf_ StrBuf b = {};
        Tree t = tree_make(NULL);

        for (unsigned i = 0; i < 10000; i++)
                strbuf_printf(&b, "[Check c%u]\nType=plain\nAddress=x\n", i);
        tree_add(&t, "etc/vitald/services/a.conf", b.text);
        tree_add(&t, "etc/vitald/services/b.conf", b.text);

        _cleanup_(config_unrefp) Config *full = tree_load_from(&t, NULL, false);

        /* with the built-in disk check that is one too many, and the host comes last */
        assert_int_equal(full->n_checks, 20000);
        assert_int_equal(service_of(full, "a")->n_checks, 10000);
        assert_string_equal(full->checks[9999]->name, "c9999");
        assert_int_equal(full->diagnostics.n, 1);
        assert_string_equal(full->diagnostics.items[0].text, "more than 20000 checks in all");

        strbuf_reset(&b);
        for (unsigned i = 0; i < 10000; i++)
                strbuf_printf(&b, "[Check c%u]\nType=plain\nAddres=x\n", i);
        tree_add(&t, "etc/vitald/services/b.conf", b.text);

        _cleanup_(config_unrefp) Config *faulty = tree_load_from(&t, NULL, false);

        assert_int_equal(faulty->n_checks, 10001);
        assert_int_equal(faulty->diagnostics.n, DIAGNOSTICS_MAX);
        assert_int_equal(faulty->diagnostics.n_left_out, 20000 - DIAGNOSTICS_MAX);
        assert_non_null(service_of(faulty, "b")->defect);
        tree_remove(&t);
}

static void test_folder_that_is_none(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/services", "a file\n" },
                { "usr/lib/vitald/services/a.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *defect = without_root(c->defect);

        assert_string_equal(defect, "/etc/vitald/services: cannot be listed: Not a directory");
}

/* -- credentials ------------------------------------------------------------------------------- */

#define SECRET "hunter2-canary"

static void test_fault_6_credentials(void **state _unused_) {
        static const struct {
                const char *name, *reason;
        } table[] = {
                { "plain", NULL },
                { "renamed", NULL },
                { "two-lines", NULL },
                { "gone", "Credential gone not configured" },
                { "empty", "Credential empty is empty" },
                { "blank", "Credential blank is empty" },
                { "folder", "Credential folder cannot be read: Is a directory" },
        };
        static const File files[] = {
                { "credentials/plain", SECRET "\n" },
                { "credentials/vitald_renamed", SECRET },
                { "credentials/two-lines", SECRET "\r\n" },
                { "credentials/empty", "" },
                { "credentials/blank", "\n" },
                { "credentials/folder", DIRECTORY },
                { NULL, NULL },
        };
        _cleanup_strbuf_ StrBuf b = {};
        Tree t = tree_make(files);
        char directory[512];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                strbuf_printf(&b, "[Check %s]\nType=plain\nAddress=x\nPasswordCredential=%s\n",
                              table[i].name, table[i].name);
        tree_add(&t, "etc/vitald/services/s.conf", b.text);
        tree_path(&t, "credentials", directory, sizeof(directory));

        _cleanup_(config_unrefp) Config *c = tree_load_from(&t, directory, false);

        assert_faults(c, ""); /* no fault of the files */
        assert_int_equal(service_of(c, "s")->n_checks, ELEMENTSOF(table));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const CheckConfig *k = check_of(c, "s", table[i].name);
                const PlainSettings *s = k->settings;

                assert_null(strstr(k->canonical, "hunter"));
                if (table[i].reason) {
                        assert_int_equal(k->defect_reason, REASON_CREDENTIAL);
                        assert_string_equal(k->defect, table[i].reason);
                        assert_null(s->password.secret);
                } else {
                        assert_int_equal(k->defect_reason, REASON_NONE);
                        assert_null(k->defect);
                        assert_string_equal(s->password.secret, SECRET);
                }
        }
        tree_remove(&t);
}

static void test_fault_6_reload_asks_for_a_restart(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/services/s.conf", GOOD "HeaderCredential=api-key: orders-db\n" },
                { NULL, NULL },
        };
        Tree t = tree_make(files);
        _cleanup_(config_unrefp) Config *start = tree_load_from(&t, NULL, false),
                                        *reload = tree_load_from(&t, t.root, true);

        assert_string_equal(check_of(start, "s", "app")->defect,
                            "Credential orders-db not configured");
        assert_string_equal(check_of(reload, "s", "app")->defect,
                            "Credential orders-db not configured; one that was added needs a "
                            "restart of vitald");
        tree_remove(&t);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fault_3_each_names_key_and_line),
                cmocka_unit_test(test_all_faults_are_told_together),
                cmocka_unit_test(test_fault_1_bad_service_leaves_others_alone),
                cmocka_unit_test(test_fault_1_bad_main_file_takes_the_host),
                cmocka_unit_test(test_fault_4_files_that_are_none),
                cmocka_unit_test(test_fault_4_bytes),
                cmocka_unit_test(test_fault_4_ten_thousand_checks),
                cmocka_unit_test(test_folder_that_is_none),
                cmocka_unit_test(test_fault_6_credentials),
                cmocka_unit_test(test_fault_6_reload_asks_for_a_restart),
        };

        return cmocka_run_group_tests_name("loader-faults", tests, NULL, NULL);
}
