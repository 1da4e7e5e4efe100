/* SPDX-License-Identifier: Apache-2.0
 *
 * What authd says of connections that end without a login: whose fault it is, by what authd itself
 * saw of the frontend. */
#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/auth_world.h"

static struct auth_world world;

/* alice's key, or one of nobody's. */
static struct bytes key_of(struct auth_world *w, bool known, uint8_t copy[4096])
{
    struct bytes key = lab_key(&w->lab, "alice");

    cr_assert_leq(key.len, 4096);
    memcpy(copy, key.p, key.len);
    if (!known)
        copy[key.len - 1] ^= 1;
    return (struct bytes){copy, key.len};
}

static void probe(struct auth_world *w, struct link *l, bool known)
{
    uint8_t copy[4096];
    struct login_probe m = {.key = key_of(w, known, copy)};
    struct err e = ERR_INIT;
    struct frame f;

    cr_assert_eq(login_probe_send(l, &m, NULL, &e), 0);
    world_expect(w, l, &f, login_probed);
}

static int claim(struct auth_world *w, struct link *l, bool known)
{
    uint8_t copy[4096];
    struct login_claim m = {.user = "root", .key = key_of(w, known, copy)};
    struct login_answer answer;
    struct err e = ERR_INIT;
    struct frame f;

    cr_assert_eq(login_claim_send(l, &m, NULL, &e), 0);
    world_expect(w, l, &f, login_answer);
    cr_assert_eq(login_answer_decode(&f, &answer, &e), 0);
    return answer.verdict;
}

static void expect_end(struct auth_world *w, uint64_t conn)
{
    struct authd_end m;
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, w->supervisor, &f, authd_end);
    cr_assert_eq(authd_end_decode(&f, &m, &e), 0);
    cr_expect_eq(m.conn, conn);
}

Test(authd_failures, of_a_source, .timeout = 300)
{
    static const struct {
        const char *what;
        const char *steps; /* p: probes a key of nobody's, P: alice's; k: claims nobody's, K:
                              alice's; 0: a wrong code */
        unsigned kind;     /* 0: no failure */
    } rows[] = {
        {"nothing was offered", "", FAILURE_NO_LOGIN},
        {"keys of nobody's", "ppp", FAILURE_FIRST_FACTOR},
        {"a claim of nobody's key", "k", FAILURE_FIRST_FACTOR},
        {"an agent's other keys, then the right one", "pppPK", 0},
        {"it left before a code", "K", 0},
        {"wrong codes lock the operator, not the source", "K000", 0},
    };
    struct auth_world *w = &world;
    struct secret *totp;
    struct bytes der;

    world_set_up(w);
    totp = world_enrol(w, "alice", 1, &der);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link *l = world_connect(w, 100 + i, "hv1:22", NULL);
        w->failures = 0;
        for (const char *p = rows[i].steps; *p; p++) {
            if (*p == 'p' || *p == 'P')
                probe(w, l, *p == 'P');
            else if (*p == 'k' || *p == 'K')
                claim(w, l, *p == 'K');
            else
                world_code(w, l, "000000", NULL);
        }
        link_free(l);
        world_quiet(w, w->supervisor);
        cr_expect_eq(w->failures, rows[i].kind != 0, "%s: %u", rows[i].what, w->failures);
        if (!rows[i].kind)
            continue;
        cr_expect_eq(w->failure_kind, rows[i].kind, "%s: %u", rows[i].what, w->failure_kind);
        cr_expect_str_eq(w->failure_address, "10.1.2.3");
        cr_expect(w->failure_proxied);
    }
    cr_expect(strstr(w->log, "\"proxy\":\"192.0.2.9\""));
    secret_free(totp);
    OPENSSL_free((void *)(uintptr_t)der.p);
    world_tear_down(w);
}

/* A login that succeeds is none, however many keys it tried. */
Test(authd_failures, not_of_a_login, .timeout = 300)
{
    struct auth_world *w = &world;
    struct secret *totp;
    struct bytes der;

    world_set_up(w);
    totp = world_enrol(w, "alice", 1, &der);
    struct link *l = world_connect(w, 2, "hv1:22", &der);
    w->failures = 0;
    probe(w, l, false);
    cr_assert_eq(claim(w, l, true), LOGIN_SUCCESS);
    link_free(l);
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 0);
    secret_free(totp);
    OPENSSL_free((void *)(uintptr_t)der.p);
    world_tear_down(w);
}

/* The deadline is one, whatever was said before; a frontend that breaks the protocol is one. */
Test(authd_failures, by_time_and_by_breach, .timeout = 300)
{
    struct auth_world *w = &world;

    w->login_ms = 4000;
    world_set_up(w);
    struct link *l = world_connect(w, 5, "hv1:22", NULL);
    probe(w, l, true);
    expect_end(w, 5);
    link_free(l);
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 1);
    cr_expect_eq(w->failure_kind, FAILURE_LOGIN_DEADLINE);
    l = world_connect(w, 6, "hv1:22", NULL);
    cr_assert_eq(send(link_fd(l), "\0\143junk", 6, 0), 6);
    expect_end(w, 6);
    link_free(l);
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 2);
    cr_expect_eq(w->failure_kind, FAILURE_BREACH);
    world_tear_down(w);
}

/* Without the recorder nobody can log in: nobody's source pays for it. */
Test(authd_failures, not_without_recorder, .timeout = 300)
{
    struct auth_world *w = &world;
    struct trail_stop stop = {"no space left"};
    struct err e = ERR_INIT;

    world_set_up(w);
    cr_assert_eq(trail_stop_send(w->trail, &stop, NULL, &e), 0);
    world_quiet(w, w->supervisor);
    struct link *l = world_connect(w, 6, "hv1:22", NULL);
    cr_expect_eq(claim(w, l, false), LOGIN_FAILED);
    link_free(l);
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 0);
    world_tear_down(w);
}
