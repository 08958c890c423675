/* SPDX-License-Identifier: MIT */
#include "check/plugin-verdict.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "model/perfdata.h"

/* The plug-ins' own exit statuses, and what a shell says of a program that it cannot execute. All
 * others fail. */
static const struct StatusMeaning {
        int status;
        Outcome outcome;
        Reason reason;
} status_meanings[] = {
        { 0, OUTCOME_PASS, REASON_NONE },       { 1, OUTCOME_WARN, REASON_EXIT_CODE },
        { 3, OUTCOME_ERROR, REASON_EXIT_CODE }, { 126, OUTCOME_ERROR, REASON_EXEC },
        { 127, OUTCOME_ERROR, REASON_EXEC },
};

#define DROP_IN_RIGHTS "drop-in exec-icmp.conf, vitald.services(5)"
#define DROP_IN_USER   "drop-in exec-user.conf, vitald.services(5)"

typedef struct Span {
        const char *p;
        size_t n;
} Span;

/* Cuts off the part up to c and moves *s behind c. */
static Span span_cut(Span *s, char c) {
        const char *at = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
        Span head = { s->p, at ? (size_t) (at - s->p) : s->n };

        s->p += head.n + (at != NULL);
        s->n -= head.n + (at != NULL);
        return head;
}

/* The first line with anything to show in it, without its performance data, which is returned. */
static Span span_first_line(Span *s, char message[static RESULT_MESSAGE_MAX]) {
        Span line, text;

        message[0] = 0;
        while (s->n > 0) {
                line = span_cut(s, '\n');
                text = span_cut(&line, '|');
                text_sanitize(message, RESULT_MESSAGE_MAX, text.p, text.n);
                if (message[0] || line.n > 0)
                        return line;
        }
        return *s;
}

static void plugin_add_values(Result *r, Span first, Span rest) {
        perfdata_parse(first.p, first.n, r);
        /* Lines of text may follow, then performance data again. */
        (void) span_cut(&rest, '|');
        perfdata_parse(rest.p, rest.n, r);
}

static void plugin_judge_signal(Result *ret, const ProcessEnd *end, const char *said) {
        const char *name = sigabbrev_np(end->code);
        char number[16];

        snprintf(number, sizeof(number), "%d", end->code);
        result_fail(ret, REASON_SIGNAL, "Ended by SIG%s%s%s%s", name ? name : number,
                    end->is_cut ? " after more output than is read" : "", *said ? ": " : "", said);
        result_set_detail(ret, name ? name : number);
}

static void plugin_judge_status(Result *ret, int status, const char *said) {
        struct StatusMeaning meaning = { status, OUTCOME_FAIL, REASON_EXIT_CODE };
        char number[16];

        for (size_t i = 0; i < ELEMENTSOF(status_meanings); i++)
                if (status_meanings[i].status == status)
                        meaning = status_meanings[i];
        if (*said || meaning.outcome == OUTCOME_PASS)
                result_fail(ret, REASON_EXIT_CODE, "%s", said);
        else
                result_fail(ret, REASON_EXIT_CODE, "Exit status %d without a word", status);
        ret->outcome = meaning.outcome;
        ret->reason = meaning.reason;
        if (meaning.reason == REASON_NONE)
                return;
        snprintf(number, sizeof(number), "%d", status);
        result_set_detail(ret, number);
}

void plugin_judge(Result *ret, const ProcessEnd *end) {
        Span output = { end->output, end->n_output }, errors = { end->errors, end->n_errors }, data;
        char said[RESULT_MESSAGE_MAX];
        bool is_good = !end->is_signal && end->code == 0;

        data = span_first_line(&output, said);
        if (!*said && !is_good)
                (void) span_first_line(&errors, said);
        if (!is_good && end->lacks_rights)
                result_error(ret, REASON_EXEC, "Needs rights (" DROP_IN_RIGHTS "): %s", said);
        else if (end->is_signal)
                plugin_judge_signal(ret, end, said);
        else
                plugin_judge_status(ret, end->code, said);
        plugin_add_values(ret, data, output);
}

static bool is_resource(int error) {
        return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
               error == -ENOBUFS;
}

void plugin_judge_failure(Result *ret, const char *program, const char *user,
                          const ProcessFailure *f) {
        if (is_resource(f->error) || !(f->is_of_user || f->is_of_file)) {
                result_errno(ret, f->error, "Cannot start %s", program);
                ret->outcome = OUTCOME_ERROR;
                return;
        }
        if (f->is_of_user && f->error == -ESRCH)
                result_error(ret, REASON_EXEC, "User=%s: there is no such user", user);
        else if (f->is_of_user && f->error == -EPERM)
                result_error(ret, REASON_EXEC,
                             "User=%s needs CAP_SETUID, CAP_SETGID and CAP_KILL: " DROP_IN_USER,
                             user);
        else if (f->lacks_interpreter)
                result_error(ret, REASON_EXEC,
                             "Cannot execute %s: the interpreter that it names is not there",
                             program);
        else if (f->is_of_file && f->error == -EPERM && f->lacks_rights)
                result_error(ret, REASON_EXEC, "%s needs rights: " DROP_IN_RIGHTS, program);
        else
                result_error(ret, REASON_EXEC, "Cannot execute %s: %s", program,
                             strerrordesc_np(-f->error));
        result_set_detail(ret, f->is_of_user ? "user" : "");
}
