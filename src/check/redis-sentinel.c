/* SPDX-License-Identifier: MIT */
#include "check/redis-sentinel.h"

#include <errno.h>

#include "base/text.h"

#define PATIENCE_USEC (200 * USEC_PER_MSEC) /* with a silent one */
#define ACCURACY_USEC (5 * USEC_PER_MSEC)

static const RedisSettings *sentinels_settings(const RedisSentinels *s) {
        return check_settings(s->check);
}

/* -- the end of a question --------------------------------------------------------------------- */

static void sentinels_end(RedisSentinels *s) {
        s->is_asked = false;
        (void) sd_event_source_set_enabled(s->patience, SD_EVENT_OFF);
}

static void sentinels_fail(RedisSentinels *s, const Result *why) {
        char address[ADDRESS_TEXT_MAX], message[ADDRESS_TEXT_MAX + RESULT_MESSAGE_MAX + 16];
        Result result = *why;

        sentinels_end(s);
        snprintf(message, sizeof(message), "Sentinel %s: %s",
                 address_format(address, &s->link.address), why->message);
        text_sanitize(result.message, sizeof(result.message), message, strlen(message));
        s->handlers->failed(s->userdata, &result);
}

/* -- asking ------------------------------------------------------------------------------------ */

static int sentinels_send(RedisSentinels *s) {
        const RedisSettings *settings = sentinels_settings(s);
        _cleanup_commands_ StrBuf b = {};
        unsigned n_replies = 1;

        s->is_login_due = !s->is_reused && settings->sentinel_password.secret;
        if (s->is_login_due)
                n_replies +=
                        redis_command_append_login(&b, NULL, settings->sentinel_password.secret);
        redis_command_append(&b, (const char *[]){ "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
                                                   settings->sentinel_master, NULL });
        return redis_link_send(&s->link, &b, n_replies);
}

/* The last one has the rest of the run. */
static int sentinels_wait(RedisSentinels *s) {
        int r;

        if (s->n_tried == sentinels_settings(s)->sentinels.n)
                return sd_event_source_set_enabled(s->patience, SD_EVENT_OFF);
        r = sd_event_source_set_time_relative(s->patience, PATIENCE_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(s->patience, SD_EVENT_ONESHOT);
}

static int sentinels_dial(RedisSentinels *s) {
        const RedisSettings *settings = sentinels_settings(s);
        const Address *address = &settings->sentinels.items[s->current];
        char ip[IP_TEXT_MAX];
        int r;

        s->is_reused = false;
        r = sentinels_wait(s);
        return r < 0 ? r
                     : redis_link_dial(&s->link, check_engine(s->check), address, s->tls,
                                       tls_options_name(&settings->tls, address, ip));
}

static void sentinels_fail_errno(RedisSentinels *s, int error) {
        Result result;

        result_errno(&result, error, "Cannot ask");
        sentinels_fail(s, &result);
}

/* The current one does not tell. */
static void sentinels_pass_over(RedisSentinels *s, const Result *why) {
        size_t n = sentinels_settings(s)->sentinels.n;
        int r;

        redis_link_close(&s->link);
        s->current = (s->current + 1) % n;
        if (s->n_tried >= n) {
                sentinels_fail(s, why);
                return;
        }
        s->n_tried++;
        r = sentinels_dial(s);
        if (r < 0)
                sentinels_fail_errno(s, r);
}

/* -- answers ----------------------------------------------------------------------------------- */

/* Host and port, as the server announces them. */
static int address_of(const RedisReply *reply, Address *ret) {
        const char *host = reply->words[0], *port = reply->words[1], *error;
        char text[ADDRESS_TEXT_MAX];

        if (!host || !port || host[0] == '/' || strlen(host) > ADDRESS_HOST_MAX || strlen(port) > 5)
                return -EINVAL;
        snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
        return address_parse(text, 0, ret, &error);
}

static void sentinels_judge(RedisSentinels *s, const RedisReply *reply) {
        Result result;
        Address master;

        if (reply->kind == REDIS_NIL) {
                result_fail(&result, REASON_MISSING, "knows no master \"%s\"",
                            sentinels_settings(s)->sentinel_master);
                result_set_detail(&result, "sentinel-master");
                sentinels_pass_over(s, &result);
        } else if (!redis_judge_kind("SENTINEL", REDIS_ARRAY, reply, &result)) {
                sentinels_pass_over(s, &result);
        } else if (address_of(reply, &master) < 0) {
                result_fail(&result, REASON_PROTOCOL, "tells no address");
                sentinels_pass_over(s, &result);
        } else {
                sentinels_end(s);
                s->handlers->told(s->userdata, &master);
        }
}

static void on_replied(void *userdata, const RedisReply *reply) {
        RedisSentinels *s = userdata;
        Result result;

        if (!s->is_login_due) {
                sentinels_judge(s, reply);
                return;
        }
        s->is_login_due = false;
        if (!redis_judge_status("AUTH", "OK", reply, &result))
                sentinels_pass_over(s, &result);
}

static void on_connected(void *userdata) {
        RedisSentinels *s = userdata;
        int r = sentinels_send(s);

        if (r < 0)
                sentinels_fail_errno(s, r);
}

static void on_failed(void *userdata, const Result *result, bool is_lost) {
        RedisSentinels *s = userdata;
        int r;

        if (!s->is_reused || !is_lost) {
                sentinels_pass_over(s, result);
                return;
        }
        r = sentinels_dial(s);
        if (r < 0)
                sentinels_fail_errno(s, r);
}

static int on_patience(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        RedisSentinels *s = userdata;
        Result result;

        result_fail(&result, REASON_TIMEOUT, "no answer");
        sentinels_pass_over(s, &result);
        return 0;
}

/* -- for the driver ---------------------------------------------------------------------------- */

RedisSentinels *redis_sentinels_free(RedisSentinels *s) {
        if (!s)
                return NULL;
        redis_link_close(&s->link);
        sd_event_source_disable_unref(s->patience);
        free(s);
        return NULL;
}

int redis_sentinels_new(Check *check, RedisPool *pool, const RedisSentinelsHandlers *handlers,
                        void *userdata, RedisSentinels **ret) {
        static const RedisLinkHandlers link_handlers = {
                .connected = on_connected,
                .replied = on_replied,
                .failed = on_failed,
        };
        _cleanup_(redis_sentinels_freep) RedisSentinels *s = calloc(1, sizeof(RedisSentinels));
        int r;

        if (!s)
                return -ENOMEM;
        *s = (RedisSentinels){
                .check = check,
                .handlers = handlers,
                .userdata = userdata,
                .link = { .pool = pool, .handlers = &link_handlers, .userdata = s },
        };
        r = sd_event_add_time_relative(engine_event(check_engine(check)), &s->patience,
                                       CLOCK_MONOTONIC, PATIENCE_USEC, ACCURACY_USEC, on_patience,
                                       s);
        if (r < 0)
                return r;
        sd_event_source_set_enabled(s->patience, SD_EVENT_OFF);
        *ret = TAKE(s);
        return 0;
}

int redis_sentinels_ask(RedisSentinels *s, TlsContext *tls) {
        int r;

        s->is_asked = true;
        s->tls = tls;
        s->n_tried = 1;
        s->is_reused = redis_link_is_open(&s->link);
        if (!s->is_reused)
                return sentinels_dial(s);
        r = sentinels_wait(s);
        return r < 0 ? r : sentinels_send(s);
}

void redis_sentinels_stop(RedisSentinels *s) {
        if (!s->is_asked)
                return;
        sentinels_end(s);
        redis_link_close(&s->link);
        /* It was silent to the end: the next run begins with the next. */
        s->current = (s->current + 1) % sentinels_settings(s)->sentinels.n;
}
