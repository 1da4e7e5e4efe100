/* SPDX-License-Identifier: Apache-2.0
 *
 * What a code and an enrolment token are good for, and for how long: a token is redeemed once, a
 * remembered login counts from its code. */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/auth_world.h"

static struct auth_world world; /* large */

/* Confirms the secret that was offered; returns the command's exit status. */
static int confirm(struct auth_world *w, struct link *l, const struct secret *totp, char *text,
                   size_t cap)
{
    char code[8];

    world_input(l, world_totp(w, totp, 0, code));
    world_input(l, "\n");
    return world_output(w, l, text, cap);
}

Test(enrolment, a_token_is_redeemed_once, .timeout = 300)
{
    struct auth_world *w = &world;
    struct secret *first, *second;
    char token[40], text[16384], code[8];

    world_set_up(w);
    world_token(w, "alice", token);
    /* Two connections come with the same token before either is done. */
    struct link *a = world_login_command(w, "alice", 1, token, &first);
    struct link *b = world_login_command(w, "alice", 2, token, &second);
    cr_expect_eq(confirm(w, a, first, text, sizeof text), 0, "%s", text);
    cr_expect_eq(confirm(w, b, second, text, sizeof text), EXIT_REFUSED, "%s", text);
    cr_expect(strstr(text, "redeemed"), "%s", text);
    world_quiet(w, w->supervisor);
    cr_expect(strstr(w->log, "26 {\"event\":\"enrolment-refused\""));
    link_free(a);
    link_free(b);
    /* The first one's secret counts. */
    *w->clock_s += 60;
    a = world_connect(w, 3, "hv1:22", NULL);
    cr_assert_eq(world_claim(w, a, "alice", NULL), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, a, world_totp(w, second, 0, code), NULL), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, a, world_totp(w, first, 0, code), NULL), LOGIN_SUCCESS);
    link_free(a);
    secret_free(first);
    secret_free(second);
    world_tear_down(w);
}

Test(enrolment, a_token_that_was_replaced_or_expired_is_none, .timeout = 300)
{
    struct auth_world *w = &world;
    struct secret *totp;
    char token[40], other[40], text[16384];

    world_set_up(w);
    world_token(w, "alice", token);
    struct link *l = world_login_command(w, "alice", 1, token, &totp);
    world_token(w, "alice", other);
    cr_expect_eq(confirm(w, l, totp, text, sizeof text), EXIT_REFUSED, "%s", text);
    link_free(l);
    secret_free(totp);
    /* The other one is still there, until its time is over. */
    l = world_login_command(w, "alice", 2, other, &totp);
    *w->clock_s += 30 * 86400;
    cr_expect_eq(confirm(w, l, totp, text, sizeof text), EXIT_REFUSED, "%s", text);
    link_free(l);
    secret_free(totp);
    world_tear_down(w);
}

static time_t begins(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    struct tm tm;

    cr_assert_not_null(x, "%s", pem);
    cr_assert_eq(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
    X509_free(x);
    BIO_free(bio);
    return timegm(&tm);
}

Test(enrolment, a_remembered_login_counts_from_its_code, .timeout = 300)
{
    struct login_command command = {.channel = 1, .command = "login"};
    struct auth_world *w = &world;
    struct err e = ERR_INIT;
    char text[16384], code[8];

    world_set_up(w);
    struct secret *totp = world_enrol(w, "alice", 1, NULL);
    *w->clock_s += 60;
    const uint64_t code_s = *w->clock_s;
    struct link *l = world_login_command(w, "alice", 2, world_totp(w, totp, 0, code), NULL);
    /* The connection is kept, and the certificate asked for later. */
    *w->clock_s += 600;
    char *csr = lab_request("P-256");
    cr_assert_eq(login_command_send(l, &command, NULL, &e), 0);
    world_input(l, csr);
    cr_assert_eq(world_output(w, l, text, sizeof text), 0, "%s", text);
    cr_expect_eq(begins(text), (time_t)code_s);
    /* Beyond what any role remembers there is none. */
    *w->clock_s += 30 * 86400;
    cr_assert_eq(login_command_send(l, &command, NULL, &e), 0);
    cr_expect_eq(world_output(w, l, text, sizeof text), EXIT_REFUSED);
    cr_expect(strstr(text, "too old"), "%s", text);
    free(csr);
    link_free(l);
    secret_free(totp);
    world_tear_down(w);
}
