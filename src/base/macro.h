/* SPDX-License-Identifier: MIT */
#pragma once

/* Small language helpers that every file may use: cleanup attributes, array sizes, minimum and
 * maximum. No domain words, nothing but libc. */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _unused_       __attribute__((unused))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _warn_unused_  __attribute__((warn_unused_result))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* Each use gets names of its own, so that uses nest without shadowing. */
#define MACRO_PASTE_(a, b) a##b
#define MACRO_PASTE(a, b)  MACRO_PASTE_(a, b)
#define MACRO_PICK(a, op, b, n)                                                                 \
        ({                                                                                      \
                __typeof__(a) MACRO_PASTE(_pick_a, n) = (a);                                    \
                __typeof__(b) MACRO_PASTE(_pick_b, n) = (b);                                    \
                MACRO_PASTE(_pick_a, n)                                                         \
                op MACRO_PASTE(_pick_b, n) ? MACRO_PASTE(_pick_a, n) : MACRO_PASTE(_pick_b, n); \
        })
/* sys/param.h, which other headers bring in, has its own. */
#undef MIN
#undef MAX
#define MIN(a, b) MACRO_PICK(a, <, b, __COUNTER__)
#define MAX(a, b) MACRO_PICK(a, >, b, __COUNTER__)

/* Hands a pointer on and forgets it here: `return TAKE(p);` under a cleanup attribute. */
#define TAKE(p)                                    \
        ({                                         \
                __typeof__(p) *_take_pp = &(p);    \
                __typeof__(p) _take_p = *_take_pp; \
                *_take_pp = NULL;                  \
                _take_p;                           \
        })

/* Defines func##p(Type **) for use in _cleanup_(). func must accept NULL. */
#define DEFINE_CLEANUP(Type, func)            \
        static inline void func##p(Type *p) { \
                if (*p)                       \
                        func(*p);             \
        }                                     \
        struct cleanup_needs_a_semicolon

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

/* The struct that contains this member. By way of an integer, so that Type may be const or not. */
#define container_of(ptr, Type, member) ((Type *) (((uintptr_t) (ptr)) - offsetof(Type, member)))
