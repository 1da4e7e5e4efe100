/* SPDX-License-Identifier: Apache-2.0
 *
 * The login of a connection step by step, on a fake clock; and what is decided after it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/decision.h"
#include "auth/enrol.h"
#include "auth/refusals.h"
#include "auth/totp.h"
#include "tests/unit/auth_lab.h"
#include "tests/unit/policy_fixture.h"

static const struct bytes stranger = {(const uint8_t *)"\0\0\0\013ssh-ed25519\0\0\0\1x", 20};

static void claim(struct auth_lab *lab, struct login *l, const char *who, struct login_reply *r)
{
    login_claim(l, &lab->world, "root", lab_key(lab, who), LAB_NOW, r);
}

static void code_at(struct auth_lab *lab, struct login *l, const struct secret *totp,
                    uint64_t now_s, struct login_reply *r)
{
    char code[TOTP_DIGITS + 1];
    cr_assert_eq(totp_code(totp, now_s / 30, code), 0);
    login_code(l, &lab->world, code, now_s, r);
}

Test(login, key_and_code)
{
    struct auth_lab lab;
    struct login l;
    struct login_reply r;
    char factors[100];
    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    lab_login(&l, "hv1:22");
    cr_expect(login_probe(&l, &lab.world, lab_key(&lab, "alice")));
    cr_expect(!login_probe(&l, &lab.world, stranger));
    cr_expect_eq(l.phase, LOGIN_WANTS_KEY, "a probe is no login");
    claim(&lab, &l, "alice", &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
    cr_expect_eq(l.phase, LOGIN_WANTS_CODE);
    code_at(&lab, &l, totp, LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_SUCCESS);
    cr_expect(r.record && r.has_step);
    cr_expect_eq(l.factors, FACTOR_KEY | FACTOR_TOTP);
    cr_expect_str_eq(login_factors_text(&l, factors), "key,totp");
    /* The same code on another connection. */
    login_clear(&l);
    lab_login(&l, "hv1:22");
    claim(&lab, &l, "alice", &r);
    code_at(&lab, &l, totp, LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
    cr_expect_str_eq(r.text, "That code was used already; wait for the next one.");
    login_clear(&l);
    secret_free(totp);
    lab_tear_down(&lab);
}

Test(login, unknown_keys_are_summed_up)
{
    struct auth_lab lab;
    struct login l;
    struct login_reply r;
    lab_set_up(&lab);
    lab_login(&l, "hv1:22");
    for (int i = 0; i < LOGIN_CLAIMS_MAX; i++) {
        login_claim(&l, &lab.world, "root", stranger, LAB_NOW, &r);
        cr_expect(r.verdict == LOGIN_FAILED && r.summed && !r.record && !*r.text);
        cr_expect_eq(l.phase, LOGIN_WANTS_KEY);
    }
    claim(&lab, &l, "alice", &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "one too many");
    cr_expect_eq(l.phase, LOGIN_OVER);
    login_clear(&l);
    lab_tear_down(&lab);
}

Test(login, three_wrong_codes_end_it)
{
    struct auth_lab lab;
    struct login l;
    struct login_reply r;
    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    lab_login(&l, "hv1:22");
    claim(&lab, &l, "alice", &r);
    for (int i = 0; i < 2; i++) {
        login_code(&l, &lab.world, "000 00x", LAB_NOW, &r);
        cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
        cr_expect_str_eq(r.text, "That code is not right.");
        cr_expect(r.record);
    }
    login_code(&l, &lab.world, "000000x", LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED);
    code_at(&lab, &l, totp, LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "a right one comes too late");
    cr_expect(!r.record);
    login_clear(&l);
    secret_free(totp);
    lab_tear_down(&lab);
}

/* Nobody can tell by texts whether an operator is enrolled, or locked. */
Test(login, texts_do_not_tell)
{
    struct auth_lab lab;
    struct login a, b;
    struct login_reply ra, rb;
    struct err e = ERR_INIT;
    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    cr_assert_eq(store_operator_set_admin_lock(lab.world.store, "bob", "gone", &e), 0);
    lab_login(&a, "hv1:22");
    lab_login(&b, "hv1:22");
    claim(&lab, &a, "alice", &ra);
    claim(&lab, &b, "bob", &rb);
    cr_expect_str_eq(ra.text, rb.text);
    for (int i = 0; i < 4; i++) {
        login_code(&a, &lab.world, "12345x", LAB_NOW, &ra);
        login_code(&b, &lab.world, "12345x", LAB_NOW, &rb);
        cr_expect_str_eq(ra.text, rb.text);
        cr_expect_eq(ra.verdict, rb.verdict);
    }
    login_clear(&a);
    login_clear(&b);
    lab_tear_down(&lab);
}

Test(login, remembered)
{
    static const struct {
        const char *of, *key, *target;
        uint64_t age_s, life_s;
        enum client_certificate certificate;
        bool ended;
        enum login_verdict verdict;
        const char *reason, *says;
    } cases[] = {
        {"alice", "alice", "hv1:22", 600, 3600, CERTIFICATE_VALID, 0, LOGIN_SUCCESS, "remembered",
         ""},
        {"alice", "alice", "gateway:22", 600, 3600, CERTIFICATE_VALID, 0, LOGIN_SUCCESS,
         "remembered", ""},
        /* A target that no code would open either: told at `open`. */
        {"alice", "alice", "sw1:22", 600, 3600, CERTIFICATE_VALID, 0, LOGIN_SUCCESS, "remembered",
         ""},
        {"alice", "alice", "hv1:22", 600, 3600, CERTIFICATE_VALID, 1, LOGIN_ASK_CODE,
         "certificate-ended", "Your remembered login was ended"},
        {"alice", "alice", "hv1:22", 3600, 3600, CERTIFICATE_EXPIRED, 0, LOGIN_ASK_CODE,
         "certificate-expired",
         "Your remembered login ended at 2026-03-02T10:00:00Z; `sallyport login`"},
        {"alice", "alice", "hv1:22", 3601, 9000, CERTIFICATE_VALID, 0, LOGIN_ASK_CODE,
         "remembered-too-old", "too old for this target"},
        {"alice", "bob", "hv1:22", 600, 3600, CERTIFICATE_VALID, 0, LOGIN_ASK_CODE,
         "certificate-of-another", "Enter"},
        /* The clock was set back by an hour. */
        {"alice", "alice", "hv1:22", (uint64_t)-3600, 9000, CERTIFICATE_VALID, 0, LOGIN_ASK_CODE,
         "certificate-from-the-future", "Enter"},
    };
    struct auth_lab lab;
    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct login l;
        struct login_reply r;
        struct err e = ERR_INIT;
        unsigned count;
        lab_login(&l, cases[i].target);
        lab_remember(&lab, &l, cases[i].of, LAB_NOW - cases[i].age_s, cases[i].life_s);
        l.certificate = cases[i].certificate;
        if (cases[i].ended)
            cr_assert_eq(store_certificates_end(lab.world.store, "alice", "x", LAB_NOW, &count, &e),
                         0);
        claim(&lab, &l, cases[i].key, &r);
        cr_expect_eq(r.verdict, cases[i].verdict, "case %zu", i);
        cr_expect_str_eq(r.reason, cases[i].reason, "case %zu", i);
        cr_expect(strstr(r.text, cases[i].says), "case %zu: %s", i, r.text);
        cr_expect(r.record, "case %zu", i);
        login_clear(&l);
    }
    lab_tear_down(&lab);
}

Test(login, certificate_without_the_key_is_nothing)
{
    struct auth_lab lab;
    struct login l;
    struct login_reply r;
    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    lab_login(&l, "hv1:22");
    lab_remember(&lab, &l, "alice", LAB_NOW - 10, 3600);
    login_claim(&l, &lab.world, "root", stranger, LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED);
    login_code(&l, &lab.world, "123456", LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED);
    cr_expect_eq(l.phase, LOGIN_WANTS_KEY);
    login_clear(&l);
    lab_tear_down(&lab);
}

Test(login, enrolment_token)
{
    struct auth_lab lab;
    struct login l;
    struct login_reply r;
    struct decision d;
    struct err e = ERR_INIT;
    char token[ENROL_TOKEN_TEXT];
    uint8_t hash[ENROL_HASH_BYTES];
    lab_set_up(&lab);
    cr_assert_eq(enrol_token_make(token, &e), 0);
    cr_assert_eq(enrol_token_hash(token, hash), 0);
    cr_assert_eq(store_enrolment_put(lab.world.store, "alice", hash, LAB_NOW + 60, 5, &e), 0);
    lab_login(&l, "hv1:22");
    claim(&lab, &l, "alice", &r);
    login_code(&l, &lab.world, "spe-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa", LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
    cr_expect_str_eq(r.text, "That code is not right.");
    login_code(&l, &lab.world, token, LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_SUCCESS);
    cr_expect(l.enrolment && l.factors == FACTOR_KEY);
    decision_make(&lab.world, &l, LAB_NOW, &d);
    cr_expect(!d.allowed);
    cr_expect_str_eq(d.token, "enrolment-only");
    decision_clear(&d);
    login_clear(&l);
    lab_tear_down(&lab);
}

/* ---- decisions ---- */

static void put_vault_key(struct auth_lab *lab)
{
    struct secret *seed = NULL;
    uint8_t blob[VAULT_PUBLIC_BYTES];
    struct err e = ERR_INIT;
    cr_assert_eq(vault_generate(&seed, blob, &e), 0);
    cr_assert_eq(
        store_vault_put(lab->world.store, "hv1", "root", blob, sizeof blob, seed, LAB_NOW, &e), 0);
    secret_free(seed);
}

Test(decision, table)
{
    static const struct {
        const char *target, *user, *token, *says;
        uint8_t status;
        bool locked, admin_locked, foreign, vault_key;
    } cases[] = {
        {.target = "hv1:22", .user = "root", .vault_key = true},
        {.target = "gateway:22", .user = "root"},
        {"hv1:22", "root", "no-credential", "sallyport target key hv1 root", 69, 0, 0, 0, 0},
        {"hv9:22", "root", "unknown-target", "hv9", 77, 0, 0, 0, 1},
        {"HV1:22", "root", "unknown-target", "lower-case", 77, 0, 0, 0, 1},
        {"hv1:22", "admin", "account", "admin", 77, 0, 0, 0, 1},
        {"sw1:22", "root", "no-role", "sw1", 77, 0, 0, 0, 1},
        {"hv1:22", "root", "locked", "locked until 10:30 UTC after 5 wrong codes", 77, 1, 0, 0, 1},
        {"hv1:22", "root", "locked", "by an administrator: left the company", 77, 0, 1, 0, 1},
        {"gateway:22", "root", "locked", "by an administrator", 77, 0, 1, 0, 1},
        {"hv1:22", "root", "certificate-of-another", "belongs to another operator", 77, 0, 0, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_lab lab;
        struct login l;
        struct login_reply r;
        struct decision d;
        struct err e = ERR_INIT;
        lab_set_up(&lab);
        struct store *s = lab.world.store;
        struct secret *totp = lab_enrol(&lab, "alice");
        const struct lockout lockout = {0, LAB_NOW + 1800};
        if (cases[i].vault_key)
            put_vault_key(&lab);
        if (cases[i].locked)
            cr_assert_eq(store_operator_set_lockout(s, "alice", &lockout, &e), 0);
        if (cases[i].admin_locked)
            cr_assert_eq(store_operator_set_admin_lock(s, "alice", "left the company", &e), 0);
        lab_login(&l, cases[i].target);
        if (cases[i].foreign) {
            secret_free(lab_enrol(&lab, "bob"));
            lab_remember(&lab, &l, "bob", LAB_NOW - 60, 3600);
        }
        login_claim(&l, &lab.world, cases[i].user, lab_key(&lab, "alice"), LAB_NOW, &r);
        cr_assert_eq(r.verdict, LOGIN_ASK_CODE, "case %zu", i);
        code_at(&lab, &l, totp, LAB_NOW, &r);
        cr_assert_eq(r.verdict, LOGIN_SUCCESS, "case %zu: also a locked operator's code", i);
        decision_make(&lab.world, &l, LAB_NOW, &d);
        cr_expect_eq(d.allowed, !cases[i].token, "case %zu: %s", i, d.text);
        if (cases[i].token) {
            cr_expect_str_eq(d.token, cases[i].token, "case %zu", i);
            cr_expect(strstr(d.text, cases[i].says), "case %zu: %s", i, d.text);
            cr_expect_eq(d.status, cases[i].status, "case %zu", i);
        } else if (!d.gateway) {
            cr_expect_eq(d.policy.abilities & (ABILITY_SHELL | ABILITY_EXEC),
                         ABILITY_SHELL | ABILITY_EXEC);
            cr_expect_gt(buf_len(&d.host_keys), 50);
        }
        cr_expect_eq(d.alarm, cases[i].foreign);
        decision_clear(&d);
        login_clear(&l);
        secret_free(totp);
        lab_tear_down(&lab);
    }
}

/* An operator's own addresses hold wherever the login wants to go, and are told after both factors
 * alone: the code is asked for as ever. */
Test(decision, operators_from)
{
    static const char operators[] =
        "operators:\n  alice: {keys: [\"" KEY_A "\"], groups: [ops], from: [%s]}\n";
    static const char *const wanted[] = {"hv1:22", "gateway:22", "hv9:22", "HV1:22"};

    for (size_t i = 0; i < 2 * sizeof wanted / sizeof *wanted; i++) {
        const bool elsewhere = i % 2;
        struct auth_lab lab;
        struct login l;
        struct login_reply r;
        struct decision d;
        struct buf record;
        struct err e = ERR_INIT;
        char text[1000], own[ADDRESS_TEXT];
        lab_set_up(&lab);
        struct secret *totp = lab_enrol(&lab, "alice");
        put_vault_key(&lab);
        lab_login(&l, wanted[i / 2]);
        snprintf(text, sizeof text, operators,
                 elsewhere ? "\"2001:db8:ffff::/48\"" : address_text(&l.source, own));
        struct policy *p = fixture_load_with(text, NULL, lab_role, &e);
        cr_assert_not_null(p, "%s", e.text);
        lab.world.policy = p;
        login_claim(&l, &lab.world, "root", lab_key(&lab, "alice"), LAB_NOW, &r);
        cr_assert_eq(r.verdict, LOGIN_ASK_CODE);
        code_at(&lab, &l, totp, LAB_NOW, &r);
        cr_assert_eq(r.verdict, LOGIN_SUCCESS);
        decision_make(&lab.world, &l, LAB_NOW, &d);
        cr_expect_eq(d.allowed, !elsewhere && i < 4, "case %zu: %s", i, d.text);
        cr_expect_eq(strcmp(d.token, "operator-address") == 0, elsewhere, "%s", d.token);
        buf_init(&record, 65536);
        cr_assert_eq(decision_record(&d, &l, NULL, &record), 0);
        char *json = buf_string(&record);
        if (elsewhere) {
            cr_expect(strstr(d.text, ": denied by operator:alice/from; ask "), "%s", d.text);
            cr_expect(strstr(json, "\"because\":\"operator:alice/from\""), "%s", json);
        }
        cr_expect(i != 0 || strstr(json, "\"because\":\"lab\""), "%s", json);
        free(json);
        buf_clear(&record);
        decision_clear(&d);
        login_clear(&l);
        policy_free(p);
        secret_free(totp);
        lab_tear_down(&lab);
    }
}

Test(decision, no_policy_is_no)
{
    struct auth_lab lab;
    struct login l;
    struct decision d;
    lab_set_up(&lab);
    lab_login(&l, "hv1:22");
    strcpy(l.operator_name, "alice");
    destination_parse("hv1:22", "root", &l.destination);
    l.factors = FACTOR_KEY | FACTOR_TOTP;
    lab.world.policy = NULL;
    decision_make(&lab.world, &l, LAB_NOW, &d);
    cr_expect(!d.allowed && d.status == EXIT_REFUSED);
    decision_clear(&d);
    login_clear(&l);
    lab_tear_down(&lab);
}

Test(refusals, a_network_is_one_source)
{
    struct refusals *r = refusals_new();
    struct buf out;
    struct err e = ERR_INIT;
    struct login l;

    buf_init(&out, 4096);
    lab_login(&l, "hv1:22");
    for (unsigned i = 0; i < 5000; i++) {
        char text[64];
        snprintf(text, sizeof text, "2001:db8:1:2::%x", i + 1);
        cr_assert_eq(address_parse(text, &l.source, &e), 0);
        cr_expect_eq(refusals_note(r, &l, "unknown-key", 1000, &out), i == 0);
    }
    cr_expect(refusals_due(r, 61000, &out));
    cr_expect(!refusals_due(r, 61000, &out), "one record, not one an address");
    buf_clear(&out);
    login_clear(&l);
    refusals_free(r);
}

Test(refusals, one_a_minute_and_source)
{
    struct refusals *r = refusals_new();
    struct login l = {.source = {4, {10, 0, 0, 1}}}, m = {.source = {4, {10, 0, 0, 2}}};
    struct buf out;
    buf_init(&out, 65536);
    cr_expect(refusals_note(r, &l, "unknown-key", 1000, &out), "the first at once");
    for (int i = 0; i < 50; i++)
        cr_expect(!refusals_note(r, &l, "unknown-key", 2000, &out));
    cr_expect(refusals_note(r, &m, "unknown-key", 2000, &out), "another source");
    buf_clear(&out);
    cr_expect(!refusals_due(r, 60999, &out));
    cr_expect(refusals_due(r, 61000, &out));
    char *text = buf_string(&out);
    cr_expect(strstr(text, "\"count\":50") && strstr(text, "10.0.0.1"), "%s", text);
    free(text);
    buf_clear(&out);
    cr_expect(!refusals_due(r, 62000, &out), "one refusal was told already");
    cr_expect(!refusals_due(r, 121000, &out));
    cr_expect(!refusals_waiting(r));
    /* A flood from many sources stays bounded, and is told as that of others. */
    for (uint32_t i = 0; i < 3 * REFUSALS_SOURCES; i++) {
        wire_store_u32(l.source.bytes, i);
        refusals_note(r, &l, "unknown-key", 200000, &out);
        buf_clear(&out);
    }
    unsigned told = 0;
    while (refusals_due(r, 300000, &out)) {
        text = buf_string(&out);
        cr_expect(strstr(text, "\"others\"") && strstr(text, "\"count\":2047"), "%s", text);
        free(text);
        buf_clear(&out);
        told++;
    }
    cr_expect_eq(told, 1);
    refusals_free(r);
}
