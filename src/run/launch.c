/* SPDX-License-Identifier: MIT */
#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "run/companion.h"

/* Where the companion has its descriptors; it has no others. */
enum { PROGRAM_FD = STDERR_FILENO + 1, EXECUTED_FD, COMPANION_FDS };

static int fault(int r, const char *what) {
        fprintf(stderr, "vitald-run: %s: %s\n", what, strerror(-r));
        return r;
}

/* -- the companion ----------------------------------------------------------------------------- */

/* What is sent to all processes of a unit is meant for the program, and what it dumps core for is
 * no reason for a second core. SIGTERM ends the companion as it ends everything. */
static void ignore_signals(void) {
        static const int kept[] = { SIGKILL, SIGSTOP, SIGTERM, SIGCHLD, SIGCONT,
                                    SIGSEGV, SIGBUS,  SIGFPE,  SIGILL };
        sigset_t none;

        for (int s = 1; s <= SIGRTMAX; s++)
                (void) signal(s, SIG_IGN);
        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                (void) signal(kept[i], SIG_DFL);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Sockets that the program was given close with the program. Standard error stays until the journal
 * is open. */
static int take_descriptors(int *pidfd, int *executed) {
        int a, b, null;

        a = fcntl(*pidfd, F_DUPFD_CLOEXEC, COMPANION_FDS);
        b = fcntl(*executed, F_DUPFD_CLOEXEC, COMPANION_FDS);
        if (a < 0 || b < 0 || dup2(a, PROGRAM_FD) < 0 || dup2(b, EXECUTED_FD) < 0)
                return -errno;
        *pidfd = PROGRAM_FD;
        *executed = EXECUTED_FD;
        closefrom(COMPANION_FDS);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
                return -errno;
        log_open();
        if (str_equal(log_target_name(), "journal") && dup2(null, STDERR_FILENO) < 0)
                return -errno;
        fd_close(null);
        return chdir("/") < 0 ? -errno : 0;
}

/* Who looks for the program by its command line must not find the companion. */
static void set_title(const Launch *l, const char *service) {
        static char name[] = "vitald-run";
        char *begin = l->argv[0], *last = l->argv[l->argc - 1];
        size_t size = (size_t) (last + strlen(last) + 1 - begin);

        program_invocation_short_name = name;
        memset(begin, 0, size);
        snprintf(begin, size, "vitald-run: health of %s", service);
}

/* Whether the program was executed; if not, this process has nothing to do. */
static bool wait_for_program(int executed) {
        ssize_t n;
        char c;

        do {
                n = read(executed, &c, 1);
        } while (n < 0 && errno == EINTR);
        return n == 0;
}

static int companion_main(const Launch *l, const CompanionSettings *settings, int pidfd,
                          int executed) {
        _cleanup_free_ char *service = strdup(settings->start.service);
        CompanionSettings own = *settings;
        int r;

        if (!service)
                return EXIT_FAILURE;
        own.start.service = service; /* the title overwrites the command line */
        ignore_signals();
        r = take_descriptors(&pidfd, &executed);
        if (r < 0) {
                log_errno(LOG_ERR, r, "Cannot stay beside the program");
                return EXIT_FAILURE;
        }
        set_title(l, service);
        if (!wait_for_program(executed))
                return EXIT_SUCCESS;
        return companion_run(&own, pidfd);
}

/* -- this process ------------------------------------------------------------------------------ */

/* pipe: the program's end closes when the program is executed. */
static int leave_companion(const Launch *l, const CompanionSettings *settings, int ret_pipe[2]) {
        _cleanup_fd_ int pidfd = pidfd_open(getpid(), 0);
        pid_t child;
        int status;

        if (pidfd < 0 || pipe2(ret_pipe, O_CLOEXEC) < 0)
                return -errno;
        child = fork();
        if (child < 0)
                return -errno;
        if (child == 0) {
                pid_t companion;

                (void) setsid();
                companion = fork();
                if (companion != 0)
                        _exit(companion < 0 ? errno : 0);
                fd_close(ret_pipe[1]);
                exit(companion_main(l, settings, pidfd, ret_pipe[0]));
        }
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return errno == ECHILD ? 0 : -errno; /* SIGCHLD is ignored */
        return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int execute(char **program) {
        int r;

        if (strchr(program[0], '/'))
                (void) execv(program[0], program);
        else
                (void) execvp(program[0], program);
        r = -errno;
        fprintf(stderr, "vitald-run: cannot execute %s: %s\n", program[0], strerror(-r));
        return EXIT_CANNOT_EXECUTE;
}

/* "orders.service" is the service "orders". unit may be NULL. */
static int name_service(const Launch *l, const char *unit, char **ret) {
        static const char suffix[] = ".service";
        const char *name = l->service ? l->service : unit;
        size_t n, n_suffix = strlen(suffix);

        if (!name)
                return fault(-ENODATA, "this process is in no unit, so it needs --service=");
        n = strlen(name);
        if (!l->service && n > n_suffix && str_equal(name + n - n_suffix, suffix))
                n -= n_suffix;
        *ret = strndup(name, n);
        return *ret ? 0 : fault(-ENOMEM, "no companion");
}

static int launch_accompanied(const Launch *l) {
        _cleanup_free_ char *unit = NULL, *service = NULL;
        _cleanup_strbuf_ StrBuf socket = {};
        CompanionSettings s = {
                .scope = l->scope,
                .ready_without_usec = l->ready_without_usec,

                .start = { .invocation_id = getenv("INVOCATION_ID") },
        };
        int pipe[2] = { -1, -1 }, r;

        if (str_is_empty(s.start.invocation_id))
                return fault(-ENODATA, "$INVOCATION_ID, which systemd sets, is not there");
        (void) (l->scope == BUS_USER ? sd_pid_get_user_unit(0, &unit) : sd_pid_get_unit(0, &unit));
        r = name_service(l, unit, &service);
        if (r < 0)
                return r;
        s.start.service = service;
        s.start.unit = unit;
        strbuf_printf(&socket, "%s/private", l->runtime_directory);
        if (socket.failed)
                return fault(-ENOMEM, "no companion");
        s.socket_path = socket.text;
        (void) sd_watchdog_enabled(false, &s.watchdog_usec);
        r = leave_companion(l, &s, pipe);
        if (r < 0)
                return fault(r, "cannot leave a companion behind");
        fd_close(pipe[0]);
        return pipe[1];
}

int launch(const Launch *l) {
        int executed = -1, code;

        if (str_is_empty(getenv("NOTIFY_SOCKET")))
                fprintf(stderr,
                        "vitald-run: $NOTIFY_SOCKET is not set (no unit of Type=notify?); %s runs "
                        "without a companion\n",
                        l->program[0]);
        else {
                executed = launch_accompanied(l);
                if (executed < 0)
                        return EXIT_FAILURE;
        }
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_USEC");
        (void) unsetenv("WATCHDOG_PID");
        code = execute(l->program);
        if (executed >= 0)
                (void) !write(executed, "", 1);
        return code;
}
