/* SPDX-License-Identifier: MIT */
#include "io/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"

#define STACK_BYTES       ((size_t) 256 * 1024)
#define HANDLERS_PER_TURN 64           /* called before other event sources get their turn */
#define WAIT_MAX_USEC     USEC_PER_SEC /* for all jobs */
#define WAIT_LEAST_USEC   (50 * USEC_PER_MSEC) /* for each: others may hang */
#define WAIT_LOOK_USEC    USEC_PER_MSEC

/* What the threads share with the loop. It lives until the last thread has left, which may be long
 * after workers_free(). Everything here is under the lock. */
typedef struct Pool {
        pthread_mutex_t lock;
        pthread_cond_t work;
        unsigned refs; /* the Workers and each thread */
        bool is_closing;
        List threads;          /* those not written off */
        List queued, finished; /* jobs */
        unsigned n_threads, n_idle, n_lost, n_queued;
        int eventfd; /* owned; told about each finished job */
} Pool;

typedef struct Thread {
        Pool *pool; /* a reference */
        ListLink link;
        pthread_t id;
        bool is_lost; /* written off, detached: leaves as soon as its job returns */
} Thread;

typedef enum JobState {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_FINISHED, /* the handler has not been called yet */
        JOB_OVER,     /* the handler was called or never will */
} JobState;

/* All but what the owner gave is under the pool's lock. */
struct Job {
        Workers *workers; /* borrowed; for the loop's thread only */
        Pool *pool;       /* borrowed; for threads, which hold a reference */
        unsigned refs;    /* the owner, and the pool until the data is freed */
        JobState state;
        bool is_abandoned;
        Thread *thread; /* borrowed; while running */
        ListLink link;  /* in queued or finished */
        JobFunction function;
        JobHandler handler;
        void *data; /* owned */
        void *userdata;
};

struct Workers {
        Pool *pool;              /* a reference */
        sd_event_source *source; /* owned: the eventfd */
        unsigned threads_max, lost_max, n_handles;
        usec_t waited_usec; /* by job_wait() since the loop turned */
};

static void pool_unref_and_unlock(Pool *p) {
        bool is_last = --p->refs == 0;

        pthread_mutex_unlock(&p->lock);
        if (!is_last)
                return;
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->lock);
        fd_close(p->eventfd);
        free(p);
}

static void job_unref(Job *j) {
        if (--j->refs == 0)
                free(j);
}

/* The pool is done with a job. */
static void job_end(Job *j) {
        list_unlink(&j->link);
        j->state = JOB_OVER;
        free(j->data);
        j->data = NULL;
        job_unref(j);
}

/* -- in a thread ------------------------------------------------------------------------------- */

/* Called and left with the lock held. */
static void thread_run_job(Thread *t, Job *j) {
        Pool *p = t->pool;

        list_unlink(&j->link);
        p->n_queued--;
        j->state = JOB_RUNNING;
        j->thread = t;
        pthread_mutex_unlock(&p->lock);

        j->function(j->data);

        pthread_mutex_lock(&p->lock);
        j->thread = NULL;
        if (j->is_abandoned) {
                job_end(j);
                return;
        }
        j->state = JOB_FINISHED;
        list_append(&p->finished, &j->link);
        (void) eventfd_write(p->eventfd, 1);
}

static void *thread_main(void *userdata) {
        Thread *t = userdata;
        Pool *p = t->pool;
        Job *j;

        pthread_mutex_lock(&p->lock);
        while (!p->is_closing && !t->is_lost) {
                j = list_first(&p->queued, Job, link);
                if (j)
                        thread_run_job(t, j);
                else {
                        p->n_idle++;
                        pthread_cond_wait(&p->work, &p->lock);
                        p->n_idle--;
                }
        }
        if (t->is_lost) {
                p->n_lost--;
                free(t);
        }
        pool_unref_and_unlock(p);
        return NULL;
}

/* -- in the loop ------------------------------------------------------------------------------- */

/* Called with the lock held; what the new thread does first is to wait for it. */
static int pool_start_thread(Pool *p) {
        _cleanup_free_ Thread *t = calloc(1, sizeof(*t));
        pthread_attr_t attr;
        sigset_t all, before;
        int k;

        if (!t)
                return -ENOMEM;
        t->pool = p;
        k = pthread_attr_init(&attr);
        if (k != 0)
                return -k;
        pthread_attr_setstacksize(&attr, STACK_BYTES);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        k = pthread_create(&t->id, &attr, thread_main, t);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
        if (k != 0)
                return -k;
        p->refs++;
        p->n_threads++;
        list_append(&p->threads, &t->link);
        t = NULL;
        return 0;
}

/* Called with the lock held: sees to it that queued jobs get a thread if one may be had. */
static int pool_provide_threads(Pool *p, unsigned threads_max) {
        int r;

        pthread_cond_broadcast(&p->work);
        if (p->n_queued <= p->n_idle || p->n_threads >= threads_max)
                return 0;
        r = pool_start_thread(p);
        return p->n_threads > 0 ? 0 : r;
}

static int on_finished(sd_event_source *s _unused_, int fd, uint32_t revents _unused_,
                       void *userdata) {
        Workers *w = userdata;
        Pool *p = w->pool;
        eventfd_t ignored;
        Job *j;

        (void) eventfd_read(fd, &ignored);
        w->waited_usec = 0;
        for (unsigned i = 0; i < HANDLERS_PER_TURN; i++) {
                pthread_mutex_lock(&p->lock);
                j = list_first(&p->finished, Job, link);
                if (j) {
                        list_unlink(&j->link);
                        j->state = JOB_OVER;
                }
                pthread_mutex_unlock(&p->lock);
                if (!j)
                        return 0;
                j->handler(j->userdata, j->data);
                pthread_mutex_lock(&p->lock);
                job_end(j);
                pthread_mutex_unlock(&p->lock);
        }
        (void) eventfd_write(fd, 1);
        return 0;
}

int workers_submit(Workers *w, JobFunction function, void *data, JobHandler handler, void *userdata,
                   Job **ret) {
        _cleanup_free_ void *owned = data;
        Pool *p = w->pool;
        int r = 0;
        Job *j;

        j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (Job){ .workers = w,
                    .pool = p,
                    .refs = 2,
                    .state = JOB_QUEUED,
                    .data = data,
                    .function = function,
                    .handler = handler,
                    .userdata = userdata };
        pthread_mutex_lock(&p->lock);
        if (p->n_lost >= w->lost_max || p->n_queued >= WORKERS_QUEUE_MAX)
                r = -EAGAIN;
        else {
                list_append(&p->queued, &j->link);
                p->n_queued++;
                r = pool_provide_threads(p, w->threads_max);
                if (r < 0) {
                        list_unlink(&j->link);
                        p->n_queued--;
                }
        }
        pthread_mutex_unlock(&p->lock);
        if (r < 0) {
                free(j);
                return r;
        }
        owned = NULL;
        w->n_handles++;
        *ret = j;
        return 0;
}

/* A running call is left alone with its thread, and another thread takes its place. */
static void job_write_off_thread(Job *j) {
        Thread *t = j->thread;
        Pool *p = j->pool;

        if (t->is_lost)
                return;
        t->is_lost = true;
        list_unlink(&t->link);
        pthread_detach(t->id);
        p->n_threads--;
        p->n_lost++;
        (void) pool_provide_threads(p, j->workers->threads_max);
}

void job_write_off(Job *j) {
        pthread_mutex_lock(&j->pool->lock);
        if (j->state == JOB_RUNNING)
                job_write_off_thread(j);
        pthread_mutex_unlock(&j->pool->lock);
}

void job_abandon(Job *j) {
        Pool *p = j->pool;

        pthread_mutex_lock(&p->lock);
        switch (j->state) {
        case JOB_QUEUED:
                p->n_queued--;
                job_end(j);
                break;
        case JOB_RUNNING:
                j->is_abandoned = true;
                job_write_off_thread(j);
                break;
        case JOB_FINISHED:
                job_end(j);
                break;
        case JOB_OVER:
                break;
        }
        pthread_mutex_unlock(&p->lock);
}

bool job_is_running(const Job *j) {
        bool answer;

        pthread_mutex_lock(&j->pool->lock);
        answer = j->state == JOB_QUEUED || j->state == JOB_RUNNING;
        pthread_mutex_unlock(&j->pool->lock);
        return answer;
}

Job *job_free(Job *j) {
        Pool *p;

        if (!j)
                return NULL;
        p = j->pool;
        j->workers->n_handles--;
        job_abandon(j);
        pthread_mutex_lock(&p->lock);
        job_unref(j);
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

bool job_wait(Job *j) {
        usec_t *total = &j->workers->waited_usec;

        for (usec_t n = 0; job_is_running(j) && (n < WAIT_LEAST_USEC || *total < WAIT_MAX_USEC);
             n += WAIT_LOOK_USEC, *total += WAIT_LOOK_USEC)
                (void) nanosleep(&(struct timespec){ .tv_nsec = 1000 * WAIT_LOOK_USEC }, NULL);
        return !job_is_running(j);
}

unsigned workers_lost(const Workers *w) {
        unsigned n;

        pthread_mutex_lock(&w->pool->lock);
        n = w->pool->n_lost;
        pthread_mutex_unlock(&w->pool->lock);
        return n;
}

static int pool_new(Pool **ret) {
        _cleanup_free_ Pool *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (p->eventfd < 0)
                return -errno;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->work, NULL);
        list_init(&p->threads);
        list_init(&p->queued);
        list_init(&p->finished);
        p->refs = 1;
        *ret = TAKE(p);
        return 0;
}

int workers_new(sd_event *event, unsigned threads_max, unsigned lost_max, Workers **ret) {
        _cleanup_(workers_freep) Workers *w = NULL;
        int r;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->threads_max = threads_max;
        w->lost_max = lost_max;
        r = pool_new(&w->pool);
        if (r < 0)
                return r;
        assert(w->pool);
        r = sd_event_add_io(event, &w->source, w->pool->eventfd, EPOLLIN, on_finished, w);
        if (r < 0)
                return r;
        *ret = TAKE(w);
        return 0;
}

/* As no job is left, threads that are not written off run none, and leave at once. */
Workers *workers_free(Workers *w) {
        Pool *p;
        Thread *t;

        if (!w)
                return NULL;
        assert(w->n_handles == 0);
        sd_event_source_disable_unref(w->source);
        p = w->pool;
        if (p) {
                pthread_mutex_lock(&p->lock);
                p->is_closing = true;
                pthread_cond_broadcast(&p->work);
                while ((t = list_first(&p->threads, Thread, link))) {
                        list_unlink(&t->link);
                        pthread_mutex_unlock(&p->lock);
                        pthread_join(t->id, NULL);
                        free(t);
                        pthread_mutex_lock(&p->lock);
                }
                pool_unref_and_unlock(p);
        }
        free(w);
        return NULL;
}
