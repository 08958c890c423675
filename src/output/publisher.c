/* SPDX-License-Identifier: MIT */
#include "output/publisher.h"

#include <errno.h>

#define SUBSCRIBERS_MAX 16

struct Publisher {
        Snapshot *current; /* owned reference */
        bool is_publishing;
        size_t n_subscribers;
        struct {
                Subscriber call;
                void *userdata; /* borrowed */
        } subscribers[SUBSCRIBERS_MAX];
};

Publisher *publisher_new(void) {
        return calloc(1, sizeof(Publisher));
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;
        snapshot_unref(p->current);
        free(p);
        return NULL;
}

int publisher_subscribe(Publisher *p, Subscriber subscriber, void *userdata) {
        if (p->n_subscribers == SUBSCRIBERS_MAX)
                return -ENOSPC;
        p->subscribers[p->n_subscribers].call = subscriber;
        p->subscribers[p->n_subscribers++].userdata = userdata;
        return 0;
}

void publisher_begin(Publisher *p, Snapshot *before) {
        assert(!p->current);
        p->current = snapshot_ref(before);
}

void publisher_publish(Publisher *p, Snapshot *snapshot) {
        _cleanup_(snapshot_unrefp) Snapshot *old = p->current;

        assert(!p->is_publishing);
        p->is_publishing = true;
        p->current = snapshot_ref(snapshot);
        for (size_t i = 0; i < p->n_subscribers; i++)
                p->subscribers[i].call(p->subscribers[i].userdata, old, p->current);
        p->is_publishing = false;
}

Snapshot *publisher_current(const Publisher *p) {
        return p->current;
}
