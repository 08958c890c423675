/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of Type=rabbitmq. Pure. */

#include "check/broker-settings.h"
#include "model/check-type.h"

typedef struct RabbitSettings {
        BrokerSettings broker;
        char *virtual_host; /* owned */
        char *queue;        /* owned, may be NULL */
        bool publishes;
} RabbitSettings;

/* The shorter one of what both sides want; 0: none, as we want none. */
usec_t rabbit_heartbeat(const RabbitSettings *s, uint16_t theirs_sec);

/* CheckType.validate and describe of the type. */
int rabbit_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
void rabbit_settings_describe(const void *settings, CheckTarget *ret);
