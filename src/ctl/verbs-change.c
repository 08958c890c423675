/* SPDX-License-Identifier: MIT */
/* run, reload, reset-restarts, override, clear-override, report: one call of a method each. */

#include <stdio.h>

#include "ctl/json.h"
#include "ctl/words.h"

/* All files are read, and credentials may lie on slow storage. */
#define RELOAD_TIMEOUT_USEC USEC_PER_MINUTE
#define RUN_PATIENCE_USEC   (30 * USEC_PER_SEC) /* beyond the check's own Timeout= */

/* -- override, clear-override, report ---------------------------------------------------------- */

static int open_check(const Ctl *ctl, Client **c, View **v, CheckInfo **ret) {
        int r;

        r = ctl_open_view(ctl, c, v);
        return r != 0 ? r : ctl_find_check(*v, ctl->arguments[0], ret);
}

static int change_check(const Ctl *ctl, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        CheckInfo *check;
        va_list ap;
        int r;

        r = open_check(ctl, &c, &v, &check);
        if (r != 0)
                return r;
        va_start(ap, types);
        r = client_call_v(c, check->path, VITALD_CHECK_INTERFACE, method, 0, &error, NULL, types,
                          ap);
        va_end(ap);
        return r < 0 ? ctl_failed(ctl, r, &error) : EXIT_YES;
}

int verb_override(const Ctl *ctl) {
        return change_check(ctl, "Override", "sts", ctl->arguments[1], ctl->timeout_usec,
                            ctl->reason);
}

int verb_clear_override(const Ctl *ctl) {
        return change_check(ctl, "ClearOverride", NULL);
}

int verb_report(const Ctl *ctl) {
        const char *message = ctl->arguments[2] ? ctl->arguments[2] : "";

        if (!ctl->values.text)
                return change_check(ctl, "Report", "ss", ctl->arguments[1], message);
        return change_check(ctl, "ReportValues", "sss", ctl->arguments[1], message,
                            ctl->values.text);
}

/* -- reset-restarts ---------------------------------------------------------------------------- */

int verb_reset_restarts(const Ctl *ctl) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *s;
        int r;

        r = ctl_open_service(ctl, &c, &v, &s);
        if (r != 0)
                return r;
        r = client_call(c, s->path, VITALD_SERVICE_INTERFACE, "ResetRestarts", 0, &error, NULL,
                        NULL);
        return r < 0 ? ctl_failed(ctl, r, &error) : EXIT_YES;
}

/* -- run --------------------------------------------------------------------------------------- */

/* What Run() answers; texts are borrowed from the message. */
typedef struct RunAnswer {
        const char *state, *outcome, *reason, *message;
        usec_t latency;
} RunAnswer;

static int run_json(const Ctl *ctl, const RunAnswer *a) {
        json_object *o = json_object_new_object();

        if (!o)
                return ctl_out_of_memory();
        json_object_object_add(o, "State", json_object_new_string(a->state));
        json_object_object_add(o, "Outcome", json_object_new_string(a->outcome));
        json_object_object_add(o, "Reason", json_object_new_string(a->reason));
        json_object_object_add(o, "Message", json_object_new_string(a->message));
        json_object_object_add(o, "LatencyUSec",
                               a->latency == USEC_INFINITY ? NULL
                                                           : json_object_new_uint64(a->latency));
        return json_print(ctl, o);
}

/* "shop/redis: fail, refused: Connection refused; the check is healthy" */
static int run_print(const Ctl *ctl, const CheckInfo *c, const RunAnswer *a) {
        _cleanup_strbuf_ StrBuf b = {};
        char latency[TIMESPAN_MAX];

        strbuf_printf(&b, "%s: %s%s%s", c->id, a->outcome, *a->reason ? ", " : "", a->reason);
        if (a->latency != USEC_INFINITY)
                strbuf_printf(&b, " in %s", latency_format(latency, a->latency));
        strbuf_printf(&b, "%s%s; the check is %s", *a->message ? ": " : "", a->message, a->state);
        if (b.failed)
                return ctl_out_of_memory();
        screen_wrap(&ctl->screen, TONE_PLAIN, b.text, 0, 2);
        return 0;
}

int verb_run(const Ctl *ctl) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        CheckInfo *check;
        RunAnswer a;
        int r;

        r = open_check(ctl, &c, &v, &check);
        if (r != 0)
                return r;
        r = client_call(c, check->path, VITALD_CHECK_INTERFACE, "Run",
                        usec_add(check->timeout, RUN_PATIENCE_USEC), &error, &m, NULL);
        if (r >= 0)
                r = sd_bus_message_read(m, "sssst", &a.state, &a.outcome, &a.reason, &a.message,
                                        &a.latency);
        if (r < 0)
                return ctl_failed(ctl, r, &error);
        r = ctl->json != JSON_OFF ? run_json(ctl, &a) : run_print(ctl, check, &a);
        if (r != 0)
                return r;
        return str_equal(a.outcome, "pass") || str_equal(a.outcome, "warn") ? EXIT_YES : EXIT_NO;
}

/* -- reload ------------------------------------------------------------------------------------ */

int verb_reload(const Ctl *ctl) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(client_freep) Client *c = NULL;
        int r;

        r = ctl_open(ctl, &c);
        if (r != 0)
                return r;
        r = client_call(c, VITALD_PATH, VITALD_MANAGER_INTERFACE, "Reload", RELOAD_TIMEOUT_USEC,
                        &error, NULL, NULL);
        if (r >= 0)
                return EXIT_YES;
        if (!sd_bus_error_has_name(&error, VITALD_NAME ".ReloadFailed"))
                return ctl_failed(ctl, r, &error);
        fprintf(stderr, "vitalctl: reload refused, what was loaded before stays in force:\n%s\n",
                error.message);
        return EXIT_ERROR;
}
