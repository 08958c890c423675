/* SPDX-License-Identifier: MIT */
#include "check/process-watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define PATH_EVENTS \
        (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)

/* -- processes --------------------------------------------------------------------------------- */

static void hold_drop(ProcessHold *h) {
        poll_watch_drop(&h->watch);
        h->fd = fd_close(h->fd);
}

static void on_ended(void *userdata, uint32_t events _unused_) {
        ProcessHold *h = userdata;

        hold_drop(h);
        check_trigger(h->check);
}

static bool has_ended(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}

/* -ESRCH: it has ended. */
static int hold_take(ProcessHold *h, pid_t pid) {
        _cleanup_fd_ int fd = -1;
        int r;

        fd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return -errno;
        if (has_ended(fd))
                return -ESRCH;
        r = poll_watch_add(&h->watch, engine_poll_set(check_engine(h->check)), fd, EPOLLIN,
                           on_ended, h);
        if (r < 0)
                return r;
        h->pid = pid;
        h->fd = TAKE_FD(fd);
        return 0;
}

static bool contains(const pid_t *pids, size_t n, pid_t pid) {
        for (size_t i = 0; i < n; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

static ProcessHold *find(ProcessWatch *w, pid_t pid) {
        for (size_t i = 0; i < PROCESS_WATCHED_MAX; i++)
                if (w->holds[i].fd >= 0 && w->holds[i].pid == pid)
                        return &w->holds[i];
        return NULL;
}

static ProcessHold *find_free(ProcessWatch *w) {
        for (size_t i = 0; i < PROCESS_WATCHED_MAX; i++)
                if (w->holds[i].fd < 0)
                        return &w->holds[i];
        return NULL;
}

/* A process that is held lives: its pid is its own. */
size_t process_watch_set(ProcessWatch *w, const pid_t *pids, size_t n) {
        size_t n_ended = 0;
        ProcessHold *h;

        for (size_t i = 0; i < PROCESS_WATCHED_MAX; i++)
                if (w->holds[i].fd >= 0 && !contains(pids, n, w->holds[i].pid))
                        hold_drop(&w->holds[i]);
        for (size_t i = 0; i < n; i++) {
                h = find(w, pids[i]);
                if (h) {
                        n_ended += has_ended(h->fd);
                        continue;
                }
                h = find_free(w);
                n_ended += h && hold_take(h, pids[i]) == -ESRCH;
        }
        return n_ended;
}

/* -- files ------------------------------------------------------------------------------------- */

static bool is_wanted(const ProcessWatch *w, const struct inotify_event *event) {
        if (event->len == 0)
                return !(event->mask & IN_IGNORED); /* the control group's own file */
        if (!str_equal(event->name, w->name))
                return false;
        /* A file is looked at when it has been written, a directory when it is there. */
        return !(event->mask & IN_CREATE) || event->mask & IN_ISDIR;
}

static void on_inotify(void *userdata, uint32_t events _unused_) {
        _Alignas(struct inotify_event) char buf[4096];
        ProcessWatch *w = userdata;
        const struct inotify_event *event;
        bool is_any = false;
        ssize_t n;

        n = read(w->inotify, buf, sizeof(buf));
        for (const char *p = buf; n > 0 && p < buf + n; p += sizeof(*event) + event->len) {
                event = (const struct inotify_event *) (const void *) p;
                is_any = is_any || is_wanted(w, event);
        }
        if (is_any)
                check_trigger(w->check);
}

static bool inotify_is_on(ProcessWatch *w) {
        if (w->inotify >= 0)
                return true;
        w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (w->inotify < 0)
                return false;
        if (poll_watch_add(&w->watch, engine_poll_set(check_engine(w->check)), w->inotify, EPOLLIN,
                           on_inotify, w) < 0)
                w->inotify = fd_close(w->inotify);
        return w->inotify >= 0;
}

void process_watch_path(ProcessWatch *w, const char *path) {
        char directory[PATH_MAX], *slash;

        if (snprintf(directory, sizeof(directory), "%s", path) >= (int) sizeof(directory) ||
            !(slash = strrchr(directory, '/')) || !inotify_is_on(w))
                return;
        snprintf(w->name, sizeof(w->name), "%.*s", NAME_MAX, slash + 1);
        slash[slash == directory] = 0;
        (void) inotify_add_watch(w->inotify, directory, PATH_EVENTS);
}

void process_watch_cgroup(ProcessWatch *w, const char *directory) {
        char path[PATH_MAX];

        process_watch_path(w, directory);
        if (snprintf(path, sizeof(path), "%s/cgroup.events", directory) < (int) sizeof(path) &&
            inotify_is_on(w))
                (void) inotify_add_watch(w->inotify, path, IN_MODIFY);
}

/* -- life -------------------------------------------------------------------------------------- */

void process_watch_begin(ProcessWatch *w, Check *check) {
        w->check = check;
        w->inotify = -1;
        for (size_t i = 0; i < PROCESS_WATCHED_MAX; i++)
                w->holds[i] = (ProcessHold){ .check = check, .fd = -1 };
}

void process_watch_end(ProcessWatch *w) {
        for (size_t i = 0; i < PROCESS_WATCHED_MAX; i++)
                hold_drop(&w->holds[i]);
        poll_watch_drop(&w->watch);
        w->inotify = fd_close(w->inotify);
}
