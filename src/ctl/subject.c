/* SPDX-License-Identifier: MIT */
#include "ctl/subject.h"

#include <errno.h>
#include <systemd/sd-login.h>

#include "ctl/words.h"

void subject_done(Subject *s) {
        link_done(&s->link);
        free(s->text);
}

static bool answer(const Verdicts *d, Question q) {
        switch (q) {
        case QUESTION_READY:
                return d->is_ready;
        case QUESTION_STARTED:
                return d->is_started;
        case QUESTION_LIVE:
                return d->is_alive;
        }
        return false;
}

static int take(Subject *s, const Verdicts *d) {
        static const char *const words[] = {
                [QUESTION_READY] = "ready",
                [QUESTION_STARTED] = "started",
                [QUESTION_LIVE] = "alive",
        };
        Question q = s->link.ctl->question;
        _cleanup_strbuf_ StrBuf b = {};
        char host[HOST_NAME_MAX_];

        s->is_true = answer(d, q);
        s->is_starting = str_equal(d->state, "starting");
        strbuf_printf(&b, "%s is %s%s", s->service ? s->service : host_name(host),
                      s->is_true ? "" : "not ", words[q]);
        if (!s->is_true)
                STRV_FOREACH(i, d->why)
                        strbuf_printf(&b, "%s%s", i == d->why ? ": " : "; ", *i);
        free(s->text);
        s->text = NULL;
        return strbuf_finish(&b, &s->text);
}

static int look_at_host(Subject *s) {
        _cleanup_(view_freep) View *v = calloc(1, sizeof(View));
        int r;

        if (!v)
                return -ENOMEM;
        r = client_get_fields(s->link.client, VITALD_PATH, VITALD_MANAGER_INTERFACE, &host_fields,
                              v);
        return r < 0 ? r : take(s, &v->verdicts);
}

/* Asked by a unit about itself (ExecStartPost=), before vitald has heard of this start: what it
 * says is about the start before. */
static bool is_outdated(const ServiceInfo *info) {
        const char *invocation_id = getenv("INVOCATION_ID");
        _cleanup_free_ char *unit = NULL;

        return !str_is_empty(invocation_id) && *info->invocation_id &&
               !str_equal(info->invocation_id, invocation_id) && sd_pid_get_unit(0, &unit) >= 0 &&
               str_equal(unit, info->unit);
}

static int look_at_service(Subject *s) {
        _cleanup_(service_info_done) ServiceInfo info = {};
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode(VITALD_PATH "/service", s->service, &path);
        if (r < 0)
                return r;
        r = client_get_fields(s->link.client, path, VITALD_SERVICE_INTERFACE, &service_fields,
                              &info);
        if (r < 0)
                return r;
        if (is_outdated(&info))
                info.verdicts.is_ready = info.verdicts.is_started = info.verdicts.is_alive = false;
        return take(s, &info.verdicts);
}

/* There is no such service: says which there are. */
static int unknown_service(Subject *s) {
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *found;
        int r;

        r = client_get_view(s->link.client, &v);
        return r < 0 ? r : ctl_find_service(v, s->service, &found);
}

/* 0, the exit code, or negative errno when the connection is no good any more. */
static int look(Subject *s) {
        int r;

        r = s->service ? look_at_service(s) : look_at_host(s);
        if (r == -ENOENT && s->service)
                r = unknown_service(s);
        return r < 0 && !client_is_unreachable(r) ? ctl_failed(s->link.ctl, r, NULL) : r;
}

int subject_look(Subject *s) {
        int r;

        r = ctl_open(s->link.ctl, &s->link.client);
        if (r != 0)
                return r;
        r = look(s);
        return r < 0 ? ctl_failed(s->link.ctl, r, NULL) : r;
}

int subject_next(Subject *s, usec_t deadline, usec_t patience_usec) {
        for (;;) {
                int r = link_next(&s->link, deadline, patience_usec);

                if (r != 0)
                        return r;
                r = look(s);
                if (r >= 0)
                        return r;
                link_drop(&s->link);
        }
}
