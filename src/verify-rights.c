/* SPDX-License-Identifier: MIT */
#include "verify-rights.h"

#include <unistd.h>

#include "output/bus.h"

#define CALL_TIMEOUT_USEC (3 * USEC_PER_SEC)

#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

/* Who has the name of vitald, and as whom it runs. */
static void find_vitald(VerifyRights *v) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *name = NULL, *user = NULL;
        const char *unique;
        uint32_t uid;

        if (sd_bus_call_method(v->bus, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetNameOwner", NULL, &name,
                               "s", BUS_NAME) < 0 ||
            sd_bus_message_read(name, "s", &unique) < 0 ||
            sd_bus_call_method(v->bus, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetConnectionUnixUser",
                               NULL, &user, "s", unique) < 0 ||
            sd_bus_message_read(user, "u", &uid) < 0)
                return;
        v->vitald = strdup(unique);
        v->is_root = uid == 0;
}

static void begin(VerifyRights *v) {
        v->has_begun = true;
        if (v->is_elsewhere || geteuid() != 0 || sd_bus_open_system(&v->bus) < 0)
                return;
        (void) sd_bus_set_method_call_timeout(v->bus, CALL_TIMEOUT_USEC);
        find_vitald(v);
}

LintRight verify_rights_ask(void *userdata, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        VerifyRights *v = userdata;
        int is_authorized, r;

        if (!v->has_begun)
                begin(v);
        if (!v->vitald)
                return LINT_RIGHT_UNKNOWN;
        if (v->is_root)
                return LINT_RIGHT_GIVEN;
        r = sd_bus_call_method(v->bus, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                               "CheckAuthorization", NULL, &reply, "(sa{sv})sa{ss}us",
                               "system-bus-name", 1, "name", "s", v->vitald,
                               "org.freedesktop.systemd1.manage-units", 2, "unit", unit, "verb",
                               "try-restart", 0, "");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "b", &is_authorized);
        if (r < 0)
                return LINT_RIGHT_UNKNOWN;
        return is_authorized ? LINT_RIGHT_GIVEN : LINT_RIGHT_DENIED;
}

void verify_rights_done(VerifyRights *v) {
        sd_bus_flush_close_unref(v->bus);
        free(v->vitald);
}
