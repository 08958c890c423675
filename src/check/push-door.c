/* SPDX-License-Identifier: MIT */
#include "check/push-door.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"

#define REFUSALS_EVERY_USEC (10 * USEC_PER_SEC) /* one line in the log */

static void push_refuse(PushDoor *d, const char *check, const struct ucred *who, const char *why) {
        usec_t now = clock_usec(CLOCK_MONOTONIC);

        if (d->told_usec > 0 && now < usec_add(d->told_usec, REFUSALS_EVERY_USEC)) {
                d->n_untold++;
                return;
        }
        log_warning("A report%s%s was refused: %s (uid %u, pid %d; %u others since the last such "
                    "message)",
                    *check ? " to " : "", check, why, who->uid, (int) who->pid, d->n_untold);
        d->told_usec = now;
        d->n_untold = 0;
}

static void on_datagram(void *userdata, const char *bytes, size_t n, const struct ucred *who) {
        const Sender sender = {
                .uid = who->uid,
                .pid = who->pid,
                .is_privileged = who->uid == 0 || who->uid == geteuid(),
        };
        char why[PUSH_WHY_MAX] = "it is too long";
        PushReport report = {};
        PushDoor *d = userdata;
        int r;

        r = bytes ? push_report_parse(bytes, n, &report, why) : -EMSGSIZE;
        if (r == -ENOMSG)
                return;
        if (r < 0) {
                push_refuse(d, "", who, why);
                return;
        }
        r = d->handler(d->userdata, &report, &sender);
        if (r == -ENOENT)
                push_refuse(d, report.check, who, "there is no check that takes it");
        else if (r < 0)
                push_refuse(d, report.check, who,
                            "it comes from none of AllowUser= and, unless it has ended already, "
                            "from no process of AllowUnit=");
}

void push_door_drain(PushDoor *d) {
        if (d->socket)
                datagrams_drain(d->socket);
}

void push_door_close(PushDoor *d) {
        d->socket = datagrams_free(d->socket);
}

int push_door_open(PushDoor *d, sd_event *event, const char *directory,
                   int (*handler)(void *userdata, const PushReport *report, const Sender *sender),
                   void *userdata) {
        _cleanup_strbuf_ StrBuf path = {};

        d->handler = handler;
        d->userdata = userdata;
        strbuf_printf(&path, "%s/" PUSH_SOCKET_NAME, directory);
        return path.failed ? -ENOMEM : datagrams_new(event, path.text, on_datagram, d, &d->socket);
}
