/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"

static void test_parse(void **state _unused_) {
        static const struct {
                const char *text;
                uint16_t default_port;
                const char *shown;
                AddressKind kind;
                bool local;
        } table[] = {
                { "cache.internal:6380", 6379, "cache.internal:6380", ADDRESS_NAME, false },
                { "cache_1", 6379, "cache_1:6379", ADDRESS_NAME, false },
                { "example.org.:80", 0, "example.org.:80", ADDRESS_NAME, false },
                { "3com.example", 80, "3com.example:80", ADDRESS_NAME, false },
                { "localhost:1", 0, "localhost:1", ADDRESS_NAME, true },
                { "LocalHost.", 1, "LocalHost.:1", ADDRESS_NAME, true },
                { "db.localhost", 1, "db.localhost:1", ADDRESS_NAME, true },
                { "notlocalhost", 1, "notlocalhost:1", ADDRESS_NAME, false },
                { "127.0.0.1:65535", 0, "127.0.0.1:65535", ADDRESS_IP, true },
                { "127.9.9.9", 1, "127.9.9.9:1", ADDRESS_IP, true },
                { "0.0.0.0", 80, "0.0.0.0:80", ADDRESS_IP, true },
                { "10.1.2.3", 80, "10.1.2.3:80", ADDRESS_IP, false },
                { "[::1]:6379", 0, "[::1]:6379", ADDRESS_IP, true },
                { "[2001:DB8:0:0::1]", 80, "[2001:db8::1]:80", ADDRESS_IP, false },
                { "[fe80::1%eth0]:80", 0, "[fe80::1%eth0]:80", ADDRESS_IP, false },
                { "/run/redis/redis.sock", 6379, "/run/redis/redis.sock", ADDRESS_UNIX, true },
        };
        char text[ADDRESS_TEXT_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *error = NULL;
                Address a, again;

                assert_int_equal(address_parse(table[i].text, table[i].default_port, &a, &error),
                                 0);
                assert_null(error);
                assert_int_equal(a.kind, table[i].kind);
                assert_int_equal(address_is_local(&a), table[i].local);
                assert_string_equal(address_format(text, &a), table[i].shown);
                assert_int_equal(address_parse(text, 0, &again, &error), 0);
                assert_true(address_equal(&a, &again));
                assert_memory_equal(&a, &again, sizeof(a));
        }
}

static void test_fault_26_bad_addresses(void **state _unused_) {
        static const struct {
                const char *text, *error;
        } table[] = {
                { "", "empty" },
                { ":6379", "host is missing" },
                { "cache", "port is missing" },
                { "[::1]", "port is missing" },
                { "cache:", "1 to 65535" },
                { "cache:0", "1 to 65535" },
                { "cache:65536", "1 to 65535" },
                { "cache:+80", "1 to 65535" },
                { "cache:99999999999999999999", "1 to 65535" },
                { "cache:80 ", "1 to 65535" },
                { "::1:6379", "brackets" },
                { "a:b:c", "brackets" },
                { "[::1", "missing" },
                { "[::1]6379", "follow" },
                { "[]:80", "not an IPv6" },
                { "[127.0.0.1]:80", "not an IPv6" },
                { "[cache]:80", "not an IPv6" },
                { "[2001:db8:0000:0000:0000:0000:0000:0000:0000:0001:0000:0000:0001]:80",
                  "not an IPv6" },
                { "[::ffff:10.0.0.1]:80", "IPv4-mapped" },
                { "[ff02::1%eth0]:80", "multicast" },
                { "[::1%lo]:80", "link-local" },
                { "[fe80::1]:80", "needs a zone" },
                { "[fe80::1%]:80", "interface name" },
                { "[fe80::1%a-very-long-interface]:80", "interface name" },
                { "224.0.0.1:80", "multicast" },
                { "255.255.255.255:80", "broadcast" },
                { "256.0.0.1:80", "IPv4" },
                { "10.0.1:80", "IPv4" },
                { "127.1.:80", "IPv4" },
                { "12345:80", "IPv4" },
                { "a..b:80", "neither" },
                { "-a:80", "neither" },
                { "a b:80", "neither" },
                { "user@host:80", "neither" },
                { "tcp//host:80", "neither" },
                { "h\xc3\xb6st:80", "neither" },
                { "@abstract", "neither" },
                { "/run/redis/", "ends in" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *error = "";
                Address a;

                if (address_parse(table[i].text, 0, &a, &error) != -EINVAL ||
                    !strstr(error, table[i].error))
                        fail_msg("%s: %s", table[i].text, error);
        }
}

static void test_fault_26_lengths(void **state _unused_) {
        char text[300] = "/";
        const char *error;
        SockAddr sa;
        socklen_t n;
        Address a;

        memset(text + 1, 'x', 106);
        assert_int_equal(address_parse(text, 0, &a, &error), 0);
        assert_int_equal(address_sockaddr(&a, &sa, &n), 0);
        assert_string_equal(sa.un.sun_path, text);
        text[107] = 'x';
        assert_int_equal(address_parse(text, 0, &a, &error), -EINVAL);
        assert_non_null(strstr(error, "107 bytes"));

        memset(text, 'x', sizeof(text));
        for (size_t i = 60; i < sizeof(text); i += 60)
                text[i] = '.';
        text[253] = 0;
        assert_int_equal(address_parse(text, 80, &a, &error), 0);
        assert_int_equal(address_sockaddr(&a, &sa, &n), -EDESTADDRREQ);
        text[253] = 'x';
        text[254] = 0;
        assert_int_equal(address_parse(text, 80, &a, &error), -EINVAL);
        assert_non_null(strstr(error, "253 bytes"));
        memset(text, 'x', 64);
        text[64] = 0;
        assert_int_equal(address_parse(text, 80, &a, &error), -EINVAL);
}

static void test_sockaddr(void **state _unused_) {
        const char *error;
        SockAddr sa;
        socklen_t n;
        Address a;

        assert_int_equal(address_parse("10.0.0.1:258", 0, &a, &error), 0);
        assert_int_equal(address_sockaddr(&a, &sa, &n), 0);
        assert_int_equal(n, sizeof(struct sockaddr_in));
        assert_int_equal(ntohs(sa.in4.sin_port), 258);

        assert_int_equal(address_parse("[fe80::1%lo]:258", 0, &a, &error), 0);
        assert_int_equal(address_sockaddr(&a, &sa, &n), 0);
        assert_int_equal(n, sizeof(struct sockaddr_in6));
        assert_int_not_equal(sa.in6.sin6_scope_id, 0);

        assert_int_equal(address_parse("[fe80::1%nosuch0]:1", 0, &a, &error), 0);
        assert_int_equal(address_sockaddr(&a, &sa, &n), -ENODEV);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_fault_26_bad_addresses),
                cmocka_unit_test(test_fault_26_lengths),
                cmocka_unit_test(test_sockaddr),
        };

        return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
