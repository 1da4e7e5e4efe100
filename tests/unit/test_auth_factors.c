/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes, each once; lockout; tokens; sealing; destinations; break-glass. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/break_glass.h"
#include "auth/destination.h"
#include "auth/enrol.h"
#include "auth/lockout.h"
#include "auth/second_factor.h"
#include "auth/totp.h"
#include "tests/unit/auth_lab.h"

/* RFC 6238, appendix B (SHA-1), the last six of its eight digits. */
Test(totp, published_vectors)
{
    static const struct {
        uint64_t time_s;
        const char *code;
    } vectors[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                   {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    struct secret *key = secret_copy("12345678901234567890", 20);
    cr_assert_eq(totp_init(NULL), 0);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint64_t step = 0;
        cr_expect_eq(totp_match(key, vectors[i].time_s, vectors[i].code, &step), 0, "%s",
                     vectors[i].code);
        cr_expect_eq(step, vectors[i].time_s / 30);
    }
    secret_free(key);
}

Test(totp, one_step_early_or_late_and_no_more)
{
    struct secret *key = secret_copy("12345678901234567890", 20);
    char code[TOTP_DIGITS + 1];
    for (int offset = -3; offset <= 3; offset++) {
        uint64_t step = 0, want = LAB_NOW / 30 + (uint64_t)offset;
        cr_assert_eq(totp_code(key, want, code), 0);
        int rc = totp_match(key, LAB_NOW, code, &step);
        if (offset >= -1 && offset <= 1)
            cr_expect(rc == 0 && step == want, "offset %d", offset);
        else
            cr_expect_eq(rc, ERR_DENIED, "offset %d", offset);
    }
    secret_free(key);
}

Test(totp, malformed_codes_are_wrong)
{
    static const char *const codes[] = {"", "0", "12345", "1234567", "abcdef", "------"};
    struct secret *key = secret_copy("12345678901234567890", 20);
    uint64_t step;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        cr_expect_eq(totp_match(key, LAB_NOW, codes[i], &step), ERR_DENIED, "%s", codes[i]);
    /* A right code with more behind it. */
    char code[TOTP_DIGITS + 2];
    cr_assert_eq(totp_code(key, LAB_NOW / 30, code), 0);
    strcat(code, "0");
    cr_expect_eq(totp_match(key, LAB_NOW, code, &step), ERR_DENIED);
    secret_free(key);
}

Test(totp, uri)
{
    struct secret *key = secret_copy("12345678901234567890", 20);
    struct buf out;
    buf_init(&out, 1024);
    cr_assert_eq(totp_uri(key, "gw example", "alice", &out, NULL), 0);
    char *text = buf_string(&out);
    cr_expect_str_eq(text,
                     "otpauth://totp/gw%20example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
                     "&issuer=gw%20example&algorithm=SHA1&digits=6&period=30");
    free(text);
    buf_clear(&out);
    secret_free(key);
}

Test(lockout, counts_locks_and_tells)
{
    const struct lockout_rule rule = {3, 600};
    struct lockout l = {0};
    char text[LOCKOUT_TIME_TEXT];
    cr_expect(!lockout_fail(&l, &rule, LAB_NOW));
    cr_expect(!lockout_fail(&l, &rule, LAB_NOW));
    lockout_succeed(&l, LAB_NOW);
    cr_expect_eq(l.failures, 0);
    cr_expect(!lockout_fail(&l, &rule, LAB_NOW));
    cr_expect(!lockout_fail(&l, &rule, LAB_NOW));
    cr_expect(lockout_fail(&l, &rule, LAB_NOW));
    cr_expect(lockout_holds(&l, LAB_NOW + 599));
    cr_expect(!lockout_holds(&l, LAB_NOW + 600));
    cr_expect(lockout_holds(&l, LAB_NOW - 86400), "a clock set back does not unlock");
    /* A right code does not lift a lock, and wrong ones prolong it. */
    lockout_succeed(&l, LAB_NOW + 10);
    cr_expect(lockout_holds(&l, LAB_NOW + 599));
    for (int i = 0; i < 3; i++)
        lockout_fail(&l, &rule, LAB_NOW + 100);
    cr_expect(lockout_holds(&l, LAB_NOW + 699));
    cr_expect_str_eq(lockout_time_text(LAB_NOW + 245 * 60, LAB_NOW, text), "14:05 UTC");
    cr_expect_str_eq(lockout_time_text(LAB_NOW + 86400, LAB_NOW, text), "2026-03-03 10:00 UTC");
}

static enum code_verdict try_code(struct auth_lab *lab, const char *name, const char *code,
                                  uint64_t now_s)
{
    struct code_outcome o;
    struct err e = ERR_INIT;
    int rc = second_factor_check(lab->world.store, name, code, now_s, &lab->world.lockout, &o, &e);
    cr_assert_eq(rc, 0, "%s", e.text);
    return o.verdict;
}

Test(second_factor, each_code_once_and_never_an_older_one)
{
    struct auth_lab lab;
    char before[TOTP_DIGITS + 1], now[TOTP_DIGITS + 1], after[TOTP_DIGITS + 1];
    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    cr_assert(totp_code(totp, LAB_NOW / 30 - 1, before) == 0 &&
              totp_code(totp, LAB_NOW / 30, now) == 0 &&
              totp_code(totp, LAB_NOW / 30 + 1, after) == 0);
    cr_expect_eq(try_code(&lab, "alice", now, LAB_NOW), CODE_RIGHT);
    cr_expect_eq(try_code(&lab, "alice", now, LAB_NOW), CODE_USED);
    cr_expect_eq(try_code(&lab, "alice", before, LAB_NOW), CODE_USED, "older than the last");
    lab_reopen(&lab);
    cr_expect_eq(try_code(&lab, "alice", now, LAB_NOW), CODE_USED, "after a restart");
    cr_expect_eq(try_code(&lab, "alice", after, LAB_NOW), CODE_RIGHT);
    /* The clock is set back by a minute: its codes are older than the last step. */
    cr_expect_eq(try_code(&lab, "alice", before, LAB_NOW - 60), CODE_USED);
    secret_free(totp);
    lab_tear_down(&lab);
}

Test(second_factor, failures_lock_over_restarts)
{
    struct auth_lab lab;
    struct store_operator o;
    struct err e = ERR_INIT;
    char code[TOTP_DIGITS + 1];
    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(try_code(&lab, "alice", "000000x", LAB_NOW), CODE_WRONG);
        lab_reopen(&lab);
    }
    cr_assert_eq(store_operator_read(lab.world.store, "alice", &o, &e), 0);
    cr_expect_eq(o.lockout.locked_until_s, LAB_NOW + 1800);
    store_operator_clear(&o);
    /* A right code is consumed, and the lock stays. */
    cr_assert_eq(totp_code(totp, LAB_NOW / 30, code), 0);
    cr_expect_eq(try_code(&lab, "alice", code, LAB_NOW), CODE_RIGHT);
    cr_expect_eq(try_code(&lab, "alice", code, LAB_NOW), CODE_USED);
    cr_assert_eq(store_operator_read(lab.world.store, "alice", &o, &e), 0);
    cr_expect(lockout_holds(&o.lockout, LAB_NOW + 1));
    store_operator_clear(&o);
    secret_free(totp);
    lab_tear_down(&lab);
}

Test(second_factor, nobody_and_not_enrolled_are_wrong_and_counted)
{
    struct auth_lab lab;
    struct store_operator o;
    struct err e = ERR_INIT;
    char code[TOTP_DIGITS + 1];
    static const uint8_t zeroes[TOTP_SECRET_BYTES];
    lab_set_up(&lab);
    /* The code of the stand-in secret must not open anything. */
    struct secret *zero = secret_copy(zeroes, sizeof zeroes);
    cr_assert_eq(totp_code(zero, LAB_NOW / 30, code), 0);
    cr_expect_eq(try_code(&lab, "bob", code, LAB_NOW), CODE_WRONG);
    cr_assert_eq(store_operator_read(lab.world.store, "bob", &o, &e), 0);
    cr_expect_eq(o.lockout.failures, 1);
    store_operator_clear(&o);
    secret_free(zero);
    lab_tear_down(&lab);
}

Test(enrol, tokens)
{
    char token[ENROL_TOKEN_TEXT], typed[64];
    uint8_t hash[ENROL_HASH_BYTES], again[ENROL_HASH_BYTES];
    static const char *const bad[] = {"spe-",
                                      "spe-abcd",
                                      "123456",
                                      "",
                                      "spe-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaa",
                                      "spe-aaaa-aaaa-aaaa-aaaa-aaaa-aaa1"};
    cr_assert_eq(enrol_token_make(token, NULL), 0);
    cr_expect_eq(strlen(token), ENROL_TOKEN_TEXT - 1);
    cr_expect(enrol_token_looks(token) && !enrol_token_looks("123456"));
    cr_assert_eq(enrol_token_hash(token, hash), 0);
    for (size_t i = 0; i <= strlen(token); i++)
        typed[i] = (char)(token[i] >= 'a' && token[i] <= 'z' ? token[i] - 32 : token[i]);
    cr_assert_eq(enrol_token_hash(typed, again), 0);
    cr_expect_arr_eq(hash, again, sizeof hash);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(enrol_token_hash(bad[i], hash), ERR_SYNTAX, "%s", bad[i]);
}

Test(seal, opens_only_with_its_key_and_name)
{
    struct err e = ERR_INIT;
    struct secret *k1 = secret_random(32), *k2 = secret_random(32);
    struct seal *a = seal_new(k1, &e), *b = seal_new(k2, &e);
    uint8_t sealed[5 + SEAL_OVERHEAD], other[5 + SEAL_OVERHEAD];
    cr_assert_eq(seal_close(a, "totp/alice", "hello", 5, sealed, &e), 0);
    cr_assert_eq(seal_close(a, "totp/alice", "hello", 5, other, &e), 0);
    cr_expect_arr_neq(sealed, other, sizeof sealed);
    struct secret *plain = seal_open(a, "totp/alice", sealed, sizeof sealed, &e);
    cr_assert(plain && secret_equal(plain, "hello", 5));
    secret_free(plain);
    cr_expect_null(seal_open(a, "totp/bob", sealed, sizeof sealed, &e));
    cr_expect_eq(e.code, ERR_TAMPERED);
    cr_expect_null(seal_open(b, "totp/alice", sealed, sizeof sealed, &e));
    for (size_t len = 0; len < sizeof sealed; len++)
        cr_expect_null(seal_open(a, "totp/alice", sealed, len, &e), "cut to %zu", len);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        cr_expect_null(seal_open(a, "totp/alice", sealed, sizeof sealed, &e), "byte %zu", i);
        sealed[i] ^= 1;
    }
    cr_expect_null(seal_new(secret_random(31), &e));
    seal_free(a);
    seal_free(b);
}

Test(destination, table)
{
    static const struct {
        const char *connect, *user, *target, *account, *token;
    } cases[] = {
        {"hv1:22", "root", "hv1", "root", NULL},
        {"gateway:22", "whoever", "gateway", "", NULL},
        {"gateway:22", "", "gateway", "", NULL},
        {"", "root@hv1", "hv1", "root", NULL},
        {"", "x@gateway", "gateway", "", NULL},
        {"hv1.example:22", "svc-x.y", "hv1.example", "svc-x.y", NULL},
        {"hv1:2222", "root", "", "", "unknown-target"},
        {"hv1", "root", "", "", "unknown-target"},
        {":22", "root", "", "", "unknown-target"},
        {"HV1:22", "root", "", "", "unknown-target"},
        {"[::1]:22", "root", "", "", "unknown-target"},
        {"hv1%lo:22", "root", "", "", "unknown-target"},
        {"h\xc3\xa9:22", "root", "", "", "unknown-target"},
        {"hv1:22", "root@hv2", "", "", "account"},
        {"hv1:22", "$(id)", "", "", "account"},
        {"hv1:22", "a b", "", "", "account"},
        {"hv1:22", "", "", "", "account"},
        {"hv1:22", "-root", "", "", "account"},
        {"hv1:22", "../../x", "", "", "account"},
        {"", "root", "", "", "unknown-target"},
        {"", "a@b@c", "", "", "unknown-target"},
        {"", "root@", "", "", "unknown-target"},
        {"", "@hv1", "", "", "account"},
        {"", "x\n{\"ok\":1}", "", "", "unknown-target"},
        /* with the operator's name */
        {"hv1:22", "alice+root", "hv1", "root", NULL},
        {"", "alice+root@hv1", "hv1", "root", NULL},
        {"", "alice+@gateway", "gateway", "", NULL},
        {"gateway:22", "alice+whoever", "gateway", "", NULL},
        {"hv1:22", "alice+", "", "", "account"},
        {"hv1:22", "+root", "", "", "account"},
        {"hv1:22", "a+b+c", "", "", "account"},
        {"hv1:22", "Alice+root", "", "", "account"},
        {"hv1:22", "alice+root@hv2", "", "", "account"},
        {"hv1:22", "alice+../x", "", "", "account"},
        {"", "a+b+c@hv1", "", "", "account"},
        {"", "+root@hv1", "", "", "account"},
        {"", "root@alice+hv1", "", "", "unknown-target"},
        {"", "alice+root", "", "", "unknown-target"},
        {"", "alice+root@hv1@hv2", "", "", "unknown-target"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct destination d;
        destination_parse(cases[i].connect, cases[i].user, &d);
        cr_expect_eq(d.valid, !cases[i].token, "case %zu", i);
        cr_expect_str_eq(d.target, cases[i].target, "case %zu", i);
        cr_expect_str_eq(d.account, cases[i].account, "case %zu", i);
        cr_expect(!cases[i].token || strcmp(d.token, cases[i].token) == 0, "case %zu", i);
        cr_expect_eq(d.gateway, strcmp(cases[i].target, "gateway") == 0, "case %zu", i);
        cr_expect_null(strpbrk(d.problem, "\n\r\x1b"), "case %zu", i);
    }
}

/* Of what a user name names an operator, whoever there is. */
Test(destination, operator_in_the_user_name)
{
    static const char longest[] =
        "a234567890123456789012345678901234567890123456789012345678901234";
    static const struct {
        const char *user, *name; /* NULL: none */
    } cases[] = {
        {"alice+root", "alice"},
        {"alice+root@hv1", "alice"},
        {"alice+", "alice"},
        {"alice+@gateway", "alice"},
        {"_a.b-c+x", "_a.b-c"},
        {"alice+root@hv1@x+y", "alice"},
        {"alice+root@a+b", "alice"},
        {"", NULL},
        {"alice", NULL},
        {"root@hv1", NULL},
        {"+", NULL},
        {"+root", NULL},
        {"+root@hv1", NULL},
        {"a+b+c", NULL},
        {"a+b+c@d", NULL},
        {"a++b", NULL},
        {"root@alice+hv1", NULL},
        {"@+", NULL},
        {"Alice+root", NULL},
        {"1alice+root", NULL},
        {"-alice+root", NULL},
        {".alice+root", NULL},
        {"al ice+root", NULL},
        {" alice+root", NULL},
        {"alice\n+root", NULL},
        {"al/ice+root", NULL},
        {"\xd0\xb0lice+root", NULL}, /* a Cyrillic a */
        {"alice\xe2\x80\x8b+root", NULL},
        {"alice\xef\xbc\x8broot", NULL}, /* a full-width plus */
    };
    char name[65], user[300];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t len = destination_operator(cases[i].user, name);
        cr_expect_str_eq(name, cases[i].name ? cases[i].name : "", "%s", cases[i].user);
        cr_expect_eq(len, cases[i].name ? strlen(cases[i].name) + 1 : 0, "%s", cases[i].user);
    }
    snprintf(user, sizeof user, "%s+root", longest);
    cr_expect_eq(destination_operator(user, name), 65);
    cr_expect_str_eq(name, longest);
    snprintf(user, sizeof user, "%s5+root", longest);
    cr_expect_eq(destination_operator(user, name), 0);
    cr_expect_str_eq(name, "");
}

/* Who may get in although no session starts: with a key and a code of now, a password beside or
 * not. */
Test(break_glass, what_holds)
{
    static const struct {
        uint32_t factors;
        bool enrolment, holds;
    } cases[] = {
        {FACTOR_KEY | FACTOR_TOTP, false, true},
        {FACTOR_KEY | FACTOR_PASSWORD | FACTOR_TOTP, false, true},
        {FACTOR_PASSWORD | FACTOR_TOTP, false, false},
        {FACTOR_KEY | FACTOR_PASSWORD, false, false},
        {FACTOR_KEY | FACTOR_PASSWORD | FACTOR_REMEMBERED, false, false},
        {FACTOR_KEY | FACTOR_TOTP | FACTOR_REMEMBERED, false, false},
        {FACTOR_KEY | FACTOR_TOTP, true, false},
        {FACTOR_TOTP, false, false},
        {0, false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct login l = {.factors = cases[i].factors, .enrolment = cases[i].enrolment};
        cr_expect_eq(break_glass_holds(&l), cases[i].holds, "case %zu", i);
    }
}
