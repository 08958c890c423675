/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 255 /* of the protocol's short strings */

int rabbit_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        RabbitSettings *s = settings;

        /* The protocol counts in seconds. */
        s->heartbeat_usec -= s->heartbeat_usec % USEC_PER_SEC;
        if (strlen(s->virtual_host) > NAME_MAX_BYTES)
                *ret_key = "VirtualHost";
        else if (s->queue && strlen(s->queue) > NAME_MAX_BYTES)
                *ret_key = "Queue";
        else
                return 0;
        snprintf(why, OPTION_WHY_MAX, "longer than %d bytes", NAME_MAX_BYTES);
        return -EINVAL;
}
