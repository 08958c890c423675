/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings that all brokers have: where, as whom, by TLS or not. Part of several modules. Pure.
 */

#include "check/tls-options.h"

typedef struct BrokerSettings {
        Address address;
        char *username; /* owned; NULL: by the client's certificate if there is one */
        Credential password;
        bool is_tls;
        TlsOptions tls;
        usec_t heartbeat_usec; /* whole seconds; 0: none */
} BrokerSettings;

/* Their lines of an option table; broker is the member of Type that holds them. */
#define BROKER_OPTIONS(Type, broker)                                                            \
        { "Address", &option_address, offsetof(Type, broker.address), .min = 5672,              \
          .flags = OPTION_REQUIRED },                                                           \
                { "Username", &option_string, offsetof(Type, broker.username) },                \
                { "PasswordCredential", &option_credential, offsetof(Type, broker.password) },  \
                { "TLS", &option_bool, offsetof(Type, broker.is_tls), "no" },                   \
                { "Heartbeat", &option_timespan,  offsetof(Type, broker.heartbeat_usec), "10s", \
                  0,           12 * USEC_PER_HOUR },                                            \
                TLS_OPTIONS(Type, broker.tls)

/* The SASL mechanism that they ask for: "PLAIN", "EXTERNAL", "ANONYMOUS". */
const char *broker_mechanism(const BrokerSettings *s);

/* For CheckType.validate: what is wrong with them, and the key; NULL: nothing. Makes the heartbeat
 * whole seconds, in which brokers count. */
const char *broker_settings_fault(BrokerSettings *s, const char **ret_key);
