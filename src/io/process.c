/* SPDX-License-Identifier: MIT */
#include "io/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "io/child.h"
#include "io/escapees.h"

#define TIMER_ACCURACY_USEC (5 * USEC_PER_MSEC)

/* While an escaped process does not end, it is looked for again, ever less often. */
#define SWEEP_FIRST_USEC (20 * USEC_PER_MSEC)
#define SWEEP_LAST_USEC  (5 * USEC_PER_SEC)

/* What the end of all waits for, in steps. */
#define CLOSE_STEPS     20
#define CLOSE_STEP_MSEC 5

typedef enum ProcessStage {
        PROCESS_STARTING,
        PROCESS_RUNNING,
        PROCESS_TERMINATED, /* SIGTERM was sent */
        PROCESS_KILLED,     /* SIGKILL was sent */
        PROCESS_STUCK,
        PROCESS_OVER,
} ProcessStage;

typedef struct Pipe {
        int fd; /* owned; -1: closed */
        PollWatch watch;
        char *kept; /* borrowed */
        size_t n, kept_max, n_read;
        bool is_cut;
} Pipe;

struct Processes {
        PollSet *set;           /* borrowed */
        Workers *workers;       /* borrowed */
        List all;               /* of Process */
        sd_event_source *sweep; /* owned */
        usec_t sweep_pause_usec;
};

struct Process {
        Processes *processes; /* borrowed */
        ListLink link;
        ProcessStage stage;
        Job *job;        /* owned; while it starts */
        ChildPlan *plan; /* the job's; borrowed while that has a handler to call */
        pid_t pid;
        int pidfd; /* owned; -1: not running */
        PollWatch watch;
        Pipe out, err;
        bool lacks_rights;
        sd_event_source *timer;          /* owned; NULL: none */
        const ProcessHandlers *handlers; /* borrowed; NULL: nobody owns it any more */
        void *userdata;
        char output[PROCESS_OUTPUT_MAX], errors[PROCESS_ERRORS_MAX];
};

/* -- what has escaped -------------------------------------------------------------------------- */

/* Whether the session is one of ours at work. */
static bool processes_know(void *userdata, pid_t session) {
        const Processes *s = userdata;

        LIST_FOREACH(i, &s->all) {
                const Process *p = list_item(i, Process, link);

                if ((p->plan ? p->plan->pid : p->pid) == session)
                        return true;
        }
        return false;
}

static void processes_sweep(Processes *s, usec_t pause_usec) {
        unsigned left = escapees_end(processes_know, s);

        s->sweep_pause_usec = MIN(pause_usec, SWEEP_LAST_USEC);
        if (left == 0)
                return;
        sd_event_source_set_time_relative(s->sweep, s->sweep_pause_usec);
        sd_event_source_set_enabled(s->sweep, SD_EVENT_ONESHOT);
}

static int on_sweep(sd_event_source *source _unused_, usec_t usec _unused_, void *userdata) {
        Processes *s = userdata;

        processes_sweep(s, 2 * s->sweep_pause_usec);
        return 0;
}

/* -- output ------------------------------------------------------------------------------------ */

static void pipe_close(Pipe *p) {
        poll_watch_drop(&p->watch);
        p->fd = fd_close(p->fd);
}

/* A flood is read at the pace of the loop, and is cut in the end: whoever goes on writing gets
 * SIGPIPE. */
static void pipe_read(Pipe *p) {
        char bytes[PROCESS_OUTPUT_MAX * 2];
        ssize_t n;

        n = read(p->fd, bytes, sizeof(bytes));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0) {
                size_t take = MIN((size_t) n, p->kept_max - p->n);

                memcpy(p->kept + p->n, bytes, take);
                p->n += take;
                p->n_read += (size_t) n;
                p->is_cut = p->n_read >= PROCESS_READ_MAX;
        }
        if (n <= 0 || p->is_cut)
                pipe_close(p);
}

static void on_output(void *userdata, uint32_t events _unused_) {
        pipe_read(userdata);
}

/* What is in it at present; who else holds its other end is not waited for. */
static void pipe_drain(Pipe *p) {
        size_t before;

        do {
                before = p->n_read;
                if (p->fd >= 0)
                        pipe_read(p);
        } while (p->fd >= 0 && p->n_read > before && p->n < p->kept_max);
        pipe_close(p);
}

static int pipe_watch(Pipe *p, PollSet *set, int fd) {
        p->fd = fd;
        return poll_watch_add(&p->watch, set, fd, EPOLLIN, on_output, p);
}

/* -- the end ----------------------------------------------------------------------------------- */

static void process_kill(const Process *p, int number) {
        if (p->pidfd >= 0)
                (void) kill(-p->pid, number);
}

static void process_close(Process *p) {
        poll_watch_drop(&p->watch);
        p->pidfd = fd_close(p->pidfd);
        pipe_close(&p->out);
        pipe_close(&p->err);
        p->timer = sd_event_source_disable_unref(p->timer);
}

static void process_delete(Process *p) {
        process_close(p);
        p->job = job_free(p->job);
        list_unlink(&p->link);
        free(p);
}

/* Takes its status away; false if it lives. Until then its number is not given out again, and its
 * group can be killed. */
static bool process_reap(Process *p, siginfo_t *ret) {
        *ret = (siginfo_t){};
        if (waitid(P_PIDFD, (id_t) p->pidfd, ret, WEXITED | WNOHANG | WNOWAIT) < 0)
                return true;
        if (ret->si_pid == 0)
                return false;
        process_kill(p, SIGKILL);
        (void) waitid(P_PIDFD, (id_t) p->pidfd, ret, WEXITED | WNOHANG);
        return true;
}

static void process_end(Process *p, const siginfo_t *status) {
        ProcessEnd end = {
                .is_signal = status->si_code != CLD_EXITED,
                .code = status->si_status,
                .lacks_rights = p->lacks_rights,
                .is_cut = p->out.is_cut || p->err.is_cut,
                .output = p->output,
                .n_output = p->out.n,
                .errors = p->errors,
                .n_errors = p->err.n,
        };

        process_close(p);
        p->stage = PROCESS_OVER;
        p->pid = 0; /* what is left of its session has escaped */
        processes_sweep(p->processes, SWEEP_FIRST_USEC);
        if (p->handlers)
                p->handlers->ended(p->userdata, &end);
        else
                process_delete(p);
}

static void on_exit_seen(void *userdata, uint32_t events _unused_) {
        Process *p = userdata;
        siginfo_t status;

        pipe_drain(&p->out);
        pipe_drain(&p->err);
        if (process_reap(p, &status))
                process_end(p, &status);
}

static int on_grace_over(sd_event_source *source, usec_t usec _unused_, void *userdata) {
        Process *p = userdata;

        if (p->stage == PROCESS_TERMINATED) {
                process_kill(p, SIGKILL);
                p->stage = PROCESS_KILLED;
                sd_event_source_set_time_relative(source, PROCESS_GRACE_USEC);
                sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        p->stage = PROCESS_STUCK;
        if (p->handlers)
                p->handlers->stuck(p->userdata);
        return 0;
}

/* The thread that starts it cannot be called back: it ends the child itself if one comes of it. */
static void process_give_up_start(Process *p) {
        if (atomic_exchange(&p->plan->fate, CHILD_UNWANTED) == CHILD_READY) {
                child_discard(p->plan, false);
                processes_sweep(p->processes, SWEEP_FIRST_USEC);
        }
        p->plan = NULL;
        job_abandon(p->job);
        p->stage = PROCESS_STUCK;
}

void process_terminate(Process *p) {
        if (p->stage == PROCESS_STARTING)
                process_give_up_start(p);
        if (p->stage != PROCESS_RUNNING)
                return;
        process_kill(p, SIGTERM);
        process_kill(p, SIGCONT);
        p->stage = PROCESS_TERMINATED;
        if (sd_event_add_time_relative(poll_set_event(p->processes->set), &p->timer,
                                       CLOCK_MONOTONIC, PROCESS_GRACE_USEC, TIMER_ACCURACY_USEC,
                                       on_grace_over, p) < 0)
                process_kill(p, SIGKILL);
}

bool process_is_stuck(const Process *p) {
        return p->stage == PROCESS_STUCK;
}

bool process_is_gone(const Process *p) {
        return p->stage == PROCESS_OVER ||
               (p->stage == PROCESS_STUCK && p->job && !job_is_running(p->job));
}

Process *process_free(Process *p) {
        if (!p)
                return NULL;
        p->handlers = NULL;
        if (p->stage == PROCESS_STARTING)
                process_give_up_start(p);
        process_kill(p, SIGKILL);
        p->timer = sd_event_source_disable_unref(p->timer);
        if (p->pidfd < 0)
                process_delete(p);
        return NULL;
}

/* -- the start --------------------------------------------------------------------------------- */

static void process_fail(Process *p, const ChildPlan *plan, int error) {
        ProcessFailure failure = {
                .error = error,
                .is_of_user = plan->stage == CHILD_STAGE_USER,
                .is_of_file = plan->stage == CHILD_STAGE_EXECUTE,
                .lacks_interpreter = plan->lacks_interpreter,
                .lacks_rights = plan->lacks_rights,
        };

        process_close(p);
        p->stage = PROCESS_OVER;
        p->handlers->failed(p->userdata, &failure);
}

static void on_started(void *userdata, void *data) {
        Process *p = userdata;
        PollSet *set = p->processes->set;
        ChildPlan *plan = data;
        int r;

        p->plan = NULL;
        p->job = job_free(p->job);
        p->lacks_rights = plan->lacks_rights;
        if (plan->error < 0) {
                child_discard(plan, false);
                process_fail(p, plan, plan->error);
                return;
        }
        p->stage = PROCESS_RUNNING;
        p->pid = plan->pid;
        p->pidfd = plan->pidfd;
        r = poll_watch_add(&p->watch, set, p->pidfd, EPOLLIN, on_exit_seen, p);
        if (r >= 0)
                r = pipe_watch(&p->out, set, TAKE_FD(plan->out));
        if (r >= 0)
                r = pipe_watch(&p->err, set, TAKE_FD(plan->err));
        if (r >= 0)
                return;
        poll_watch_drop(&p->watch);
        p->pidfd = -1;
        plan->stage = CHILD_STAGE_PREPARE;
        child_discard(plan, false);
        processes_sweep(p->processes, SWEEP_FIRST_USEC);
        process_fail(p, plan, r);
}

int process_start(Processes *s, const ProcessRequest *request, const ProcessHandlers *handlers,
                  void *userdata, Process **ret) {
        ChildPlan *plan;
        Process *p;
        int r;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->processes = s;
        p->pidfd = -1;
        p->out = (Pipe){ .fd = -1, .kept = p->output, .kept_max = sizeof(p->output) };
        p->err = (Pipe){ .fd = -1, .kept = p->errors, .kept_max = sizeof(p->errors) };
        p->handlers = handlers;
        p->userdata = userdata;
        plan = child_plan_new(request->argv, request->environment, request->user,
                              request->memory_max_bytes);
        if (!plan) {
                free(p);
                return -ENOMEM;
        }
        p->plan = plan;
        list_append(&s->all, &p->link);
        r = workers_submit(s->workers, child_start, plan, on_started, p, &p->job);
        if (r < 0) {
                process_delete(p);
                return r;
        }
        *ret = p;
        return 0;
}

/* -- all of them ------------------------------------------------------------------------------- */

int processes_new(PollSet *set, Workers *workers, Processes **ret) {
        _cleanup_(processes_freep) Processes *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        list_init(&s->all);
        s->set = set;
        s->workers = workers;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        r = sd_event_add_time(poll_set_event(set), &s->sweep, CLOCK_MONOTONIC, 0,
                              TIMER_ACCURACY_USEC, on_sweep, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->sweep, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

/* All were sent SIGKILL, which takes its time; what is still there then is left to init. */
static unsigned processes_reap(Processes *s) {
        siginfo_t status;
        unsigned left = 0;

        LIST_FOREACH_SAFE(i, &s->all) {
                Process *p = list_item(i, Process, link);

                if (process_reap(p, &status))
                        process_delete(p);
                else
                        left++;
        }
        return left + escapees_end(processes_know, s);
}

Processes *processes_free(Processes *s) {
        if (!s)
                return NULL;
        for (unsigned i = 0; i < CLOSE_STEPS && processes_reap(s) > 0; i++)
                (void) poll(NULL, 0, CLOSE_STEP_MSEC);
        LIST_FOREACH_SAFE(i, &s->all)
                process_delete(list_item(i, Process, link));
        sd_event_source_disable_unref(s->sweep);
        free(s);
        return NULL;
}
