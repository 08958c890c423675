/* SPDX-License-Identifier: MIT */
#include "check/push-senders.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "io/cgroup.h"

#define STATUS_MAX 65536 /* bytes */

static int uids_append(PushSenders *s, uid_t uid) {
        uid_t *uids = reallocarray(s->uids, s->n_uids + 1, sizeof(uid_t));

        if (!uids)
                return -ENOMEM;
        s->uids = uids;
        s->uids[s->n_uids++] = uid;
        return 0;
}

static bool find_user(const char *name, uid_t *ret) {
        FILE *f = fopen("/etc/passwd", "re");
        const struct passwd *p = NULL;
        uint64_t number;

        while (f && (p = fgetpwent(f)) && !str_equal(p->pw_name, name))
                ;
        if (p)
                *ret = p->pw_uid;
        if (f)
                (void) fclose(f);
        if (!p && parse_uint64(name, &number) >= 0 && number < (uid_t) -1) {
                *ret = (uid_t) number;
                return true;
        }
        return p;
}

int push_senders_new(PushSenders *ret, char *const *users, const char **ret_missing) {
        *ret = (PushSenders){};
        *ret_missing = NULL;
        STRV_FOREACH(name, users) {
                uid_t uid = 0;

                if (!find_user(*name, &uid))
                        *ret_missing = *name;
                else if (uids_append(ret, uid) < 0) {
                        push_senders_done(ret);
                        return -ENOMEM;
                }
        }
        return 0;
}

void push_senders_done(PushSenders *s) {
        free(s->uids);
        *s = (PushSenders){};
}

/* Whether a process of this number is another user's by now, as far as we may see. Who got in by a
 * number that was given out again would have to be the same user. */
static bool is_of_another_user(const Sender *sender) {
        _cleanup_free_ char *text = NULL;
        unsigned real, effective, saved;
        const char *line;
        char path[64];
        size_t n;

        snprintf(path, sizeof(path), "/proc/%d/status", (int) sender->pid);
        if (file_read(path, STATUS_MAX, &text, &n) < 0)
                return false;
        line = strstr(text, "\nUid:");
        if (!line || sscanf(line, "\nUid: %u %u %u", &real, &effective, &saved) != 3)
                return false;
        return sender->uid != real && sender->uid != effective && sender->uid != saved;
}

bool push_senders_have(const PushSenders *s, char *const *units, const char *unit,
                       const Sender *sender) {
        bool is_member;

        if (sender->is_privileged)
                return true;
        for (size_t i = 0; i < s->n_uids; i++)
                if (s->uids[i] == sender->uid)
                        return true;
        if (sender->pid <= 0)
                return false;
        is_member = !units && unit && cgroup_has_process(unit, sender->pid);
        STRV_FOREACH(u, units)
                is_member = is_member || cgroup_has_process(*u, sender->pid);
        return is_member && !is_of_another_user(sender);
}
