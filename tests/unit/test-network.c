/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/network.h"

static struct in6_addr in6(const char *text) {
        struct in6_addr a;

        assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
        return a;
}

static void test_parse(void **state _unused_) {
        static const struct {
                const char *text, *shown; /* NULL: is refused */
        } table[] = {
                { "10.0.0.0/8", "10.0.0.0/8" },
                { "192.0.2.7", "192.0.2.7/32" },
                { "192.0.2.128/25", "192.0.2.128/25" },
                { "0.0.0.0/0", "0.0.0.0/0" },
                { "::/0", "::/0" },
                { "2001:DB8::/32", "2001:db8::/32" },
                { "::1", "::1/128" },
                { "fe80::/10", "fe80::/10" },
                { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
                { "::ffff:192.0.2.7", "192.0.2.7/32" },
                { "", NULL },
                { "/8", NULL },
                { "10.0.0.0/", NULL },
                { "10.0.0.0/33", NULL },
                { "10.0.0.0/-1", NULL },
                { "10.0.0.0/8 ", NULL },
                { "10.0.0.0/255.0.0.0", NULL },
                { "10.0.0.1/8", NULL },
                { "10.0.0/8", NULL },
                { "::/129", NULL },
                { "2001:db8::1/64", NULL },
                { "::ffff:0.0.0.0/95", NULL },
                { "fe80::1%eth0", NULL },
                { "[::1]", NULL },
                { "localhost", NULL },
                { "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222/1", NULL },
        };
        char text[IP_NETWORK_TEXT_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *error = NULL;
                IpNetwork n;
                int r = ip_network_parse(table[i].text, &n, &error);

                assert_int_equal(r, table[i].shown ? 0 : -EINVAL);
                assert_int_equal(error != NULL, r < 0);
                if (r == 0)
                        assert_string_equal(ip_network_format(text, &n), table[i].shown);
        }
}

static void test_contains(void **state _unused_) {
        static const struct {
                const char *network, *address;
                bool is_in;
        } table[] = {
                { "10.0.0.0/8", "::ffff:10.255.0.1", true },
                { "10.0.0.0/8", "::ffff:11.0.0.1", false },
                { "10.0.0.0/8", "a00::1", false },
                { "192.0.2.128/25", "::ffff:192.0.2.128", true },
                { "192.0.2.128/25", "::ffff:192.0.2.255", true },
                { "192.0.2.128/25", "::ffff:192.0.2.127", false },
                { "192.0.2.7", "::ffff:192.0.2.7", true },
                { "192.0.2.7", "::ffff:192.0.2.6", false },
                { "0.0.0.0/0", "::ffff:1.2.3.4", true },
                { "0.0.0.0/0", "2001:db8::1", false },
                { "::/0", "2001:db8::1", true },
                { "::/0", "::ffff:1.2.3.4", false },
                { "2001:db8:0:8000::/49", "2001:db8:0:ffff::1", true },
                { "2001:db8:0:8000::/49", "2001:db8:0:7fff::1", false },
                { "::1", "::1", true },
                { "::1", "::2", false },
                { "::ffff:10.0.0.0/104", "::ffff:10.1.1.1", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct in6_addr address = in6(table[i].address);
                const char *error;
                IpNetwork n;

                assert_int_equal(ip_network_parse(table[i].network, &n, &error), 0);
                assert_int_equal(ip_network_contains(&n, &address), table[i].is_in);
        }
}

static void test_loopback(void **state _unused_) {
        static const struct {
                const char *address;
                bool is_loopback;
        } table[] = {
                { "::1", true },
                { "::ffff:127.0.0.1", true },
                { "::ffff:127.255.255.254", true },
                { "::ffff:128.0.0.1", false },
                { "::2", false },
                { "::127.0.0.1", false },
                { "2001:db8::1", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct in6_addr address = in6(table[i].address);

                assert_int_equal(in6_is_loopback(&address), table[i].is_loopback);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_contains),
                cmocka_unit_test(test_loopback),
        };

        return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
