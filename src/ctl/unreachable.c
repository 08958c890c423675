/* SPDX-License-Identifier: MIT */
/* What there is to say when vitald cannot be reached. */

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-journal.h>

#include "ctl/ctl.h"

#define UNIT             "vitald.service"
#define LAST_WORDS_MAX   3
#define ASK_TIMEOUT_USEC USEC_PER_SEC

typedef struct UnitInfo {
        char *load_state, *active_state, *result, *status_text; /* owned */
        usec_t since;
} UnitInfo;

#define UNIT_FIELD(name, type_, member) \
        { name, FIELD_##type_, offsetof(UnitInfo, member) }

static const Field unit_items[] = {
        UNIT_FIELD("LoadState", STRING, load_state),
        UNIT_FIELD("ActiveState", STRING, active_state),
        UNIT_FIELD("StateChangeTimestamp", TIME, since),
};

static const Field service_items[] = {
        UNIT_FIELD("Result", STRING, result),
        UNIT_FIELD("StatusText", STRING, status_text),
};

static const Fields unit_fields = { unit_items, ELEMENTSOF(unit_items) };
static const Fields unit_service_fields = { service_items, ELEMENTSOF(service_items) };

static void unit_info_done(UnitInfo *u) {
        free(u->load_state);
        free(u->active_state);
        free(u->result);
        free(u->status_text);
}

static int get_all(sd_bus *bus, const char *path, const char *interface, const Fields *fields,
                   UnitInfo *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_call_method(bus, "org.freedesktop.systemd1", path,
                               "org.freedesktop.DBus.Properties", "GetAll", NULL, &m, "s",
                               interface);
        return r < 0 ? r : fields_parse(m, fields, ret);
}

static int unit_info_get(bool is_user, UnitInfo *ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        r = is_user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        (void) sd_bus_set_method_call_timeout(bus, ASK_TIMEOUT_USEC);
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", UNIT, &path);
        if (r < 0)
                return r;
        r = get_all(bus, path, "org.freedesktop.systemd1.Unit", &unit_fields, ret);
        return r < 0 ? r
                     : get_all(bus, path, "org.freedesktop.systemd1.Service", &unit_service_fields,
                               ret);
}

static void print_unit(const UnitInfo *u) {
        char at[TIMESTAMP_MAX];

        if (str_equal(u->load_state, "not-found")) {
                fputs("  systemd knows no " UNIT "\n", stderr);
                return;
        }
        fprintf(stderr, "  " UNIT " is %s", u->active_state);
        if (!str_is_empty(u->result) && !str_equal(u->result, "success"))
                fprintf(stderr, ", result %s", u->result);
        if (u->since > 0)
                fprintf(stderr, ", since %s",
                        timestamp_format_short(at, u->since, clock_usec(CLOCK_REALTIME)));
        if (!str_is_empty(u->status_text))
                fprintf(stderr, ": %s", u->status_text);
        fputc('\n', stderr);
}

static void print_message(sd_journal *j) {
        static const char field[] = "MESSAGE=";
        const void *data;
        char text[512];
        size_t n;

        if (sd_journal_get_data(j, "MESSAGE", &data, &n) < 0 || n < sizeof(field) - 1)
                return;
        text_sanitize(text, sizeof(text), (const char *) data + sizeof(field) - 1,
                      n - (sizeof(field) - 1));
        fprintf(stderr, "  it said: %s\n", text);
}

/* The journal's latest messages of the unit, the older ones first. */
static void print_last_words(void) {
        sd_journal *j = NULL;

        if (sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) < 0)
                return;
        if (sd_journal_add_match(j, "_SYSTEMD_UNIT=" UNIT, 0) >= 0 &&
            sd_journal_seek_tail(j) >= 0 && sd_journal_previous_skip(j, LAST_WORDS_MAX) > 0)
                do {
                        print_message(j);
                } while (sd_journal_next(j) > 0);
        sd_journal_close(j);
}

static const char *what_is_wrong(int r) {
        if (r == -ETIMEDOUT)
                return "vitald is there, but does not answer";
        if (r == -EACCES)
                return "vitald may be reached only by root, its own user and the group vitald";
        return "vitald cannot be reached";
}

void print_unreachable(const Ctl *ctl, int r, char *const *tried) {
        _cleanup_(unit_info_done) UnitInfo unit = {};

        fprintf(stderr, "vitalctl: %s\n", what_is_wrong(r));
        STRV_FOREACH(t, tried)
                fprintf(stderr, "  tried %s\n", *t);
        if (ctl->where.runtime_directory) {
                fprintf(stderr, "  Is there a vitald with --runtime-directory=%s?\n",
                        ctl->where.runtime_directory);
                return;
        }
        if (unit_info_get(ctl->where.bus == CLIENT_BUS_USER, &unit) < 0) {
                fputs("  Start it, or say where it is: --runtime-directory=DIR, --bus=user\n",
                      stderr);
                return;
        }
        print_unit(&unit);
        print_last_words();
        if (!str_equal(unit.load_state, "not-found"))
                fputs("  See systemctl status " UNIT "\n", stderr);
}
