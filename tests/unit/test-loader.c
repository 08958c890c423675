/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/text.h"
#include "config/loader.h"

/* -- check types for the tests ----------------------------------------------------------------- */

typedef struct PlainSettings {
        Address address;
        char *text;
        char **codes;
        Credential password;
        HeaderCredentials headers;
} PlainSettings;

/* clang-format off */
#define FIELD(member) .offset = offsetof(PlainSettings, member)

static const Option plain_options[] = {
        { .key = "Address", .type = &option_address, FIELD(address), .min = 7,
          .flags = OPTION_REQUIRED },
        { .key = "ConnectionString", .type = &option_string, FIELD(text) },
        { .key = "Code", .type = &option_strv, FIELD(codes), .fallback = "200" },
        { .key = "PasswordCredential", .type = &option_credential, FIELD(password) },
        { .key = "HeaderCredential", .type = &option_header_credential, FIELD(headers) },
};
/* clang-format on */

static int plain_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const PlainSettings *s = settings;

        if (!s->text || !strstr(s->text, "password="))
                return 0;
        *ret_key = "ConnectionString";
        snprintf(why, OPTION_WHY_MAX,
                 "password= does not stand here; PasswordCredential= names it");
        return -EINVAL;
}

static void plain_describe(const void *settings, CheckTarget *ret) {
        const PlainSettings *s = settings;

        address_format(ret->text, &s->address);
        ret->is_remote = !address_is_local(&s->address);
}

static const CheckType plain_type = {
        .name = "plain",
        .timeout_usec = 2 * USEC_PER_SEC,
        .schema = SCHEMA(plain_options),
        .settings_size = sizeof(PlainSettings),
        .validate = plain_validate,
        .describe = plain_describe,
};

typedef struct DiskSettings {
        char *path;
        Amount min_free;
} DiskSettings;

/* clang-format off */
static const Option disk_options[] = {
        { .key = "Path", .type = &option_path, .offset = offsetof(DiskSettings, path),
          .fallback = "/" },
        { .key = "MinFree", .type = &option_amount, .offset = offsetof(DiskSettings, min_free) },
};
/* clang-format on */

static void disk_describe(const void *settings, CheckTarget *ret) {
        const DiskSettings *s = settings;

        snprintf(ret->text, sizeof(ret->text), "%s", s->path);
}

static const CheckType disk_type = {
        .name = "disk",
        .timeout_usec = USEC_PER_SEC,
        .schema = SCHEMA(disk_options),
        .settings_size = sizeof(DiskSettings),
        .describe = disk_describe,
};

static const CheckType *const types[] = { &plain_type, &disk_type, NULL };

/* -- trees ------------------------------------------------------------------------------------- */

/* The text of a file, or what else stands under the name. */
#define LINK_TO_NULL "\001"
#define DIRECTORY    "\002"
#define FIFO         "\003"

typedef struct File {
        const char *path, *text; /* the path is below the root; ends with a NULL path */
} File;

typedef struct Tree {
        char root[64];
} Tree;

static void tree_path(const Tree *t, const char *path, char *buf, size_t size) {
        snprintf(buf, size, "%s/%s", t->root, path);
}

static void tree_add_bytes(const Tree *t, const char *path, const void *bytes, size_t n) {
        char buf[512];
        int fd;

        tree_path(t, path, buf, sizeof(buf));
        for (char *p = buf + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                assert_true(mkdir(buf, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
        fd = open(buf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_true(write(fd, bytes, n) == (ssize_t) n);
        close(fd);
}

static void tree_add(const Tree *t, const char *path, const char *text) {
        char buf[512];

        tree_add_bytes(t, path, text, strlen(text));
        tree_path(t, path, buf, sizeof(buf));
        if (str_equal(text, LINK_TO_NULL)) {
                assert_int_equal(unlink(buf), 0);
                assert_int_equal(symlink("/dev/null", buf), 0);
        } else if (str_equal(text, DIRECTORY)) {
                assert_int_equal(unlink(buf), 0);
                assert_int_equal(mkdir(buf, 0755), 0);
        } else if (str_equal(text, FIFO)) {
                assert_int_equal(unlink(buf), 0);
                assert_int_equal(mkfifo(buf, 0644), 0);
        }
}

static Tree tree_make(const File *files) {
        Tree t = { .root = "/tmp/vitald-test-loader-XXXXXX" };

        assert_non_null(mkdtemp(t.root));
        for (; files && files->path; files++)
                tree_add(&t, files->path, files->text);
        return t;
}

static int tree_unlink(const char *path, const struct stat *st _unused_, int flag _unused_,
                       struct FTW *ftw _unused_) {
        return remove(path);
}

static void tree_remove(const Tree *t) {
        assert_int_equal(nftw(t->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static Config *tree_load_from(const Tree *t, const char *credentials, bool is_reload) {
        ConfigSources sources = {
                .root = t->root,
                .credentials_directory = credentials,
                .types = types,
                .is_reload = is_reload,
        };
        Config *c;

        assert_int_equal(config_load(&sources, &c), 0);
        return c;
}

/* Loads and removes the tree; without credentials. */
static Config *files_load(const File *files) {
        Tree t = tree_make(files);
        Config *c = tree_load_from(&t, NULL, false);

        tree_remove(&t);
        return c;
}

/* The text with every place of the root cut out, the caller's to free. */
static char *without_root(const char *text) {
        static const char root[] = "/tmp/vitald-test-loader-XXXXXX";
        _cleanup_strbuf_ StrBuf b = {};
        char *s;

        for (const char *p; (p = strstr(text, "/tmp/vitald-test-loader-")); text = p + strlen(root))
                strbuf_append_bytes(&b, text, (size_t) (p - text));
        strbuf_append(&b, text);
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static char *faults_of(const Config *c) {
        _cleanup_free_ char *text = NULL;

        assert_int_equal(diagnostics_format(&c->diagnostics, &text), 0);
        return without_root(text);
}

static void assert_faults(const Config *c, const char *expected) {
        _cleanup_free_ char *faults = faults_of(c);

        assert_string_equal(faults, expected);
}

/* "orders(database cache) web!(…)": services in order, checks in order, "!" for a defect; the
 * built-in host, which is always there, left out. */
static char *outline(const Config *c) {
        _cleanup_strbuf_ StrBuf b = {};
        char *s;

        for (size_t i = 0; i < c->n_services; i++) {
                const ServiceConfig *v = &c->services[i];

                if (v->is_builtin)
                        continue;
                strbuf_printf(&b, "%s%s%s(", b.length > 0 ? " " : "", v->name,
                              v->defect ? "!" : "");
                for (size_t j = 0; j < v->n_checks; j++)
                        strbuf_printf(&b, "%s%s", j > 0 ? " " : "",
                                      c->checks[v->first_check + j]->name);
                strbuf_append(&b, ")");
        }
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static void assert_outline(const Config *c, const char *expected) {
        _cleanup_free_ char *s = outline(c);

        assert_string_equal(s, expected);
}

static const CheckConfig *check_of(const Config *c, const char *service, const char *check) {
        size_t i = config_find_check(c, service, check);

        assert_true(i != INDEX_NONE);
        return c->checks[i];
}

static const ServiceConfig *service_of(const Config *c, const char *service) {
        size_t i = config_find_service(c, service);

        assert_true(i != INDEX_NONE);
        return &c->services[i];
}

#define GOOD "[Check app]\nType=plain\nAddress=127.0.0.1:80\n"

/* -- what is loaded ---------------------------------------------------------------------------- */

static void test_nothing_configured(void **state _unused_) {
        _cleanup_(config_unrefp) Config *c = files_load(NULL);

        assert_faults(c, "");
        assert_null(c->defect);
        assert_false(config_has_services(c));
        assert_int_equal(c->n_services, 1);
        assert_string_equal(c->services[0].name, "host");
        assert_true(c->services[0].is_builtin);
        assert_false(c->services[0].counts_for_host);
        /* the disk check alone, as these types have no "memory" */
        assert_int_equal(c->n_checks, 1);
        assert_string_equal(c->checks[0]->id, "host/disk");
        assert_false(c->checks[0]->is_critical);
        assert_int_equal(c->daemon.max_concurrent_checks, 128);
}

static void test_service(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf", "[Daemon]\nNotifyReady=started\n"
                                            "[HTTP]\nListen=127.0.0.1:9911\nListen=/run/x.sock\n"
                                            "Alias=/up /health/ready\n" },
                { "etc/vitald/services/orders.conf",
                  "[Service]\nDescription=Order intake\nUnit=orders.service\nStartupTimeout=1min\n"
                  "OnLivenessFailure=watchdog\n"
                  "[Check database]\nType=plain\nAddress=db\nProbes=startup \\\n readiness\n"
                  "Interval=5s\nDescription=The orders\n"
                  "[Check cache]\nType=plain\nAddress=[::1]:6379\nCritical=no\nTimeout=3s\n"
                  "Interval=1s\n" },
                { "etc/vitald/services/default.conf", GOOD },
                { "etc/vitald/services/a-b.conf", GOOD },
                { "etc/vitald/services/a.conf", GOOD },
                { "etc/vitald/services/a.conf~", "nonsense" },
                { "etc/vitald/services/.hidden.conf", "nonsense" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const ServiceConfig *s;
        const CheckConfig *k;

        assert_faults(c, "");
        assert_outline(c, "a(app) a-b(app) default(app) orders(database cache)");
        assert_true(config_has_services(c));
        assert_int_equal(c->daemon.notify_ready, NOTIFY_READY_STARTED);
        assert_int_equal(strv_length(c->http.listen), 2);
        assert_int_equal(c->http.aliases.n, 1);

        s = service_of(c, "orders");
        assert_string_equal(s->description, "Order intake");
        assert_string_equal(s->unit, "orders.service");
        assert_int_equal(s->startup_timeout_usec, USEC_PER_MINUTE);
        assert_int_equal(s->on_liveness_failure, ON_LIVENESS_FAILURE_WATCHDOG);
        assert_true(s->counts_for_host);

        k = check_of(c, "orders", "database");
        assert_string_equal(k->id, "orders/database");
        assert_string_equal(k->public_name, "orders/database");
        assert_ptr_equal(k->type, &plain_type);
        assert_int_equal(k->probes, 1 << PROBE_STARTUP | 1 << PROBE_READINESS);
        assert_string_equal(k->target.text, "db:7");
        assert_true(k->target.is_remote);
        assert_int_equal(k->interval_usec, 5 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 2 * USEC_PER_SEC);
        assert_int_equal(k->retry_interval_usec, USEC_PER_SEC);
        assert_int_equal(k->max_age_usec, 17 * USEC_PER_SEC);
        assert_int_equal(k->defect_reason, REASON_NONE);

        k = check_of(c, "orders", "cache");
        assert_false(k->is_critical);
        assert_int_equal(k->timeout_usec, 3 * USEC_PER_SEC);
        assert_int_equal(k->retry_interval_usec, 250 * USEC_PER_MSEC);
        assert_int_equal(k->probes, 1 << PROBE_READINESS);

        assert_string_equal(check_of(c, "default", "app")->public_name, "app");
}

static void test_defaults_stand_under_own_keys(void **state _unused_) {
        static const File files[] = {
                { "etc/vitald/vitald.conf",
                  "[Defaults]\nInterval=20s\nTimeout=4s\nProbes=startup\nFailureThreshold=5\n" },
                { "etc/vitald/services/s.conf",
                  GOOD "[Check own]\nType=plain\nAddress=x\nInterval=2s\nProbes=readiness\n"
                       "RetryInterval=9s\n"
                       "[Check reset]\nType=plain\nAddress=x\nInterval=\nCode=1\nCode=2\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const CheckConfig *k;
        const PlainSettings *p;

        assert_faults(c, "");
        k = check_of(c, "s", "app");
        assert_int_equal(k->interval_usec, 20 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 4 * USEC_PER_SEC);
        assert_int_equal(k->max_age_usec, 64 * USEC_PER_SEC);
        assert_int_equal(k->probes, 1 << PROBE_STARTUP);
        assert_int_equal(k->failure_threshold, 5);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 1);
        assert_string_equal(p->codes[0], "200");

        k = check_of(c, "s", "own");
        assert_int_equal(k->interval_usec, 2 * USEC_PER_SEC);
        assert_int_equal(k->timeout_usec, 4 * USEC_PER_SEC);
        assert_int_equal(k->probes, 1 << PROBE_READINESS);
        assert_int_equal(k->retry_interval_usec, 2 * USEC_PER_SEC); /* never beyond Interval= */

        /* an empty value leads back to the built-in default; a list replaces its own */
        k = check_of(c, "s", "reset");
        assert_int_equal(k->interval_usec, 10 * USEC_PER_SEC);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 2);
        assert_string_equal(p->codes[0], "1");

        /* they hold for the built-in service too */
        assert_int_equal(check_of(c, "host", "disk")->interval_usec, 20 * USEC_PER_SEC);
}

static void test_search_path(void **state _unused_) {
        static const File files[] = {
                /* the first directory wins, whole files at a time */
                { "usr/lib/vitald/services/a.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "usr/local/lib/vitald/services/a.conf",
                  "[Check local]\nType=plain\nAddress=x\n" },
                { "run/vitald/services/a.conf", "[Check run]\nType=plain\nAddress=x\n" },
                { "etc/vitald/services/a.conf", "[Check etc]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/b.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "usr/local/lib/vitald/services/b.conf",
                  "[Check local]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/c.conf", "[Check lib]\nType=plain\nAddress=x\n" },
                { "run/vitald/services/c.conf", "[Check run]\nType=plain\nAddress=x\n" },
                /* a mask hides what comes after it, and hides nothing if what comes is first */
                { "usr/lib/vitald/services/d.conf", GOOD },
                { "etc/vitald/services/d.conf", LINK_TO_NULL },
                { "usr/lib/vitald/services/e.conf", LINK_TO_NULL },
                { "etc/vitald/services/e.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);

        assert_faults(c, "");
        assert_outline(c, "a(etc) b(local) c(run) e(app)");
}

static void test_drop_ins(void **state _unused_) {
        static const File files[] = {
                { "usr/lib/vitald/services/a.conf",
                  "[Service]\nDescription=main\n"
                  "[Check app]\nType=plain\nAddress=main\nInterval=1s\nCode=1\n"
                  "[Check other]\nType=plain\nAddress=x\n" },
                { "usr/lib/vitald/services/a.conf.d/30-lib.conf", "[Check app]\nAddress=lib30\n" },
                { "etc/vitald/services/a.conf.d/10-etc.conf",
                  "[Check app]\nAddress=etc10\nInterval=10s\nCode=2\n"
                  "[Check added]\nType=plain\nAddress=x\n"
                  "[Service]\nDescription=\n" },
                { "run/vitald/services/a.conf.d/20-run.conf", "[Check app]\nInterval=20s\nCode=\n"
                                                              "Code=3\n" },
                /* hidden by the same name in /etc, masked, not a drop-in, of nobody */
                { "usr/lib/vitald/services/a.conf.d/10-etc.conf", "nonsense" },
                { "usr/lib/vitald/services/a.conf.d/40-gone.conf", "nonsense" },
                { "etc/vitald/services/a.conf.d/40-gone.conf", LINK_TO_NULL },
                { "etc/vitald/services/a.conf.d/README", "nonsense" },
                { "etc/vitald/services/nobody.conf.d/x.conf", "nonsense" },
                /* vitald.conf needs no main file */
                { "etc/vitald/vitald.conf.d/x.conf", "[Daemon]\nMaxConcurrentChecks=7\n" },
                /* the built-in service has drop-ins like any other */
                { "etc/vitald/services/host.conf.d/x.conf", "[Check disk]\nPath=/srv\n"
                                                            "[Check more]\nType=disk\n" },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        const CheckConfig *k;
        const PlainSettings *p;

        assert_faults(c, "");
        assert_outline(c, "a(app other added)");
        assert_null(service_of(c, "a")->description);
        k = check_of(c, "a", "app");
        assert_string_equal(k->target.text, "lib30:7");
        assert_int_equal(k->interval_usec, 20 * USEC_PER_SEC);
        p = k->settings;
        assert_int_equal(strv_length(p->codes), 1);
        assert_string_equal(p->codes[0], "3");
        assert_int_equal(c->daemon.max_concurrent_checks, 7);
        assert_string_equal(check_of(c, "host", "disk")->target.text, "/srv");
        assert_true(service_of(c, "host")->is_builtin);
        check_of(c, "host", "more");
}

static void test_builtin_host_gives_way(void **state _unused_) {
        static const File own[] = {
                { "etc/vitald/services/host.conf", GOOD },
                { NULL, NULL },
        };
        static const File masked[] = {
                { "etc/vitald/services/host.conf", LINK_TO_NULL },
                { "usr/lib/vitald/services/host.conf", GOOD },
                { NULL, NULL },
        };
        _cleanup_(config_unrefp) Config *c = files_load(own), *none = files_load(masked);

        assert_outline(c, "host(app)");
        assert_true(config_has_services(c));
        assert_true(service_of(c, "host")->counts_for_host);
        assert_int_equal(none->n_services, 0);
        assert_int_equal(none->n_checks, 0);
}

/* -- faults ------------------------------------------------------------------------------------ */

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
                assert_outline(c,
                               !*expected ? service_of(c, "s")->unit ? "s()" : "s(app)" : "s!()");
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
                  "Address=x\nFailureThreshold=none\n" },
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
                "/etc/vitald/vitald.conf.d/x.conf:2: NotifyReady= in [Daemon]: \"never\" is not "
                "one of checked, listening, started\n"
                "/etc/vitald/services/a.conf.d/x.conf:2: Critical= in [Check a]: \"so\" is not yes "
                "or no\n"
                "/etc/vitald/services/a.conf:1: Address= in [Check a]: required, but not set\n"
                "/etc/vitald/services/b c.conf: a service's name has at most 64 letters, digits "
                "and \"_.@:-\" and does not begin with a dot\n");
        assert_int_equal(config_verify_format(c, &text), 0);
        verify = without_root(text);
        assert_non_null(strstr(verify, "does not begin with a dot\n9 faults\n"));
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
                        assert_string_equal(k->defect, "");
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

/* -- what a reload compares -------------------------------------------------------------------- */

static void test_same_target(void **state _unused_) {
        static const struct {
                const char *own;
                bool same;
        } table[] = {
                { "", true },
                { "Interval=1s\nCritical=no\nProbes=startup\n", true },
                { "Code=200\n", true },
                { "Code=201\n", false },
                { "ConnectionString=x\n", false },
                { "PasswordCredential=other\n", false },
        };
        const File before_files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        _cleanup_(config_unrefp) Config *before = files_load(before_files);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_strbuf_ StrBuf b = {};

                strbuf_printf(&b, "%s%s", GOOD, table[i].own);

                const File files[] = { { "etc/vitald/services/s.conf", b.text }, {} };
                _cleanup_(config_unrefp) Config *after = files_load(files);

                assert_faults(after, "");
                assert_int_equal(check_config_same_target(check_of(before, "s", "app"),
                                                          check_of(after, "s", "app")),
                                 table[i].same);
        }
}

static void test_rotated_secret_is_another_target(void **state _unused_) {
        static const File files[] = {
                { "credentials/db", "one" },
                { "etc/vitald/services/s.conf", GOOD "PasswordCredential=db\n" },
                { NULL, NULL },
        };
        Tree t = tree_make(files);
        char directory[512];

        tree_path(&t, "credentials", directory, sizeof(directory));

        _cleanup_(config_unrefp) Config *one = tree_load_from(&t, directory, false),
                                        *same = tree_load_from(&t, directory, true);

        tree_add(&t, "credentials/db", "two");

        _cleanup_(config_unrefp) Config *two = tree_load_from(&t, directory, true);

        assert_true(
                check_config_same_target(check_of(one, "s", "app"), check_of(same, "s", "app")));
        assert_false(
                check_config_same_target(check_of(one, "s", "app"), check_of(two, "s", "app")));
        tree_remove(&t);
}

static void test_check_outlives_its_configuration(void **state _unused_) {
        const File files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        Config *c = files_load(files);
        _cleanup_(check_config_unrefp) CheckConfig *k =
                check_config_ref(c->checks[config_find_check(c, "s", "app")]);

        assert_null(config_unref(config_ref(c)));
        assert_null(config_unref(c));
        assert_string_equal(k->id, "s/app");
}

static void test_verify_of_a_good_tree(void **state _unused_) {
        const File files[] = { { "etc/vitald/services/s.conf", GOOD }, {} };
        _cleanup_(config_unrefp) Config *c = files_load(files);
        _cleanup_free_ char *text = NULL;

        assert_int_equal(config_verify_format(c, &text), 0);
        assert_string_equal(text, "2 services, 2 checks: good\n");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_configured),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_defaults_stand_under_own_keys),
                cmocka_unit_test(test_search_path),
                cmocka_unit_test(test_drop_ins),
                cmocka_unit_test(test_builtin_host_gives_way),
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
                cmocka_unit_test(test_same_target),
                cmocka_unit_test(test_rotated_secret_is_another_target),
                cmocka_unit_test(test_check_outlives_its_configuration),
                cmocka_unit_test(test_verify_of_a_good_tree),
        };

        return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
