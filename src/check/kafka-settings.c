/* SPDX-License-Identifier: MIT */
#include "check/kafka-settings.h"

#include <errno.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"

#define DEFAULT_PORT  9092
#define ADDRESSES_MAX 16

const char *const kafka_mechanisms[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", NULL };

/* -- settings ---------------------------------------------------------------------------------- */

static int addresses_validate(const KafkaSettings *s, const char **ret_text) {
        Address a;
        int r;

        *ret_text = "more than 16 addresses";
        if (strv_length(s->addresses) > ADDRESSES_MAX)
                return -EINVAL;
        STRV_FOREACH(i, s->addresses) {
                r = address_parse(*i, DEFAULT_PORT, &a, ret_text);
                if (r < 0)
                        return r;
                *ret_text = "a broker has a host and a port, not a unix socket";
                if (a.kind == ADDRESS_UNIX)
                        return -EINVAL;
                *ret_text = "an IPv6 address with a zone is not taken here";
                if (a.kind == ADDRESS_IP && a.name[0])
                        return -EINVAL;
        }
        return 0;
}

int kafka_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const KafkaSettings *s = settings;
        const char *text = NULL;

        *ret_key = "Address";
        if (addresses_validate(s, &text) < 0)
                ;
        else if (s->group && !s->topic)
                *ret_key = "ConsumerGroup", text = "needs Topic=";
        else if (s->username && !s->password.name)
                *ret_key = "Username", text = "needs PasswordCredential=";
        else if (!s->username && s->password.name)
                *ret_key = "PasswordCredential", text = "needs Username=";
        else if (!s->is_tls && (s->ca_certificate || s->client_certificate)) {
                *ret_key = s->ca_certificate ? "CACertificate" : "ClientCertificate";
                text = "needs TLS=yes";
        } else if (s->client_key && s->client_key_credential.name)
                *ret_key = "ClientKey", text = "ClientKeyCredential= is given as well";
        else if (!s->client_certificate && (s->client_key || s->client_key_credential.name)) {
                *ret_key = s->client_key ? "ClientKey" : "ClientKeyCredential";
                text = "needs ClientCertificate=";
        } else
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", text);
        return -EINVAL;
}

void kafka_settings_describe(const void *settings, CheckTarget *ret) {
        const KafkaSettings *s = settings;
        char text[ADDRESS_TEXT_MAX];
        const char *error;
        size_t n = 0;
        Address a;

        *ret = (CheckTarget){};
        STRV_FOREACH(i, s->addresses) {
                if (address_parse(*i, DEFAULT_PORT, &a, &error) < 0)
                        continue;
                if (a.kind == ADDRESS_NAME && !ret->host[0])
                        snprintf(ret->host, sizeof(ret->host), "%s", a.name);
                ret->is_remote |= !address_is_local(&a);
                if (n < sizeof(ret->text))
                        n += (size_t) snprintf(ret->text + n, sizeof(ret->text) - n, "%s%s",
                                               n > 0 ? " " : "", address_format(text, &a));
        }
        if (s->topic && n < sizeof(ret->text))
                snprintf(ret->text + n, sizeof(ret->text) - n, "/%s", s->topic);
}

/* -- what librdkafka gets ---------------------------------------------------------------------- */

static void conf_free(rd_kafka_conf_t *c) {
        rd_kafka_conf_destroy(c);
}
DEFINE_CLEANUP(rd_kafka_conf_t *, conf_free);

static int conf_set(rd_kafka_conf_t *c, const char *key, const char *value,
                    char why[static KAFKA_WHY_MAX]) {
        if (!value || rd_kafka_conf_set(c, key, value, why, KAFKA_WHY_MAX) == RD_KAFKA_CONF_OK)
                return 0;
        return -EINVAL;
}

/* Deadlines are the engine's: what would end a connection sooner is out of the way. Whatever a
 * broker sends is bounded; librdkafka wants the bounds to grow in this order. It keeps silent about
 * a connection that ends when idle for socket.timeout.ms. */
static int conf_set_constants(rd_kafka_conf_t *c, char why[static KAFKA_WHY_MAX]) {
        static const char *const constants[][2] = {
                { "client.id", PACKAGE_NAME },
                { "allow.auto.create.topics", "false" },
                { "enable.auto.commit", "false" },
                { "topic.metadata.refresh.interval.ms", "-1" },
                { "message.max.bytes", "65536" },
                { "fetch.max.bytes", "65536" },
                { "receive.message.max.bytes", "1048576" },
                { "socket.keepalive.enable", "true" },
                { "socket.timeout.ms", "300000" },
                { "socket.connection.setup.timeout.ms", "300000" },
                { "api.version.request.timeout.ms", "300000" },
                { "reconnect.backoff.ms", "50" },
                { "reconnect.backoff.max.ms", "1000" },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(constants) && r >= 0; i++)
                r = conf_set(c, constants[i][0], constants[i][1], why);
        return r;
}

static int conf_set_brokers(rd_kafka_conf_t *c, const KafkaSettings *s,
                            char why[static KAFKA_WHY_MAX]) {
        _cleanup_strbuf_ StrBuf list = {};
        char text[ADDRESS_TEXT_MAX];
        const char *error;
        Address a;

        STRV_FOREACH(i, s->addresses)
                if (address_parse(*i, DEFAULT_PORT, &a, &error) >= 0)
                        strbuf_printf(&list, "%s%s", list.length > 0 ? "," : "",
                                      address_format(text, &a));
        return list.failed ? -ENOMEM : conf_set(c, "bootstrap.servers", list.text, why);
}

static int conf_set_security(rd_kafka_conf_t *c, const KafkaSettings *s,
                             char why[static KAFKA_WHY_MAX]) {
        static const char *const protocols[2][2] = { { "plaintext", "ssl" },
                                                     { "sasl_plaintext", "sasl_ssl" } };
        bool is_sasl = s->username;
        const struct {
                const char *key, *value;
        } values[] = {
                { "security.protocol", protocols[is_sasl][s->is_tls] },
                { "sasl.mechanisms", is_sasl ? kafka_mechanisms[s->mechanism] : NULL },
                { "sasl.username", s->username },
                { "sasl.password", s->password.secret },
                { "ssl.ca.location", s->ca_certificate },
                { "ssl.certificate.location", s->client_certificate },
                { "ssl.key.location", s->client_key },
                { "ssl.key.pem", s->client_key_credential.secret },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(values) && r >= 0; i++)
                r = conf_set(c, values[i].key, values[i].value, why);
        if (r >= 0 && s->client_certificate && !s->client_key && !s->client_key_credential.secret)
                r = conf_set(c, "ssl.key.location", s->client_certificate, why);
        return r;
}

int kafka_settings_make(const KafkaSettings *s, rd_kafka_conf_t **ret,
                        char why[static KAFKA_WHY_MAX]) {
        _cleanup_(conf_freep) rd_kafka_conf_t *c = rd_kafka_conf_new();
        int r;

        if (!c)
                return -ENOMEM;
        r = conf_set_constants(c, why);
        if (r >= 0)
                r = conf_set_brokers(c, s, why);
        if (r >= 0)
                r = conf_set_security(c, s, why);
        if (r < 0)
                return r;
        *ret = TAKE(c);
        return 0;
}

void kafka_settings_note_file(const KafkaSettings *s, Result *r) {
        const struct {
                const char *key, *path;
        } files[] = {
                { "ssl.ca.location", s->ca_certificate },
                { "ssl.certificate.location", s->client_certificate },
                { "ssl.key.location", s->client_key },
        };
        char before[RESULT_MESSAGE_MAX];

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (files[i].path && str_starts_with(r->message, files[i].key)) {
                        snprintf(before, sizeof(before), "%s", r->message);
                        result_error(r, REASON_CONFIGURATION, "%s: %s", files[i].path, before);
                        return;
                }
}
