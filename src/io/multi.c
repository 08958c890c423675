/* SPDX-License-Identifier: MIT */
#include "io/multi.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

/* A peer that vanished without a word is noticed on a kept connection, too. */
#define KEEPALIVE_IDLE_SEC     15
#define KEEPALIVE_INTERVAL_SEC 5
#define KEEPALIVE_PROBES       3
#define USER_TIMEOUT_MSEC      30000

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

/* Debian's libcurl brings in librtmp, and that GnuTLS, which nobody here uses. It asks for this
 * function before it sets itself up, see gnutls_global_init(3): that would cost each start a
 * millisecond and about a MiB of memory. The program is linked so that it is found. */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void) {
        return 1;
}

/* One connection's socket, from the first time that libcurl wants it polled until it is closed. Its
 * watch stays between transfers: that saves system calls, and it is what sees the peer
 * close an idle connection. */
typedef struct Socket {
        Multi *multi;
        int fd;          /* libcurl's */
        PollWatch watch; /* off: dead while idle */
        bool is_busy;    /* a transfer wants events */
        usec_t idle_since_usec;
        List watches;
} Socket;

struct Multi {
        PollSet *set; /* borrowed */
        CURLM *curl;  /* owned; NULL before the first transfer and after a breakdown */
        unsigned connections_max;
        sd_event_source *timer, *soon; /* owned */
        usec_t armed_usec;             /* when the timer fires; infinity: never */
        usec_t due_usec;               /* when libcurl wants to be called; infinity: never */
        List transfers;
        Socket **sockets; /* owned; by file descriptor */
        size_t n_sockets;
};

/* -- sockets ----------------------------------------------------------------------------------- */

static Socket *socket_find(Multi *m, int fd) {
        return (size_t) fd < m->n_sockets ? m->sockets[fd] : NULL;
}

/* Forgets a socket that is about to be closed or is closed already. */
static void socket_forget(Multi *m, int fd) {
        Socket *s = socket_find(m, fd);

        if (!s)
                return;
        LIST_FOREACH_SAFE(link, &s->watches)
                list_unlink(link);
        poll_watch_drop(&s->watch);
        m->sockets[fd] = NULL;
        free(s);
}

static int socket_make(Multi *m, int fd, Socket **ret) {
        Socket *s;

        if ((size_t) fd >= m->n_sockets) {
                size_t n = MAX((size_t) fd + 1, 2 * m->n_sockets);
                Socket **p = reallocarray(m->sockets, n, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                memset(p + m->n_sockets, 0, (n - m->n_sockets) * sizeof(*p));
                m->sockets = p;
                m->n_sockets = n;
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->multi = m;
        s->fd = fd;
        list_init(&s->watches);
        *ret = m->sockets[fd] = s;
        return 0;
}

/* The time at which the present turn of the loop began. */
static usec_t multi_now(const Multi *m) {
        usec_t now = 0;

        (void) sd_event_now(poll_set_event(m->set), CLOCK_MONOTONIC, &now);
        return now;
}

static void socket_closed_by_peer(Socket *s) {
        usec_t idle_usec = usec_sub(multi_now(s->multi), s->idle_since_usec);
        List closed = LIST_INIT(closed);

        /* The connection stays in libcurl's pool until it looks at it; nothing more can happen. */
        poll_watch_drop(&s->watch);
        LIST_FOREACH_SAFE(link, &s->watches) {
                list_unlink(link);
                list_append(&closed, link);
        }
        while (!list_is_empty(&closed)) {
                PeerWatch *w = list_first(&closed, PeerWatch, link);

                list_unlink(&w->link);
                w->handler(w->userdata, idle_usec);
        }
}

/* -- transfers --------------------------------------------------------------------------------- */

static void transfer_detach(Transfer *t) {
        list_unlink(&t->link);
        if (t->multi->curl)
                (void) curl_multi_remove_handle(t->multi->curl, t->easy);
}

/* The reply was there so soon that libcurl never asked for events. */
static void transfer_find_socket(Transfer *t) {
        curl_socket_t fd = CURL_SOCKET_BAD;
        Socket *s;

        (void) curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd);
        if (fd == CURL_SOCKET_BAD)
                return;
        s = socket_find(t->multi, fd);
        if (s || socket_make(t->multi, fd, &s) >= 0)
                t->fd = fd;
}

/* After an error libcurl no longer knows the state of any transfer. */
static void multi_break_down(Multi *m, CURLMcode code) {
        List broken = LIST_INIT(broken);

        log_error("libcurl's transfers start anew: %s", curl_multi_strerror(code));
        LIST_FOREACH_SAFE(link, &m->transfers) {
                transfer_detach(list_item(link, Transfer, link));
                list_append(&broken, link);
        }
        (void) curl_multi_cleanup(m->curl);
        m->curl = NULL;
        while (!list_is_empty(&broken)) {
                Transfer *t = list_first(&broken, Transfer, link);

                list_unlink(&t->link);
                t->handler(t->userdata, CURLE_ABORTED_BY_CALLBACK);
        }
}

static void multi_collect(Multi *m) {
        CURLMsg *message;
        int n_left;

        while (m->curl && (message = curl_multi_info_read(m->curl, &n_left))) {
                CURLcode code = message->data.result;
                char *private = NULL;
                Transfer *t;

                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
                t = (Transfer *) (void *) private;
                if (t->fd < 0)
                        transfer_find_socket(t);
                transfer_detach(t);
                t->handler(t->userdata, code);
        }
}

static void multi_act(Multi *m, curl_socket_t fd, int mask) {
        CURLMcode code;
        int n_running;

        if (!m->curl)
                return;
        code = curl_multi_socket_action(m->curl, fd, mask, &n_running);
        if (code == CURLM_OK)
                multi_collect(m);
        else
                multi_break_down(m, code);
}

/* -- events ------------------------------------------------------------------------------------ */

static void on_socket(void *userdata, uint32_t revents) {
        Socket *s = userdata;
        int mask = 0;

        if (!s->is_busy && revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                socket_closed_by_peer(s);
                return;
        }
        if (!s->is_busy) {
                /* Bytes that nobody asked for, e.g. session tickets: libcurl reads them with the
                 * next reply. */
                (void) poll_watch_change(&s->watch, EPOLLRDHUP);
                return;
        }
        if (revents & (EPOLLIN | EPOLLRDHUP))
                mask |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                mask |= CURL_CSELECT_OUT;
        if (revents & (EPOLLHUP | EPOLLERR))
                mask |= CURL_CSELECT_ERR;
        multi_act(s->multi, s->fd, mask);
}

static int on_soon(sd_event_source *source _unused_, void *userdata) {
        Multi *m = userdata;

        m->due_usec = USEC_INFINITY;
        multi_act(m, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

/* Arms the timer, unless it fires soon enough already: libcurl changes its mind with every
 * transfer, and each change of a timer costs a system call. */
static int multi_arm(Multi *m) {
        int r;

        if (m->armed_usec <= m->due_usec)
                return 0;
        r = sd_event_source_set_time(m->timer, m->due_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
        if (r >= 0)
                m->armed_usec = m->due_usec;
        return r;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Multi *m = userdata;

        m->armed_usec = USEC_INFINITY;
        if (m->due_usec > clock_usec(CLOCK_MONOTONIC)) {
                (void) multi_arm(m);
                return 0;
        }
        m->due_usec = USEC_INFINITY;
        multi_act(m, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

/* -- what libcurl calls: -1 makes the multi dead, and multi_act() sees it -----------------------
 */

static int timer_wanted(CURLM *curl _unused_, long timeout_msec, void *userdata) {
        Multi *m = userdata;
        int r;

        if (timeout_msec < 0) {
                m->due_usec = USEC_INFINITY;
                return 0;
        }
        m->due_usec = usec_add(clock_usec(CLOCK_MONOTONIC),
                               usec_mul(USEC_PER_MSEC, (uint64_t) timeout_msec));
        if (timeout_msec == 0)
                r = sd_event_source_set_enabled(m->soon, SD_EVENT_ONESHOT);
        else
                r = multi_arm(m);
        return r < 0 ? -1 : 0;
}

static int socket_poll(Socket *s, uint32_t events) {
        if (poll_watch_is_on(&s->watch))
                return poll_watch_change(&s->watch, events);
        return poll_watch_add(&s->watch, s->multi->set, s->fd, events, on_socket, s);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *userdata,
                         void *per_socket _unused_) {
        static const uint32_t events[] = {
                [CURL_POLL_IN] = EPOLLIN | EPOLLRDHUP,
                [CURL_POLL_OUT] = EPOLLOUT,
                [CURL_POLL_INOUT] = EPOLLIN | EPOLLRDHUP | EPOLLOUT,
        };
        Multi *m = userdata;
        Socket *s = socket_find(m, fd);
        char *private = NULL;

        if (what == CURL_POLL_REMOVE) {
                if (!s)
                        return 0;
                s->is_busy = false;
                s->idle_since_usec = multi_now(m);
                /* Of two connection attempts libcurl closes the loser without a word. */
                if (fcntl(fd, F_GETFD) < 0)
                        socket_forget(m, fd);
                return 0;
        }
        if (what <= CURL_POLL_NONE || (size_t) what >= ELEMENTSOF(events))
                return 0;
        if (!s && socket_make(m, fd, &s) < 0)
                return -1;
        if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK && private) {
                Transfer *t = (Transfer *) (void *) private;

                t->fd = fd;
                if (!s->is_busy && s->idle_since_usec > 0)
                        t->idle_usec = usec_sub(multi_now(m), s->idle_since_usec);
        }
        s->is_busy = true;
        return socket_poll(s, events[what]) < 0 ? -1 : 0;
}

static void socket_keep_alive(int fd) {
        static const struct {
                int level, option, value;
        } table[] = {
                { SOL_SOCKET, SO_KEEPALIVE, 1 },
                { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC },
                { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC },
                { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
                { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MSEC },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                (void) setsockopt(fd, table[i].level, table[i].option, &table[i].value,
                                  sizeof(table[i].value));
}

static curl_socket_t socket_opened(void *userdata, curlsocktype purpose _unused_,
                                   struct curl_sockaddr *address) {
        Transfer *t = userdata;
        Multi *m = t->multi;
        Socket *s;
        int fd, r;

        t->n_dialled++;
        fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    address->protocol);
        if (fd < 0) {
                t->socket_error = errno;
                return CURL_SOCKET_BAD;
        }
        if (address->family != AF_UNIX)
                socket_keep_alive(fd);
        /* The number of a connection attempt that libcurl closed without a word: it takes the new
         * socket for the old one and will not ask for events again. */
        s = socket_find(m, fd);
        if (!s)
                return fd;
        poll_watch_drop(&s->watch);
        r = socket_poll(s, s->watch.events);
        if (r >= 0)
                return fd;
        t->socket_error = -r;
        fd_close(fd);
        return CURL_SOCKET_BAD;
}

static bool socket_is_dead(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLRDHUP };

        return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* libcurl may find out before us that the peer is gone, when another transfer is to use the
 * connection: those who watch it must hear of that all the same. */
static int socket_closed(void *userdata, curl_socket_t fd) {
        Socket *s = socket_find(userdata, fd);

        if (s && !list_is_empty(&s->watches) && socket_is_dead(fd))
                socket_closed_by_peer(s);
        socket_forget(userdata, fd);
        fd_close(fd);
        return 0;
}

/* -- entry points ------------------------------------------------------------------------------ */

static int multi_ensure(Multi *m) {
        CURLM *curl;

        if (m->curl)
                return 0;
        curl = curl_multi_init();
        if (!curl)
                return -ENOMEM;
        (void) curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, socket_wanted);
        (void) curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, m);
        (void) curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, timer_wanted);
        (void) curl_multi_setopt(curl, CURLMOPT_TIMERDATA, m);
        /* A connection serves one transfer at a time, by HTTP/2 too: one that hangs must not be the
         * others' fault. */
        (void) curl_multi_setopt(curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
        (void) curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, (long) m->connections_max);
        m->curl = curl;
        return 0;
}

int multi_new(PollSet *set, unsigned connections_max, Multi **ret) {
        _cleanup_(multi_freep) Multi *m = NULL;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->set = set;
        m->connections_max = connections_max;
        m->armed_usec = m->due_usec = USEC_INFINITY;
        list_init(&m->transfers);
        r = sd_event_add_time(poll_set_event(set), &m->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              TIMER_ACCURACY_USEC, on_timer, m);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = sd_event_add_defer(poll_set_event(set), &m->soon, on_soon, m);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(m->soon, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(m);
        return 0;
}

Multi *multi_free(Multi *m) {
        if (!m)
                return NULL;
        assert(list_is_empty(&m->transfers));
        if (m->curl)
                (void) curl_multi_cleanup(m->curl);
        for (size_t i = 0; i < m->n_sockets; i++)
                socket_forget(m, (int) i);
        free(m->sockets);
        sd_event_source_disable_unref(m->timer);
        sd_event_source_disable_unref(m->soon);
        free(m);
        return NULL;
}

int multi_add(Multi *m, Transfer *t, CURL *easy, TransferHandler handler, void *userdata) {
        CURLMcode code;
        int r;

        assert(!list_is_linked(&t->link));
        r = multi_ensure(m);
        if (r < 0)
                return r;
        *t = (Transfer){
                .multi = m, .easy = easy, .handler = handler, .userdata = userdata, .fd = -1
        };
        (void) curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
        (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void) curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        (void) curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_opened);
        (void) curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
        (void) curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_closed);
        (void) curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
        code = curl_multi_add_handle(m->curl, easy);
        if (code != CURLM_OK)
                return -ENOMEM;
        list_append(&m->transfers, &t->link);
        return 0;
}

void multi_remove(Transfer *t) {
        if (!list_is_linked(&t->link))
                return;
        transfer_detach(t);
}

bool multi_watch(const Transfer *t, PeerWatch *w, PeerClosedHandler handler, void *userdata) {
        Multi *m = t->multi;
        Socket *s;

        assert(!list_is_linked(&w->link));
        s = t->fd >= 0 ? socket_find(m, t->fd) : NULL;
        if (!s || s->is_busy ||
            (!poll_watch_is_on(&s->watch) && socket_poll(s, EPOLLIN | EPOLLRDHUP) < 0))
                return false;
        s->idle_since_usec = multi_now(m);
        w->handler = handler;
        w->userdata = userdata;
        list_append(&s->watches, &w->link);
        return true;
}

void peer_watch_drop(PeerWatch *w) {
        list_unlink(&w->link);
}
