/* SPDX-License-Identifier: MIT */
#include "check/systemd-verdict.h"

#include <errno.h>

bool systemd_refuse(Engine *engine, Result *ret) {
        SystemdLink *l = engine_systemd(engine);
        const char *obstacle = l ? systemd_link_obstacle(l) : NULL;

        if (!l)
                result_error(ret, REASON_CONFIGURATION,
                             "systemd is asked over D-Bus, and vitald runs with --bus=none; start "
                             "it with --bus=system");
        else if (obstacle)
                result_error(ret, REASON_UNREACHABLE, "systemd cannot be asked: %s", obstacle);
        return !l || obstacle;
}

void systemd_describe_errno(Engine *engine, int error, Result *ret) {
        if (systemd_refuse(engine, ret))
                return;
        if (error == -ETIMEDOUT)
                result_error(ret, REASON_TIMEOUT, "systemd does not answer over D-Bus");
        else if (error == -ENOTCONN || error == -ECONNRESET)
                result_error(ret, REASON_UNREACHABLE, "The connection to systemd was lost");
        else if (error == -EACCES || error == -EPERM)
                result_error(ret, REASON_CONFIGURATION,
                             "The bus does not let vitald ask systemd; see its policy in "
                             "/usr/share/dbus-1/system.d/org.freedesktop.systemd1.conf");
        else
                result_own_errno(ret, error, "Cannot ask systemd");
}

void systemd_expire(CheckRun *run, Result *ret) {
        systemd_describe_errno(check_engine(check_run_check(run)), -ETIMEDOUT, ret);
}
