/* SPDX-License-Identifier: MIT */
#pragma once

/* One command of vitalctl: what was asked for, what verbs share, and the verbs themselves. A verb
 * prints what it has to say and returns the exit code. */

#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/screen.h"

typedef enum ExitCode {
        EXIT_YES = 0,
        EXIT_ERROR = 1,
        EXIT_USAGE = 2,
        EXIT_NO = 3,
        EXIT_UNKNOWN_NAME = 4,
        EXIT_UNREACHABLE = 69,
        EXIT_TIMED_OUT = 75,
} ExitCode;

typedef enum JsonMode { JSON_OFF, JSON_SHORT, JSON_PRETTY } JsonMode;

typedef enum Question { QUESTION_READY, QUESTION_STARTED, QUESTION_LIVE } Question;

typedef struct Ctl {
        ClientOptions where;
        JsonMode json;
        Question question;
        bool is_quiet, all, is_strict, wait;
        uint64_t port;        /* of --connections=; 0: not given */
        uint64_t connections; /* so many at most */
        uint64_t count;       /* 0: not given */
        usec_t timeout_usec;  /* USEC_INFINITY: none */
        const char *reason;   /* borrowed; "" for none */
        StrBuf values;        /* owned: of --value=, separated by blanks */
        const char *root;     /* borrowed, or NULL */
        Screen screen;        /* standard output */
        char **arguments;     /* borrowed: those of the verb; ends with NULL */
} Ctl;

/* -- session.c: each returns 0, or the exit code once it has said what is wrong ------------------
 */

int ctl_open(const Ctl *ctl, Client **ret);
int ctl_open_view(const Ctl *ctl, Client **ret_client, View **ret_view);

/* The same, and the service that the verb's first argument names; *ret is NULL if there is none. */
int ctl_open_service(const Ctl *ctl, Client **ret_client, View **ret_view, ServiceInfo **ret);

/* From a failed call: never a raw error of D-Bus. error may be NULL. */
int ctl_failed(const Ctl *ctl, int r, const sd_bus_error *error);

/* A name without a match is answered with the nearest ones. */
int ctl_find_service(const View *v, const char *name, ServiceInfo **ret);
int ctl_find_check(const View *v, const char *name, CheckInfo **ret);

int ctl_out_of_memory(void);

/* -- unreachable.c -------------------------------------------------------------------------------
 */

/* Says that vitald cannot be reached (client_open() gave r), where it was looked for, and what
 * systemd and the journal know of it. */
void print_unreachable(const Ctl *ctl, int r, char *const *tried);

/* -- verbs ---------------------------------------------------------------------------------------
 */

int verb_status(const Ctl *ctl);
int verb_list(const Ctl *ctl);
int verb_show(const Ctl *ctl);
int verb_why(const Ctl *ctl);
int verb_history(const Ctl *ctl);
int verb_watch(const Ctl *ctl);
int verb_is_ready(const Ctl *ctl);
int verb_wait(const Ctl *ctl);
int verb_follow(const Ctl *ctl);
int verb_run(const Ctl *ctl);
int verb_reload(const Ctl *ctl);
int verb_drain(const Ctl *ctl);
int verb_undrain(const Ctl *ctl);
int verb_reset_restarts(const Ctl *ctl);
int verb_override(const Ctl *ctl);
int verb_clear_override(const Ctl *ctl);
int verb_report(const Ctl *ctl);
int verb_verify(const Ctl *ctl);
int verb_probe(const Ctl *ctl);
