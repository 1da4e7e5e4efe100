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

/* Steps: "SECONDS ask ADDRESS VERDICT", "SECONDS gone ADDRESS", "SECONDS fail ADDRESS",
 * "SECONDS sources COUNT"; for a proxy "SECONDS proxy ADDRESS VERDICT" (it connects, and names
 * ADDRESS if it may) and "SECONDS leaves -" (one that named nobody goes). A number N before the
 * verb: so many times. */
static void play(const char *const *steps)
{
    struct penalties *penalties = penalties_new(&config, 1);
    struct acceptance *a = acceptance_new(&config, penalties);
    struct penalty_source began[2];

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
        if (strcmp(verb, "sources") != 0 && strcmp(verb, "leaves") != 0)
            cr_assert_eq(address_parse(what, &address, NULL), 0, "%s", steps[i]);
        for (; times > 0; times--) {
            if (strcmp(verb, "ask") == 0)
                cr_expect_str_eq(acceptance_token(acceptance_ask(a, &address, now_ms)), result,
                                 "%s", steps[i]);
            else if (strcmp(verb, "gone") == 0)
                acceptance_release(a, &address);
            else if (strcmp(verb, "fail") == 0)
                penalties_fail(penalties, &address, PENALTY_TLS, true, now_ms, began);
            else if (strcmp(verb, "leaves") == 0)
                acceptance_release(a, NULL);
            else if (strcmp(verb, "proxy") == 0) {
                enum acceptance_verdict verdict = acceptance_ask_proxy(a);
                if (verdict == ACCEPT_OK)
                    verdict = acceptance_name(a, &address, now_ms);
                cr_expect_str_eq(acceptance_token(verdict), result, "%s", steps[i]);
            } else
                cr_expect_eq(acceptance_sources(a), strtoull(what, NULL, 10), "%s", steps[i]);
        }
    }
    acceptance_free(a);
    penalties_free(penalties);
}

Test(gateway_accept, global_list)
{
    static const char *const steps[] = {
        "0 ask 10.1.2.3 accepted",
        "0 ask 10.2.0.1 address-not-allowed",
        "0 ask ::ffff:10.1.9.9 accepted", /* the same address, written as v6 */
        "0 ask 2001:db8::1 accepted",
        "0 ask 2001:db9::1 address-not-allowed",
        "0 sources 3",
        "0 gone 10.1.2.3",
        "0 gone 10.1.9.9",
        "0 gone 2001:db8::1",
        "0 sources 0",
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

/* The same rules for an address that a proxy names; the proxy itself is under the cap in all alone.
 */
Test(gateway_accept, proxies)
{
    static const char *const steps[] = {
        "0 proxy 10.1.2.3 accepted",
        "0 proxy 10.1.2.3 accepted",
        "0 proxy 10.1.2.3 too-many-of-source",
        "0 ask 10.1.2.3 too-many-of-source", /* it is one source, whichever way it comes */
        "0 proxy 192.0.2.1 address-not-allowed",
        "0 leaves -", /* both that were refused */
        "0 leaves -",
        "0 proxy 2001:db8::1 accepted",
        "0 proxy 10.1.0.4 accepted",
        "0 proxy 10.1.0.5 too-many", /* one is the reserve's */
        "0 leaves -",
        "0 proxy 10.1.9.9 accepted",
        "0 proxy 10.1.9.9 too-many",
        "0 gone 10.1.9.9",
        "0 gone 10.1.0.4",
        "0 gone 2001:db8::1",
        "0 2x gone 10.1.2.3",
        "0 sources 0",
        NULL,
    };

    configure("from: [10.1.0.0/16, \"2001:db8::/32\"]\nproxy: {from: [192.0.2.9]}\n"
              "limits: {connections: 5, per-source: 2, reserve: 1, reserve-from: [10.1.9.0/24]}\n");
    play(steps);
}

Test(gateway_accept, penalties_are_heard_before_the_caps)
{
    static const char *const steps[] = {
        "0 3x fail 192.0.2.1",
        "0 ask 192.0.2.1 accepted", /* slowed */
        "0 fail 192.0.2.1",
        "0 ask 192.0.2.1 blocked",
        "0 ask ::ffff:192.0.2.1 blocked",
        "0 proxy 192.0.2.1 blocked",
        "0 ask 192.0.2.2 accepted",
        "600 ask 192.0.2.1 accepted",
        NULL,
    };

    configure("penalty: {slow-after: 3, block-after: 4}\n");
    play(steps);
}
