/* SPDX-License-Identifier: MIT */
#include "base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"

#define LABEL_MAX 63

int ip_parse(const char *s, IpAddress *ret) {
        IpAddress ip = {};

        if (inet_pton(AF_INET, s, &ip.in4) == 1)
                ip.family = AF_INET;
        else if (inet_pton(AF_INET6, s, &ip.in6) == 1)
                ip.family = AF_INET6;
        else
                return -EINVAL;
        *ret = ip;
        return 0;
}

const char *ip_format(char buf[static IP_TEXT_MAX], const IpAddress *ip) {
        if (!inet_ntop(ip->family, &ip->in6, buf, IP_TEXT_MAX))
                buf[0] = 0;
        return buf;
}

bool ip_equal(const IpAddress *a, const IpAddress *b) {
        size_t n = a->family == AF_INET ? sizeof(a->in4) : sizeof(a->in6);

        return a->family == b->family && memcmp(&a->in6, &b->in6, n) == 0;
}

bool ip_is_loopback(const IpAddress *ip) {
        if (ip->family == AF_INET)
                return ntohl(ip->in4.s_addr) >> 24 == 127 || ip->in4.s_addr == INADDR_ANY;
        return IN6_IS_ADDR_LOOPBACK(&ip->in6) || IN6_IS_ADDR_UNSPECIFIED(&ip->in6);
}

socklen_t ip_sockaddr(const IpAddress *ip, uint16_t port, SockAddr *ret) {
        *ret = (SockAddr){ .sa.sa_family = ip->family };
        if (ip->family == AF_INET) {
                ret->in4.sin_port = htons(port);
                ret->in4.sin_addr = ip->in4;
                return sizeof(ret->in4);
        }
        ret->in6.sin6_port = htons(port);
        ret->in6.sin6_addr = ip->in6;
        return sizeof(ret->in6);
}

/* Letters, digits, '-' and '_' in labels of 1 to 63 bytes; one dot may end it. */
static bool host_name_is_valid(const char *s, size_t n) {
        size_t label = 0;

        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) s[i];

                if (c == '.') {
                        if (label == 0)
                                return false;
                        label = 0;
                } else if (isalnum(c) || c == '_' || (c == '-' && label > 0))
                        label++;
                else
                        return false;
                if (label > LABEL_MAX)
                        return false;
        }
        return n > 0;
}

/* "10.0.0" and "10.0.0.256" are mistyped addresses, not names: no top-level domain is a number. */
static bool host_name_ends_in_number(const char *name) {
        size_t n = strlen(name), first;

        if (n > 0 && name[n - 1] == '.')
                n--;
        for (first = n; first > 0 && name[first - 1] != '.'; first--)
                ;
        return strspn(name + first, "0123456789") >= n - first;
}

static const char *parse_host_port(const char *port, uint16_t default_port, Address *a) {
        if (!port) {
                a->port = default_port;
                return default_port ? NULL : "a port is missing: HOST:PORT";
        }
        return parse_port(port, &a->port) < 0 ? "the port is not a number from 1 to 65535" : NULL;
}

/* The text between "[" and "]", which must be an IPv6 literal, with a zone if it needs one. */
static const char *parse_ipv6(const char *s, size_t n, Address *a) {
        char text[IP_TEXT_MAX + IF_NAMESIZE] = "", *zone;

        if (n >= sizeof(text))
                return "what stands in brackets is not an IPv6 address";
        memcpy(text, s, n);
        zone = strchr(text, '%');
        if (zone)
                *zone++ = 0;
        if (ip_parse(text, &a->ip) < 0 || a->ip.family != AF_INET6)
                return "what stands in brackets is not an IPv6 address";
        if (IN6_IS_ADDR_V4MAPPED(&a->ip.in6))
                return "an IPv4-mapped address: write it as IPv4, without ::ffff:";
        if (IN6_IS_ADDR_MULTICAST(&a->ip.in6))
                return "a multicast address";
        if (IN6_IS_ADDR_LINKLOCAL(&a->ip.in6) != !!zone)
                return zone ? "a zone (%interface) is for link-local addresses (fe80::) only"
                            : "a link-local address needs a zone: [fe80::1%eth0]:PORT";
        if (zone && (!*zone || strlen(zone) >= IF_NAMESIZE || strpbrk(zone, "%/ ")))
                return "the zone behind % is not an interface name";
        a->kind = ADDRESS_IP;
        if (zone)
                memcpy(a->name, zone, strlen(zone));
        return NULL;
}

static const char *parse_bracketed(const char *s, uint16_t default_port, Address *a) {
        const char *close = strchr(s, ']'), *error;

        if (!close)
                return "\"]\" is missing: [IPV6]:PORT";
        if (close[1] && close[1] != ':')
                return "only :PORT may follow \"]\"";
        error = parse_ipv6(s + 1, (size_t) (close - s - 1), a);
        if (error)
                return error;
        return parse_host_port(close[1] ? close + 2 : NULL, default_port, a);
}

static const char *parse_named(const char *s, uint16_t default_port, Address *a) {
        const char *colon = strchr(s, ':');
        size_t n = colon ? (size_t) (colon - s) : strlen(s);

        if (colon && strchr(colon + 1, ':'))
                return "more than one colon; an IPv6 address stands in brackets: [::1]:PORT";
        if (n == 0)
                return "the host is missing: HOST:PORT";
        if (n > ADDRESS_HOST_MAX)
                return "the host name is longer than 253 bytes";
        if (!host_name_is_valid(s, n))
                return "the host is neither a host name nor an address";
        memcpy(a->name, s, n);
        if (ip_parse(a->name, &a->ip) >= 0) {
                a->kind = ADDRESS_IP;
                memset(a->name, 0, sizeof(a->name));
                if (IN_MULTICAST(ntohl(a->ip.in4.s_addr)))
                        return "a multicast address";
                if (a->ip.in4.s_addr == INADDR_BROADCAST)
                        return "the broadcast address";
        } else if (host_name_ends_in_number(a->name))
                return "not an IPv4 address: four numbers from 0 to 255";
        return parse_host_port(colon ? colon + 1 : NULL, default_port, a);
}

static const char *parse_unix(const char *s, Address *a) {
        size_t n = strlen(s);

        if (n > ADDRESS_PATH_MAX)
                return "the path of a unix socket is longer than 107 bytes";
        if (s[n - 1] == '/')
                return "the path of a unix socket ends in \"/\"";
        a->kind = ADDRESS_UNIX;
        memcpy(a->name, s, n);
        return NULL;
}

int address_parse(const char *s, uint16_t default_port, Address *ret, const char **ret_error) {
        Address a;
        const char *error;

        memset(&a, 0, sizeof(a));
        if (!*s)
                error = "the address is empty";
        else if (*s == '/')
                error = parse_unix(s, &a);
        else if (*s == '[')
                error = parse_bracketed(s, default_port, &a);
        else
                error = parse_named(s, default_port, &a);
        if (error) {
                *ret_error = error;
                return -EINVAL;
        }
        memcpy(ret, &a, sizeof(a));
        return 0;
}

const char *address_format(char buf[static ADDRESS_TEXT_MAX], const Address *a) {
        char ip[IP_TEXT_MAX];

        switch (a->kind) {
        case ADDRESS_UNIX:
                snprintf(buf, ADDRESS_TEXT_MAX, "%s", a->name);
                break;
        case ADDRESS_NAME:
                snprintf(buf, ADDRESS_TEXT_MAX, "%s:%u", a->name, (unsigned) a->port);
                break;
        case ADDRESS_IP:
                snprintf(buf, ADDRESS_TEXT_MAX,
                         a->ip.family == AF_INET ? "%s%s%s:%u" : "[%s%s%s]:%u",
                         ip_format(ip, &a->ip), a->name[0] ? "%" : "", a->name, (unsigned) a->port);
                break;
        }
        return buf;
}

bool address_equal(const Address *a, const Address *b) {
        return a->kind == b->kind && a->port == b->port && str_equal(a->name, b->name) &&
               (a->kind != ADDRESS_IP || ip_equal(&a->ip, &b->ip));
}

bool host_is_localhost(const char *host) {
        static const char suffix[] = ".localhost";
        size_t n = strlen(host), m = sizeof(suffix) - 1;

        if (n > 0 && host[n - 1] == '.')
                n--;
        if (n == m - 1)
                return strncasecmp(host, suffix + 1, n) == 0;
        return n > m && strncasecmp(host + n - m, suffix, m) == 0;
}

bool address_is_local(const Address *a) {
        switch (a->kind) {
        case ADDRESS_UNIX:
                return true;
        case ADDRESS_IP:
                return ip_is_loopback(&a->ip);
        case ADDRESS_NAME:
                return host_is_localhost(a->name);
        }
        return false;
}

int address_sockaddr(const Address *a, SockAddr *ret, socklen_t *ret_length) {
        unsigned zone = 0;

        switch (a->kind) {
        case ADDRESS_NAME:
                return -EDESTADDRREQ;
        case ADDRESS_UNIX:
                *ret = (SockAddr){ .un.sun_family = AF_UNIX };
                memcpy(ret->un.sun_path, a->name, strlen(a->name));
                *ret_length = sizeof(ret->un);
                return 0;
        case ADDRESS_IP:
                if (a->name[0]) {
                        zone = if_nametoindex(a->name);
                        if (zone == 0)
                                return -ENODEV;
                }
                *ret_length = ip_sockaddr(&a->ip, a->port, ret);
                if (zone)
                        ret->in6.sin6_scope_id = zone;
                return 0;
        }
        return -EDESTADDRREQ;
}
