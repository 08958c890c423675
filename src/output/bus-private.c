/* SPDX-License-Identifier: MIT */
#include "output/bus-private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "io/unix-socket.h"

#define PAUSE_ACCURACY_USEC (10 * USEC_PER_MSEC)

/* For root, the daemon's own user and its group, like the HTTP unix socket. Not for everybody:
 * sd-bus buffers messages of up to 128 MiB for each peer, and only the bus' daemon bounds that. */
#define SOCKET_MODE 0660

struct BusPrivate {
        Bus *bus;
        int fd;
        char *path;                /* owned; NULL until it is bound */
        sd_event_source *accept;   /* owned */
        sd_event_source *resume;   /* owned: accepts again after a pause */
        sd_event_source *catch_up; /* owned: while any peer is fresh */
};

/* sd-bus takes bytes behind the handshake in with it and then waits for more to come: what a peer
 * sent in one piece with it would be looked at only with its next message. */
static int on_handshake_done(_unused_ sd_bus_message *m, void *userdata,
                             _unused_ sd_bus_error *error) {
        BusLink *l = userdata;

        l->is_fresh = true;
        sd_event_source_set_enabled(l->bus->private->catch_up, SD_EVENT_ON);
        return 0;
}

static int on_catch_up(sd_event_source *source, void *userdata) {
        BusPrivate *p = userdata;
        bool is_done = true;
        int r;

        LIST_FOREACH(i, &p->bus->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (!l->is_fresh || l->is_doomed)
                        continue;
                r = sd_bus_process(l->connection, NULL);
                if (r < 0)
                        bus_link_doom(l);
                l->is_fresh = r > 0;
                is_done = is_done && !l->is_fresh;
        }
        if (is_done)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_gone(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        bus_link_doom(userdata);
        return 0;
}

/* The peer whose last request is longest ago makes room for a new one. */
static int make_room(BusPrivate *p, uid_t uid) {
        bool is_trusted = uid == 0 || uid == geteuid();
        unsigned n = 0, n_of_user = 0;
        BusLink *idle = NULL;

        LIST_FOREACH(i, &p->bus->links) {
                BusLink *l = list_item(i, BusLink, links);

                if (!l->is_peer || l->is_doomed)
                        continue;
                n++;
                n_of_user += l->uid == uid;
                if (!idle || l->used_usec < idle->used_usec)
                        idle = l;
        }
        if (!is_trusted && n_of_user >= BUS_PEERS_PER_USER_MAX)
                return -EUSERS;
        if (n >= BUS_PEERS_MAX)
                bus_link_doom(idle);
        return 0;
}

static int server_new(int fd, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        if ((r = sd_id128_randomize(&id)) < 0 || (r = sd_bus_set_server(bus, true, id)) < 0 ||
            (r = sd_bus_set_description(bus, "private peer")) < 0 ||
            (r = sd_bus_set_connected_signal(bus, true)) < 0 ||
            (r = sd_bus_set_sender(bus, BUS_NAME)) < 0)
                return r;
        *ret = TAKE(bus);
        return 0;
}

/* Takes over fd. */
static int peer_add(BusPrivate *p, int fd) {
        static const char local[] = "org.freedesktop.DBus.Local";
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        _cleanup_(bus_link_freep) BusLink *l = NULL;
        struct ucred who;
        socklen_t n = sizeof(who);
        int r;

        r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ? -errno : make_room(p, who.uid);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        r = server_new(fd, &bus);
        if (r < 0)
                return r;
        r = bus_link_new(p->bus, bus, &l);
        if (r < 0)
                return r;
        l->is_peer = true;
        l->uid = who.uid;
        l->pid = who.pid;
        if ((r = sd_bus_match_signal_async(bus, NULL, local, NULL, local, "Connected",
                                           on_handshake_done, NULL, l)) < 0 ||
            (r = sd_bus_match_signal_async(bus, NULL, local, NULL, local, "Disconnected", on_gone,
                                           NULL, l)) < 0 ||
            (r = sd_bus_start(bus)) < 0 ||
            (r = sd_bus_attach_event(bus, p->bus->event, BUS_PRIORITY)) < 0)
                return r;
        TAKE(l);
        return 0;
}

/* Without file descriptors to accept with, the listener would be ready for ever. */
static void pause_accepting(BusPrivate *p) {
        uint64_t now = clock_usec(CLOCK_MONOTONIC);

        sd_event_source_set_enabled(p->accept, SD_EVENT_OFF);
        sd_event_source_set_time(p->resume, now + BUS_PRIVATE_ACCEPT_PAUSE_USEC);
        sd_event_source_set_enabled(p->resume, SD_EVENT_ONESHOT);
}

static int on_resume(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        BusPrivate *p = userdata;

        sd_event_source_set_enabled(p->accept, SD_EVENT_ON);
        return 0;
}

static int on_accept(_unused_ sd_event_source *s, int listener, _unused_ uint32_t events,
                     void *userdata) {
        BusPrivate *p = userdata;
        int fd, r;

        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        pause_accepting(p);
                return 0;
        }
        r = peer_add(p, fd);
        if (r < 0)
                log_errno(LOG_DEBUG, r, "Private socket: connection refused");
        return 0;
}

BusPrivate *bus_private_free(BusPrivate *p) {
        if (!p)
                return NULL;
        sd_event_source_disable_unref(p->accept);
        sd_event_source_disable_unref(p->resume);
        sd_event_source_disable_unref(p->catch_up);
        fd_close(p->fd);
        if (p->path)
                (void) unlink(p->path);
        free(p->path);
        free(p);
        return NULL;
}

int bus_private_new(Bus *b, const char *directory, BusPrivate **ret) {
        _cleanup_(bus_private_freep) BusPrivate *p = NULL;
        _cleanup_strbuf_ StrBuf path = {};
        int r;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->bus = b;
        p->fd = -1;
        strbuf_printf(&path, "%s/%s", directory, BUS_PRIVATE_NAME);
        if (path.failed)
                return -ENOMEM;
        r = unix_socket_bind(path.text, SOCK_STREAM, SOCKET_MODE, &p->fd);
        if (r < 0)
                return r;
        r = strbuf_finish(&path, &p->path);
        if (r < 0)
                return r;
        if (listen(p->fd, SOMAXCONN) < 0)
                return -errno;
        if ((r = sd_event_add_io(b->event, &p->accept, p->fd, EPOLLIN, on_accept, p)) < 0 ||
            (r = sd_event_source_set_priority(p->accept, BUS_PRIORITY)) < 0 ||
            (r = sd_event_add_time(b->event, &p->resume, CLOCK_MONOTONIC, 0, PAUSE_ACCURACY_USEC,
                                   on_resume, p)) < 0 ||
            (r = sd_event_source_set_enabled(p->resume, SD_EVENT_OFF)) < 0 ||
            (r = sd_event_add_defer(b->event, &p->catch_up, on_catch_up, p)) < 0 ||
            (r = sd_event_source_set_priority(p->catch_up, BUS_PRIORITY)) < 0 ||
            (r = sd_event_source_set_enabled(p->catch_up, SD_EVENT_OFF)) < 0)
                return r;
        *ret = TAKE(p);
        return 0;
}
