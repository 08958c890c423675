/* SPDX-License-Identifier: MIT */
#pragma once

/* A bounded pool of helper threads for calls that cannot be made non-blocking, such as statvfs(2)
 * on a mount whose server is gone. Such a call cannot be ended: its owner abandons it, and the pool
 * writes its thread off and starts another, up to a bound. All functions here are for the thread of
 * the event loop. */

#include <systemd/sd-event.h>

#include "base/macro.h"

#define WORKERS_QUEUE_MAX 1024 /* jobs that wait for a thread */

typedef struct Workers Workers;
typedef struct Job Job;

/* Runs in a helper thread, with all signals blocked. It may touch nothing but data. */
typedef void (*JobFunction)(void *data);

/* Called from the event loop, never from within a call of this header, and not once the job is
 * abandoned. data is freed behind it; the job is still the owner's. */
typedef void (*JobHandler)(void *userdata, void *data);

/* Threads start when there is work for them. */
int workers_new(sd_event *event, unsigned threads_max, unsigned lost_max, Workers **ret);

/* Never waits for a thread that is stuck in a job; such a thread frees what it holds if it ever
 * returns. All jobs must have been released. */
Workers *workers_free(Workers *w);
DEFINE_CLEANUP(Workers *, workers_free);

/* data comes from malloc() and is taken over (also on an error): it is freed behind the handler, or
 * when an abandoned call returns at last. -EAGAIN when lost_max threads are written off already or
 * the queue is full; -ENOMEM; or what pthread_create(3) says when not one thread can be had. */
int workers_submit(Workers *w, JobFunction function, void *data, JobHandler handler, void *userdata,
                   Job **ret);

/* The call takes too long for others to wait for its thread: another one takes its place. The owner
 * waits on; the handler is called as ever. */
void job_write_off(Job *j);

/* The owner gives up: the handler stays silent from now on. A job that has not begun never will.
 * The handle stays, to ask whether the call has returned meanwhile. */
void job_abandon(Job *j);

/* Whether the function waits for a thread or runs at this moment. */
bool job_is_running(const Job *j);

/* Waits for the function to return, when the loop turns no more: for at most a second, which all
 * jobs that are waited for share, so that a disk that hangs costs no more than that. Whether it
 * has. */
bool job_wait(Job *j);

/* Releases the handle; abandons the job if its handler has not been called yet. */
Job *job_free(Job *j);
DEFINE_CLEANUP(Job *, job_free);

/* How many threads are written off now. */
unsigned workers_lost(const Workers *w);
