/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "config/verify.h"

/* -- check types for the tests ----------------------------------------------------------------- */

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

static const CheckValue disk_values[] = { { "free", "bytes" }, { "free_inodes", "" }, {} };

static const CheckType disk_type = {
        .name = "disk",
        .timeout_usec = USEC_PER_SEC,
        .values = disk_values,
        .schema = SCHEMA(disk_options),
        .settings_size = sizeof(DiskSettings),
        .describe = disk_describe,
};

static const CheckType *load_none(const char *name, char why[static OPTION_WHY_MAX]) {
        snprintf(why, OPTION_WHY_MAX, "the check type %s is not installed", name);
        return NULL;
}

static const CheckType *const built_in[] = { &plain_type, &disk_type, NULL };
static const char *const modules[] = { "elsewhere", NULL };
const CheckTypes loader_types = { built_in, modules, load_none };

/* -- trees ------------------------------------------------------------------------------------- */

void tree_path(const Tree *t, const char *path, char *buf, size_t size) {
        snprintf(buf, size, "%s/%s", t->root, path);
}

void tree_add_bytes(const Tree *t, const char *path, const void *bytes, size_t n) {
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

void tree_add(const Tree *t, const char *path, const char *text) {
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

Tree tree_make(const File *files) {
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

void tree_remove(const Tree *t) {
        assert_int_equal(nftw(t->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

Config *tree_load_from(const Tree *t, const char *credentials, bool is_reload) {
        ConfigSources sources = {
                .root = t->root,
                .credentials_directory = credentials,
                .types = &loader_types,
                .is_reload = is_reload,
        };
        Config *c;

        assert_int_equal(config_load(&sources, &c), 0);
        return c;
}

Config *files_load(const File *files) {
        Tree t = tree_make(files);
        Config *c = tree_load_from(&t, NULL, false);

        tree_remove(&t);
        return c;
}

char *without_root(const char *text) {
        static const char root[] = "/tmp/vitald-test-loader-XXXXXX";
        _cleanup_strbuf_ StrBuf b = {};
        char *s;

        for (const char *p; (p = strstr(text, "/tmp/vitald-test-loader-")); text = p + strlen(root))
                strbuf_append_bytes(&b, text, (size_t) (p - text));
        strbuf_append(&b, text);
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

char *verification_of(const Config *c) {
        Verification v = { .config = c, .places = &(Places){}, .findings = &(Findings){} };
        char *text;

        assert_int_equal(verification_format(&v, &text), 0);
        return text;
}

char *faults_of(const Config *c) {
        _cleanup_free_ char *text = NULL;

        assert_int_equal(diagnostics_format(&c->diagnostics, &text), 0);
        return without_root(text);
}

void assert_faults(const Config *c, const char *expected) {
        _cleanup_free_ char *faults = faults_of(c);

        assert_string_equal(faults, expected);
}

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

void assert_outline(const Config *c, const char *expected) {
        _cleanup_free_ char *s = outline(c);

        assert_string_equal(s, expected);
}

const CheckConfig *check_of(const Config *c, const char *service, const char *check) {
        size_t i = config_find_check(c, service, check);

        assert_true(i != INDEX_NONE);
        return c->checks[i];
}

const ServiceConfig *service_of(const Config *c, const char *service) {
        size_t i = config_find_service(c, service);

        assert_true(i != INDEX_NONE);
        return &c->services[i];
}
