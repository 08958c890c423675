/* SPDX-License-Identifier: MIT */
#include "output/bus-change.h"

#include <errno.h>

#include "base/text.h"
#include "output/bus-authorize.h"

/* The end of a change that control made or refused. */
static int reply(sd_bus_message *m, int r, sd_bus_error *error) {
        if (r < 0)
                return sd_bus_error_set_errnof(error, r, "It cannot be done: %s", strerror(-r));
        return sd_bus_reply_method_return(m, NULL);
}

static int check_timeout(uint64_t timeout_usec, sd_bus_error *error) {
        if (timeout_usec == 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "A timeout of 0 means nothing; UINT64_MAX is for ever");
        return 0;
}

int bus_method_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX], note[NOTE_MAX];
        uint64_t timeout_usec;
        const char *reason;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".drain", who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, "ts", &timeout_usec, &reason);
        if (r < 0)
                return r;
        r = check_timeout(timeout_usec, error);
        if (r < 0)
                return r;
        text_sanitize(note, sizeof(note), reason, strlen(reason));
        r = control->drain(control->daemon, t->index, timeout_usec, note, who);
        return reply(m, r, error);
}

int bus_method_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".drain", who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return reply(m, control->drain(control->daemon, t->index, 0, "", who), error);
}

int bus_method_override(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX], note[NOTE_MAX];
        const char *word, *reason;
        uint64_t timeout_usec;
        Health state;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".override", who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, "sts", &word, &timeout_usec, &reason);
        if (r < 0)
                return r;
        r = check_timeout(timeout_usec, error);
        if (r < 0)
                return r;
        if (health_from_string(word, &state) < 0 ||
            (!health_is_good(state) && state != HEALTH_UNHEALTHY))
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The state must be healthy, degraded or unhealthy");
        text_sanitize(note, sizeof(note), reason, strlen(reason));
        r = control->override(control->daemon, t->index, state, timeout_usec, note, who);
        return reply(m, r, error);
}

int bus_method_clear_override(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".override", who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = control->override(control->daemon, t->index, HEALTH_PENDING, 0, "", who);
        return reply(m, r, error);
}

/* A pushed state in the words of a check's state. What an application says of itself is its
 * status. */
static int report_result(const char *word, const char *message, Result *ret, sd_bus_error *error) {
        Health state;

        if (health_from_string(word, &state) >= 0 && state == HEALTH_HEALTHY)
                result_pass(ret, "%s", message);
        else if (health_from_string(word, &state) >= 0 && state == HEALTH_DEGRADED)
                result_warn(ret, REASON_STATUS, "%s", message);
        else if (health_from_string(word, &state) >= 0 && state == HEALTH_UNHEALTHY)
                result_fail(ret, REASON_STATUS, "%s", message);
        else
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The state must be healthy, degraded or unhealthy");
        return 0;
}

int bus_method_report(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        const char *word, *message;
        char who[WHO_MAX];
        Result result;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".report", who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, "ss", &word, &message);
        if (r < 0)
                return r;
        r = report_result(word, message, &result, error);
        if (r < 0)
                return r;
        r = control->report(control->daemon, t->index, &result, who);
        if (r == -EOPNOTSUPP)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_SUPPORTED,
                                         "Check %s takes no reports; its type is %s",
                                         t->snapshot->config->checks[t->index]->id,
                                         t->snapshot->config->checks[t->index]->type->name);
        return reply(m, r, error);
}

uint64_t bus_until_realtime(usec_t until_boottime) {
        Time now = time_now();

        if (until_boottime == USEC_INFINITY)
                return UINT64_MAX;
        return usec_add(now.realtime, usec_sub(until_boottime, now.boottime));
}

void bus_drain_row(const Drain *d, BusDrainRow *ret) {
        *ret = (BusDrainRow){
                .is_active = d->is_active,
                .reason = d->is_active ? bus_text(d->note) : "",
                .by = d->is_active ? bus_text(d->who) : "",
                .since_realtime = d->is_active ? d->since_realtime : 0,
                .until_realtime = d->is_active ? bus_until_realtime(d->until_boottime) : 0,
        };
}
