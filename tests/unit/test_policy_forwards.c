/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules: what may be written, what a hostile client's host and port match, and what of an
 * encoded set is refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/forwards.h"

Test(policy_forwards, parse)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        uint16_t port;
    } cases[] = {
        {"localhost:16509", "localhost", 16509},
        {"LocalHost:1", "localhost", 1},
        {"db-1.example.org:65535", "db-1.example.org", 65535},
        {"10.0.0.1:22", "10.0.0.1", 22},
        {"[2001:DB8:0::1]:22", "2001:db8::1", 22},
        {"[::ffff:10.0.0.1]:22", "10.0.0.1", 22},
        {"[::]:22", "::", 22},
        {"localhost", NULL, 0},
        {"localhost:", NULL, 0},
        {"localhost:0", NULL, 0},
        {"localhost:022", NULL, 0},
        {"localhost:65536", NULL, 0},
        {"localhost:22 ", NULL, 0},
        {"localhost: 22", NULL, 0},
        {"localhost:+22", NULL, 0},
        {"localhost:22-80", NULL, 0},
        {"localhost:ssh", NULL, 0},
        {":22", NULL, 0},
        {"", NULL, 0},
        {"*:22", NULL, 0},
        {"*.lan:443", NULL, 0},
        {"10.0.0.0/8:22", NULL, 0},
        {"localhost:*", NULL, 0},
        {"2001:db8::1:22", NULL, 0},
        {"[2001:db8::1]", NULL, 0},
        {"[2001:db8::1:22", NULL, 0},
        {"[10.0.0.1]:22", NULL, 0},
        {"[localhost]:22", NULL, 0},
        {"[]:22", NULL, 0},
        {"[fe80::1%eth0]:22", NULL, 0},
        {"a..b:22", NULL, 0},
        {".a:22", NULL, 0},
        {"a.:22", NULL, 0},
        {"-a:22", NULL, 0},
        {"a-:22", NULL, 0},
        {"a_b:22", NULL, 0},
        {"127.1:22", NULL, 0},
        {"2130706433:22", NULL, 0},
        {"0x7f000001:22", NULL, 0},
        {"0x7f.1:22", NULL, 0},
        {"a.0x1:22", NULL, 0},
        {"h\xc3\xb6st:22", NULL, 0},
        {"a b:22", NULL, 0},
        {"a\nb:22", NULL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char host[FORWARD_HOST_MAX + 1];
        struct err e = ERR_INIT;
        uint16_t port = 0;
        int rc = forward_parse(cases[i].text, host, &port, &e);
        cr_expect_eq(rc, cases[i].host ? 0 : ERR_INPUT, "%s", cases[i].text);
        cr_expect(rc == 0 || strncmp(e.text, "found ", 6) == 0, "%s", e.text);
        if (cases[i].host && rc == 0) {
            cr_expect_str_eq(host, cases[i].host);
            cr_expect_eq(port, cases[i].port);
        }
    }
}

static struct forward_rules *make(void)
{
    static const char *const texts[] = {"localhost:16509", "10.0.0.1:22", "[2001:db8::1]:443"};
    struct forward_rules *rules = forward_rules_new();

    for (size_t i = 0; i < 3; i++) {
        char name[40];
        snprintf(name, sizeof name, "r/forward[%zu]", i);
        cr_assert_eq(forward_rules_add(rules, name, texts[i], NULL), 0);
    }
    return rules;
}

Test(policy_forwards, match)
{
    static const struct {
        const char *host;
        uint64_t port;
        int rule; /* -1: none */
        const char *send;
    } cases[] = {
        {"localhost", 16509, 0, "localhost"},
        {"LOCALHOST", 16509, 0, "localhost"},
        {"10.0.0.1", 22, 1, "10.0.0.1"},
        {"::ffff:10.0.0.1", 22, 1, "10.0.0.1"},
        {"2001:db8:0:0::1", 443, 2, "2001:db8::1"},
        {"localhost", 16510, -1, ""},
        {"localhost", 16509 + 65536, -1, ""},
        {"localhost", 16509 + (UINT64_C(1) << 32), -1, ""},
        {"localhost", 0, -1, ""},
        {"localhost.", 16509, -1, ""},
        {"127.0.0.1", 16509, -1, ""},
        {"::1", 16509, -1, ""},
        {"localhost:16509", 16509, -1, ""},
        {"[2001:db8::1]", 443, -1, ""},
        {"2001:db8::1%lo", 443, -1, ""},
        {"010.0.0.1", 22, -1, ""},
        {"10.0.1", 22, -1, ""},
        {"167772161", 22, -1, ""},
        {"10.0.0.1 ", 22, -1, ""},
        {"", 22, -1, ""},
    };
    struct forward_rules *rules = make();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[128], send[FORWARD_HOST_MAX + 1], expected[40] = "";
        const char *host = cases[i].host;
        if (cases[i].rule >= 0)
            snprintf(expected, sizeof expected, "r/forward[%d]", cases[i].rule);
        cr_expect_eq(forward_rules_match(rules, host, strlen(host), cases[i].port, name, send),
                     cases[i].rule >= 0, "%s", host);
        cr_expect_str_eq(name, expected, "%s", host);
        cr_expect_str_eq(send, cases[i].send);
        cr_expect(!forward_rules_match(NULL, host, strlen(host), cases[i].port, name, send));
    }
    cr_expect(!forward_rules_match(rules, "localhost\0x", 11, 16509, NULL, NULL));
    char *text = malloc(100000);
    memset(text, 'a', 100000);
    cr_expect(!forward_rules_match(rules, text, 100000, 16509, NULL, NULL));
    free(text);
    forward_rules_free(rules);
    forward_rules_free(NULL);
}

Test(policy_forwards, carried)
{
    struct forward_rules *rules = make(), *more = forward_rules_new(), *got;
    struct err e = ERR_INIT;
    struct buf bytes;

    buf_init(&bytes, FORWARDS_ENCODED_MAX);
    cr_assert_eq(forward_rules_merge(more, rules, &e), 0);
    cr_assert_eq(forward_rules_encode(more, &bytes), 0);
    cr_assert_eq(forward_rules_encode(NULL, &bytes), 0);
    got = forward_rules_decode(buf_head(&bytes), buf_len(&bytes), &e);
    cr_assert_not_null(got, "%s", e.text);
    cr_expect(forward_rules_match(got, "10.0.0.1", 8, 22, NULL, NULL));
    forward_rules_free(got);
    /* Cut anywhere but between rules, or changed so that it is none. */
    uint8_t copy[512];
    const size_t len = buf_len(&bytes);
    cr_assert_lt(len, sizeof copy);
    size_t good = 0;
    for (size_t cut = 0; cut <= len; cut++) {
        got = forward_rules_decode(buf_head(&bytes), cut, NULL);
        good += got != NULL;
        forward_rules_free(got);
    }
    cr_expect_eq(good, 4);
    for (size_t at = 0; at < len; at++) {
        memcpy(copy, buf_head(&bytes), len);
        copy[at] ^= 0xff;
        got = forward_rules_decode(copy, len, NULL);
        if (got) /* a name or a port may be anything else */
            cr_expect(!forward_rules_match(got, "", 0, 22, NULL, NULL));
        forward_rules_free(got);
    }
    copy[0] = 0;
    cr_expect_null(forward_rules_decode("\0\0\0\1a\0\0\0\1*\0\26", 12, NULL));
    cr_expect_null(forward_rules_decode("\0\0\0\1a\0\0\0\1B\0\26", 12, NULL));
    cr_expect_null(forward_rules_decode("\0\0\0\1a\0\0\0\1b\0\0", 12, NULL));
    cr_expect_null(forward_rules_decode("\0\0\0\0\0\0\0\1b\0\26", 11, NULL));
    got = forward_rules_decode("\0\0\0\1a\0\0\0\1b\0\26", 12, NULL);
    cr_expect_not_null(got);
    forward_rules_free(got);
    /* Full, and nothing is added. */
    char text[300];
    int rc = 0;
    for (int i = 0; rc == 0 && i < 1000; i++) {
        snprintf(text, sizeof text, "a%0200d.x:22", i);
        rc = forward_rules_add(more, "r/forward[0]", text, &e);
    }
    cr_expect_eq(rc, ERR_FULL);
    cr_expect(!forward_rules_match(more, text, strlen(text) - 3, 22, NULL, NULL));
    forward_rules_free(more);
    forward_rules_free(rules);
    buf_clear(&bytes);
}
