/* SPDX-License-Identifier: MIT */
#include "check/broker-settings.h"

const char *broker_mechanism(const BrokerSettings *s) {
        if (s->username)
                return "PLAIN";
        return s->tls.client_certificate ? "EXTERNAL" : "ANONYMOUS";
}

const char *broker_settings_fault(BrokerSettings *s, const char **ret_key) {
        s->heartbeat_usec -= s->heartbeat_usec % USEC_PER_SEC;
        if (!s->username != !s->password.name) {
                *ret_key = s->username ? "Username" : "PasswordCredential";
                return "Username= and PasswordCredential= need each other";
        }
        return tls_options_fault(&s->tls, s->is_tls, &s->address, ret_key);
}
