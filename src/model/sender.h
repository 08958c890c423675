/* SPDX-License-Identifier: MIT */
#pragma once

/* Who reports the state of a check: what the door through which it came knows of it. */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Sender {
        uid_t uid;
        pid_t pid;          /* 0: not known */
        bool is_privileged; /* may report to all checks: root, or vitald's own user where that is
                             * nobody else's door */
} Sender;
