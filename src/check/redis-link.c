/* SPDX-License-Identifier: MIT */
#include "check/redis-link.h"

#include <errno.h>

#include "base/text.h"
#include "check/stream-verdict.h"

/* -- replies, as hiredis tells them ------------------------------------------------------------ */

/* The outermost object counts, and the first strings of an array; the limit of bytes per reply
 * bounds what they take. */
static void *reply_note(const redisReadTask *task, RedisKind kind) {
        RedisLink *l = task->privdata;

        if (!task->parent) {
                redis_reply_reset(&l->reply);
                l->reply.kind = kind;
        }
        return l;
}

static void *reply_word(const redisReadTask *task, const char *text, size_t n) {
        RedisLink *l = reply_note(task, REDIS_STRING);
        size_t i = task->parent ? (size_t) task->idx : 0;

        if ((task->parent && task->parent->parent) || i >= REDIS_WORDS_MAX)
                return l;
        free(l->reply.words[i]);
        l->reply.words[i] = strndup(text, n);
        return l->reply.words[i] ? l : NULL;
}

static void *reply_string(const redisReadTask *task, char *text, size_t n) {
        RedisLink *l = task->privdata;

        if (task->type == REDIS_REPLY_STRING)
                return reply_word(task, text, n);
        (void) reply_note(task, task->type == REDIS_REPLY_ERROR ? REDIS_ERROR : REDIS_STATUS);
        if (!task->parent)
                text_sanitize(l->reply.text, sizeof(l->reply.text), text, n);
        return l;
}

static void *reply_array(const redisReadTask *task, int n _unused_) {
        return reply_note(task, REDIS_ARRAY);
}

static void *reply_integer(const redisReadTask *task, long long number) {
        RedisLink *l = reply_note(task, REDIS_INTEGER);

        if (!task->parent)
                l->reply.number = number;
        return l;
}

static void *reply_nil(const redisReadTask *task) {
        return reply_note(task, REDIS_NIL);
}

static void reply_free(void *reply _unused_) {}

/* -- readers ----------------------------------------------------------------------------------- */

static redisReader *link_get_reader(RedisLink *l) {
        RedisPool *p = l->pool;

        if (!l->reader)
                l->reader =
                        p->spare ? TAKE(p->spare) : redisReaderCreateWithFunctions(&p->functions);
        if (l->reader)
                l->reader->privdata = l;
        return l->reader;
}

static bool reader_is_empty(const redisReader *r) {
        return r->err == 0 && r->pos == r->len && r->ridx == -1;
}

static void link_put_reader(RedisLink *l) {
        redisReader *reader = TAKE(l->reader);

        if (!reader)
                return;
        if (l->pool->spare || !reader_is_empty(reader))
                redisReaderFree(reader);
        else
                l->pool->spare = reader;
}

/* -- what the stream tells --------------------------------------------------------------------- */

static void link_disturbed(RedisLink *l) {
        redis_link_close(l);
        if (l->handlers->disturbed)
                l->handlers->disturbed(l->userdata);
}

static void on_resolved(void *userdata) {
        RedisLink *l = userdata;

        if (l->handlers->progressed)
                l->handlers->progressed(l->userdata, STREAM_CONNECTING);
}

static void on_shaking(void *userdata) {
        RedisLink *l = userdata;

        if (l->handlers->progressed)
                l->handlers->progressed(l->userdata, STREAM_SHAKING);
}

static void on_connected(void *userdata) {
        RedisLink *l = userdata;

        l->handlers->connected(l->userdata);
}

static void link_fail_protocol(RedisLink *l) {
        Result result;

        if (!l->reader || l->reader->err == REDIS_ERR_OOM)
                result_error(&result, REASON_RESOURCE, "Out of memory");
        else
                result_fail(&result, REASON_PROTOCOL, "%s", l->reader->errstr);
        l->handlers->failed(l->userdata, &result, false);
}

/* Hands on the replies that are whole. */
static void link_take_replies(RedisLink *l) {
        unsigned n_closed = l->n_closed;
        void *reply;

        while (l->n_due > 0) {
                if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
                        link_fail_protocol(l);
                        return;
                }
                if (!reply)
                        break;
                l->n_due--;
                l->handlers->replied(l->userdata, &l->reply);
                if (l->n_closed != n_closed)
                        return;
                redis_reply_reset(&l->reply);
        }
        /* More than was asked for: whatever it is, it must not be taken for the next reply. */
        if (reader_is_empty(l->reader))
                link_put_reader(l);
        else if (l->n_due == 0)
                redis_link_close(l);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        RedisLink *l = userdata;
        redisReader *reader;

        if (l->n_due == 0) {
                link_disturbed(l);
                return;
        }
        reader = link_get_reader(l);
        if (!reader || redisReaderFeed(reader, bytes, n) != REDIS_OK)
                link_fail_protocol(l);
        else
                link_take_replies(l);
}

static void on_failed(void *userdata, const StreamFailure *f) {
        RedisLink *l = userdata;
        Result result;

        if (f->phase == STREAM_OPEN && l->n_due == 0) {
                link_disturbed(l);
                return;
        }
        result_stream(&result, &l->address, f);
        l->handlers->failed(l->userdata, &result, f->error != EMSGSIZE);
}

/* -- commands ---------------------------------------------------------------------------------- */

/* An array of bulk strings. */
void redis_command_append(StrBuf *b, const char *const words[]) {
        size_t n = 0;

        while (words[n])
                n++;
        strbuf_printf(b, "*%zu\r\n", n);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

unsigned redis_command_append_login(StrBuf *b, const char *username, const char *password) {
        if (!password)
                return 0;
        if (username)
                redis_command_append(b, (const char *[]){ "AUTH", username, password, NULL });
        else
                redis_command_append(b, (const char *[]){ "AUTH", password, NULL });
        return 1;
}

void redis_commands_done(StrBuf *b) {
        if (b->text)
                explicit_bzero(b->text, b->allocated);
        strbuf_done(b);
}

/* -- the link ---------------------------------------------------------------------------------- */

int redis_link_dial(RedisLink *l, Engine *engine, const Address *address, TlsContext *tls,
                    const char *name) {
        int r;

        redis_link_close(l);
        l->address = *address;
        r = stream_dial(engine_poll_set(engine), engine_resolver(engine), address,
                        &l->pool->handlers, l, &l->stream);
        if (r >= 0 && tls)
                r = stream_use_tls(l->stream, tls, name);
        if (r < 0)
                redis_link_close(l);
        return r;
}

void redis_link_close(RedisLink *l) {
        l->n_closed++;
        l->n_due = 0;
        l->stream = stream_free(l->stream);
        link_put_reader(l);
        redis_reply_reset(&l->reply);
}

int redis_link_send(RedisLink *l, const StrBuf *commands, unsigned n_replies) {
        if (commands->failed)
                return -ENOMEM;
        stream_expect(l->stream, STREAM_REPLY_MAX);
        l->n_due = n_replies;
        return stream_write(l->stream, commands->text, commands->length);
}

void redis_pool_init(RedisPool *p) {
        p->functions = (redisReplyObjectFunctions){
                .createString = reply_string,
                .createArray = reply_array,
                .createInteger = reply_integer,
                .createNil = reply_nil,
                .freeObject = reply_free,
        };
        p->handlers = (StreamHandlers){
                .resolved = on_resolved,
                .shaking = on_shaking,
                .connected = on_connected,
                .received = on_received,
                .failed = on_failed,
        };
}

void redis_pool_done(RedisPool *p) {
        if (p->spare)
                redisReaderFree(p->spare);
}
