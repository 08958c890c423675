/* SPDX-License-Identifier: MIT */
#include "check/postgresql-replication.h"

#include <math.h>

/* Without a link the primary may be ahead by anything. While replay never quite catches up, since
 * more keeps coming, it is enough that it reaches what was known some time ago. */
static void memory_note(ReplicationMemory *m, const ServerState *s, usec_t now_usec) {
        if (!s->is_linked || !s->has_positions)
                return;
        if (s->replayed >= s->known) {
                m->caught_up_usec = now_usec;
                m->mark_usec = 0;
                return;
        }
        if (m->mark_usec > 0 && s->replayed >= m->mark) {
                m->caught_up_usec = m->mark_usec;
                m->mark_usec = 0;
        }
        if (m->mark_usec == 0) {
                m->mark = s->known;
                m->mark_usec = now_usec;
        }
}

static double replica_lag_sec(const ReplicationMemory *m, const ServerState *s, usec_t now_usec) {
        double since = (double) (now_usec - m->caught_up_usec) / (double) USEC_PER_SEC;
        double age = fmax(s->age_sec, 0); /* the primary's clock may be ahead; NaN becomes 0 */

        if (m->caught_up_usec == 0)
                return isnan(s->age_sec) ? NAN : age;
        return isnan(s->age_sec) ? since : fmin(age, since);
}

ReplicationLag replication_measure(ReplicationMemory *m, const ServerState *s, usec_t now_usec) {
        ReplicationLag lag = {};

        if (!s->is_replica) {
                *m = (ReplicationMemory){};
                return lag;
        }
        memory_note(m, s, now_usec);
        lag.seconds = replica_lag_sec(m, s, now_usec);
        if (!s->has_positions)
                lag.bytes = NAN;
        else if (s->known > s->replayed)
                lag.bytes = (double) (s->known - s->replayed);
        return lag;
}
