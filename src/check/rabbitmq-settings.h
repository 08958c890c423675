/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of Type=rabbitmq. Pure. */

#include "base/address.h"
#include "base/clock.h"
#include "model/check-type.h"

typedef struct RabbitSettings {
        Address address;
        char *username; /* owned */
        Credential password;
        char *virtual_host; /* owned */
        char *queue;        /* owned, may be NULL */
        bool publishes;
        usec_t heartbeat_usec; /* whole seconds; 0: none */
} RabbitSettings;

/* As CheckType has it. */
int rabbit_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
