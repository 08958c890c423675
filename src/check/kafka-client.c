/* SPDX-License-Identifier: MIT */
#include "check/kafka-client.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "check/kafka-names.h"

#define EVENTS_PER_TURN 64

struct KafkaClient {
        /* The loop's own. */
        PollWatch watch;
        const KafkaHandlers *handlers; /* borrowed, constant */
        void *userdata;
        KafkaTrouble trouble; /* the latest since the question */
        bool is_waiting;      /* for an answer */
        KafkaPhase told;      /* to the handler */

        /* Of both; what stands below the lock is under it. */
        int eventfd; /* owned; told about everything that is new for the loop */
        KafkaNames names;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned refs; /* the loop and the thread */
        bool is_closed, is_asked, is_answered;
        usec_t deadline_usec;
        KafkaPhase phase;
        rd_kafka_resp_err_t error; /* why there is no result */
        Result result;
        long verify;
        KafkaTrouble dead;        /* why librdkafka cannot be had */
        rd_kafka_queue_t *events; /* owned by the thread */

        /* The thread's own. */
        rd_kafka_conf_t *conf; /* owned; until rk is made of it */
        rd_kafka_t *rk;        /* owned */
        char *topic, *group;   /* owned, may be NULL */
};

/* -- threads ----------------------------------------------------------------------------------- */

/* Of the process, as is its end: what exit(3) is told to do cannot be taken back. */
static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_prepared;
        unsigned n;
} threads = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void threads_add(int n) {
        pthread_mutex_lock(&threads.lock);
        threads.n += (unsigned) n;
        pthread_cond_broadcast(&threads.changed);
        pthread_mutex_unlock(&threads.lock);
}

static void on_process_end(int status, void *userdata _unused_) {
        pthread_mutex_lock(&threads.lock);
        if (threads.n > 0) {
                (void) fflush(NULL);
                _exit(status);
        }
        pthread_mutex_unlock(&threads.lock);
}

/* Handlers run in reverse order: OpenSSL's is to be there before. */
int kafka_clients_prepare(void) {
        if (threads.is_prepared)
                return 0;
        if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1 ||
            on_exit(on_process_end, NULL) != 0)
                return -ENOMEM;
        threads.is_prepared = true;
        return 0;
}

void kafka_clients_wait(usec_t patience_usec) {
        usec_t until_usec = usec_add(clock_usec(CLOCK_MONOTONIC), patience_usec);
        const struct timespec until = {
                .tv_sec = (time_t) (until_usec / USEC_PER_SEC),
                .tv_nsec = (long) (until_usec % USEC_PER_SEC * 1000),
        };
        int k = 0;

        pthread_mutex_lock(&threads.lock);
        while (threads.n > 0 && k == 0)
                k = pthread_cond_clockwait(&threads.changed, &threads.lock, CLOCK_MONOTONIC,
                                           &until);
        pthread_mutex_unlock(&threads.lock);
}

/* -- one client -------------------------------------------------------------------------------- */

static void client_unref_and_unlock(KafkaClient *c) {
        bool is_last = --c->refs == 0;

        pthread_mutex_unlock(&c->lock);
        if (!is_last)
                return;
        if (c->conf)
                rd_kafka_conf_destroy(c->conf);
        kafka_names_done(&c->names);
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
        fd_close(c->eventfd);
        free(c->topic);
        free(c->group);
        free(c);
}

/* -- in librdkafka's threads ------------------------------------------------------------------- */

/* What is worth knowing comes as an event as well. */
static void on_log(const rd_kafka_t *rk _unused_, int level _unused_, const char *facility _unused_,
                   const char *text _unused_) {}

static int on_resolve(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **ret, void *userdata) {
        KafkaClient *c = userdata;

        if (host)
                return kafka_names_look_up(&c->names, host, service, hints, ret);
        freeaddrinfo(*ret);
        return 0;
}

/* Only looks: what OpenSSL found stays what is found. */
static int on_verify(rd_kafka_t *rk _unused_, const char *broker _unused_, int32_t id _unused_,
                     int *x509_error, int depth _unused_, const char *certificate _unused_,
                     size_t size _unused_, char *why, size_t why_size, void *userdata) {
        KafkaClient *c = userdata;

        if (*x509_error == 0)
                return 1;
        pthread_mutex_lock(&c->lock);
        c->verify = *x509_error;
        pthread_mutex_unlock(&c->lock);
        snprintf(why, why_size, "%s", X509_verify_cert_error_string(*x509_error));
        return 0;
}

/* -- in the client's thread -------------------------------------------------------------------- */

static bool on_phase(void *userdata, KafkaPhase phase) {
        KafkaClient *c = userdata;
        bool goes_on;

        pthread_mutex_lock(&c->lock);
        goes_on = !c->is_closed;
        if (c->phase != phase)
                (void) eventfd_write(c->eventfd, 1);
        c->phase = phase;
        pthread_mutex_unlock(&c->lock);
        return goes_on;
}

/* Called and left with the lock held. */
static void client_answer(KafkaClient *c, rd_kafka_topic_t *topic) {
        KafkaQuery query = {
                .rk = c->rk,
                .topic = topic,
                .topic_name = c->topic,
                .group = c->group,
                .deadline_usec = c->deadline_usec,
                .goes_on = on_phase,
                .userdata = c,
        };
        rd_kafka_resp_err_t error;
        Result result = {};

        c->is_asked = false;
        pthread_mutex_unlock(&c->lock);
        error = kafka_query(&query, &result);
        pthread_mutex_lock(&c->lock);
        c->error = error;
        c->result = result;
        c->is_answered = true;
        (void) eventfd_write(c->eventfd, 1);
}

/* Left with the lock held. */
static void client_make(KafkaClient *c) {
        static const uint64_t one = 1;
        char why[KAFKA_TEXT_MAX] = "";

        c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, c->conf, why, sizeof(why));
        pthread_mutex_lock(&c->lock);
        if (!c->rk) {
                c->dead.error = rd_kafka_last_error();
                snprintf(c->dead.text, sizeof(c->dead.text), "%s", why);
                (void) eventfd_write(c->eventfd, 1);
                return;
        }
        c->conf = NULL;
        c->events = rd_kafka_queue_get_main(c->rk);
        rd_kafka_queue_io_event_enable(c->events, c->eventfd, &one, sizeof(one));
        /* Events that came before that are not told. */
        (void) eventfd_write(c->eventfd, 1);
}

static void *client_main(void *userdata) {
        KafkaClient *c = userdata;
        rd_kafka_topic_t *topic = NULL;

        client_make(c);
        if (c->rk && c->topic)
                topic = rd_kafka_topic_new(c->rk, c->topic, NULL);
        while (!c->is_closed) {
                if (c->is_asked && c->rk)
                        client_answer(c, topic);
                else
                        pthread_cond_wait(&c->changed, &c->lock);
        }
        if (c->events)
                rd_kafka_queue_destroy(TAKE(c->events));
        pthread_mutex_unlock(&c->lock);
        if (topic)
                rd_kafka_topic_destroy(topic);
        if (c->rk)
                rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        pthread_mutex_lock(&c->lock);
        client_unref_and_unlock(c);
        /* Now, as the process may end before the thread does. */
        OPENSSL_thread_stop();
        threads_add(-1);
        return NULL;
}

/* -- in the loop ------------------------------------------------------------------------------- */

/* What came from librdkafka. */
typedef struct News {
        bool is_troubled; /* some connection is gone */
        bool is_down;     /* all are */
        bool is_answered;
        KafkaPhase phase;
        rd_kafka_resp_err_t error;
        Result result;
} News;

/* Called with the lock held. */
static void client_take_event(KafkaClient *c, rd_kafka_event_t *event, News *n) {
        rd_kafka_resp_err_t error = rd_kafka_event_error(event);

        if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR)
                return;
        n->is_troubled = true;
        n->is_down |= error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
        if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && c->trouble.error)
                return;
        c->trouble.error = error;
        c->trouble.verify = c->verify;
        snprintf(c->trouble.text, sizeof(c->trouble.text), "%s",
                 rd_kafka_event_error_string(event));
}

/* Called with the lock held. */
static void client_take_events(KafkaClient *c, News *n) {
        rd_kafka_event_t *event;

        for (unsigned i = 0; c->events && i < EVENTS_PER_TURN; i++) {
                event = rd_kafka_queue_poll(c->events, 0);
                if (!event)
                        return;
                client_take_event(c, event, n);
                rd_kafka_event_destroy(event);
        }
        (void) eventfd_write(c->eventfd, 1);
}

static News client_take_news(KafkaClient *c) {
        News n = {};

        pthread_mutex_lock(&c->lock);
        client_take_events(c, &n);
        n.is_answered = c->is_answered;
        n.phase = c->phase;
        n.error = c->error;
        n.result = c->result;
        c->is_answered = false;
        if (c->dead.error) {
                c->trouble = c->dead;
                n.is_down = true;
        }
        pthread_mutex_unlock(&c->lock);
        return n;
}

/* The handler called last may free the client. */
static void on_news(void *userdata, uint32_t events _unused_) {
        KafkaClient *c = userdata;
        eventfd_t ignored;
        News n;

        (void) eventfd_read(c->eventfd, &ignored);
        kafka_names_serve(&c->names);
        n = client_take_news(c);
        if (c->is_waiting && n.phase != c->told) {
                c->told = n.phase;
                c->handlers->progressed(c->userdata, n.phase);
        }
        if (n.is_answered && !n.error && c->is_waiting) {
                c->is_waiting = false;
                /* What is no trouble to this answer is one to the next. */
                if (n.is_down)
                        (void) eventfd_write(c->eventfd, 1);
                c->handlers->answered(c->userdata, &n.result);
        } else if (n.is_down || (n.is_answered && c->trouble.error))
                c->handlers->failed(c->userdata, &c->trouble);
        else if (n.is_troubled && !c->is_waiting)
                c->handlers->troubled(c->userdata);
}

void kafka_client_ask(KafkaClient *c, usec_t deadline_usec) {
        assert(!c->is_waiting);
        c->is_waiting = true;
        c->trouble = (KafkaTrouble){};
        c->told = KAFKA_CONNECTING;
        pthread_mutex_lock(&c->lock);
        c->is_asked = true;
        c->phase = KAFKA_CONNECTING;
        c->deadline_usec = deadline_usec;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

ResolveStatus kafka_client_name_status(const KafkaClient *c) {
        return c->names.failed_status;
}

const char *kafka_client_name(const KafkaClient *c) {
        return c->names.failed;
}

KafkaClient *kafka_client_free(KafkaClient *c) {
        if (!c)
                return NULL;
        poll_watch_drop(&c->watch);
        kafka_names_close(&c->names);
        pthread_mutex_lock(&c->lock);
        c->is_closed = true;
        pthread_cond_broadcast(&c->changed);
        client_unref_and_unlock(c);
        return NULL;
}

/* -- making one -------------------------------------------------------------------------------- */

/* All signals are the loop's, in librdkafka's threads too. */
static int client_start_thread(KafkaClient *c) {
        sigset_t all, before;
        pthread_t id;
        int k;

        c->refs++;
        threads_add(1);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        k = pthread_create(&id, NULL, client_main, c);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (k == 0)
                pthread_detach(id);
        else {
                c->refs--;
                threads_add(-1);
        }
        return -k;
}

static int client_prepare(KafkaClient *c, const KafkaClientOptions *o) {
        if (o->topic && !(c->topic = strdup(o->topic)))
                return -ENOMEM;
        if (o->group && !(c->group = strdup(o->group)))
                return -ENOMEM;
        rd_kafka_conf_set_opaque(c->conf, c);
        rd_kafka_conf_set_log_cb(c->conf, on_log);
        rd_kafka_conf_set_resolve_cb(c->conf, on_resolve);
        rd_kafka_conf_set_events(c->conf, RD_KAFKA_EVENT_ERROR);
        (void) rd_kafka_conf_set_ssl_cert_verify_cb(c->conf, on_verify);
        return poll_watch_add(&c->watch, o->poll_set, c->eventfd, EPOLLIN, on_news, c);
}

int kafka_client_new(const KafkaClientOptions *o, rd_kafka_conf_t *conf, KafkaClient **ret) {
        _cleanup_(kafka_client_freep) KafkaClient *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                rd_kafka_conf_destroy(conf);
                return -ENOMEM;
        }
        c->conf = conf;
        c->refs = 1;
        c->handlers = o->handlers;
        c->userdata = o->userdata;
        c->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->changed, NULL);
        kafka_names_init(&c->names, o->resolver, c->eventfd);
        if (c->eventfd < 0)
                return -errno;
        r = client_prepare(c, o);
        if (r >= 0)
                r = client_start_thread(c);
        if (r < 0)
                return r;
        *ret = TAKE(c);
        return 0;
}
