/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and prefixes: one form for each, and errors that name the right prefix. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "policy/address.h"

Test(policy_address, one_form)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"10.0.0.1", "10.0.0.1"},
        {"::ffff:1.2.3.4", "1.2.3.4"},
        {"::ffff:0102:0304", "1.2.3.4"},
        {"0:0:0:0:0:FFFF:1.2.3.4", "1.2.3.4"},
        {"2001:DB8::0001", "2001:db8::1"},
        {"::1", "::1"},
        {"::", "::"},
        {"::1.2.3.4", "::1.2.3.4"},
        {"fe80::1%eth0", NULL},
        {"fe80::1%", NULL},
        {"10.0.0.01", NULL},
        {"10.0.0", NULL},
        {"10.0.0.256", NULL},
        {"0x0a.0.0.1", NULL},
        {"167772161", NULL},
        {" 10.0.0.1", NULL},
        {"10.0.0.1 ", NULL},
        {"10.0.0.1/32", NULL},
        {"[::1]", NULL},
        {"", NULL},
        {"localhost", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a;
        struct err e = ERR_INIT;
        char text[ADDRESS_TEXT];
        int rc = address_parse(cases[i].in, &a, &e);
        if (!cases[i].out) {
            cr_expect_eq(rc, ERR_SYNTAX, "%s", cases[i].in);
            cr_expect(strstr(e.text, "found ") && strstr(e.text, "expected "), "%s", e.text);
            continue;
        }
        cr_assert_eq(rc, 0, "%s: %s", cases[i].in, e.text);
        cr_expect_str_eq(address_text(&a, text), cases[i].out);
    }
}

Test(policy_address, prefixes)
{
    static const struct {
        const char *prefix, *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"::ffff:10.0.0.0/104", "11.9.9.9", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"::/0", "::ffff:10.0.0.1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.128/25", "192.0.2.255", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.4/31", "192.0.2.5", true},
        {"192.0.2.4/31", "192.0.2.6", false},
        {"2001:db8:20::/48", "2001:db8:20:ffff::1", true},
        {"2001:db8:20::/48", "2001:db8:21::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1/128", "::1", true},
        {"::1/128", "::2", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p;
        struct address a;
        struct err e = ERR_INIT;
        cr_assert_eq(prefix_parse(cases[i].prefix, &p, &e), 0, "%s", e.text);
        cr_assert_eq(address_parse(cases[i].address, &a, &e), 0, "%s", e.text);
        cr_expect_eq(prefix_contains(&p, &a), cases[i].inside, "%s %s", cases[i].prefix,
                     cases[i].address);
    }
}

Test(policy_address, bad_prefixes)
{
    static const struct {
        const char *prefix, *says;
    } cases[] = {
        {"10.1.2.3/8", "expected 10.0.0.0/8"},
        {"2001:db8::1/32", "expected 2001:db8::/32"},
        {"::ffff:10.0.0.1/104", "expected 10.0.0.0/8"},
        {"::ffff:10.0.0.0/8", "from 96 to 128"},
        {"10.0.0.0/33", "from 0 to 32"},
        {"::/129", "from 0 to 128"},
        {"10.0.0.0/", "after the /"},
        {"10.0.0.0/-1", "after the /"},
        {"10.0.0.0/08", "after the /"},
        {"10.0.0.0/+8", "after the /"},
        {"10.0.0.0/8 ", "after the /"},
        {"10.0.0.0/8/8", "after the /"},
        {"10.0.0.0/255.0.0.0", "after the /"},
        {"fe80::%1/10", "without a zone"},
        {"/8", "expected an address"},
        {"11111111111111111111111111111111111111111111111111111111/8", "expected an address"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p;
        struct err e = ERR_INIT;
        cr_expect_eq(prefix_parse(cases[i].prefix, &p, &e), ERR_SYNTAX, "%s", cases[i].prefix);
        cr_expect(strstr(e.text, cases[i].says), "%s: %s", cases[i].prefix, e.text);
    }
}

Test(policy_address, sockets)
{
    struct sockaddr_storage sa;
    struct address a, b;
    uint16_t port = 0;
    char text[ADDRESS_TEXT];

    cr_assert_eq(address_parse("192.0.2.9", &a, NULL), 0);
    cr_expect_eq(address_to_sockaddr(&a, 2201, &sa), sizeof(struct sockaddr_in));
    cr_assert_eq(address_from_sockaddr((struct sockaddr *)&sa, &b, &port), 0);
    cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
    cr_expect_eq(port, 2201);

    cr_assert_eq(address_parse("2001:db8:1:2:3:4:5:6", &a, NULL), 0);
    cr_expect_eq(address_to_sockaddr(&a, 22, &sa), sizeof(struct sockaddr_in6));
    cr_assert_eq(address_from_sockaddr((struct sockaddr *)&sa, &b, NULL), 0);
    cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
    b = address_quota_key(&a);
    cr_expect_str_eq(address_text(&b, text), "2001:db8:1:2::");

    /* A v4 client on a v6 socket is the v4 client. */
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x09", 16);
    cr_assert_eq(address_from_sockaddr((struct sockaddr *)&in6, &b, NULL), 0);
    cr_expect_str_eq(address_text(&b, text), "192.0.2.9");
    in6.sin6_scope_id = 3;
    cr_expect_eq(address_from_sockaddr((struct sockaddr *)&in6, &b, NULL), ERR_INPUT);
    in6.sin6_family = AF_UNIX;
    cr_expect_eq(address_from_sockaddr((struct sockaddr *)&in6, &b, NULL), ERR_INPUT);
}
