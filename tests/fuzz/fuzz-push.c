/* SPDX-License-Identifier: MIT */

/* A datagram from anybody: whatever the bytes, a report that is taken is fit to show, and comes
 * back the same from where it is kept. */

#include "fuzz.h"

#include <errno.h>
#include <math.h>

#include "base/text.h"
#include "check/push-report.h"

static void check_result(const Result *r) {
        FUZZ_ASSERT(r->outcome == OUTCOME_PASS || r->outcome == OUTCOME_WARN ||
                    r->outcome == OUTCOME_FAIL);
        FUZZ_ASSERT(utf8_is_valid(r->message, strlen(r->message)));
        for (const char *p = r->message; *p; p++)
                FUZZ_ASSERT((unsigned char) *p >= 0x20 && *p != 0x7f);
        FUZZ_ASSERT(r->n_values <= RESULT_VALUES_MAX);
        for (size_t i = 0; i < r->n_values; i++)
                FUZZ_ASSERT(isfinite(r->values[i].number) && *r->values[i].name);
}

static void check_kept(PushReport *report) {
        _cleanup_strbuf_ StrBuf b = {};
        PushReport again;

        push_report_format_kept(&b, report);
        FUZZ_ASSERT(!b.failed);
        FUZZ_ASSERT(push_report_parse_kept(b.text, b.length, &again) >= 0);
        FUZZ_ASSERT(str_equal(again.check, report->check));
        FUZZ_ASSERT(again.result.outcome == report->result.outcome);
        FUZZ_ASSERT(str_equal(again.result.message, report->result.message));
        FUZZ_ASSERT(again.result.n_values == report->result.n_values);
        for (size_t i = 0; i < again.result.n_values; i++) {
                const Value *a = &again.result.values[i], *v = &report->result.values[i];

                FUZZ_ASSERT(str_equal(a->name, v->name) && str_equal(a->unit, v->unit));
                FUZZ_ASSERT(a->number >= v->number && a->number <= v->number);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char why[PUSH_WHY_MAX] = "";
        PushReport report;
        int r;

        r = push_report_parse((const char *) data, size, &report, why);
        if (r < 0)
                FUZZ_ASSERT((r == -ENOMSG) != !!*why);
        else {
                check_result(&report.result);
                check_kept(&report);
        }
        if (push_report_parse_kept((const char *) data, size, &report) >= 0)
                check_result(&report.result);
        return 0;
}
