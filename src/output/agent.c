/* SPDX-License-Identifier: MIT */
#include "output/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "output/http-gate.h"
#include "output/summary.h"

/* HAProxy sends its line, if any, as soon as it is connected. */
#define LINE_USEC (100 * USEC_PER_MSEC)

/* How long the peer may take to close after the answer: closing first, with bytes unread, would
 * reset the connection and lose the answer. */
#define LINGER_USEC USEC_PER_SEC

/* Beyond that the oldest goes, so that a load balancer always gets in. */
#define CONNECTIONS_MAX 256

/* What a flood of connections may take of the loop, and what saves it from spinning without fds. */
#define ACCEPTS_PER_PERIOD 64
#define ACCEPT_PERIOD_USEC (100 * USEC_PER_MSEC)

#define TIMER_ACCURACY_USEC (5 * USEC_PER_MSEC)
#define LINE_MAX_BYTES      (NAME_LENGTH_MAX + 2)

struct Agent {
        sd_event *event;      /* owned reference */
        Publisher *publisher; /* borrowed */
        HttpProbers *probers; /* borrowed */
        List listeners;
        List connections; /* the oldest first */
        unsigned n_connections;
};

typedef struct AgentListener {
        ListLink link;
        Agent *agent;                      /* borrowed */
        int fd;                            /* owned */
        sd_event_source *source;           /* owned */
        char service[NAME_LENGTH_MAX + 1]; /* empty: as the peer asks */
} AgentListener;

typedef struct AgentConnection {
        ListLink link;
        Agent *agent; /* borrowed */
        HttpPeer peer;
        int fd;                      /* owned */
        sd_event_source *io, *timer; /* owned */
        char line[LINE_MAX_BYTES + 1];
        size_t n;
        bool is_answered;
} AgentConnection;

/* -- the answer -------------------------------------------------------------------------------- */

/* Why it is down, for HAProxy's log and statistics: "redis refused". */
static void agent_why(char buf[static AGENT_ANSWER_MAX], const Snapshot *s, size_t service,
                      const Verdict *v) {
        size_t worst = service;
        char reason[REASON_WORD_MAX];

        if (v->reason != REASON_NONE) {
                snprintf(buf, AGENT_ANSWER_MAX, "%s", reason_to_string(v->reason));
                return;
        }
        if (worst == INDEX_NONE)
                worst = summary_worst_service(s);
        worst = worst == INDEX_NONE ? INDEX_NONE : summary_worst_check(s, worst);
        if (worst == INDEX_NONE) {
                snprintf(buf, AGENT_ANSWER_MAX, "%s", verdict_summary(v));
                return;
        }
        reason_format(reason, s->checks[worst]->reason, s->checks[worst]->detail);
        snprintf(buf, AGENT_ANSWER_MAX, "%s %s", s->checks[worst]->config->public_name,
                 *reason ? reason : health_to_string(s->checks[worst]->state));
}

void agent_answer(char buf[static AGENT_ANSWER_MAX], const Snapshot *s, size_t service) {
        const Verdict *v = service == INDEX_NONE ? &s->host : &s->services[service].verdict;
        char why[AGENT_ANSWER_MAX];

        /* "ready" ends what an earlier answer began: HAProxy keeps drain and maint until then. */
        if (v->ready == READINESS_READY && v->live == LIVENESS_ALIVE)
                snprintf(buf, AGENT_ANSWER_MAX, "up ready %" PRIu64 "%%",
                         v->is_degraded ? s->config->agent.degraded_weight : 100);
        else if (v->reason == REASON_DRAINED)
                snprintf(buf, AGENT_ANSWER_MAX, "up drain");
        else if (v->is_inactive)
                snprintf(buf, AGENT_ANSWER_MAX, "maint");
        else {
                agent_why(why, s, service, v);
                snprintf(buf, AGENT_ANSWER_MAX, "ready down #%.*s", AGENT_ANSWER_MAX - 16, why);
        }
}

/* -- connections ------------------------------------------------------------------------------- */

static AgentConnection *connection_free(AgentConnection *c) {
        if (!c)
                return NULL;
        if (list_is_linked(&c->link)) {
                list_unlink(&c->link);
                c->agent->n_connections--;
        }
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        fd_close(c->fd);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(AgentConnection *, connection_free);

/* Who asks here is a prober like those who ask for the same by HTTP. */
static void connection_note(const AgentConnection *c, const Snapshot *s, size_t service) {
        static const char agent[] = "agent-check";
        const Verdict *v = service == INDEX_NONE ? &s->host : &s->services[service].verdict;
        bool is_ready = v->ready == READINESS_READY && v->live == LIVENESS_ALIVE;
        char path[HTTP_PROBER_ROUTE_MAX];
        HttpRequest request = { .user_agent = { agent, strlen(agent) } };

        snprintf(path, sizeof(path), "/health/ready%s%s", service == INDEX_NONE ? "" : "/",
                 service == INDEX_NONE ? "" : s->config->services[service].name);
        request.path = (HttpSlice){ path, strlen(path) };
        http_probers_note(c->agent->probers, &request, &c->peer, is_ready ? 200 : 503, is_ready,
                          clock_usec(CLOCK_MONOTONIC));
}

/* A name that nobody has is down: a spelling mistake must not look like a server that works. */
static void connection_answer(AgentConnection *c, const char *name) {
        const Snapshot *s = publisher_current(c->agent->publisher);
        char buf[AGENT_ANSWER_MAX + 1] = "down #starting";
        size_t service = INDEX_NONE;

        if (s && *name)
                service = config_find_service(s->config, name);
        if (s && *name && service == INDEX_NONE)
                snprintf(buf, sizeof(buf), "down #no service of that name");
        else if (s) {
                agent_answer(buf, s, service);
                connection_note(c, s, service);
        }
        strcat(buf, "\n");

        c->is_answered = true;
        if (send(c->fd, buf, strlen(buf), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ||
            shutdown(c->fd, SHUT_WR) < 0)
                log_errno(LOG_DEBUG, -errno, "Cannot answer an agent check");
        sd_event_source_set_time_relative(c->timer, LINGER_USEC);
        sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* Names hold no blanks, and what else stands there nobody has. */
static void connection_answer_line(AgentConnection *c) {
        c->line[strcspn(c->line, "\r\n")] = 0;
        connection_answer(c, c->line);
}

static int on_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        AgentConnection *c = userdata;
        ssize_t n;

        if (c->is_answered) {
                connection_free(c);
                return 0;
        }
        /* It may be us who was late, and the line may be there. */
        n = recv(c->fd, c->line + c->n, LINE_MAX_BYTES - c->n, MSG_DONTWAIT);
        if (n > 0)
                c->n += (size_t) n;
        connection_answer_line(c);
        return 0;
}

static int on_io(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        AgentConnection *c = userdata;
        char rest[512];
        ssize_t n;

        if (c->is_answered || c->n >= LINE_MAX_BYTES)
                n = recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
        else
                n = recv(fd, c->line + c->n, LINE_MAX_BYTES - c->n, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0 || (n == 0 && c->is_answered)) {
                connection_free(c);
                return 0;
        }
        if (c->is_answered)
                return 0;
        c->n += (size_t) n;
        if (n == 0 || strpbrk(c->line, "\r\n") || c->n >= LINE_MAX_BYTES)
                connection_answer_line(c);
        return 0;
}

static int connection_open(const AgentListener *l, int fd, const HttpPeer *peer) {
        _cleanup_(connection_freep) AgentConnection *c = calloc(1, sizeof(AgentConnection));
        Agent *a = l->agent;
        int r;

        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }
        c->agent = a;
        c->peer = *peer;
        c->fd = fd;
        r = sd_event_add_io(a->event, &c->io, fd, EPOLLIN, on_io, c);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(a->event, &c->timer, CLOCK_MONOTONIC, LINE_USEC,
                                       TIMER_ACCURACY_USEC, on_timer, c);
        if (r < 0)
                return r;
        if (a->n_connections >= CONNECTIONS_MAX)
                connection_free(list_first(&a->connections, AgentConnection, link));
        list_append(&a->connections, &c->link);
        a->n_connections++;
        if (*l->service)
                connection_answer(c, l->service);
        c = NULL;
        return 0;
}

/* -- listeners --------------------------------------------------------------------------------- */

static int on_accept(sd_event_source *s _unused_, int fd, uint32_t events _unused_,
                     void *userdata) {
        const AgentListener *l = userdata;
        const Snapshot *snapshot = publisher_current(l->agent->publisher);
        struct sockaddr_storage ss = {};
        socklen_t length = sizeof(ss);
        HttpPeer peer = {};
        int r;

        r = accept4(fd, (struct sockaddr *) &ss, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (r < 0)
                return 0;
        peer.is_local = ss.ss_family == AF_UNIX;
        http_peer_set_address(&peer, &ss);
        if (snapshot && !http_gate_lets_in(&snapshot->config->http, &peer)) {
                fd_close(r);
                return 0;
        }
        r = connection_open(l, r, &peer);
        if (r < 0)
                log_errno(LOG_WARNING, r, "Cannot take an agent check");
        return 0;
}

static AgentListener *listener_free(AgentListener *l) {
        if (!l)
                return NULL;
        if (list_is_linked(&l->link))
                list_unlink(&l->link);
        sd_event_source_disable_unref(l->source);
        fd_close(l->fd);
        free(l);
        return NULL;
}
DEFINE_CLEANUP(AgentListener *, listener_free);

int agent_listen(Agent *a, int fd, const char *service) {
        _cleanup_(listener_freep) AgentListener *l = calloc(1, sizeof(AgentListener));
        int r;

        if (!l)
                return -ENOMEM;
        l->fd = -1;
        l->agent = a;
        snprintf(l->service, sizeof(l->service), "%s", service);
        r = fcntl(fd, F_GETFL);
        if (r < 0 || fcntl(fd, F_SETFL, r | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(a->event, &l->source, fd, EPOLLIN, on_accept, l);
        if (r < 0)
                return r;
        r = sd_event_source_set_ratelimit(l->source, ACCEPT_PERIOD_USEC, ACCEPTS_PER_PERIOD);
        if (r < 0)
                return r;
        l->fd = fd;
        list_append(&a->listeners, &l->link);
        l = NULL;
        return 0;
}

int agent_new(sd_event *event, Publisher *publisher, HttpProbers *probers, Agent **ret) {
        Agent *a = calloc(1, sizeof(Agent));

        if (!a)
                return -ENOMEM;
        a->event = sd_event_ref(event);
        a->publisher = publisher;
        a->probers = probers;
        list_init(&a->listeners);
        list_init(&a->connections);
        *ret = a;
        return 0;
}

Agent *agent_free(Agent *a) {
        if (!a)
                return NULL;
        LIST_FOREACH_SAFE(i, &a->connections)
                connection_free(list_item(i, AgentConnection, link));
        LIST_FOREACH_SAFE(i, &a->listeners)
                listener_free(list_item(i, AgentListener, link));
        sd_event_unref(a->event);
        free(a);
        return NULL;
}
