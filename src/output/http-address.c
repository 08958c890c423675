/* SPDX-License-Identifier: MIT */

/* How many connections each peer address has, so that none can have them all. */

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "output/http-connection.h"

static List *address_bucket(HttpServer *s, const struct in6_addr *address) {
        uint64_t hash = hash_bytes(s->address_seed, address, sizeof(*address));

        return &s->addresses[hash % HTTP_ADDRESS_BUCKETS];
}

static HttpAddress *address_find(List *bucket, const struct in6_addr *address) {
        LIST_FOREACH(i, bucket) {
                HttpAddress *a = list_item(i, HttpAddress, link);

                if (memcmp(&a->address, address, sizeof(*address)) == 0)
                        return a;
        }

        return NULL;
}

int http_address_add(HttpServer *s, HttpConnection *c) {
        List *bucket = address_bucket(s, &c->peer.address);
        HttpAddress *a = address_find(bucket, &c->peer.address);

        if (!a) {
                a = malloc(sizeof(HttpAddress));
                if (!a)
                        return -ENOMEM;

                *a = (HttpAddress){ .address = c->peer.address };
                list_init(&a->connections);
                list_append(bucket, &a->link);
        }

        a->n++;
        list_append(&a->connections, &c->address_link);
        c->address = a;
        return 0;
}

void http_address_remove(HttpConnection *c) {
        HttpAddress *a = c->address;

        if (!a)
                return;

        c->address = NULL;
        list_unlink(&c->address_link);
        if (--a->n > 0)
                return;

        list_unlink(&a->link);
        free(a);
}

void http_address_touch(HttpConnection *c) {
        if (!c->address)
                return;

        list_unlink(&c->address_link);
        list_append(&c->address->connections, &c->address_link);
}

HttpConnection *http_address_surplus(HttpServer *s, const struct in6_addr *address) {
        HttpAddress *a = address_find(address_bucket(s, address), address);

        if (!a || a->n < s->limits.connections_per_address)
                return NULL;

        return list_first(&a->connections, HttpConnection, address_link);
}
