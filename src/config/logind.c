/* SPDX-License-Identifier: MIT */
#include "config/logind.h"

#include "base/text.h"
#include "config/document.h"

#define DELAY_DEFAULT_USEC (5 * USEC_PER_SEC)

static const char *const places[] = {
        "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", NULL,
};

/* What is no time span is ignored, as logind does. 0 is none that we could tell from nothing. */
static usec_t delay_of(const Section *s) {
        usec_t delay = DELAY_DEFAULT_USEC, usec;

        for (size_t i = 0; s && i < s->n; i++)
                if (str_equal(s->items[i].key, "InhibitDelayMaxSec") &&
                    timespan_parse(s->items[i].value, USEC_PER_SEC, &usec) >= 0)
                        delay = MAX(usec, (usec_t) 1);
        return delay;
}

int logind_delay_max(const char *root, usec_t *ret) {
        _cleanup_(diagnostics_done) Diagnostics faults = {};
        _cleanup_(document_done) Document d = {};
        _cleanup_(tree_list_done) TreeList files = {}, drop_ins = {};
        const TreeFile *main_file;
        int r;

        r = tree_list_in(places, root, "", &faults, &files);
        if (r >= 0)
                r = tree_list_in(places, root, "logind.conf.d", &faults, &drop_ins);
        if (r < 0)
                return r;
        main_file = tree_list_find(&files, "logind.conf");
        r = document_load(main_file ? main_file->path : NULL, NULL, &drop_ins, &faults, &d);
        if (r < 0)
                return r;
        *ret = main_file || drop_ins.n > 0 ? delay_of(document_find(&d, "Login")) : 0;
        return 0;
}
