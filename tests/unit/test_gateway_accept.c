/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may come in: text scenarios on a fake clock, a line a step. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/supervisor_accept.h"

static struct config config;

static void configure(const char *text)
{
    struct err e = ERR_INIT;
    char whole[1000];

    snprintf(whole, sizeof whole, "gateway: gw\n%s", text);
    cr_assert_eq(config_parse("s.yaml", whole, strlen(whole), &config, &e), 0, "%s", e.text);
}

/* Steps: "SECONDS ask ADDRESS VERDICT", "SECONDS gone ADDRESS", "SECONDS crash ADDRESS PENALTY_S",
 * "SECONDS expire SOURCES". A number N before `ask` or `gone`: so many times. */
static void play(const char *const *steps)
{
    struct acceptance *a = acceptance_new(&config);

    for (size_t i = 0; steps[i]; i++) {
        char verb[16] = "", what[64] = "", result[32] = "";
        unsigned long long seconds, times = 1;
        struct address address = {0};
        if (sscanf(steps[i], "%llu %llux %15s %63s %31s", &seconds, &times, verb, what, result) <
            4) {
            times = 1;
            cr_assert_geq(sscanf(steps[i], "%llu %15s %63s %31s", &seconds, verb, what, result), 3);
        }
        const uint64_t now_ms = seconds * 1000;
        if (strcmp(verb, "expire") != 0)
            cr_assert_eq(address_parse(what, &address, NULL), 0, "%s", steps[i]);
        for (; times > 0; times--) {
            if (strcmp(verb, "ask") == 0)
                cr_expect_str_eq(acceptance_token(acceptance_ask(a, &address, now_ms)), result,
                                 "%s", steps[i]);
            else if (strcmp(verb, "gone") == 0)
                acceptance_release(a, &address);
            else if (strcmp(verb, "crash") == 0)
                cr_expect_eq(acceptance_crash(a, &address, now_ms),
                             strtoull(result, NULL, 10) * 1000, "%s", steps[i]);
            else {
                acceptance_expire(a, now_ms);
                cr_expect_eq(acceptance_sources(a), strtoull(what, NULL, 10), "%s", steps[i]);
            }
        }
    }
    acceptance_free(a);
}

Test(gateway_accept, global_list)
{
    static const char *const steps[] = {
        "0 ask 10.1.2.3 accepted",
        "0 ask 10.2.0.1 address-not-allowed",
        "0 ask ::ffff:10.1.9.9 accepted", /* the same address, written as v6 */
        "0 ask 2001:db8::1 accepted",
        "0 ask 2001:db9::1 address-not-allowed",
        "0 expire 3",
        "0 gone 10.1.2.3",
        "0 gone 10.1.9.9",
        "0 gone 2001:db8::1",
        "0 expire 0",
        NULL,
    };

    configure("from: [10.1.0.0/16, \"2001:db8::/32\"]\n");
    play(steps);
}

Test(gateway_accept, per_source)
{
    static const char *const steps[] = {
        "0 3x ask 192.0.2.1 accepted",
        "0 ask 192.0.2.1 too-many-of-source",
        "0 ask 192.0.2.2 accepted",
        "0 gone 192.0.2.1",
        "0 ask 192.0.2.1 accepted",
        "0 ask 192.0.2.1 too-many-of-source",
        /* one IPv6 source is a /64 */
        "0 ask 2001:db8::1 accepted",
        "0 ask 2001:db8::2 accepted",
        "0 ask 2001:db8::ffff:3 accepted",
        "0 ask 2001:db8::4 too-many-of-source",
        "0 ask 2001:db8:0:1::4 accepted",
        NULL,
    };

    configure("limits: {per-source: 3}\n");
    play(steps);
}

Test(gateway_accept, reserve)
{
    static const char *const steps[] = {
        "0 4x ask 192.0.2.1 accepted",
        "0 ask 192.0.2.2 too-many",
        "0 ask 10.0.0.1 accepted",
        "0 ask 192.0.2.2 too-many",
        "0 ask 10.0.0.2 accepted",
        "0 ask 10.0.0.3 too-many",
        "0 gone 192.0.2.1",
        "0 ask 192.0.2.2 too-many", /* five are here: one is the reserve's */
        "0 ask 10.0.0.3 accepted",
        "0 3x gone 192.0.2.1",
        "0 ask 192.0.2.2 accepted",
        NULL,
    };

    configure("limits: {connections: 6, reserve: 2, reserve-from: [10.0.0.0/24]}\n");
    play(steps);
}

Test(gateway_accept, penalties)
{
    static const char *const steps[] = {
        "0 ask 192.0.2.1 accepted",
        "100 crash 192.0.2.1 10",
        "100 ask 192.0.2.1 penalty",
        "100 ask 192.0.2.2 accepted",
        "109 ask 192.0.2.1 penalty",
        "110 ask 192.0.2.1 accepted",
        "110 crash 192.0.2.1 20",
        "129 ask 192.0.2.1 penalty",
        "130 ask 192.0.2.1 accepted",
        "130 3x gone 192.0.2.1",
        NULL,
    };
    static const char *const forgiven[] = {
        "100 crash 192.0.2.1 10", "709 expire 1", "710 expire 0", "710 crash 192.0.2.1 10", NULL,
    };

    configure("limits: {per-source: 100}\n");
    play(steps);
    play(forgiven);
}

Test(gateway_accept, penalty_has_a_maximum)
{
    struct acceptance *a;
    struct address address;
    uint64_t penalty_ms = 0;

    configure("");
    a = acceptance_new(&config);
    cr_assert_eq(address_parse("192.0.2.1", &address, NULL), 0);
    for (unsigned i = 0; i < 1000; i++)
        penalty_ms = acceptance_crash(a, &address, i);
    cr_expect_eq(penalty_ms, 600000);
    acceptance_free(a);
}

/* However many sources crash us, the table is bounded, and connections still count right. */
Test(gateway_accept, table_is_bounded)
{
    struct acceptance *a;
    struct address address;
    char text[32];

    configure("");
    a = acceptance_new(&config);
    for (unsigned i = 0; i < 6000; i++) {
        snprintf(text, sizeof text, "10.0.%u.%u", i / 250, i % 250);
        cr_assert_eq(address_parse(text, &address, NULL), 0);
        acceptance_crash(a, &address, 0);
    }
    cr_expect_eq(acceptance_sources(a), 4096);
    cr_expect_eq(acceptance_ask(a, &address, 0), ACCEPT_OK);
    cr_expect_eq(acceptance_connections(a), 1);
    acceptance_release(a, &address);
    cr_expect_eq(acceptance_connections(a), 0);
    acceptance_expire(a, 10000000);
    cr_expect_eq(acceptance_sources(a), 0);
    acceptance_free(a);
}
