/* SPDX-License-Identifier: MIT */
/* Preloaded into a program, lets allocations fail: those whose number, counted from 0 since the
 * test has set it to 0, is in a range. The test maps the same file, $SHORT_MEMORY; $SHORT_PROGRAM
 * is the name of the program that is meant, as others are started on the way to it. Where the
 * first of them failed is written to standard error. Compiled by tests/lib/preload.py. */

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES_MAX 16

typedef struct Control {
        _Atomic uint64_t n;           /* allocations so far */
        _Atomic uint64_t first, last; /* these fail, both included */
        _Atomic uint64_t n_failed;
} Control;

static Control *control;

/* dlsym() may allocate before there is anything to allocate with. */
static char early[8192];
static size_t n_early;

static void *early_new(size_t size) {
        char *p = early + n_early;

        size = (size + 15) / 16 * 16;
        if (size > sizeof(early) - n_early)
                abort();
        n_early += size;
        return p;
}

static bool is_early(const void *p) {
        return (const char *) p >= early && (const char *) p < early + sizeof(early);
}

static void *(*real_malloc)(size_t size);
static void *(*real_calloc)(size_t n, size_t size);
static void *(*real_realloc)(void *p, size_t size);
static int (*real_posix_memalign)(void **p, size_t alignment, size_t size);
static void *(*real_aligned_alloc)(size_t alignment, size_t size);
static void (*real_free)(void *p);

/* Whether the real ones are known; the first to ask looks for them. */
static bool is_set_up(void) {
        static bool is_under_way;

        if (real_free)
                return true;
        if (is_under_way)
                return false;
        is_under_way = true;
        real_malloc = (void *(*) (size_t)) dlsym(RTLD_NEXT, "malloc");
        real_calloc = (void *(*) (size_t, size_t)) dlsym(RTLD_NEXT, "calloc");
        real_realloc = (void *(*) (void *, size_t)) dlsym(RTLD_NEXT, "realloc");
        real_posix_memalign = (int (*)(void **, size_t, size_t)) dlsym(RTLD_NEXT, "posix_memalign");
        real_aligned_alloc = (void *(*) (size_t, size_t)) dlsym(RTLD_NEXT, "aligned_alloc");
        real_free = (void (*)(void *)) dlsym(RTLD_NEXT, "free");
        return true;
}

__attribute__((constructor)) static void short_memory_init(void) {
        const char *path = getenv("SHORT_MEMORY"), *program = getenv("SHORT_PROGRAM");
        void *frames[1], *p;
        int fd;

        if (!path || !program || strcmp(program_invocation_short_name, program) != 0)
                return;
        (void) backtrace(frames, 1); /* loads what it needs */
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                abort();
        p = mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                abort();
        close(fd);
        control = p;
}

static bool fails(void) {
        static _Thread_local bool is_telling;
        uint64_t n;

        if (!control || is_telling)
                return false;
        n = atomic_fetch_add(&control->n, 1);
        if (n < control->first || n > control->last)
                return false;
        if (atomic_fetch_add(&control->n_failed, 1) == 0) {
                void *frames[FRAMES_MAX];

                is_telling = true;
                backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
                is_telling = false;
        }
        errno = ENOMEM;
        return true;
}

void *malloc(size_t size) {
        if (!is_set_up())
                return early_new(size);
        return fails() ? NULL : real_malloc(size);
}

void *calloc(size_t n, size_t size) {
        if (!is_set_up())
                return early_new(n * size);
        return fails() ? NULL : real_calloc(n, size);
}

void *realloc(void *p, size_t size) {
        if (!is_set_up() || is_early(p))
                abort();
        return fails() ? NULL : real_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size) {
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, bytes);
}

int posix_memalign(void **p, size_t alignment, size_t size) {
        return is_set_up() && !fails() ? real_posix_memalign(p, alignment, size) : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size) {
        return is_set_up() && !fails() ? real_aligned_alloc(alignment, size) : NULL;
}

void free(void *p) {
        if (is_set_up() && !is_early(p))
                real_free(p);
}
