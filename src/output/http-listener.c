/* SPDX-License-Identifier: MIT */

/* The listening sockets of the HTTP server: who gets in, who has to go for it, and what happens
 * when there is nothing left to let anybody in with. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "output/http-connection.h"

/* How long nothing is accepted once accept() has failed for lack of something. */
#define PAUSE_USEC (100 * USEC_PER_MSEC)

void http_listeners_watch(HttpServer *s, uint32_t events) {
        LIST_FOREACH(i, &s->listeners) {
                HttpListener *l = list_item(i, HttpListener, link);
                struct epoll_event e = { .events = events, .data.ptr = &l->watch };

                if (epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, l->watch.fd, &e) < 0)
                        log_errno(LOG_WARNING, -errno, "Cannot watch a listening socket");
        }
}

static void server_pause(HttpServer *s) {
        if (s->resume_usec == 0)
                http_listeners_watch(s, 0);

        s->resume_usec = usec_add(s->now_usec, PAUSE_USEC);
        http_server_arm(s, s->resume_usec);
}

void http_listeners_resume(HttpServer *s) {
        if (s->resume_usec == 0 || s->is_stopping)
                return;

        if (s->resume_usec > s->now_usec)
                http_server_arm(s, s->resume_usec);
        else {
                s->resume_usec = 0;
                http_listeners_watch(s, EPOLLIN);
        }
}

/* Closes the connection that did nothing for longest, whatever it should be doing. */
static bool server_evict_oldest(HttpServer *s) {
        HttpConnection *oldest = NULL;

        for (HttpPhase p = 0; p < HTTP_PHASE_COUNT_; p++) {
                HttpConnection *c = list_first(&s->phases[p], HttpConnection, phase_link);

                if (c && (!oldest || c->since_usec < oldest->since_usec))
                        oldest = c;
        }
        if (!oldest)
                return false;

        http_connection_close(oldest);
        s->counters.evicted++;
        return true;
}

/* There is no fd for a connection: it gets the reserve's, or that of the connection which did
 * nothing for longest. So whoever probes gets in, whatever else has all the rest. */
static bool server_make_room(HttpServer *s) {
        if (s->reserve_fd < 0)
                return server_evict_oldest(s);
        s->reserve_fd = fd_close(s->reserve_fd);
        return true;
}

static int listener_take(const HttpListener *l, struct sockaddr_storage *ret) {
        socklen_t length = sizeof(*ret);
        int fd;

        fd = accept4(l->watch.fd, (struct sockaddr *) ret, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

void http_peer_set_address(HttpPeer *peer, const struct sockaddr_storage *ss) {
        if (ss->ss_family == AF_INET6)
                peer->address = ((const struct sockaddr_in6 *) (const void *) ss)->sin6_addr;
        else if (ss->ss_family == AF_INET) {
                const struct sockaddr_in *in = (const void *) ss;

                peer->address.s6_addr[10] = peer->address.s6_addr[11] = 0xff;
                memcpy(peer->address.s6_addr + 12, &in->sin_addr, sizeof(in->sin_addr));
        }
}

static void server_take(HttpServer *s, HttpListener *l, int fd, const struct sockaddr_storage *ss) {
        HttpPeer peer = { .is_trusted = l->is_trusted, .is_local = l->is_local };
        HttpConnection *c, *surplus = NULL;

        http_peer_set_address(&peer, ss);
        if (!peer.is_local)
                surplus = http_address_surplus(s, &peer.address);
        if (surplus) {
                http_connection_close(surplus);
                s->counters.evicted++;
        } else if (s->n_connections >= s->limits.connections)
                server_evict_oldest(s);

        s->counters.accepted++;
        if (http_connection_open(s, fd, &peer, &c) < 0) {
                s->counters.refused++;
                return;
        }

        /* The request is often there already. */
        http_connection_work(c);
}

void http_listener_accept(HttpServer *s, HttpListener *l) {
        struct sockaddr_storage ss = {};
        int fd;

        if (s->is_stopping || s->resume_usec != 0)
                return;

        s->budget--;
        fd = listener_take(l, &ss);
        if ((fd == -EMFILE || fd == -ENFILE) && server_make_room(s))
                fd = listener_take(l, &ss);
        if (fd >= 0) {
                server_take(s, l, fd, &ss);
                return;
        }

        switch (-fd) {
        case EAGAIN:
        case EINTR:
        case ECONNABORTED: /* the rest concern only a connection that is gone by now */
        case EPERM:
        case EPROTO:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ETIMEDOUT:
                return;
        default:
                /* The listener stays readable and would spin. */
                server_pause(s);
        }
}

static int listener_check(int fd, sa_family_t *ret_family) {
        struct sockaddr_storage ss = {};
        socklen_t length = sizeof(ss);
        int type = 0, is_listening = 0;

        if (getsockname(fd, (struct sockaddr *) &ss, &length) < 0)
                return -errno;
        length = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
                return -errno;
        length = sizeof(is_listening);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0)
                return -errno;
        if (type != SOCK_STREAM || !is_listening)
                return -EINVAL;

        *ret_family = ss.ss_family;
        return 0;
}

int http_server_listen(HttpServer *s, int fd, bool is_trusted) {
        _cleanup_free_ HttpListener *l = NULL;
        struct epoll_event e = { .events = EPOLLIN };
        sa_family_t family = AF_UNSPEC;
        const int one = 1;
        int r;

        r = listener_check(fd, &family);
        if (r < 0)
                return r;
        r = fcntl(fd, F_GETFL);
        if (r < 0 || fcntl(fd, F_SETFL, r | O_NONBLOCK) < 0)
                return -errno;

        l = malloc(sizeof(HttpListener));
        if (!l)
                return -ENOMEM;
        *l = (HttpListener){
                .watch = { .kind = HTTP_WATCH_LISTENER, .fd = fd },
                .is_trusted = is_trusted,
                .is_local = family == AF_UNIX,
        };

        /* Connections inherit it. Without it pipelined answers wait for the peer's delayed ACK. */
        if (!l->is_local && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
                log_errno(LOG_DEBUG, -errno, "Cannot set TCP_NODELAY");

        e.data.ptr = &l->watch;
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
                return -errno;

        list_append(&s->listeners, &l->link);
        l = NULL;
        return 0;
}
