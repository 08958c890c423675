/* SPDX-License-Identifier: MIT */
#include "output/bus-change.h"

#include <errno.h>

#include "base/text.h"
#include "model/perfdata.h"
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

/* A service may withdraw itself: ExecStop=vitalctl drain. */
static const char *target_unit(const BusTarget *t) {
        return t->index == INDEX_NONE ? NULL : t->snapshot->config->services[t->index].unit;
}

int bus_method_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX], note[NOTE_MAX];
        uint64_t timeout_usec;
        const char *reason;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".drain", target_unit(t), who, error);
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

int bus_method_drain_until_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX], note[NOTE_MAX];
        const char *reason;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".drain", target_unit(t), who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;
        text_sanitize(note, sizeof(note), reason, strlen(reason));
        r = control->drain_until_start(control->daemon, t->index, note, who);
        if (r == -EOPNOTSUPP)
                return sd_bus_error_set(error, BUS_ERROR_NOT_SUPPORTED,
                                        "The service has no unit (Unit=)");
        return reply(m, r, error);
}

int bus_method_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".drain", target_unit(t), who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return reply(m, control->drain(control->daemon, t->index, 0, "", who), error);
}

int bus_method_reset_restarts(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".reset-restarts", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = control->reset_restarts(control->daemon, t->index, who);
        if (r == -EOPNOTSUPP)
                return sd_bus_error_set(error, BUS_ERROR_NOT_SUPPORTED,
                                        "The service never has its unit restarted "
                                        "(OnLivenessFailure=, OnStartupFailure=)");
        return reply(m, r, error);
}

/* In the words of states, or of the results that lead to them. */
static int override_state(const char *word, Health *ret) {
        static const struct {
                Health state;
                Outcome outcome;
        } states[] = {
                { HEALTH_HEALTHY, OUTCOME_PASS },
                { HEALTH_DEGRADED, OUTCOME_WARN },
                { HEALTH_UNHEALTHY, OUTCOME_FAIL },
        };

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (str_equal(word, health_to_string(states[i].state)) ||
                    str_equal(word, outcome_to_string(states[i].outcome))) {
                        *ret = states[i].state;
                        return 0;
                }
        return -EINVAL;
}

int bus_method_override(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX], note[NOTE_MAX];
        const char *word, *reason;
        uint64_t timeout_usec;
        Health state;
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".override", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, "sts", &word, &timeout_usec, &reason);
        if (r < 0)
                return r;
        r = check_timeout(timeout_usec, error);
        if (r < 0)
                return r;
        if (override_state(word, &state) < 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The state must be healthy, degraded or unhealthy (or "
                                        "pass, warn or fail)");
        text_sanitize(note, sizeof(note), reason, strlen(reason));
        r = control->override(control->daemon, t->index, state, timeout_usec, note, who);
        return reply(m, r, error);
}

int bus_method_clear_override(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusTarget *t = userdata;
        const Control *control = t->link->bus->context.control;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(t->link, m, BUS_NAME ".override", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = control->override(control->daemon, t->index, HEALTH_PENDING, 0, "", who);
        return reply(m, r, error);
}

/* What an application says of itself is its status. */
static int report_result(const char *word, const char *message, const char *values, Result *ret,
                         sd_bus_error *error) {
        if (str_equal(word, outcome_to_string(OUTCOME_PASS)))
                result_pass(ret, "%s", message);
        else if (str_equal(word, outcome_to_string(OUTCOME_WARN)))
                result_warn(ret, REASON_STATUS, "%s", message);
        else if (str_equal(word, outcome_to_string(OUTCOME_FAIL)))
                result_fail(ret, REASON_STATUS, "%s", message);
        else
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The state must be pass, warn or fail");
        if (perfdata_parse_strict(values, strlen(values), ret) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "Values must be NAME=NUMBER[UNIT], each name once, at "
                                         "most %d of them",
                                         RESULT_VALUES_MAX);
        return 0;
}

static int report(sd_bus_message *m, const BusTarget *t, const char *types, sd_bus_error *error) {
        const Control *control = t->link->bus->context.control;
        const CheckConfig *check = t->snapshot->config->checks[t->index];
        const char *word, *message, *values = "";
        Sender sender = {};
        Result result;
        int r;

        r = bus_identify(t->link, m, &sender, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(m, types, &word, &message, &values);
        if (r < 0)
                return r;
        r = report_result(word, message, values, &result, error);
        if (r < 0)
                return r;
        r = control->report(control->daemon, t->index, &result, &sender);
        if (r == -EOPNOTSUPP)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_SUPPORTED,
                                         "Check %s takes no reports; its type is %s", check->id,
                                         check->type->name);
        if (r == -EACCES)
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                         "Only root, the users of AllowUser= and the processes of "
                                         "AllowUnit= may report to %s, not uid %u",
                                         check->id, sender.uid);
        return reply(m, r, error);
}

int bus_method_report(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return report(m, userdata, "ss", error);
}

int bus_method_report_values(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return report(m, userdata, "sss", error);
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
