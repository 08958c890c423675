/* SPDX-License-Identifier: MIT */
#include "listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "io/unix-socket.h"

#define BACKLOG          1024
#define UNIX_SOCKET_MODE 0660

static const char *const default_addresses[] = { "127.0.0.1:9911", "[::1]:9911", NULL };

void listen_sockets_done(ListenSockets *l) {
        for (size_t i = 0; i < l->n; i++)
                fd_close(l->items[i].fd);
        free(l->items);
        *l = (ListenSockets){};
}

/* agent: NULL for HTTP, else the service for which the socket answers, or "". */
static int listen_sockets_add(ListenSockets *l, int fd, const Address *address, const char *agent) {
        ListenSocket *items = reallocarray(l->items, l->n + 1, sizeof(ListenSocket));

        if (!items)
                return -ENOMEM;
        l->items = items;
        items[l->n] = (ListenSocket){
                .fd = fd,
                .is_trusted = address->kind == ADDRESS_UNIX,
                .is_agent = agent,
        };
        address_format(items[l->n].text, address);
        snprintf(items[l->n].service, sizeof(items[l->n].service), "%s", agent ? agent : "");
        l->n++;
        return 0;
}

/* -- sockets of our own ------------------------------------------------------------------------ */

static int bind_ip(const Address *address, int *ret) {
        _cleanup_fd_ int fd = -1;
        const int yes = 1;
        socklen_t length;
        SockAddr sa;
        int r;

        r = address_sockaddr(address, &sa, &length);
        if (r < 0)
                return r;
        fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (sa.sa.sa_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
        if (bind(fd, &sa.sa, length) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int bind_and_listen(const Address *address, int *ret) {
        _cleanup_fd_ int fd = -1;
        int r;

        r = address->kind == ADDRESS_UNIX
                    ? unix_socket_bind(address->name, SOCK_STREAM, UNIX_SOCKET_MODE, &fd)
                    : bind_ip(address, &fd);
        if (r < 0)
                return r;
        if (listen(fd, BACKLOG) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_one(ListenSockets *l, const char *text, const char *agent) {
        _cleanup_fd_ int fd = -1;
        Address address = {};
        const char *error;
        int r;

        r = address_parse(text, 0, &address, &error);
        if (r < 0) {
                log_error("Cannot listen on %s: %s", text, error);
                return r;
        }
        r = bind_and_listen(&address, &fd);
        if (r == -EDESTADDRREQ) {
                log_error("Cannot listen on %s: write a numeric address such as 127.0.0.1:9911",
                          text);
                return -EINVAL;
        }
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot listen on %s", text);
        r = listen_sockets_add(l, fd, &address, agent);
        if (r >= 0)
                TAKE_FD(fd);
        return r;
}

/* All that are asked for must be had. */
static int open_all(ListenSockets *l, char *const *addresses, const char *agent) {
        int r;

        STRV_FOREACH(i, addresses) {
                r = open_one(l, *i, agent);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Of the defaults one is enough: a host may have no IPv6. */
static int open_defaults(ListenSockets *l) {
        int r = 0, error = 0;

        for (size_t i = 0; default_addresses[i]; i++) {
                r = open_one(l, default_addresses[i], NULL);
                if (r < 0)
                        error = r;
        }
        return l->n > 0 ? 0 : error;
}

/* -- sockets passed by systemd ----------------------------------------------------------------- */

static int address_of_socket(int fd, Address *ret) {
        SockAddr sa = {};
        socklen_t length = sizeof(sa);

        if (getsockname(fd, &sa.sa, &length) < 0)
                return -errno;
        *ret = (Address){};
        switch (sa.sa.sa_family) {
        case AF_UNIX:
                ret->kind = ADDRESS_UNIX;
                snprintf(ret->name, sizeof(ret->name), "%.*s", (int) sizeof(sa.un.sun_path),
                         sa.un.sun_path[0] ? sa.un.sun_path : "(abstract)");
                return 0;
        case AF_INET:
                ret->kind = ADDRESS_IP;
                ret->port = ntohs(sa.in4.sin_port);
                ret->ip.family = AF_INET;
                ret->ip.in4 = sa.in4.sin_addr;
                return 0;
        case AF_INET6:
                ret->kind = ADDRESS_IP;
                ret->port = ntohs(sa.in6.sin6_port);
                ret->ip.family = AF_INET6;
                ret->ip.in6 = sa.in6.sin6_addr;
                return 0;
        default:
                return -EAFNOSUPPORT;
        }
}

/* "" of "agent", "orders" of "agent-orders"; NULL of others. */
static const char *agent_of_name(const char *name) {
        size_t n = strlen(LISTEN_NAME_AGENT);

        if (!str_starts_with(name, LISTEN_NAME_AGENT))
                return NULL;
        return name[n] == '-' ? name + n + 1 : name[n] == 0 ? "" : NULL;
}

static bool name_is_known(const char *name) {
        return agent_of_name(name) || str_equal(name, LISTEN_NAME_HTTP) ||
               str_equal(name, LISTEN_NAME_HTTP_LOCAL) || str_equal(name, "unknown") ||
               str_starts_with(name, "vitald");
}

/* Takes one passed socket, or closes it and says why. */
static int take_passed(ListenSockets *l, int passed, const char *name) {
        _cleanup_fd_ int fd = passed;
        Address address = {};
        int r;

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
                log_error(
                        "File descriptor %d (%s) passed by systemd is no listening stream socket, "
                        "ignoring it; check ListenStream= and Accept=no of the socket unit",
                        fd, name);
                return 0;
        }
        if (!name_is_known(name)) {
                log_error("A socket named %s was passed by systemd, which is not known; expected "
                          "FileDescriptorName=%s, %s, %s or %s-SERVICE",
                          name, LISTEN_NAME_HTTP, LISTEN_NAME_HTTP_LOCAL, LISTEN_NAME_AGENT,
                          LISTEN_NAME_AGENT);
                return 0;
        }
        r = address_of_socket(fd, &address);
        if (r < 0) {
                log_errno(LOG_ERR, r, "Cannot serve the socket named %s", name);
                return 0;
        }
        r = listen_sockets_add(l, fd, &address, agent_of_name(name));
        if (r >= 0)
                TAKE_FD(fd);
        return r;
}

/* Ending because of them would be a restart storm, as each probe that waits starts us again. */
static void complain_of_passed(int n) {
        if (n < 0)
                log_errno(LOG_ERR, n, "Cannot take the sockets passed by systemd");
        log_error("None of the sockets passed by systemd can be served: nobody is answered over "
                  "HTTP until the socket unit is mended and both it and vitald are restarted");
}

/* Returns whether systemd passed any, good or bad. */
static int take_all_passed(ListenSockets *l) {
        _cleanup_strv_ char **names = NULL;
        int n, r;

        n = sd_listen_fds_with_names(1, &names);
        for (int i = 0; i < n; i++) {
                r = take_passed(l, SD_LISTEN_FDS_START + i, names ? names[i] : "unknown");
                if (r < 0)
                        return r;
        }
        l->are_passed = n != 0;
        if (l->are_passed && l->n == 0)
                complain_of_passed(n);
        return l->are_passed;
}

int listen_sockets_open(char *const *http, char *const *agent, ListenSockets *ret) {
        _cleanup_(listen_sockets_done) ListenSockets l = {};
        int r;

        r = take_all_passed(&l);
        if (r < 0)
                return r;
        if (r == 0) {
                r = http && *http ? open_all(&l, http, NULL) : open_defaults(&l);
                if (r >= 0)
                        r = open_all(&l, agent, "");
        }
        if (r < 0)
                return r;
        *ret = l;
        l = (ListenSockets){};
        return 0;
}
