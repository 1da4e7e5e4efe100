/* SPDX-License-Identifier: Apache-2.0
 *
 * Penalties: text scenarios on a fake clock, a line a step; and the table under a flood. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/penalties.h"

static struct config config;

static void configure(const char *text)
{
    struct err e = ERR_INIT;
    char whole[1000];

    snprintf(whole, sizeof whole, "gateway: gw\n%s", text);
    cr_assert_eq(config_parse("s.yaml", whole, strlen(whole), &config, &e), 0, "%s", e.text);
}

static enum penalty_cause cause_named(const char *token)
{
    for (int c = 1; c < PENALTY_CAUSES; c++)
        if (strcmp(penalty_cause_token((enum penalty_cause)c), token) == 0)
            return (enum penalty_cause)c;
    cr_assert_fail("%s", token);
    return PENALTY_TLS;
}

static struct address address_of(const char *text)
{
    struct address a;

    cr_assert_eq(address_parse(text, &a, NULL), 0, "%s", text);
    return a;
}

static const char *text_of(const struct penalty_source *s, char out[ADDRESS_TEXT + 4])
{
    char address[ADDRESS_TEXT];

    snprintf(out, ADDRESS_TEXT + 4, "%s/%u", address_text(&s->what.base, address), s->what.bits);
    return out;
}

struct ended {
    char text[400];
};

static void on_ended(void *arg, const struct penalty_source *source)
{
    struct ended *ended = arg;
    char text[ADDRESS_TEXT + 4];

    strcat(strcat(ended->text, ended->text[0] ? "," : ""), text_of(source, text));
}

/* "SECONDS fail CAUSE ADDRESS N BEGAN": N failures; BEGAN: what was blocked by the last one, and
 * for how many seconds ("192.0.2.1/32=600"), or "-". "SECONDS crash ADDRESS SECONDS", "SECONDS ask
 * ADDRESS free|slowed|blocked", "SECONDS ended LIST", "SECONDS lift ADDRESS COUNT" */
static void play(const char *const *steps)
{
    static const char *const states[] = {"free", "slowed", "blocked"};
    struct penalties *p = penalties_new(&config, 7);
    struct penalty_source began[2];

    for (size_t i = 0; steps[i]; i++) {
        char verb[16], a[64], b[64] = "", c[16] = "", d[200] = "", found[300] = "-", text[80];
        unsigned long long seconds;
        size_t count = 0;

        cr_assert_geq(
            sscanf(steps[i], "%llu %15s %63s %63s %15s %199s", &seconds, verb, a, b, c, d), 3, "%s",
            steps[i]);
        const uint64_t now_ms = seconds * 1000;
        if (strcmp(verb, "fail") == 0) {
            const struct address address = address_of(b);
            for (long n = strtol(c, NULL, 10); n > 0; n--)
                count = penalties_fail(p, &address, cause_named(a), true, now_ms, began);
            for (size_t n = 0; n < count; n++)
                snprintf(n ? found + strlen(found) : found, 100, "%s%s=%llu", n ? "," : "",
                         text_of(&began[n], text), (unsigned long long)began[n].blocked_ms / 1000);
            cr_expect_str_eq(found, d, "%s: %s", steps[i], found);
        } else if (strcmp(verb, "crash") == 0) {
            const struct address address = address_of(a);
            cr_expect_eq(penalties_crash(p, &address, true, now_ms, began, &count),
                         strtoull(b, NULL, 10) * 1000, "%s", steps[i]);
        } else if (strcmp(verb, "ask") == 0) {
            const struct address address = address_of(a);
            cr_expect_str_eq(states[penalties_ask(p, &address, now_ms)], b, "%s", steps[i]);
        } else if (strcmp(verb, "ended") == 0) {
            struct ended ended = {""};
            penalties_expire(p, now_ms, on_ended, &ended);
            cr_expect_str_eq(ended.text[0] ? ended.text : "-", a, "%s: %s", steps[i], ended.text);
        } else {
            const struct address address = address_of(a);
            cr_expect_eq(penalties_lift(p, &address, now_ms, began), strtoul(b, NULL, 10), "%s",
                         steps[i]);
        }
    }
    penalties_free(p);
}

Test(gateway_penalties, slowed_then_blocked)
{
    static const char *const steps[] = {
        "0 ask 192.0.2.1 free",
        "0 fail tls 192.0.2.1 4 -",
        "0 ask 192.0.2.1 free",
        "1 fail first-factor 192.0.2.1 1 -",
        "1 ask 192.0.2.1 slowed",
        "1 ask 192.0.2.2 free",
        "1 ask ::ffff:192.0.2.1 slowed",
        "2 fail request 192.0.2.1 14 -",
        "2 ask 192.0.2.1 slowed",
        "3 fail login-deadline 192.0.2.1 1 192.0.2.1/32=600",
        "3 ask 192.0.2.1 blocked",
        "3 ask 192.0.2.2 free",
        "3 ended -",
        "602 ask 192.0.2.1 blocked",
        "602 ended -",
        "603 ask 192.0.2.1 free", /* it begins anew */
        "603 ended 192.0.2.1/32",
        "604 ended -",
        "604 fail tls 192.0.2.1 4 -",
        "604 ask 192.0.2.1 free",
        NULL,
    };

    configure("");
    play(steps);
}

/* What was before `within` counts no more. */
Test(gateway_penalties, decay)
{
    static const char *const steps[] = {
        "0 fail tls 192.0.2.1 19 -",
        "300 ask 192.0.2.1 slowed",
        "599 ask 192.0.2.1 slowed",
        "600 ask 192.0.2.1 free",
        "600 fail tls 192.0.2.1 19 -",
        "900 fail tls 192.0.2.1 1 192.0.2.1/32=600",
        NULL,
    };
    static const char *const slow_drip[] = {
        /* one in 40 s: never more than 15 within 10 minutes */
        "0 fail tls 192.0.2.1 1 -",   "40 fail tls 192.0.2.1 1 -",
        "80 fail tls 192.0.2.1 1 -",  "120 fail tls 192.0.2.1 1 -",
        "160 fail tls 192.0.2.1 1 -", "160 ask 192.0.2.1 slowed",
        "900 ask 192.0.2.1 free",     NULL,
    };

    configure("");
    play(steps);
    play(slow_drip);
}

Test(gateway_penalties, small_failures_count_less)
{
    static const char *const steps[] = {
        "0 fail silent 192.0.2.1 19 -",
        "0 ask 192.0.2.1 free",
        "0 fail silent 192.0.2.1 1 -",
        "0 ask 192.0.2.1 slowed",
        "0 fail silent 192.0.2.1 59 -",
        "0 fail silent 192.0.2.1 1 192.0.2.1/32=600",
        "0 fail no-login 192.0.2.2 39 -",
        "0 fail no-login 192.0.2.2 1 192.0.2.2/32=600",
        "0 fail protocol-broken 192.0.2.3 3 -",
        "0 fail protocol-broken 192.0.2.3 1 192.0.2.3/32=600",
        NULL,
    };

    configure("");
    play(steps);
}

Test(gateway_penalties, longer_each_time)
{
    static const char *const steps[] = {
        "0 fail tls 192.0.2.1 20 192.0.2.1/32=600",
        "100 fail tls 192.0.2.1 50 -", /* of connections from before: paid for */
        "600 ended 192.0.2.1/32",
        "600 fail tls 192.0.2.1 20 192.0.2.1/32=1200",
        "1800 fail tls 192.0.2.1 20 192.0.2.1/32=2400",
        "4200 fail tls 192.0.2.1 20 192.0.2.1/32=3600", /* the longest */
        "7800 fail tls 192.0.2.1 20 192.0.2.1/32=3600",
        /* quiet for twice as long as the last block: forgotten */
        "18600 fail tls 192.0.2.1 20 192.0.2.1/32=600",
        NULL,
    };
    static const char *const remembered[] = {
        "0 fail tls 192.0.2.1 20 192.0.2.1/32=600",
        "1799 fail tls 192.0.2.1 20 192.0.2.1/32=1200",
        NULL,
    };

    configure("penalty: {block-max: 1h}\n");
    play(steps);
    play(remembered);
}

/* One IPv6 source is a /64; its /48 counts as well, by eight times the numbers. */
Test(gateway_penalties, networks)
{
    static const char *const steps[] = {
        "0 fail tls 2001:db8:1:1::1 10 -",
        "0 fail tls 2001:db8:1:1::2 10 2001:db8:1:1::/64=600",
        "0 ask 2001:db8:1:1:ffff::9 blocked",
        "0 ask 2001:db8:1:2::1 free",
        "0 fail tls 2001:db8:1:2::1 19 -",
        "0 fail tls 2001:db8:1:3::1 1 -",
        "0 ask 2001:db8:1:ffff::1 slowed", /* 40 of the /48 */
        "0 ask 2001:db8:2::1 free",
        "0 fail tls 2001:db8:1:4::1 19 -",
        "0 fail tls 2001:db8:1:5::1 19 -",
        "0 fail tls 2001:db8:1:6::1 19 -",
        "0 fail tls 2001:db8:1:7::1 19 -",
        "0 fail tls 2001:db8:1:8::1 19 -",
        "0 fail tls 2001:db8:1:9::1 19 -",
        "0 fail tls 2001:db8:1:a::1 5 -",
        "0 ask 2001:db8:1:ffff::1 slowed", /* 159 */
        "0 fail tls 2001:db8:1:b::1 1 2001:db8:1::/48=600",
        "0 ask 2001:db8:1:ffff::1 blocked",
        "0 ask 2001:db8:2::1 free",
        "600 ended 2001:db8:1:1::/64,2001:db8:1::/48",
        NULL,
    };
    const size_t last = sizeof steps / sizeof *steps - 2;
    const char *either[sizeof steps / sizeof *steps];

    configure("");
    /* In which order two end is the hash's. */
    memcpy(either, steps, sizeof steps);
    either[last] = "600 ask 2001:db8:1:ffff::1 free";
    play(either);
}

Test(gateway_penalties, proxies_and_reserve)
{
    static const char *const steps[] = {
        "0 fail tls 10.0.0.9 1000 -",
        "0 ask 10.0.0.9 free",
        "0 crash 10.0.0.9 0",
        "0 ask 10.0.0.9 free",
        "0 fail tls 10.1.0.1 1000 -",
        "0 ask 10.1.0.1 slowed",
        "0 ended -",
        /* a neighbour is blocked with all of the /64; the reserve's address in it is not */
        "0 fail tls 2001:db8::2 20 2001:db8::/64=600",
        "0 ask 2001:db8::2 blocked",
        "0 ask 2001:db8::1 slowed",
        NULL,
    };

    configure(
        "proxy: {from: [10.0.0.9]}\nlimits: {reserve-from: [10.1.0.0/24, \"2001:db8::1\"]}\n");
    play(steps);
}

/* Where the kernel drops packets itself, it must not take others with them. */
Test(gateway_penalties, wire)
{
    static const struct {
        const char *address;
        bool direct, wire;
    } rows[] = {
        {"192.0.2.1", true, true},
        {"192.0.2.2", false, false}, /* a proxy's word */
        {"2001:db8:1:1::1", true, true},
        {"2001:db8:0:1::2", true, false}, /* beside the reserve's */
        {"2001:db8:0:2::2", true, false}, /* beside a proxy */
    };

    configure(
        "proxy: {from: [\"2001:db8:0:2::9\"]}\nlimits: {reserve-from: [\"2001:db8:0:1::1\"]}\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct penalties *p = penalties_new(&config, 7);
        const struct address a = address_of(rows[i].address);
        struct penalty_source began[2];
        size_t count = 0;

        for (unsigned n = 0; n < 20; n++)
            count = penalties_fail(p, &a, PENALTY_TLS, rows[i].direct, 0, began);
        cr_assert_eq(count, 1, "%s", rows[i].address);
        cr_expect_eq(began[0].wire, rows[i].wire, "%s", rows[i].address);
        penalties_free(p);
    }
}

Test(gateway_penalties, crashes)
{
    static const char *const steps[] = {
        "100 crash 192.0.2.1 10",
        "100 ask 192.0.2.1 blocked",
        "100 ask 192.0.2.2 free",
        "109 ask 192.0.2.1 blocked",
        "110 ask 192.0.2.1 slowed", /* it counts as five failures */
        "110 crash 192.0.2.1 20",
        "129 ask 192.0.2.1 blocked",
        "130 ask 192.0.2.1 slowed",
        "130 ended 192.0.2.1/32",
        "131 crash 192.0.2.1 30",
        "162 crash 192.0.2.1 40", /* twenty failures by now: that block is longer */
        "203 ask 192.0.2.1 blocked",
        "761 ask 192.0.2.1 blocked",
        "762 ask 192.0.2.1 free",
        NULL,
    };
    /* Also where there is no other block: it is what bounds guessing by crashes. */
    static const char *const reserved[] = {
        "0 crash 10.1.0.1 10",
        "9 ask 10.1.0.1 blocked",
        "10 ask 10.1.0.1 slowed",
        NULL,
    };
    static const char *const forgiven[] = {
        "100 crash 192.0.2.1 10",
        "709 ask 192.0.2.1 free",
        "709 crash 192.0.2.1 20",
        "1329 crash 192.0.2.1 10",
        NULL,
    };
    struct penalties *p;
    struct penalty_source began[2];
    const struct address a = address_of("192.0.2.1");
    uint64_t ms = 0;
    size_t count;

    configure("limits: {reserve-from: [10.1.0.0/24]}\n");
    play(steps);
    play(reserved);
    play(forgiven);
    configure("penalty: {slow-after: 0, block-after: 0}\n");
    p = penalties_new(&config, 7);
    for (unsigned i = 0; i < 1000; i++)
        ms = penalties_crash(p, &a, true, i, began, &count);
    cr_expect_eq(ms, 600000);
    penalties_free(p);
}

Test(gateway_penalties, lifted)
{
    static const char *const steps[] = {
        "0 fail tls 192.0.2.1 20 192.0.2.1/32=600",
        "0 fail tls 192.0.2.3 20 192.0.2.3/32=600",
        "1 lift 192.0.2.1 1",
        "1 ask 192.0.2.1 free",
        "1 ask 192.0.2.3 blocked",
        "1 lift 192.0.2.2 0",
        "2 fail tls 192.0.2.1 20 192.0.2.1/32=600", /* as if it were the first time */
        "2 fail tls 192.0.2.4 10 -",
        "2 lift 192.0.2.4 0",
        "2 ask 192.0.2.4 free",
        "2 fail tls 2001:db8::1 20 2001:db8::/64=600",
        "2 lift 2001:db8::ffff 1",
        "2 ask 2001:db8::1 free",
        "700 ended 192.0.2.3/32,192.0.2.1/32",
        NULL,
    };
    const char *either[sizeof steps / sizeof *steps];

    configure("");
    memcpy(either, steps, sizeof steps);
    either[sizeof steps / sizeof *steps - 2] = "700 ask 192.0.2.3 free";
    play(either);
}

Test(gateway_penalties, off)
{
    static const char *const steps[] = {
        "0 fail tls 192.0.2.1 60000 -",
        "0 ask 192.0.2.1 free",
        "0 ended -",
        NULL,
    };

    configure("penalty: {slow-after: 0, block-after: 0}\n");
    play(steps);
}

/* However many sources fail once, those that are blocked stay so, and so do those that are slowed;
 * the newcomers are counted in what is left. */
Test(gateway_penalties, flood)
{
    struct penalties *p;
    struct penalty_source began[2], *list = calloc(1000, sizeof *list);
    struct penalty_counts counts;
    struct address a = {.family = 4};
    size_t blocked = 0, slowed = 0;

    configure("");
    p = penalties_new(&config, 0x1234567890abcdef);
    for (unsigned i = 0; i < 500; i++) {
        memcpy(a.bytes, (uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4);
        for (unsigned n = 0; n < 20; n++)
            penalties_fail(p, &a, PENALTY_TLS, true, 1000, began);
        a.bytes[1] = 1;
        for (unsigned n = 0; n < 8; n++)
            penalties_fail(p, &a, PENALTY_TLS, true, 1000, began);
    }
    for (unsigned i = 0; i < 200000; i++) {
        memcpy(a.bytes, (uint8_t[]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 4);
        penalties_fail(p, &a, PENALTY_TLS, true, 2000, began);
    }
    for (unsigned i = 0; i < 500; i++) {
        memcpy(a.bytes, (uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4);
        blocked += penalties_ask(p, &a, 3000) == PENALTY_BLOCKED;
        a.bytes[1] = 1;
        slowed += penalties_ask(p, &a, 3000) == PENALTY_SLOWED;
    }
    cr_expect_eq(blocked, 500, "%zu", blocked);
    cr_expect_eq(slowed, 500, "%zu", slowed);
    penalties_count(p, 3000, &counts);
    cr_expect_eq(counts.blocked, 500);
    cr_expect_eq(counts.slowed, 500);
    cr_expect_leq(counts.known, PENALTY_SETS * PENALTY_WAYS);
    cr_expect_eq(counts.refused, 500);
    cr_expect_eq(penalties_list(p, 3000, list, 1000), 1000);
    cr_expect(list[0].left_ms > 0 && list[499].left_ms > 0 && list[500].left_ms == 0);
    cr_expect_eq(list[999].failures, 8);
    cr_expect_eq(penalties_list(p, 3000, list, 3), 3);
    free(list);
    penalties_free(p);
}

/* Who was blocked is not forgotten for others' failures when his block is over. */
Test(gateway_penalties, flood_after_a_block)
{
    struct penalties *p;
    struct penalty_source began[2];
    const struct address his = address_of("192.0.2.1");
    struct address a = {.family = 4};
    struct ended ended = {""};

    configure("");
    p = penalties_new(&config, 99);
    for (unsigned n = 0; n < 20; n++)
        penalties_fail(p, &his, PENALTY_TLS, true, 0, began);
    penalties_expire(p, 600000, on_ended, &ended);
    for (unsigned i = 0; i < 100000; i++) {
        memcpy(a.bytes, (uint8_t[]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 4);
        penalties_fail(p, &a, PENALTY_TLS, true, 600000, began);
    }
    for (unsigned n = 0; n < 19; n++)
        cr_assert_eq(penalties_fail(p, &his, PENALTY_TLS, true, 600001, began), 0);
    cr_assert_eq(penalties_fail(p, &his, PENALTY_TLS, true, 600001, began), 1);
    cr_expect_eq(began[0].blocked_ms, 1200000);
    penalties_free(p);
}
