/* SPDX-License-Identifier: MIT */
#include "io/tcp-count.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

#define ANSWER_BYTES 32768

static int ask(int fd, int family, uint16_t port) {
        struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 question;
        } request = {
                .header = {
                        .nlmsg_len = sizeof(request),
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                },
                .question = {
                        .sdiag_family = (uint8_t) family,
                        .sdiag_protocol = IPPROTO_TCP,
                        .idiag_states = 1U << TCP_ESTABLISHED,
                        .id.idiag_sport = htons(port),
                },
        };

        return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* 1: there is more, 0: that was the last. The messages are copied out: the kernel's macros for
 * walking over them cast what they get. */
static int count_messages(const char *answer, size_t n, uint64_t *count) {
        struct nlmsghdr m;

        for (size_t at = 0; at + sizeof(m) <= n; at += NLMSG_ALIGN((size_t) m.nlmsg_len)) {
                memcpy(&m, answer + at, sizeof(m));
                if (m.nlmsg_len < sizeof(m) || m.nlmsg_len > n - at)
                        return -EBADMSG;
                if (m.nlmsg_type == NLMSG_DONE)
                        return 0;
                if (m.nlmsg_type == NLMSG_ERROR) {
                        int error = 0;

                        if (m.nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
                                memcpy(&error, answer + at + NLMSG_HDRLEN, sizeof(error));
                        return error < 0 ? error : -EBADMSG;
                }
                *count += m.nlmsg_type == SOCK_DIAG_BY_FAMILY;
        }
        return 1;
}

static int count_family(int fd, int family, uint16_t port, uint64_t *count) {
        char answer[ANSWER_BYTES];
        int r;

        r = ask(fd, family, port);
        if (r < 0)
                return r;
        do {
                ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

                if (n < 0)
                        return -errno;
                r = count_messages(answer, (size_t) n, count);
        } while (r > 0);
        return r;
}

int tcp_count_established(uint16_t port, uint64_t *ret) {
        static const int families[] = { AF_INET, AF_INET6 };
        _cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        uint64_t count = 0;

        if (fd < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                int r = count_family(fd, families[i], port, &count);

                /* A kernel without IPv6 has no such connections. */
                if (r < 0 && !(r == -ENOENT && families[i] == AF_INET6))
                        return r;
        }
        *ret = count;
        return 0;
}
