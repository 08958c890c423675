/* SPDX-License-Identifier: MIT */
#include "check/rabbitmq-settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check/stream-verdict.h"

#define NAME_MAX_BYTES 255 /* of the protocol's short strings */

usec_t rabbit_heartbeat(const RabbitSettings *s, uint16_t theirs_sec) {
        usec_t theirs_usec = theirs_sec == 0 ? USEC_INFINITY : theirs_sec * USEC_PER_SEC;

        return MIN(s->broker.heartbeat_usec, theirs_usec);
}

int rabbit_settings_validate(void *settings, const char **ret_key,
                             char why[static OPTION_WHY_MAX]) {
        RabbitSettings *s = settings;
        const char *text = broker_settings_fault(&s->broker, ret_key);

        if (text)
                snprintf(why, OPTION_WHY_MAX, "%s", text);
        else if (!s->broker.username && !s->broker.tls.client_certificate) {
                *ret_key = "Username";
                snprintf(why, OPTION_WHY_MAX,
                         "needed with PasswordCredential=, or ClientCertificate= instead");
        } else if (strlen(s->virtual_host) > NAME_MAX_BYTES ||
                   (s->queue && strlen(s->queue) > NAME_MAX_BYTES)) {
                *ret_key = strlen(s->virtual_host) > NAME_MAX_BYTES ? "VirtualHost" : "Queue";
                snprintf(why, OPTION_WHY_MAX, "longer than %d bytes", NAME_MAX_BYTES);
        } else
                return 0;
        return -EINVAL;
}

void rabbit_settings_describe(const void *settings, CheckTarget *ret) {
        const RabbitSettings *s = settings;

        target_set_address(ret, &s->broker.address);
}
