/* SPDX-License-Identifier: MIT */
#include "check/file-verdict.h"

#include <errno.h>

#include "base/text.h"

static bool is_missing(int error) {
        return error == ENOENT || error == ENOTDIR;
}

static void file_judge_error(Result *ret, const FileSettings *s, int error) {
        if (is_missing(error) && !s->exists)
                result_pass(ret, "%s is not there", s->path);
        else if (is_missing(error))
                result_fail(ret, REASON_MISSING, "%s is not there", s->path);
        else if (error == EINVAL)
                result_fail(ret, REASON_MISMATCH, "%s is no regular file", s->path);
        else if (error == E2BIG) {
                result_fail(ret, REASON_MISMATCH,
                            "To search %s for what Content= says takes too many steps", s->path);
                result_set_detail(ret, "content");
        } else
                result_errno(ret, error, "%s", s->path);
        if (error != EACCES && error != EPERM)
                return;
        result_error(ret, REASON_INTERNAL, "%s: vitald's user may not look at it", s->path);
}

static void file_judge_facts(Result *ret, const FileSettings *s, const FileFacts *f,
                             usec_t age_usec) {
        char size[BYTES_TEXT_MAX], wanted[BYTES_TEXT_MAX], age[TIMESPAN_MAX], max[TIMESPAN_MAX];

        bytes_format(size, f->size_bytes);
        timespan_format(age, age_usec);
        if (!s->exists)
                result_fail(ret, REASON_MISMATCH, "%s is there", s->path);
        else if (s->max_age_usec > 0 && age_usec > s->max_age_usec) {
                result_fail(ret, REASON_THRESHOLD,
                            "%s was last written %s ago, more than MaxFileAge= (%s)", s->path, age,
                            timespan_format(max, s->max_age_usec));
                result_set_detail(ret, "age");
        } else if (f->size_bytes < s->min_size_bytes) {
                result_fail(ret, REASON_THRESHOLD, "%s has %s, less than MinSize= (%s)", s->path,
                            size, bytes_format(wanted, s->min_size_bytes));
                result_set_detail(ret, "size");
        } else if (s->max_size_bytes > 0 && f->size_bytes > s->max_size_bytes) {
                result_fail(ret, REASON_THRESHOLD, "%s has %s, more than MaxSize= (%s)", s->path,
                            size, bytes_format(wanted, s->max_size_bytes));
                result_set_detail(ret, "size");
        } else if (s->content.text && !f->is_matching) {
                result_fail(ret, REASON_MISMATCH, "%s does not hold what Content= says", s->path);
                result_set_detail(ret, "content");
        } else
                result_pass(ret, "%s has %s, written %s ago", s->path, size, age);
}

void file_judge(Result *ret, const FileSettings *s, const FileFacts *f, usec_t now_realtime) {
        usec_t age_usec = usec_sub(now_realtime, f->changed_realtime);

        if (f->error != 0) {
                file_judge_error(ret, s, f->error);
                return;
        }
        file_judge_facts(ret, s, f, age_usec);
        result_add_value(ret, "age", (double) age_usec / (double) USEC_PER_SEC, "seconds");
        result_add_value(ret, "size", (double) f->size_bytes, "bytes");
}
