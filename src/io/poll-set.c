/* SPDX-License-Identifier: MIT */
#include "io/poll-set.h"

#include <errno.h>

#include "base/fd.h"

struct PollSet {
        sd_event *event; /* owned reference */
        sd_event_source *source;
        int epoll_fd;
        size_t n_watches;
        struct epoll_event ready[POLL_SET_BATCH]; /* the batch that is being handled */
        int next, n_ready;
};

static int on_ready(sd_event_source *source _unused_, int fd, uint32_t revents _unused_,
                    void *userdata) {
        PollSet *s = userdata;

        s->n_ready = epoll_wait(fd, s->ready, POLL_SET_BATCH, 0);
        for (s->next = 0; s->next < s->n_ready;) {
                const struct epoll_event *e = &s->ready[s->next++];
                PollWatch *w = e->data.ptr;

                if (w)
                        w->handler(w->userdata, e->events);
        }
        s->next = s->n_ready = 0;
        return 0;
}

PollSet *poll_set_free(PollSet *s) {
        if (!s)
                return NULL;
        assert(s->n_watches == 0);
        sd_event_source_disable_unref(s->source);
        fd_close(s->epoll_fd);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

int poll_set_new(sd_event *event, PollSet **ret) {
        _cleanup_(poll_set_freep) PollSet *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll_fd < 0)
                return -errno;
        r = sd_event_add_io(event, &s->source, s->epoll_fd, EPOLLIN, on_ready, s);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

sd_event *poll_set_event(const PollSet *s) {
        return s->event;
}

int poll_watch_add(PollWatch *w, PollSet *s, int fd, uint32_t events, PollHandler handler,
                   void *userdata) {
        struct epoll_event e = { .events = events, .data.ptr = w };

        assert(!poll_watch_is_on(w));
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
                return -errno;
        *w = (PollWatch){ s, fd, events, handler, userdata };
        s->n_watches++;
        return 0;
}

int poll_watch_change(PollWatch *w, uint32_t events) {
        struct epoll_event e = { .events = events, .data.ptr = w };

        if (w->events == events)
                return 0;
        if (epoll_ctl(w->set->epoll_fd, EPOLL_CTL_MOD, w->fd, &e) < 0)
                return -errno;
        w->events = events;
        return 0;
}

void poll_watch_drop(PollWatch *w) {
        PollSet *s = w->set;

        if (!s)
                return;
        (void) epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
        for (int i = s->next; i < s->n_ready; i++)
                if (s->ready[i].data.ptr == w)
                        s->ready[i].data.ptr = NULL;
        s->n_watches--;
        w->set = NULL;
}
