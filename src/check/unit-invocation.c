/* SPDX-License-Identifier: MIT */
#include "check/unit-invocation.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"

#define DIRECTORY "/run/systemd/units"

static bool is_id(const char *s, size_t n) {
        return n == INVOCATION_TEXT_MAX - 1 && strspn(s, "0123456789abcdef") == n;
}

/* A link whose target is the ID. */
const char *unit_invocation_read(char buf[static INVOCATION_TEXT_MAX], const char *unit) {
        char path[PATH_MAX], target[INVOCATION_TEXT_MAX + 1] = "";
        ssize_t n = -1;

        if (snprintf(path, sizeof(path), DIRECTORY "/invocation:%s", unit) < (int) sizeof(path))
                n = readlink(path, target, sizeof(target) - 1);
        buf[0] = 0;
        if (n > 0 && is_id(target, (size_t) n))
                memcpy(buf, target, INVOCATION_TEXT_MAX);
        return buf;
}

static int on_inotify(_unused_ sd_event_source *s, int fd, _unused_ uint32_t events,
                      void *userdata) {
        _Alignas(struct inotify_event) char buf[4096];
        InvocationWatch *w = userdata;

        if (read(fd, buf, sizeof(buf)) > 0)
                w->handler(w->userdata);
        return 0;
}

void invocation_watch_end(InvocationWatch *w) {
        w->source = sd_event_source_disable_unref(w->source);
        if (w->fd > 0)
                fd_close(w->fd);
        w->fd = 0;
}

int invocation_watch_begin(InvocationWatch *w, sd_event *event, void (*handler)(void *userdata),
                           void *userdata) {
        int r;

        w->handler = handler;
        w->userdata = userdata;
        w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (w->fd < 0) {
                w->fd = 0;
                return -errno;
        }
        r = inotify_add_watch(w->fd, DIRECTORY, IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) < 0 ? -errno
                                                                                          : 0;
        if (r >= 0)
                r = sd_event_add_io(event, &w->source, w->fd, EPOLLIN, on_inotify, w);
        if (r < 0)
                invocation_watch_end(w);
        return r;
}
