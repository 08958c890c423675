/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"

#define LOG_MESSAGE_MAX 2048
#define LOG_RECORD_MAX  8192
#define TELL_PAUSE_USEC USEC_PER_SEC

static atomic_int max_level = LOG_INFO;
static int journal_fd = -1;
static atomic_uint_fast64_t dropped, dropped_told, told_usec;

static const struct sockaddr_un journal_address = {
        .sun_family = AF_UNIX,
        .sun_path = "/run/systemd/journal/socket",
};

static const char *const level_names[] = {
        [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",     [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

void log_set_level(int level) {
        max_level = level;
}

int log_get_level(void) {
        return max_level;
}

int log_level_parse(const char *s, int *ret) {
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
                if (str_equal(s, level_names[i])) {
                        *ret = (int) i;
                        return 0;
                }
        if (parse_uint64(s, &n) < 0 || n >= ELEMENTSOF(level_names))
                return -EINVAL;
        *ret = (int) n;
        return 0;
}

const char *log_level_name(int level) {
        assert(level >= 0 && (size_t) level < ELEMENTSOF(level_names));
        return level_names[level];
}

const char *log_target_name(void) {
        return journal_fd >= 0 ? "journal" : "console";
}

uint64_t log_dropped(void) {
        return dropped;
}

/* Whether standard error is the journal's stream, as systemd.exec(5) describes $JOURNAL_STREAM. */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return e && sscanf(e, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(void) {
        int fd;

        if (journal_fd >= 0 || !stderr_is_journal())
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        if (connect(fd, (const struct sockaddr *) &journal_address, sizeof(journal_address)) < 0) {
                fd_close(fd);
                return;
        }
        journal_fd = fd;
}

/* Appends "KEY=value\n"; values hold no line break, so the binary form is never needed. */
static size_t record_append(char *record, size_t used, const char *key, const char *value) {
        int n = snprintf(record + used, LOG_RECORD_MAX - used, "%s=%s\n", key, value);

        return n < 0 || (size_t) n >= LOG_RECORD_MAX - used ? used : used + (size_t) n;
}

static bool journal_send(int level, const LogField *fields, size_t n, const char *message) {
        char record[LOG_RECORD_MAX], value[LOG_MESSAGE_MAX];
        size_t used = 0;

        snprintf(value, sizeof(value), "%d", level);
        used = record_append(record, used, "PRIORITY", value);
        used = record_append(record, used, "SYSLOG_IDENTIFIER", program_invocation_short_name);
        used = record_append(record, used, "MESSAGE", message);
        for (size_t i = 0; i < n; i++)
                if (fields[i].value) {
                        text_sanitize(value, sizeof(value), fields[i].value,
                                      strlen(fields[i].value));
                        used = record_append(record, used, fields[i].key, value);
                }
        if (send(journal_fd, record, used, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return true;
        /* The journal's socket may have been made anew; that the queue is full is another thing. */
        if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ENOTCONN)
                return false;
        return connect(journal_fd, (const struct sockaddr *) &journal_address,
                       sizeof(journal_address)) >= 0 &&
               send(journal_fd, record, used, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* POLLOUT on a pipe promises PIPE_BUF bytes and a line is shorter, so the write does not block. */
static bool stderr_write(const char *message) {
        char line[LOG_MESSAGE_MAX + 2];
        size_t n = (size_t) snprintf(line, sizeof(line), "%s\n", message);
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        ssize_t r;

        r = send(STDERR_FILENO, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r < 0 && errno == ENOTSOCK) {
                if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT))
                        return false;
                r = write(STDERR_FILENO, line, n);
        }
        return r >= 0;
}

static bool emit(int level, const LogField *fields, size_t n, const char *message) {
        return journal_fd >= 0 ? journal_send(level, fields, n, message) : stderr_write(message);
}

/* Each lost message is counted once, by whichever thread comes first. Not in front of each message
 * that gets through: a receiver that is slow would be given twice as much. */
void log_tell_lost(void) {
        uint64_t lost = dropped, before = dropped_told;
        char message[LOG_MESSAGE_MAX];
        int saved = errno;

        if (lost == before || clock_usec(CLOCK_MONOTONIC) < usec_add(told_usec, TELL_PAUSE_USEC) ||
            !atomic_compare_exchange_strong(&dropped_told, &before, lost))
                return;
        snprintf(message, sizeof(message),
                 "%llu log messages were lost because the log receiver was stuck",
                 (unsigned long long) (lost - before));
        if (emit(LOG_WARNING, NULL, 0, message))
                told_usec = clock_usec(CLOCK_MONOTONIC);
        else
                atomic_fetch_sub(&dropped_told, lost - before);
        errno = saved;
}

_printf_(4, 0) static void log_v(int level, const LogField *fields, size_t n, const char *format,
                                 va_list ap) {
        char raw[LOG_MESSAGE_MAX], message[LOG_MESSAGE_MAX];
        int saved = errno;

        if (level > max_level)
                return;
        log_tell_lost();
        vsnprintf(raw, sizeof(raw), format, ap);
        text_sanitize(message, sizeof(message), raw, strlen(raw));
        if (!emit(level, fields, n, message))
                dropped++;
        errno = saved;
}

void log_fields(int level, const LogField *fields, size_t n, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_v(level, fields, n, format, ap);
        va_end(ap);
}

void log_line(int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_v(level, NULL, 0, format, ap);
        va_end(ap);
}

int log_errno(int level, int r, const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        va_list ap;

        va_start(ap, format);
        vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        log_line(level, "%s: %s", message, strerror(-r));
        return r;
}
