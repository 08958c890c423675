/* SPDX-License-Identifier: MIT */
#include "io/datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "io/unix-socket.h"

#define SOCKET_MODE 0666

struct Datagrams {
        int fd;
        char *path;              /* owned; NULL until it is bound */
        sd_event_source *source; /* owned */
        DatagramHandler handler;
        void *userdata; /* borrowed */
};

static const struct ucred *find_sender(struct msghdr *m) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
                    c->cmsg_len == CMSG_LEN(sizeof(struct ucred)))
                        return (const struct ucred *) (const void *) CMSG_DATA(c);
        return NULL;
}

/* One datagram. False: none is left. */
static bool receive(Datagrams *d) {
        /* There is no room for descriptors beside the credentials, on purpose. */
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(struct ucred))];
        } control;
        char bytes[DATAGRAM_MAX];
        struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr m = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        const struct ucred *sender;
        ssize_t n;

        n = recvmsg(d->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EINTR;
        sender = find_sender(&m);
        if (!sender)
                return true;
        d->handler(d->userdata, m.msg_flags & MSG_TRUNC ? NULL : bytes, (size_t) n, sender);
        return true;
}

void datagrams_drain(Datagrams *d) {
        for (unsigned i = 0; i < DATAGRAMS_BATCH && receive(d); i++)
                ;
}

static int on_readable(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events,
                       void *userdata) {
        datagrams_drain(userdata);
        return 0;
}

Datagrams *datagrams_free(Datagrams *d) {
        if (!d)
                return NULL;
        sd_event_source_disable_unref(d->source);
        fd_close(d->fd);
        if (d->path)
                (void) unlink(d->path);
        free(d->path);
        free(d);
        return NULL;
}

int datagrams_new(sd_event *event, const char *path, DatagramHandler handler, void *userdata,
                  Datagrams **ret) {
        _cleanup_(datagrams_freep) Datagrams *d = calloc(1, sizeof(Datagrams));
        int r;

        if (!d)
                return -ENOMEM;
        d->fd = -1;
        d->handler = handler;
        d->userdata = userdata;
        r = unix_socket_bind(path, SOCK_DGRAM, SOCKET_MODE, &d->fd);
        if (r < 0)
                return r;
        d->path = strdup(path);
        if (!d->path)
                return -ENOMEM;
        if (setsockopt(d->fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        r = sd_event_add_io(event, &d->source, d->fd, EPOLLIN, on_readable, d);
        if (r < 0)
                return r;
        r = sd_event_source_set_ratelimit(d->source, DATAGRAMS_PAUSE_USEC, DATAGRAMS_TURNS);
        if (r < 0)
                return r;
        *ret = TAKE(d);
        return 0;
}
