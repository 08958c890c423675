/* SPDX-License-Identifier: MIT */
#include "dns-server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPE_A     1
#define TYPE_CNAME 5
#define TYPE_AAAA  28

#define RCODE_SERVFAIL 2
#define RCODE_NXDOMAIN 3
#define FLAG_TRUNCATED 0x02

struct DnsServer {
        int udp, tcp, stop;
        uint16_t port;
        pthread_t thread;
        atomic_uint queries, mood;
};

typedef struct Reply {
        uint8_t bytes[40000];
        size_t n;
        unsigned answers;
} Reply;

static void put16(Reply *r, unsigned v) {
        r->bytes[r->n++] = (uint8_t) (v >> 8);
        r->bytes[r->n++] = (uint8_t) v;
}

/* A record whose owner is the name asked for. */
static void put_record(Reply *r, unsigned type, unsigned ttl, const void *data, size_t n) {
        put16(r, 0xc00c);
        put16(r, type);
        put16(r, 1);
        put16(r, ttl >> 16);
        put16(r, ttl);
        put16(r, (unsigned) n);
        memcpy(r->bytes + r->n, data, n);
        r->n += n;
        r->answers++;
}

static void put_address(Reply *r, unsigned type, unsigned ttl, const char *text) {
        uint8_t ip[16];

        inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, ip);
        put_record(r, type, ttl, ip, type == TYPE_A ? 4 : 16);
}

static void answer_mood(DnsServer *s, Reply *r, unsigned type, unsigned ttl) {
        switch ((DnsMood) s->mood) {
        case DNS_ANSWERS:
                if (type == TYPE_A)
                        put_address(r, TYPE_A, ttl, "192.0.2.7");
                break;
        case DNS_IS_SILENT:
                r->n = 0;
                break;
        case DNS_SERVFAIL:
                r->bytes[3] = RCODE_SERVFAIL;
                break;
        case DNS_NXDOMAIN:
                r->bytes[3] = RCODE_NXDOMAIN;
                break;
        }
}

/* 1,000 addresses do not fit a datagram: they are had by TCP alone. */
static void answer_many(Reply *r, unsigned type, bool is_tcp) {
        if (type != TYPE_A)
                return;
        if (!is_tcp) {
                r->bytes[2] |= FLAG_TRUNCATED;
                return;
        }
        for (unsigned i = 0; i < 1000; i++)
                put_record(r, TYPE_A, 60, (uint8_t[]){ 10, 0, (uint8_t) (i >> 8), (uint8_t) i }, 4);
}

static void answer(DnsServer *s, Reply *r, const char *label, unsigned type, bool is_tcp) {
        bool is_a = type == TYPE_A;

        if (strcmp(label, "one") == 0)
                put_address(r, type, 60, is_a ? "192.0.2.1" : "2001:db8::1");
        else if (strcmp(label, "six") == 0 && !is_a)
                put_address(r, type, 60, "2001:db8::6");
        else if (strcmp(label, "nx") == 0)
                r->bytes[3] = RCODE_NXDOMAIN;
        else if (strcmp(label, "fail") == 0)
                r->bytes[3] = RCODE_SERVFAIL;
        else if (strncmp(label, "hole", 4) == 0)
                r->n = 0;
        else if (strcmp(label, "many") == 0)
                answer_many(r, type, is_tcp);
        else if (strcmp(label, "changing") == 0 && is_a)
                put_address(r, type, 0, s->queries % 2 ? "192.0.2.11" : "192.0.2.12");
        else if (strcmp(label, "circle") == 0)
                put_record(r, TYPE_CNAME, 60, (uint8_t[]){ 0xc0, 0x0c }, 2);
        else if (strcmp(label, "mood") == 0)
                answer_mood(s, r, type, 0);
        else if (strcmp(label, "moodttl") == 0)
                answer_mood(s, r, type, 60);
        else if (strcmp(label, "loopback") == 0 && is_a)
                put_address(r, type, 60, "127.0.0.1");
        else if (strcmp(label, "mixed") == 0 && is_a) {
                put_address(r, type, 60, "127.0.0.2");
                put_address(r, type, 60, "127.0.0.1");
        }
}

static void reply_make(DnsServer *s, const uint8_t *query, size_t n, bool is_tcp, Reply *r) {
        char label[64] = "";
        size_t i = 12;
        unsigned type;

        *r = (Reply){};
        if (n < 17 || query[12] >= sizeof(label) || (size_t) query[12] + 13 > n)
                return;
        memcpy(label, query + 13, query[12]);
        while (i < n && query[i])
                i += query[i] + 1u;
        if (i + 5 > n)
                return;
        type = (unsigned) query[i + 1] << 8 | query[i + 2];
        s->queries += type == TYPE_A;
        memcpy(r->bytes, query, i + 5);
        r->n = i + 5;
        r->bytes[2] = 0x81;
        r->bytes[3] = 0;
        memset(r->bytes + 6, 0, 6);
        answer(s, r, label, type, is_tcp);
        r->bytes[3] |= 0x80;
        r->bytes[6] = (uint8_t) (r->answers >> 8);
        r->bytes[7] = (uint8_t) r->answers;
}

static void serve_udp(DnsServer *s) {
        struct sockaddr_in peer;
        socklen_t length = sizeof(peer);
        uint8_t query[512];
        static Reply reply;
        ssize_t n = recvfrom(s->udp, query, sizeof(query), 0, (struct sockaddr *) &peer, &length);

        if (n < 0)
                return;
        reply_make(s, query, (size_t) n, false, &reply);
        if (reply.n > 0)
                (void) sendto(s->udp, reply.bytes, reply.n, 0, (struct sockaddr *) &peer, length);
}

static void serve_tcp(DnsServer *s) {
        uint8_t query[514];
        static Reply reply;
        int fd = accept(s->tcp, NULL, NULL);
        ssize_t n;

        if (fd < 0)
                return;
        n = recv(fd, query, sizeof(query), 0);
        if (n > 2) {
                reply_make(s, query + 2, (size_t) n - 2, true, &reply);
                uint16_t length = htons((uint16_t) reply.n);
                (void) send(fd, &length, 2, MSG_MORE | MSG_NOSIGNAL);
                (void) send(fd, reply.bytes, reply.n, MSG_NOSIGNAL);
        }
        (void) recv(fd, query, sizeof(query), 0);
        close(fd);
}

static void *serve(void *userdata) {
        DnsServer *s = userdata;
        struct pollfd p[] = { { .fd = s->udp, .events = POLLIN },
                              { .fd = s->tcp, .events = POLLIN },
                              { .fd = s->stop, .events = POLLIN } };

        while (poll(p, ELEMENTSOF(p), -1) >= 0 && !p[2].revents) {
                if (p[0].revents)
                        serve_udp(s);
                if (p[1].revents)
                        serve_tcp(s);
        }
        return NULL;
}

DnsServer *dns_server_start(void) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(a);
        DnsServer *s = calloc(1, sizeof(*s));

        assert(s);
        for (;;) {
                a.sin_port = 0;
                s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (bind(s->udp, (struct sockaddr *) &a, sizeof(a)) == 0 &&
                    getsockname(s->udp, (struct sockaddr *) &a, &length) == 0 &&
                    bind(s->tcp, (struct sockaddr *) &a, sizeof(a)) == 0 && listen(s->tcp, 8) == 0)
                        break;
                close(s->udp);
                close(s->tcp);
        }
        s->port = ntohs(a.sin_port);
        s->stop = eventfd(0, EFD_CLOEXEC);
        if (pthread_create(&s->thread, NULL, serve, s) != 0)
                abort();
        return s;
}

DnsServer *dns_server_stop(DnsServer *s) {
        (void) eventfd_write(s->stop, 1);
        pthread_join(s->thread, NULL);
        close(s->udp);
        close(s->tcp);
        close(s->stop);
        free(s);
        return NULL;
}

uint16_t dns_server_port(const DnsServer *s) {
        return s->port;
}

void dns_server_set_mood(DnsServer *s, DnsMood mood) {
        s->mood = mood;
}

unsigned dns_server_queries(const DnsServer *s) {
        return s->queries;
}
