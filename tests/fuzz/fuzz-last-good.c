/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <errno.h>

#include "base/text.h"
#include "config/loader.h"

/* Whatever stands in the file that is kept: it is nothing, or comes back the same, and a start with
 * a bad file and these copies ends in a service that runs its copy or has a defect. */

typedef struct Settings {
        char *path;
} Settings;

static const Option options[] = {
        { .key = "Path",
          .type = &option_path,
          .offset = offsetof(Settings, path),
          .flags = OPTION_REQUIRED },
        { .key = "User",
          .type = &option_string,
          .offset = offsetof(Settings, path),
          .flags = OPTION_POWER },
};

static void describe(const void *settings _unused_, CheckTarget *ret _unused_) {}

static const CheckType type = {
        .name = "all",
        .timeout_usec = USEC_PER_SEC,
        .schema = SCHEMA(options),
        .settings_size = sizeof(Settings),
        .describe = describe,
};

static const CheckType *const built_in[] = { &type, NULL };
static const CheckTypes types = { .built_in = built_in };

static void check_same(const LastGood *l) {
        _cleanup_(last_good_done) LastGood again = {};
        _cleanup_strbuf_ StrBuf a = {}, b = {};

        last_good_format(l, &a);
        FUZZ_ASSERT(!a.failed && a.length <= last_good_size(l));
        FUZZ_ASSERT(last_good_parse(a.text ? a.text : "", a.length, &again) == 0);
        last_good_format(&again, &b);
        FUZZ_ASSERT(a.length == b.length &&
                    (a.length == 0 || memcmp(a.text, b.text, a.length) == 0));
}

static void check_start(const LastGood *l) {
        ConfigSources sources = { .types = &types, .last_good = l };
        const ServiceConfig *s;
        Config *c;

        FUZZ_ASSERT(config_load_text(&sources, "fuzz", "nonsense\n", &c) == 0);
        s = &c->services[0];
        FUZZ_ASSERT(c->n_services == 1 && !s->defect != !s->fault);
        FUZZ_ASSERT(!s->defect || c->n_checks == 0);
        FUZZ_ASSERT(s->n_checks == c->n_checks);
        for (size_t i = 0; i < c->n_checks; i++)
                FUZZ_ASSERT(((const Settings *) c->checks[i]->settings)->path);
        config_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(last_good_done) LastGood l = {};
        int r;

        r = last_good_parse((const char *) data, size, &l);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        check_same(&l);
        check_start(&l);
        return 0;
}
