/* SPDX-License-Identifier: MIT */
#pragma once

/* The log: the journal when standard error is connected to it, else plain lines on standard error.
 * Logging never blocks: what the receiver does not take at once is dropped and counted, and the
 * count is logged as soon as it takes messages again. (sd_journal_send() blocks on a full socket,
 * so the journal's native datagrams are written here.) Thread-safe. */

#include <syslog.h>

#include "base/macro.h"

/* Finds out where messages go. Without it they go to standard error. */
void log_open(void);

/* LOG_ERR to LOG_DEBUG; messages above it are not made. Default LOG_INFO. */
void log_set_level(int level);
int log_get_level(void);

/* "emerg" to "debug", or "0" to "7". -EINVAL. */
int log_level_parse(const char *s, int *ret);
const char *log_level_name(int level);

/* Where messages go: "journal" or "console". */
const char *log_target_name(void);

/* How many messages were dropped so far because the receiver was stuck. */
uint64_t log_dropped(void);

/* Says how many were lost since that was said last, if any and if it can be said; so does each
 * message that is logged. For those who have nothing else to say. */
void log_tell_lost(void);

typedef struct LogField {
        const char *key, *value; /* borrowed; a NULL value leaves the field out */
} LogField;

/* A message with journal fields, e.g. VITALD_SERVICE=. */
void log_fields(int level, const LogField *fields, size_t n, const char *format, ...)
        _printf_(4, 5);

void log_line(int level, const char *format, ...) _printf_(2, 3);

#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

/* Logs the message with ": <errno text>" behind it and returns r (negative errno). */
int log_errno(int level, int r, const char *format, ...) _printf_(3, 4);
