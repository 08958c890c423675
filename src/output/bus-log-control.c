/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "output/bus-authorize.h"
#include "output/bus-link.h"

/* org.freedesktop.LogControl1, which `systemctl service-log-level` speaks. */

#define LOG_CONTROL_PATH      "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"

/* A setter cannot wait for the caller to be known, so this goes before the vtable. */
static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusLink *l = userdata;
        char who[WHO_MAX];
        int r;

        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Set") <= 0)
                return 0;
        r = bus_authorize(l, m, BUS_NAME ".set-log-level", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return 0;
}

static int get_level(_unused_ sd_bus *bus, _unused_ const char *path,
                     _unused_ const char *interface, _unused_ const char *property,
                     sd_bus_message *reply, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", log_level_name(log_get_level()));
}

static int set_level(_unused_ sd_bus *bus, _unused_ const char *path,
                     _unused_ const char *interface, _unused_ const char *property,
                     sd_bus_message *value, _unused_ void *userdata, sd_bus_error *error) {
        const char *word;
        int level, r;

        r = sd_bus_message_read(value, "s", &word);
        if (r < 0)
                return r;
        if (log_level_parse(word, &level) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "There is no log level \"%s\"", word);
        log_set_level(level);
        log_info("Log level set to %s", log_level_name(level));
        return 0;
}

static int get_target(_unused_ sd_bus *bus, _unused_ const char *path,
                      _unused_ const char *interface, _unused_ const char *property,
                      sd_bus_message *reply, _unused_ void *userdata,
                      _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", log_target_name());
}

static int get_identifier(_unused_ sd_bus *bus, _unused_ const char *path,
                          _unused_ const char *interface, _unused_ const char *property,
                          sd_bus_message *reply, _unused_ void *userdata,
                          _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", program_invocation_short_name);
}

static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("LogTarget", "s", get_target, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, 0),
        SD_BUS_VTABLE_END,
};

int bus_log_control_add(BusLink *l) {
        int r;

        r = sd_bus_add_object(l->connection, NULL, LOG_CONTROL_PATH, on_call, l);
        if (r < 0)
                return r;
        return sd_bus_add_object_vtable(l->connection, NULL, LOG_CONTROL_PATH,
                                        LOG_CONTROL_INTERFACE, log_control_vtable, l);
}
