/* SPDX-License-Identifier: MIT */
#pragma once

/* What the programs of scripts/bench share. They are not part of vitald: they stop at the first
 * thing that goes wrong, because a figure made beside an error is worth nothing. */

#include <sys/epoll.h>

#include "base/clock.h"

/* Says what failed, with errno if there is one, and exits. */
_Noreturn _printf_(1, 2) void die(const char *format, ...);

/* The number that an argument is, or die(). */
uint64_t number(const char *argument);

uint64_t now_nsec(void);

/* An open TCP connection to a port of 127.0.0.1, not blocking and without delay. */
int dial(uint16_t port);

/* Sends all of it at once or dies: what is sent here is small and the peer reads it. */
void send_all(int fd, const void *bytes, size_t n);

int epoll_make(void);
void epoll_watch(int epoll_fd, int fd, uint32_t events, void *data);

/* The checks of a checker that does nothing else: n of them, each once in each interval, on a grid
 * of GRID_USEC, so that one wake-up does for all that are due in it. */
#define GRID_USEC (10 * USEC_PER_MSEC)

typedef struct Pace {
        size_t n;
        usec_t begin_usec, interval_usec;
        uint64_t n_started;
} Pace;

void pace_begin(Pace *p, size_t n, usec_t interval_usec);

/* Whether a check is due now; *ret: its number. */
bool pace_next(Pace *p, size_t *ret);

/* How long epoll_wait() may sleep. */
int pace_sleep_msec(const Pace *p);
