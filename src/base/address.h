/* SPDX-License-Identifier: MIT */
#pragma once

/* Endpoints as they stand in a configuration: HOST:PORT, [IPV6]:PORT, /unix/path. Parsing is strict
 * and touches neither the network nor the file system. All types here are plain values. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"

typedef union SockAddr {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
} SockAddr;

typedef struct IpAddress {
        sa_family_t family; /* AF_INET or AF_INET6 */
        union {
                struct in_addr in4;
                struct in6_addr in6;
        };
} IpAddress;

#define IP_TEXT_MAX INET6_ADDRSTRLEN

/* Exactly a dotted quad or an IPv6 literal without brackets and zone. -EINVAL. */
int ip_parse(const char *s, IpAddress *ret);

/* Returns buf. */
const char *ip_format(char buf[static IP_TEXT_MAX], const IpAddress *ip);

bool ip_equal(const IpAddress *a, const IpAddress *b);

/* 127/8, ::1, and the unspecified addresses, which lead to this host as well. */
bool ip_is_loopback(const IpAddress *ip);

/* The length is what connect(2) wants. */
socklen_t ip_sockaddr(const IpAddress *ip, uint16_t port, SockAddr *ret);

typedef enum AddressKind { ADDRESS_NAME, ADDRESS_IP, ADDRESS_UNIX } AddressKind;

#define ADDRESS_HOST_MAX 253 /* bytes of a host name */
#define ADDRESS_PATH_MAX 107 /* bytes of a unix path, so that sun_path ends with NUL */

/* Bytes after the last one of name are 0, so that equal addresses are equal byte by byte. */
typedef struct Address {
        AddressKind kind;
        uint16_t port;                   /* 0 for unix */
        IpAddress ip;                    /* ADDRESS_IP only */
        char name[ADDRESS_HOST_MAX + 1]; /* host as written; the zone of an IPv6 address; path */
} Address;

#define ADDRESS_TEXT_MAX (ADDRESS_HOST_MAX + 16)

/* A port of 0 as default_port means that the text must name one. On failure -EINVAL, and
 * *ret_error is a constant text that says what is wrong and how to write it. */
int address_parse(const char *s, uint16_t default_port, Address *ret, const char **ret_error);

/* "cache:6379", "[::1]:6379", "/run/redis.sock". Holds no secret. Returns buf. */
const char *address_format(char buf[static ADDRESS_TEXT_MAX], const Address *a);

bool address_equal(const Address *a, const Address *b);

/* Whether it can only be on this host: a loopback literal, localhost or a unix path. */
bool address_is_local(const Address *a);

/* localhost and names below it: this host whatever a name server says (RFC 6761). */
bool host_is_localhost(const char *host);

/* Where to connect for anything but a name. Negative errno: -ENODEV when the zone is no interface
 * at present, -EDESTADDRREQ for a name. */
int address_sockaddr(const Address *a, SockAddr *ret, socklen_t *ret_length);
