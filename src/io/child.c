/* SPDX-License-Identifier: MIT */
/* By clone(2) with CLONE_VFORK and CLONE_VM: nothing is copied, and the child tells by our own
 * memory what went wrong. posix_spawn(3), which does the same, can neither set limits nor change
 * the user. */

#include "io/child.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/xattr.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define STACK_BYTES       ((size_t) 64 * 1024)
#define GROUPS_MAX        256
#define USER_BUFFER_BYTES 16384
#define DESCRIPTORS_MAX   1024 /* what select(2) can take */
#define EXIT_NOT_STARTED  127

/* A file that is being written is tried once more. */
#define BUSY_PAUSE_NSEC 50000000L

/* The kernel's first choice when memory runs out. */
#define OOM_SCORE_WORST "1000"

/* What vitald may have for itself; a program that it starts never has them. */
static const int own_capabilities[] = { CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_SYS_RESOURCE };

typedef struct User {
        uid_t uid;
        gid_t gid;
        gid_t groups[GROUPS_MAX];
        int n_groups;
} User;

/* What the child works on. Nothing may be allocated or locked there. */
typedef struct Child {
        ChildPlan *plan;  /* borrowed */
        const User *user; /* borrowed; NULL: as we are */
        int in, out, err;
        int error; /* set by the child */
        ChildStage stage;
        struct sigaction standard;
        sigset_t no_signals;
} Child;

/* -- in the child ------------------------------------------------------------------------------ */

/* The child ends within its frame, and a sanitizer would take the memory for still in use. */
#define _in_child_ __attribute__((no_sanitize_address))

static int _in_child_ child_limit(int resource, rlim_t soft, rlim_t hard) {
        struct rlimit limit = { soft, hard };

        return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int _in_child_ child_set_limits(const ChildPlan *p) {
        struct rlimit files;
        int r;

        r = child_limit(RLIMIT_CORE, 0, 0);
        if (r < 0)
                return r;
        if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > DESCRIPTORS_MAX)
                r = child_limit(RLIMIT_NOFILE, DESCRIPTORS_MAX, files.rlim_max);
        if (r >= 0 && p->memory_max_bytes > 0)
                r = child_limit(RLIMIT_AS, p->memory_max_bytes, p->memory_max_bytes);
        return r;
}

/* Past libc, which would change the user of all our threads. */
static int _in_child_ child_take_on(const User *u) {
        if (syscall(SYS_setgroups, (long) u->n_groups, u->groups) < 0 ||
            syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0 ||
            syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
                return -errno;
        return 0;
}

static int _in_child_ child_set_descriptors(const Child *c) {
        if (dup2(c->in, STDIN_FILENO) < 0 || dup2(c->out, STDOUT_FILENO) < 0 ||
            dup2(c->err, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
                return -errno;
        return 0;
}

static int _in_child_ child_prepare(Child *c) {
        int r;

        if (setsid() < 0 || chdir("/") < 0)
                return -errno;
        r = child_set_descriptors(c);
        if (r < 0)
                return r;
        r = child_set_limits(c->plan);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(own_capabilities); i++)
                (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, own_capabilities[i], 0, 0);
        if (c->user) {
                c->stage = CHILD_STAGE_USER;
                r = child_take_on(c->user);
                if (r < 0)
                        return r;
        }
        for (int i = 1; i < NSIG; i++)
                (void) sigaction(i, &c->standard, NULL);
        return sigprocmask(SIG_SETMASK, &c->no_signals, NULL) < 0 ? -errno : 0;
}

static int _in_child_ child_main(void *userdata) {
        Child *c = userdata;
        int r;

        c->plan->pid = getpid();
        r = child_prepare(c);
        if (r >= 0) {
                c->stage = CHILD_STAGE_EXECUTE;
                execve(c->plan->argv[0], c->plan->argv, c->plan->environment);
                r = -errno;
        }
        c->error = r;
        _exit(EXIT_NOT_STARTED);
}

/* -- in the thread ----------------------------------------------------------------------------- */

static void child_reap(pid_t pid, bool is_waiting) {
        siginfo_t status;

        (void) waitid(P_PID, (id_t) pid, &status, WEXITED | (is_waiting ? 0 : WNOHANG));
}

/* Above those that the child gives another meaning to. */
static int fd_move_up(int *fd) {
        int moved;

        if (*fd > STDERR_FILENO)
                return 0;
        moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (moved < 0)
                return -errno;
        fd_close(*fd);
        *fd = moved;
        return 0;
}

static int pipe_make(int *ret_read, int *ret_write) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        *ret_read = fds[0];
        *ret_write = fds[1];
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = fd_move_up(ret_read);
        return r < 0 ? r : fd_move_up(ret_write);
}

static int user_find(const char *name, User *ret) {
        char buffer[USER_BUFFER_BYTES];
        struct passwd pwd, *found;
        int r;

        r = getpwnam_r(name, &pwd, buffer, sizeof(buffer), &found);
        if (r != 0)
                return -r;
        if (!found)
                return -ESRCH;
        ret->uid = pwd.pw_uid;
        ret->gid = pwd.pw_gid;
        ret->n_groups = GROUPS_MAX;
        return getgrouplist(name, pwd.pw_gid, ret->groups, &ret->n_groups) < 0 ? -E2BIG : 0;
}

/* One attempt. The child runs on our memory until it has executed the file or has ended. */
static int child_clone(Child *c) {
        pid_t pid;
        void *stack;
        int r = 0;

        c->error = 0;
        stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
                return -errno;
        c->stage = CHILD_STAGE_PREPARE;
        pid = clone(child_main, (char *) stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, c);
        if (pid < 0)
                r = -errno;
        (void) munmap(stack, STACK_BYTES);
        if (r < 0)
                return r;
        c->plan->pid = pid;
        if (c->error < 0) {
                child_reap(pid, true);
                return c->error;
        }
        c->plan->pidfd = pidfd_open(pid, 0);
        if (c->plan->pidfd < 0) {
                r = -errno;
                (void) kill(-pid, SIGKILL);
                child_reap(pid, true);
        }
        return r;
}

/* The child's memory is the first to go, before ours. */
static void child_offer_to_oom(pid_t pid) {
        _cleanup_fd_ int fd = -1;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int) pid);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                (void) !write(fd, OOM_SCORE_WORST, strlen(OOM_SCORE_WORST));
}

/* The capabilities that are in force now, or 0. */
static uint64_t capabilities_own(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

        if (syscall(SYS_capget, &header, data) < 0)
                return 0;
        return data[0].effective | (uint64_t) data[1].effective << 32;
}

/* Those that the file would have, were it not for no_new_privs. */
static uint64_t capabilities_of_file(const char *path, const struct stat *st) {
        struct vfs_ns_cap_data data = {};

        if (st->st_mode & S_ISUID && st->st_uid == 0)
                return 1U << CAP_NET_RAW; /* all, but this is what such plug-ins do with it */
        if (getxattr(path, XATTR_NAME_CAPS, &data, sizeof(data)) < (ssize_t) XATTR_CAPS_SZ_2)
                return 0;
        return le32toh(data.data[0].permitted) | (uint64_t) le32toh(data.data[1].permitted) << 32;
}

/* What says most about a file that cannot be executed, or that does not work in a sandbox. */
static void child_look_at_file(ChildPlan *p) {
        struct stat st;

        if (stat(p->argv[0], &st) < 0)
                return;
        p->lacks_interpreter = p->error == -ENOENT;
        p->lacks_rights = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                          (capabilities_of_file(p->argv[0], &st) & ~capabilities_own()) != 0;
}

static int child_try(ChildPlan *p, Child *c, User *user) {
        static const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NSEC };
        int r;

        if (p->user) {
                c->stage = CHILD_STAGE_USER;
                r = user_find(p->user, user);
                if (r < 0)
                        return r;
                /* Nothing is changed, and so nothing is needed. */
                c->user = user->uid == geteuid() && user->uid != 0 ? NULL : user;
        }
        c->stage = CHILD_STAGE_PREPARE;
        c->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (c->in < 0)
                return -errno;
        r = fd_move_up(&c->in);
        if (r < 0)
                return r;
        r = pipe_make(&p->out, &c->out);
        if (r < 0)
                return r;
        r = pipe_make(&p->err, &c->err);
        if (r < 0)
                return r;
        r = child_clone(c);
        if (r != -ETXTBSY)
                return r;
        (void) nanosleep(&pause, NULL);
        return child_clone(c);
}

void child_start(void *plan) {
        ChildPlan *p = plan;
        User user = {};
        Child c = { .plan = p, .in = -1, .out = -1, .err = -1 };

        c.standard.sa_handler = SIG_DFL;
        sigemptyset(&c.no_signals);
        p->error = child_try(p, &c, &user);
        p->stage = c.stage;
        fd_close(c.in);
        fd_close(c.out);
        fd_close(c.err);
        child_look_at_file(p);
        if (p->error >= 0)
                child_offer_to_oom(p->pid);
        if (atomic_exchange(&p->fate, CHILD_READY) == CHILD_UNWANTED)
                child_discard(p, true);
}

void child_discard(ChildPlan *p, bool is_waiting) {
        if (p->error >= 0) {
                (void) kill(-p->pid, SIGKILL);
                child_reap(p->pid, is_waiting);
        }
        p->pidfd = fd_close(p->pidfd);
        p->out = fd_close(p->out);
        p->err = fd_close(p->err);
}

/* -- the plan ---------------------------------------------------------------------------------- */

static size_t strv_bytes(char *const *l) {
        size_t n = sizeof(char *);

        STRV_FOREACH(s, l)
                n += sizeof(char *) + strlen(*s) + 1;
        return n;
}

/* Copies the list to *place and its strings to *text, and moves both on. */
static char **strv_pack(char *const *l, char ***place, char **text) {
        char **list = *place;

        STRV_FOREACH(s, l) {
                size_t n = strlen(*s) + 1;

                *(*place)++ = memcpy(*text, *s, n);
                *text += n;
        }
        *(*place)++ = NULL;
        return list;
}

ChildPlan *child_plan_new(char *const *argv, char *const *environment, const char *user,
                          uint64_t memory_max_bytes) {
        size_t n_pointers = strv_length(argv) + strv_length(environment) + 2;
        size_t n_user = user ? strlen(user) + 1 : 0;
        char **place, *text;
        ChildPlan *p;

        p = calloc(1, sizeof(*p) + strv_bytes(argv) + strv_bytes(environment) + n_user);
        if (!p)
                return NULL;
        place = (char **) (p + 1);
        text = (char *) (place + n_pointers);
        p->argv = strv_pack(argv, &place, &text);
        p->environment = strv_pack(environment, &place, &text);
        if (user)
                p->user = memcpy(text, user, n_user);
        p->memory_max_bytes = memory_max_bytes;
        p->pidfd = p->out = p->err = -1;
        return p;
}
