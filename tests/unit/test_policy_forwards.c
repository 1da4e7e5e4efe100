/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "policy/forwards.h"

struct pattern_case {
    const char *pattern, *host;
    uint16_t port;
    const char *as; /* NULL: no match */
};

Test(policy_forwards, matches)
{
    static const struct pattern_case cases[] = {
        {"localhost:16509", "localhost", 16509, "localhost"},
        {"localhost:16509", "LocalHost", 16509, "localhost"},
        {"LOCALHOST:1", "localhost", 1, "localhost"},
        {"localhost:16509", "localhost", 16508, NULL},
        {"localhost:16509", "localhost.", 16509, NULL},
        {"localhost:16509", "localhostx", 16509, NULL},
        {"localhost:16509", "127.0.0.1", 16509, NULL},
        {"localhost:16509", "", 16509, NULL},
        {"localhost:16509", "localhost", 0, NULL},
        {"vm-1.lan_2:5900-5999", "vm-1.lan_2", 5900, "vm-1.lan_2"},
        {"vm-1.lan_2:5900-5999", "vm-1.lan_2", 5999, "vm-1.lan_2"},
        {"vm-1.lan_2:5900-5999", "vm-1.lan_2", 6000, NULL},
        {"vm-1.lan_2:5900-5999", "vm-1.lan_2", 5899, NULL},
        {"10.0.0.1:22", "10.0.0.1", 22, "10.0.0.1"},
        {"10.0.0.1:22", "::ffff:10.0.0.1", 22, "10.0.0.1"},
        {"10.0.0.1:22", "10.0.0.2", 22, NULL},
        {"10.0.0.1:22", "010.0.0.1", 22, NULL},
        {"10.0.0.1:22", "10.1", 22, NULL},
        {"10.0.0.1:22", "167772161", 22, NULL},
        {"10.0.0.1:22", "0x0a000001", 22, NULL},
        {"10.0.0.0/8:22", "10.9.8.7", 22, "10.9.8.7"},
        {"10.0.0.0/8:22", "11.0.0.1", 22, NULL},
        {"10.0.0.0/8:22", "10.9.8.7.example", 22, NULL},
        {"0.0.0.0/0:80", "203.0.113.9", 80, "203.0.113.9"},
        {"0.0.0.0/0:80", "2001:db8::1", 80, NULL},
        {"0.0.0.0/0:80", "host", 80, NULL},
        {"[2001:db8::1]:443", "2001:DB8:0::1", 443, "2001:db8::1"},
        {"[2001:db8::/32]:443", "2001:db8:ffff::2", 443, "2001:db8:ffff::2"},
        {"[2001:db8::/32]:443", "2001:db9::2", 443, NULL},
        {"[2001:db8::/32]:443", "[2001:db8::2]", 443, NULL},
        {"[fe80::1]:1", "fe80::1%eth0", 1, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pattern_case *c = &cases[i];
        char name[FORWARD_RULE_NAME_MAX + 1] = "?", as[FORWARD_HOST_MAX + 1] = "?";
        struct forward_rules *rules = forward_rules_new(), *copy;
        struct err e = ERR_INIT;
        struct buf bytes;

        buf_init(&bytes, FORWARDS_ENCODED_MAX);
        cr_assert_eq(forward_rules_add(rules, "r/forward[0]", c->pattern, &e), 0, "%s: %s",
                     c->pattern, e.text);
        cr_assert_eq(forward_rules_encode(rules, &bytes), 0);
        copy = forward_rules_decode(buf_head(&bytes), buf_len(&bytes), &e);
        cr_assert_not_null(copy);
        bool found = forward_rules_match(copy, c->host, c->port, name, as);
        cr_expect_eq(found, c->as != NULL, "%s %s", c->pattern, c->host);
        cr_expect_str_eq(as, c->as ? c->as : "", "%s %s", c->pattern, c->host);
        cr_expect_str_eq(name, c->as ? "r/forward[0]" : "");
        forward_rules_free(rules);
        forward_rules_free(copy);
        buf_clear(&bytes);
    }
}

Test(policy_forwards, wrong_patterns)
{
    static const char *const wrong[] = {
        "",
        "localhost",
        ":22",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:022",
        "localhost:-1",
        "localhost:2-1",
        "localhost:1-",
        "localhost:1-2-3",
        "localhost:+22",
        "*:22",
        "*.lan:22",
        "local host:22",
        "localhost.:22",
        ".lan:22",
        "a..b:22",
        "-a:22",
        "h\xc3\xb6st:22",
        "1:22",
        "10.1:22",
        "0x7f.1:22",
        "10.0.0.256:22",
        "10.0.0.1/8:22",
        "10.0.0.0/33:22",
        "2001:db8::1:22",
        "[2001:db8::1]",
        "[2001:db8::1]22",
        "[2001:db8::1:22",
        "[10.0.0.1]:22",
        "[localhost]:22",
        "[]:22",
        "[2001:db8::1/32]:22",
        "[fe80::1%eth0]:22",
        "localhost:22 ",
        " localhost:22",
        "localhost:22\n",
        "localhost:*",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct forward_rules *rules = forward_rules_new();
        struct err e = ERR_INIT;
        struct buf bytes;

        buf_init(&bytes, 64);
        cr_expect_eq(forward_rules_add(rules, "r/forward[0]", wrong[i], &e), ERR_INPUT, "%s",
                     wrong[i]);
        cr_expect_not_null(strstr(e.text, "expected"), "%s: %s", wrong[i], e.text);
        cr_expect_eq(forward_rules_encode(rules, &bytes), 0);
        cr_expect_eq(buf_len(&bytes), 0);
        forward_rules_free(rules);
    }
}

Test(policy_forwards, sets)
{
    struct forward_rules *a = forward_rules_new(), *b = forward_rules_new();
    char name[FORWARD_RULE_NAME_MAX + 1], as[FORWARD_HOST_MAX + 1];
    struct err e = ERR_INIT;
    struct buf bytes;

    cr_assert_eq(forward_rules_add(a, "a/forward[0]", "x1:1", &e), 0);
    cr_assert_eq(forward_rules_add(b, "b/forward[0]", "x1:1-9", &e), 0);
    cr_assert_eq(forward_rules_merge(a, b, &e), 0);
    cr_expect(forward_rules_match(a, "x1", 1, name, as));
    cr_expect_str_eq(name, "a/forward[0]");
    cr_expect(forward_rules_match(a, "x1", 9, name, as));
    cr_expect_str_eq(name, "b/forward[0]");
    cr_expect_not(forward_rules_match(NULL, "x1", 1, name, as));
    int rc = 0;
    for (unsigned i = 0; i < 10000 && rc == 0; i++)
        rc = forward_rules_add(a, "a/forward[0]", "x1:1", &e);
    cr_expect_eq(rc, ERR_FULL);
    /* Every cut of an encoded set but one at a rule's end is malformed. */
    buf_init(&bytes, FORWARDS_ENCODED_MAX);
    cr_assert_eq(forward_rules_encode(b, &bytes), 0);
    for (size_t n = 1; n < buf_len(&bytes); n++)
        cr_expect_null(forward_rules_decode(buf_head(&bytes), n, &e));
    buf_clear(&bytes);
    forward_rules_free(a);
    forward_rules_free(b);
}

Test(policy_forwards, what_is_asked_for)
{
    static const struct {
        const char *text, *host; /* NULL: wrong */
        uint16_t port;
    } cases[] = {
        {"localhost:16509", "localhost", 16509},
        {"[2001:db8::1]:22", "2001:db8::1", 22},
        {"10.0.0.1:1", "10.0.0.1", 1},
        {"10.0.0.0/8:22", NULL, 0},
        {"localhost:1-2", NULL, 0},
        {"localhost", NULL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char host[FORWARD_HOST_MAX + 1] = "";
        struct err e = ERR_INIT;
        uint16_t port = 0;

        int rc = forward_parse(cases[i].text, strlen(cases[i].text), host, &port, &e);
        cr_expect_eq(rc, cases[i].host ? 0 : ERR_INPUT, "%s", cases[i].text);
        cr_expect_str_eq(host, cases[i].host ? cases[i].host : "");
        cr_expect_eq(port, cases[i].port);
    }
}
