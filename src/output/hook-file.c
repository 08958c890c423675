/* SPDX-License-Identifier: MIT */
#include "output/hook-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "output/summary.h"

#define FILE_MAX_BYTES 4096
#define STATE_KEY      "\nVITALD_STATE="

/* Words and names of vitald alone, in which nothing needs quoting; what others said is for the unit
 * to ask, by "vitalctl why". */
static void hook_describe(const HookFile *f, const Snapshot *s, StrBuf *b) {
        bool is_host = f->subject == s->config->n_services;
        const Verdict *v = is_host ? &s->host : &s->services[f->subject].verdict;
        size_t worst = is_host ? summary_worst_service(s) : f->subject;
        size_t check = worst == INDEX_NONE ? INDEX_NONE : summary_worst_check(s, worst);
        char reason[REASON_WORD_MAX] = "";

        if (check != INDEX_NONE)
                reason_format(reason, s->checks[check]->reason, s->checks[check]->detail);
        else if (v->reason != REASON_NONE)
                snprintf(reason, sizeof(reason), "%s", reason_to_string(v->reason));
        strbuf_printf(b, "VITALD_SUBJECT=%s\nVITALD_STATE=%s\nVITALD_PREVIOUS_STATE=%s\n", f->name,
                      f->word, f->previous);
        strbuf_printf(b, "VITALD_CHECK=%s\nVITALD_REASON=%s\n",
                      check == INDEX_NONE ? "" : s->config->checks[check]->id, reason);
        strbuf_printf(b, "VITALD_FLIPS=%" PRIu64 "\nVITALD_SEQUENCE=%" PRIu64 "\n", f->n_flips,
                      s->sequence);
        strbuf_printf(b, "VITALD_TIMESTAMP=%" PRIu64 "\n", s->time.realtime / USEC_PER_SEC);
}

/* Whole or not at all, so that a unit that is just being started reads one or the other. */
int hook_file_write(const char *directory, const HookFile *f, const Snapshot *s) {
        _cleanup_strbuf_ StrBuf text = {}, place = {}, fresh = {}, path = {};
        _cleanup_fd_ int fd = -1;

        hook_describe(f, s, &text);
        strbuf_printf(&place, "%s/" HOOKS_DIRECTORY, directory);
        strbuf_printf(&path, "%s/%s", place.text, f->name);
        strbuf_printf(&fresh, "%s/.%s.new", place.text, f->name);
        if (text.failed || place.failed || fresh.failed || path.failed)
                return -ENOMEM;
        if (mkdir(place.text, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = open(fresh.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        if (write(fd, text.text, text.length) != (ssize_t) text.length)
                return -EIO;
        return rename(fresh.text, path.text) < 0 ? -errno : 0;
}

const char *hook_file_word(const char *directory, const char *name) {
        _cleanup_strbuf_ StrBuf path = {};
        _cleanup_free_ char *text = NULL;
        char *word;
        size_t n;

        strbuf_printf(&path, "%s/" HOOKS_DIRECTORY "/%s", directory, name);
        if (path.failed || file_read(path.text, FILE_MAX_BYTES, &text, &n) < 0)
                return NULL;
        word = strstr(text, STATE_KEY);
        if (!word)
                return NULL;
        word += strlen(STATE_KEY);
        word[strcspn(word, "\n")] = 0;
        return verdict_summary_find(word);
}
