/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "io/recv-limit.h"

#define SENT 5000

typedef struct Fixture {
        int ends[2];
} Fixture;

static int setup(void **state) {
        static const char zeros[SENT];
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(
                socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, f->ends), 0);
        assert_int_equal(send(f->ends[0], zeros, SENT, 0), SENT);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        close(f->ends[0]);
        close(f->ends[1]);
        free(f);
        return 0;
}

/* As a library does: until nothing is there. */
static size_t read_all(int fd) {
        char buf[700];
        size_t sum = 0;
        ssize_t n;

        while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
                sum += (size_t) n;
        assert_int_equal(n, -1);
        assert_int_equal(errno, EAGAIN);
        return sum;
}

static void test_limited(void **state) {
        Fixture *f = *state;

        recv_limit_begin(1000);
        assert_int_equal(read_all(f->ends[1]), 1000);
        assert_int_equal(recv_limit_end().bytes, 1000);
        recv_limit_begin(0);
        assert_int_equal(read_all(f->ends[1]), 0);
        assert_int_equal(recv_limit_end().bytes, 0);
        recv_limit_begin(SENT);
        assert_int_equal(read_all(f->ends[1]), SENT - 1000);
        assert_int_equal(recv_limit_end().bytes, SENT - 1000);
}

static void test_not_limited(void **state) {
        Fixture *f = *state;

        assert_int_equal(read_all(f->ends[1]), SENT);
}

/* Libraries must get this recv() as well, or the limit is none. */
static void test_seen_by_libraries(void **state _unused_) {
        assert_non_null(curl_version()); /* one that reads by recv() is linked */
        assert_ptr_equal(dlsym(RTLD_DEFAULT, "recv"), (void *) recv);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_limited, setup, teardown),
                cmocka_unit_test(test_seen_by_libraries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
