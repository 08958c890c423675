/* SPDX-License-Identifier: MIT */
#include "io/manager-watch.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"

enum { QUESTION_STATE, QUESTION_JOBS, QUESTION_FAILED, QUESTION_COUNT_ };

struct ManagerWatch {
        SystemdFollower follower;
        const ManagerWatchHandlers *handlers; /* borrowed, constant */
        void *userdata;                       /* borrowed */
        ManagerStatus status;
        char **failed;                           /* owned: being read */
        sd_bus_slot *questions[QUESTION_COUNT_]; /* owned */
        unsigned n_questions;
        int error; /* of the first question that failed */
};

/* The system is stopping or in maintenance while one of these is active or queued. */
static const char *const telling_paths[] = {
        SYSTEMD_PATH,
        SYSTEMD_UNIT_PATH "/shutdown_2etarget",
        SYSTEMD_UNIT_PATH "/rescue_2etarget",
        SYSTEMD_UNIT_PATH "/emergency_2etarget",
};

static ManagerWatch *watch_of(SystemdFollower *f) {
        return container_of(f, ManagerWatch, follower);
}

static void watch_forget_questions(ManagerWatch *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->questions); i++)
                w->questions[i] = sd_bus_slot_unref(w->questions[i]);
        w->n_questions = 0;
        w->failed = strv_free(w->failed);
}

static void question_end(ManagerWatch *w, int error) {
        int r = w->error = w->error < 0 ? w->error : MIN(error, 0);

        if (--w->n_questions > 0)
                return;
        if (r >= 0) {
                strv_free(w->status.failed);
                w->status.failed = TAKE(w->failed);
        }
        watch_forget_questions(w);
        systemd_follower_asked(&w->follower, r);
        w->handlers->asked(w->userdata, r);
}

static int on_state(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        ManagerWatch *w = userdata;
        const char *state = NULL;
        int r;

        r = sd_bus_message_is_method_error(m, NULL) ? systemd_reply_errno(m)
                                                    : sd_bus_message_read(m, "v", "s", &state);
        if (state)
                snprintf(w->status.state, sizeof(w->status.state), "%s", state);
        question_end(w, r);
        return 0;
}

static int on_jobs(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        ManagerWatch *w = userdata;

        question_end(w, sd_bus_message_is_method_error(m, NULL)
                                ? systemd_reply_errno(m)
                                : sd_bus_message_read(m, "v", "u", &w->status.n_jobs));
        return 0;
}

static int failed_read(ManagerWatch *w, sd_bus_message *m) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &name, NULL, NULL, NULL, NULL,
                                                  NULL, NULL, NULL, NULL, NULL)) > 0)
                r = strv_append(&w->failed, name);
        return r;
}

static int on_failed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        ManagerWatch *w = userdata;

        question_end(w, sd_bus_message_is_method_error(m, NULL) ? systemd_reply_errno(m)
                                                                : failed_read(w, m));
        return 0;
}

static int watch_ask_property(ManagerWatch *w, sd_bus *bus, unsigned question, const char *name,
                              sd_bus_message_handler_t handler) {
        return sd_bus_call_method_async(bus, &w->questions[question], SYSTEMD_NAME, SYSTEMD_PATH,
                                        DBUS_PROPERTIES, "Get", handler, w, "ss", SYSTEMD_MANAGER,
                                        name);
}

static int watch_ask(SystemdFollower *f, sd_bus *bus) {
        ManagerWatch *w = watch_of(f);
        int r;

        w->error = 0;
        r = watch_ask_property(w, bus, QUESTION_STATE, "SystemState", on_state);
        if (r >= 0)
                r = watch_ask_property(w, bus, QUESTION_JOBS, "NJobs", on_jobs);
        if (r >= 0)
                r = sd_bus_call_method_async(bus, &w->questions[QUESTION_FAILED], SYSTEMD_NAME,
                                             SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsFiltered",
                                             on_failed, w, "as", 1, "failed");
        if (r < 0)
                watch_forget_questions(w);
        else
                w->n_questions = QUESTION_COUNT_;
        return r;
}

static void watch_signalled(SystemdFollower *f, sd_bus_message *m) {
        ManagerWatch *w = watch_of(f);
        const char *path = sd_bus_message_get_path(m);

        for (size_t i = 0; path && i < ELEMENTSOF(telling_paths); i++)
                if (str_equal(path, telling_paths[i])) {
                        w->handlers->changed(w->userdata);
                        return;
                }
}

static void watch_lost(SystemdFollower *f) {
        ManagerWatch *w = watch_of(f);

        watch_forget_questions(w);
        w->handlers->changed(w->userdata);
        w->handlers->asked(w->userdata, -ENOTCONN);
}

const ManagerStatus *manager_watch_status(const ManagerWatch *w) {
        return &w->status;
}

void manager_watch_ask(ManagerWatch *w) {
        systemd_follower_ask(&w->follower);
}

ManagerWatch *manager_watch_free(ManagerWatch *w) {
        if (!w)
                return NULL;
        watch_forget_questions(w);
        systemd_follower_end(&w->follower);
        strv_free(w->status.failed);
        free(w);
        return NULL;
}

int manager_watch_new(SystemdLink *l, const ManagerWatchHandlers *handlers, void *userdata,
                      ManagerWatch **ret) {
        static const SystemdFollowerHandlers follower_handlers = {
                .ask = watch_ask,
                .signalled = watch_signalled,
                .lost = watch_lost,
        };
        _cleanup_(manager_watch_freep) ManagerWatch *w = calloc(1, sizeof(ManagerWatch));
        int r;

        if (!w)
                return -ENOMEM;
        w->handlers = handlers;
        w->userdata = userdata;
        r = systemd_follower_begin(&w->follower, l, &follower_handlers);
        if (r < 0)
                return r;
        *ret = TAKE(w);
        return 0;
}
