/* SPDX-License-Identifier: MIT */

/* What an AMQP 0-9-1 broker sends: whatever the bytes, frames are taken whole and within them, and
 * what is shown of them is fit to be shown. */

#include "fuzz.h"

#include <errno.h>

#include "base/text.h"
#include "check/rabbitmq-frame.h"
#include "check/rabbitmq-verdict.h"

#define POOL_PAGE_BYTES 1024

static void check_shown(const char *s) {
        FUZZ_ASSERT(utf8_is_valid(s, strlen(s)));
        for (; *s; s++)
                FUZZ_ASSERT((unsigned char) *s >= 0x20 && *s != 0x7f);
}

static void check_start(const amqp_connection_start_t *m) {
        char server[RABBIT_SERVER_MAX];

        check_shown(rabbit_server_name(&m->server_properties, server));
        (void) rabbit_list_has(m->mechanisms, "PLAIN");
}

static void check_close(const amqp_connection_close_t *m) {
        Result r;

        rabbit_judge_close(m->reply_code, m->reply_text, m->class_id % 2 == 0, &r);
        FUZZ_ASSERT(r.outcome == OUTCOME_FAIL && r.reason != REASON_NONE);
        check_shown(r.message);
        check_shown(r.detail);
}

static void check_frame(const RabbitFrame *f) {
        if (f->type != AMQP_FRAME_METHOD)
                return;
        FUZZ_ASSERT(f->decoded);
        if (f->method == AMQP_CONNECTION_START_METHOD)
                check_start(f->decoded);
        else if (f->method == AMQP_CONNECTION_CLOSE_METHOD)
                check_close(f->decoded);
}

static void check_greeting(const char *bytes, size_t n) {
        Result r;

        rabbit_judge_greeting(bytes, n, &r);
        FUZZ_ASSERT(r.outcome == OUTCOME_FAIL && r.reason == REASON_PROTOCOL);
        check_shown(r.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *bytes = malloc(size + 1);
        amqp_pool_t pool;
        RabbitFrame f;
        ssize_t n = 0;

        FUZZ_ASSERT(bytes);
        memcpy(bytes, data, size);
        check_greeting(bytes, size);
        init_amqp_pool(&pool, POOL_PAGE_BYTES);
        for (size_t at = 0; (n = rabbit_frame_take(bytes + at, size - at, &pool, &f)) > 0;
             at += (size_t) n) {
                FUZZ_ASSERT((size_t) n <= size - at && n <= RABBIT_FRAME_MAX);
                check_frame(&f);
                recycle_amqp_pool(&pool);
        }
        FUZZ_ASSERT(n == 0 || n == -EPROTO);
        empty_amqp_pool(&pool);
        free(bytes);
        return 0;
}
