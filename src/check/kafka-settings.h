/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of a kafka check, and librdkafka's configuration by them. librdkafka takes nothing
 * from its environment and writes nowhere. */

#include <librdkafka/rdkafka.h>

#include "base/address.h"
#include "base/clock.h"
#include "model/check-type.h"

typedef struct KafkaSettings {
        char **addresses; /* owned; not empty */
        char *topic;      /* owned, may be NULL */
        char *group;      /* owned, may be NULL; only with a topic */
        char *username;   /* owned, may be NULL: SASL then */
        Credential password;
        unsigned mechanism;
        bool is_tls;
        char *ca_certificate;     /* owned, may be NULL */
        char *client_certificate; /* owned, may be NULL */
        char *client_key;         /* owned, may be NULL: in the certificate's file */
        Credential client_key_credential;
} KafkaSettings;

/* The words of Mechanism=: SASL's own names. */
extern const char *const kafka_mechanisms[];

/* CheckType.validate and CheckType.describe of the type. */
int kafka_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
void kafka_settings_describe(const void *settings, CheckTarget *ret);

#define KAFKA_WHY_MAX 200

/* What librdkafka is given, all of it copied. Callbacks are not set. -ENOMEM, or -EINVAL
 * with why, a sentence. */
int kafka_settings_make(const KafkaSettings *s, rd_kafka_conf_t **ret,
                        char why[static KAFKA_WHY_MAX]);

/* Says in an error's message which of the settings' files librdkafka means. */
void kafka_settings_note_file(const KafkaSettings *s, Result *r);
