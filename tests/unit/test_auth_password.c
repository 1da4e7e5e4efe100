/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords: their form, the store's rows, and the steps of a login with one, on a fake clock. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/decision.h"
#include "auth/password.h"
#include "auth/totp.h"
#include "tests/unit/auth_lab.h"
#include "tests/unit/policy_fixture.h"

#define RIGHT "correct horse battery"

/* ---- form ---- */

Test(password, hash_is_libxcrypt_s)
{
    /* mkpasswd --method=yescrypt says the same. */
    static const char setting[] = "$y$j9T$0brOAikuLcAXGxlWDvZhD/",
                      known[] = "$y$j9T$0brOAikuLcAXGxlWDvZhD/$"
                                "Msvw70AL0Ca9BHx73n1mAk.OCjFCh8452Gp9osMYS7.";
    char hash[PASSWORD_HASH + 1], first[PASSWORD_SETTING + 1], second[PASSWORD_SETTING + 1];
    struct err e = ERR_INIT;

    cr_assert_eq(password_hash("correct horse", setting, hash, &e), 0, "%s", e.text);
    cr_expect_str_eq(hash, known);
    cr_assert_eq(password_hash("correct horsf", setting, hash, &e), 0);
    cr_expect_str_neq(hash, known);
    cr_assert_eq(password_setting(first, &e), 0, "%s", e.text);
    cr_assert_eq(password_setting(second, &e), 0);
    cr_expect(password_setting_is(first));
    cr_expect_str_neq(first, second);
}

Test(password, other_forms_are_none_of_ours)
{
    static const char *const settings[] = {"",
                                           "$y$j9T$",
                                           "$y$jAT$0brOAikuLcAXGxlWDvZhD/",
                                           "$y$j75$0brOAikuLcAXGxlWDvZhD/",
                                           "$6$0brOAikuLcAXGxlWDvZhD/xxxx",
                                           "$y$j9T$0brOAikuLcAXGxlWDvZhD",
                                           "*0",
                                           "$y$j9T$0brOAikuLcAXGxlWDvZhD/x",
                                           "$y$j9T$0brOAikuLcAXGxlWDvZh:/",
                                           "$y$j9T$0brOAikuLcAX$xlWDvZhD/"};
    char hash[PASSWORD_HASH + 1], longer[PASSWORD_MAX + 2];
    struct err e = ERR_INIT;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        cr_expect(!password_setting_is(settings[i]), "%s", settings[i]);
        cr_expect(!password_hash_is(settings[i]), "%s", settings[i]);
        cr_expect_eq(password_hash(RIGHT, settings[i], hash, &e), ERR_CRYPTO, "%s", settings[i]);
    }
    memset(longer, 'x', sizeof longer);
    longer[PASSWORD_MAX + 1] = '\0';
    cr_expect_eq(password_hash(longer, "$y$j9T$0brOAikuLcAXGxlWDvZhD/", hash, &e), ERR_CRYPTO);
    longer[PASSWORD_MAX] = '\0';
    cr_expect_eq(password_hash(longer, "$y$j9T$0brOAikuLcAXGxlWDvZhD/", hash, &e), 0);
    cr_expect_eq(password_hash("", "$y$j9T$0brOAikuLcAXGxlWDvZhD/", hash, &e), 0);
}

Test(password, what_may_be_chosen)
{
    char text[PASSWORD_MAX + 2];
    static const struct {
        size_t len;
        bool fine;
    } cases[] = {
        {0, false}, {7, false}, {8, true}, {PASSWORD_MAX, true}, {PASSWORD_MAX + 1, false}};
    struct err e = ERR_INIT;

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(password_acceptable(text, cases[i].len, &e), cases[i].fine ? 0 : ERR_INPUT,
                     "%zu", cases[i].len);
    cr_expect_eq(password_acceptable("12345678\0x", 10, &e), ERR_INPUT);
}

/* ---- the store ---- */

static void hash_of(const char *password, char out[PASSWORD_HASH + 1])
{
    char setting[PASSWORD_SETTING + 1];
    struct err e = ERR_INIT;
    cr_assert_eq(password_setting(setting, &e), 0);
    cr_assert_eq(password_hash(password, setting, out, &e), 0);
}

static void set_password(struct auth_lab *lab, const char *who, const char *password)
{
    char hash[PASSWORD_HASH + 1];
    struct err e = ERR_INIT;
    hash_of(password, hash);
    cr_assert_eq(store_password_put(lab->world.store, who, hash, &e), 0, "%s", e.text);
}

static bool has(struct auth_lab *lab, const char *who, const char *hash)
{
    struct secret *stored = NULL;
    struct err e = ERR_INIT;
    bool found = false;
    cr_assert_eq(store_password_read(lab->world.store, who, &stored, &found, &e), 0, "%s", e.text);
    cr_expect(password_hash_is((const char *)secret_view(stored)), "of nobody as well");
    bool same = strcmp((const char *)secret_view(stored), hash) == 0;
    cr_expect_eq(same, found);
    secret_free(stored);
    return found;
}

Test(password_store, rows)
{
    struct auth_lab lab;
    struct err e = ERR_INIT;
    char hash[PASSWORD_HASH + 1];
    struct secret *none;
    bool any = true;
    sqlite3 *db;

    lab_set_up(&lab);
    hash_of(RIGHT, hash);
    cr_assert_eq(store_password_any(lab.world.store, &any, &e), 0);
    cr_expect(!any);
    cr_expect(!has(&lab, "alice", hash));
    cr_expect_eq(store_password_remove(lab.world.store, "alice", &e), ERR_NOT_FOUND);
    cr_expect_eq(store_password_put(lab.world.store, "alice", "$y$weak", &e), ERR_INPUT);
    cr_assert_eq(store_password_put(lab.world.store, "alice", hash, &e), 0);
    cr_expect(has(&lab, "alice", hash));
    cr_expect(!has(&lab, "bob", hash));
    cr_assert_eq(store_password_any(lab.world.store, &any, &e), 0);
    cr_expect(any);
    lab_reopen(&lab);
    cr_expect(has(&lab, "alice", hash), "durable");

    /* The hash is sealed, and for this operator alone. */
    store_close(lab.world.store);
    cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(db, "INSERT INTO password SELECT 'bob', hash FROM password", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    lab.world.store = NULL;
    char command[200];
    snprintf(command, sizeof command, "grep -q -r -a -F '%s' %s", hash + PASSWORD_SETTING, lab.dir);
    cr_expect_neq(system(command), 0, "the hash is on the disk in the clear");
    lab_reopen(&lab);
    cr_expect(has(&lab, "alice", hash));
    cr_expect_eq(store_password_read(lab.world.store, "bob", &none, &any, &e), ERR_TAMPERED);
    cr_expect_null(none);
    any = false;
    cr_assert_eq(store_password_has(lab.world.store, "bob", &any, &e), 0, "it is not opened");
    cr_expect(any);
    cr_assert_eq(store_password_has(lab.world.store, "carol", &any, &e), 0);
    cr_expect(!any);
    cr_assert_eq(store_password_remove(lab.world.store, "alice", &e), 0);
    cr_expect(!has(&lab, "alice", hash));
    lab_tear_down(&lab);
}

/* Certificates from before stay what they were: issued beside a key. */
Test(password_store, of_the_version_before)
{
    static const uint8_t serial[STORE_SERIAL_BYTES] = {7};
    struct store_certificate c = {.operator_name = "alice",
                                  .fingerprint = "SHA256:x",
                                  .issued_s = 1,
                                  .expires_s = 99,
                                  .factors = FACTOR_PASSWORD};
    struct auth_lab lab;
    struct err e = ERR_INIT;
    unsigned count = 9;
    sqlite3 *db;

    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    cr_assert_eq(store_certificate_put(lab.world.store, serial, &c, &e), 0, "%s", e.text);
    store_close(lab.world.store);
    cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE password; ALTER TABLE certificate DROP COLUMN factors;"
                              "PRAGMA user_version=2",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    lab.world.store = NULL;
    lab_reopen(&lab);
    cr_assert_eq(store_certificate_read(lab.world.store, serial, &c, &e), 0, "%s", e.text);
    cr_expect_eq(c.factors, FACTOR_KEY);
    cr_assert_eq(store_certificates_end_beside(lab.world.store, "alice", FACTOR_PASSWORD, "x", 50,
                                               &count, &e),
                 0);
    cr_expect_eq(count, 0);
    cr_assert_eq(
        store_certificates_end_beside(lab.world.store, "alice", FACTOR_KEY, "x", 50, &count, &e),
        0);
    cr_expect_eq(count, 1);
    set_password(&lab, "alice", RIGHT);
    lab_tear_down(&lab);
}

/* ---- the login ---- */

static unsigned hashes; /* work: how many were wanted */

/* One password, with its hash made here in the other process's place. */
static void give(struct auth_lab *lab, struct login *l, const char *user, const char *password,
                 struct login_reply *r)
{
    char setting[PASSWORD_SETTING + 1] = "", hash[PASSWORD_HASH + 1];
    struct err e = ERR_INIT;

    if (!login_password(l, &lab->world, user, setting, r))
        return;
    hashes++;
    cr_assert_eq(password_hash(password, setting, hash, &e), 0, "%s", e.text);
    login_password_hashed(l, &lab->world, hash, LAB_NOW, r);
}

static void claim(struct auth_lab *lab, struct login *l, const char *user, const char *who,
                  struct login_reply *r)
{
    login_claim(l, &lab->world, user, lab_key(lab, who), LAB_NOW, r);
}

static void code(struct auth_lab *lab, struct login *l, const struct secret *totp,
                 struct login_reply *r)
{
    char digits[TOTP_DIGITS + 1];
    cr_assert_eq(totp_code(totp, LAB_NOW / 30, digits), 0);
    login_code(l, &lab->world, digits, LAB_NOW, r);
}

/* What opens with a password, a key, or both; each row a login that gets as far as it can. */
Test(login_password, what_it_opens)
{
    static const struct {
        const char *user, *key; /* key: whose is claimed before, NULL: nobody's */
        const char *password;   /* NULL: none is given */
        const char *factors;    /* "": it came to nothing */
    } cases[] = {
        {"alice+root", NULL, RIGHT, "password,totp"},
        {"alice+root", "alice", RIGHT, "key,password,totp"},
        {"alice+root@hv1", NULL, RIGHT, "password,totp"},
        {"root", "alice", NULL, "key,totp"},
        /* A key alone is no login for who said that a password comes. */
        {"alice+root", "alice", NULL, ""},
        {"alice+root", NULL, "correct horse batterz", ""},
        {"alice+root", "alice", "correct horse batterz", ""},
        {"alice+root", NULL, "", ""},
        {"bob+root", NULL, RIGHT, ""},
        /* Nobody's password without his name, and nobody's with another one's key. */
        {"root", NULL, RIGHT, ""},
        {"a+b+c", NULL, RIGHT, ""},
        {"+root", NULL, RIGHT, ""},
        {"Alice+root", NULL, RIGHT, ""},
        {"alice+root", "bob", RIGHT, "password,totp"}, /* that key counted for nothing */
        {"bob+root", "alice", RIGHT, ""},
        {"zoe+root", NULL, RIGHT, ""},
    };
    struct auth_lab lab;
    char factors[100];

    lab_set_up(&lab);
    set_password(&lab, "alice", RIGHT);
    set_password(&lab, "zoe", RIGHT); /* not in the policy */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct secret *totp = lab_enrol(&lab, "alice");
        struct login_reply r;
        struct login l;

        lab_login(&l, strchr(cases[i].user, '@') ? "" : "hv1:22");
        if (cases[i].key)
            claim(&lab, &l, cases[i].user, cases[i].key, &r);
        if (cases[i].password)
            give(&lab, &l, cases[i].user, cases[i].password, &r);
        code(&lab, &l, totp, &r);
        cr_expect_eq(l.phase == LOGIN_DONE, *cases[i].factors != '\0', "case %zu", i);
        if (l.phase == LOGIN_DONE) {
            cr_expect_str_eq(login_factors_text(&l, factors), cases[i].factors, "case %zu", i);
            cr_expect_str_eq(l.operator_name, "alice", "case %zu", i);
            cr_expect_eq(*l.fingerprint != '\0', (l.factors & FACTOR_KEY) != 0, "case %zu", i);
            cr_expect_str_eq(l.destination.account, "root", "case %zu", i);
        }
        login_clear(&l);
        secret_free(totp);
    }
    lab_tear_down(&lab);
}

/* Whoever it is: the same texts, the same verdicts, the same work, up to the end. */
Test(login_password, tells_nobody_apart)
{
    static const char *const users[] = {"alice+root", "bob+root", "carol+root", "nobody+root",
                                        "zoe+root"};
    struct lockout locked = {.locked_until_s = LAB_NOW + 1000};
    struct auth_lab lab;
    struct err e = ERR_INIT;

    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    set_password(&lab, "alice", RIGHT);
    set_password(&lab, "bob", RIGHT);
    set_password(&lab, "zoe", RIGHT);
    cr_assert_eq(store_operator_set_admin_lock(lab.world.store, "alice", "gone", &e), 0);
    cr_assert_eq(store_operator_set_lockout(lab.world.store, "bob", &locked, &e), 0);
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        struct login_reply r;
        struct login l;
        hashes = 0;
        lab_login(&l, "hv1:22");
        for (int n = 1; n <= LOGIN_PASSWORDS_MAX + 1; n++) {
            give(&lab, &l, users[i], "wrong horse battery", &r);
            cr_expect_eq(r.verdict, n < 3 ? LOGIN_ASK_PASSWORD : LOGIN_FAILED, "%s %d", users[i],
                         n);
            cr_expect_str_eq(r.text, n <= 3 ? "That password is not right." : "", "%s", users[i]);
            cr_expect_eq(r.source_failed, n <= 3, "%s: each is a failure of the source", users[i]);
            cr_expect(!r.record && !r.lock_began, "%s: no record of its own, no lock", users[i]);
            cr_expect_str_eq(l.operator_name, "", "%s", users[i]);
        }
        cr_expect_eq(hashes, 3, "%s: %u hashes", users[i], hashes);
        cr_expect_eq(l.phase, LOGIN_OVER);
        login_clear(&l);
    }
    struct store_operator row;
    cr_assert_eq(store_operator_read(lab.world.store, "alice", &row, &e), 0);
    cr_expect_eq(row.lockout.failures, 0, "wrong passwords lock nobody");
    store_operator_clear(&row);
    lab_tear_down(&lab);
}

Test(login_password, nobody_has_one)
{
    struct auth_lab lab;
    struct login_reply r;
    struct login l;

    lab_set_up(&lab);
    hashes = 0;
    lab_login(&l, "hv1:22");
    for (int n = 1; n <= 3; n++) {
        give(&lab, &l, "alice+root", RIGHT, &r);
        cr_expect_str_eq(r.text, "That password is not right.");
        cr_expect(r.source_failed);
    }
    cr_expect_eq(r.verdict, LOGIN_FAILED);
    cr_expect_eq(hashes, 0, "no work for a gateway without passwords");
    login_clear(&l);
    lab_tear_down(&lab);
}

/* A lock is told after both factors; wrong codes after a right password lock as after a key. */
Test(login_password, locks)
{
    struct auth_lab lab;
    struct login_reply r;
    struct decision d;
    struct login l;
    bool began = false;

    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    set_password(&lab, "alice", RIGHT);
    for (int i = 0; i < 2; i++) {
        lab_login(&l, "hv1:22");
        give(&lab, &l, "alice+root", RIGHT, &r);
        cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
        cr_expect(!r.source_failed);
        for (int n = 0; n < 3; n++) {
            login_code(&l, &lab.world, "00000x", LAB_NOW, &r);
            cr_expect_eq(r.verdict, n < 2 ? LOGIN_ASK_CODE : LOGIN_FAILED);
            began = began || r.lock_began;
        }
        login_clear(&l);
    }
    cr_expect(began, "six wrong codes, five lock");
    lab_login(&l, "hv1:22");
    give(&lab, &l, "alice+root", RIGHT, &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_CODE, "the lock is not told here");
    code(&lab, &l, totp, &r);
    cr_expect_eq(r.verdict, LOGIN_SUCCESS);
    decision_make(&lab.world, &l, LAB_NOW, &d);
    cr_expect(!d.allowed);
    cr_expect_str_eq(d.token, "locked");
    decision_clear(&d);
    login_clear(&l);
    secret_free(totp);
    lab_tear_down(&lab);
}

/* Between the two steps: a changed password, a removed one, an operator who is gone, no hash. */
Test(login_password, what_changes_while_it_is_hashed)
{
    enum { CHANGED, REMOVED, GONE, NO_HASH, NO_POLICY, CASES };
    static const char *const without = "operators:\n  bob: {name: \"Bob\"}\n";
    char setting[PASSWORD_SETTING + 1], hash[PASSWORD_HASH + 1];
    struct err e = ERR_INIT;

    for (int i = 0; i < CASES; i++) {
        struct auth_lab lab;
        struct login_reply r;
        struct login l;
        struct policy *other = NULL;
        lab_set_up(&lab);
        set_password(&lab, "alice", RIGHT);
        lab_login(&l, "hv1:22");
        cr_assert(login_password(&l, &lab.world, "alice+root", setting, &r));
        cr_assert_eq(password_hash(RIGHT, setting, hash, &e), 0);
        if (i == CHANGED)
            set_password(&lab, "alice", RIGHT);
        else if (i == REMOVED)
            cr_assert_eq(store_password_remove(lab.world.store, "alice", &e), 0);
        else if (i == GONE)
            lab.world.policy = other = fixture_load_with(without, NULL, NULL, &e);
        else if (i == NO_POLICY)
            lab.world.policy = NULL;
        login_password_hashed(&l, &lab.world, i == NO_HASH ? NULL : hash, LAB_NOW, &r);
        cr_expect_eq(r.verdict, LOGIN_ASK_PASSWORD, "case %d", i);
        cr_expect_eq(r.source_failed, i != NO_HASH, "case %d: %s", i, r.reason);
        cr_expect_eq(r.our_fault, i == NO_HASH, "case %d", i);
        cr_expect(!*l.operator_name && !l.factors, "case %d", i);
        policy_free(other);
        login_clear(&l);
        lab_tear_down(&lab);
    }
}

/* A frontend is hostile: who was claimed stays, and a code's state takes no password. */
Test(login_password, of_a_hostile_frontend)
{
    struct auth_lab lab;
    struct login_reply r;
    struct login l;

    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    set_password(&lab, "alice", RIGHT);
    set_password(&lab, "bob", RIGHT);
    lab_login(&l, "hv1:22");
    claim(&lab, &l, "alice+root", "alice", &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_PASSWORD);
    give(&lab, &l, "bob+root", RIGHT, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "the password of another operator");
    cr_expect_eq(l.phase, LOGIN_OVER);
    login_clear(&l);

    lab_login(&l, "hv1:22");
    claim(&lab, &l, "alice+root", "alice", &r);
    give(&lab, &l, "alice+admin", RIGHT, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "another user name than the key's");
    login_clear(&l);

    lab_login(&l, "hv1:22");
    claim(&lab, &l, "root", "alice", &r);
    give(&lab, &l, "alice+root", RIGHT, &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "a code was asked for");
    cr_expect_eq(l.phase, LOGIN_OVER);
    login_clear(&l);

    /* What is compared with for who has no password opens nothing, whoever says it. */
    struct secret *nobody;
    struct err e = ERR_INIT;
    char setting[PASSWORD_SETTING + 1];
    bool found;
    cr_assert_eq(store_password_read(lab.world.store, "carol", &nobody, &found, &e), 0);
    lab_login(&l, "hv1:22");
    cr_assert(login_password(&l, &lab.world, "carol+root", setting, &r));
    login_password_hashed(&l, &lab.world, (const char *)secret_view(nobody), LAB_NOW, &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_PASSWORD);
    cr_expect_str_eq(r.reason, "no-password");
    secret_free(nobody);
    login_clear(&l);

    lab_login(&l, "hv1:22");
    give(&lab, &l, "alice+root", RIGHT, &r);
    cr_expect_eq(r.verdict, LOGIN_ASK_CODE);
    claim(&lab, &l, "alice+root", "alice", &r);
    cr_expect_eq(r.verdict, LOGIN_FAILED, "a key after the password");
    cr_expect_eq(l.factors, FACTOR_PASSWORD);
    login_clear(&l);
    lab_tear_down(&lab);
}

/* A certificate stands in for a code beside the first factors that it was issued beside. */
Test(login_password, remembered)
{
    static const struct {
        uint32_t issued_beside;
        bool key, password, counts;
    } cases[] = {
        {FACTOR_PASSWORD, false, true, true},
        {FACTOR_PASSWORD, true, true, true},
        {FACTOR_PASSWORD, true, false, false},
        {FACTOR_KEY, false, true, false},
        {FACTOR_KEY, true, true, true},
        {FACTOR_KEY | FACTOR_PASSWORD, true, true, true},
        {FACTOR_KEY | FACTOR_PASSWORD, false, true, false},
        {FACTOR_KEY | FACTOR_PASSWORD, true, false, false},
    };
    char factors[100], sql[100];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *user = cases[i].password ? "alice+root" : "root";
        struct auth_lab lab;
        struct login_reply r;
        struct login l;
        sqlite3 *db;
        lab_set_up(&lab);
        secret_free(lab_enrol(&lab, "alice"));
        set_password(&lab, "alice", RIGHT);
        lab_login(&l, "hv1:22");
        lab_remember(&lab, &l, "alice", LAB_NOW - 10, 3600);
        store_close(lab.world.store);
        lab.world.store = NULL;
        cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
        snprintf(sql, sizeof sql, "UPDATE certificate SET factors=%u", cases[i].issued_beside);
        cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        lab_reopen(&lab);
        if (cases[i].key)
            claim(&lab, &l, user, "alice", &r);
        if (cases[i].key && cases[i].password)
            cr_expect_eq(r.verdict, LOGIN_ASK_PASSWORD, "case %zu: the key alone", i);
        if (cases[i].password)
            give(&lab, &l, user, RIGHT, &r);
        cr_expect_eq(r.verdict, cases[i].counts ? LOGIN_SUCCESS : LOGIN_ASK_CODE, "case %zu", i);
        cr_expect_str_eq(r.reason, cases[i].counts ? "remembered" : "certificate-of-other-factors",
                         "case %zu", i);
        snprintf(sql, sizeof sql, "%s%s%s,remembered", cases[i].key ? "key" : "",
                 cases[i].key && cases[i].password ? "," : "", cases[i].password ? "password" : "");
        if (cases[i].counts)
            cr_expect_str_eq(login_factors_text(&l, factors), sql);
        login_clear(&l);
        lab_tear_down(&lab);
    }
}

/* Fail closed: a role that says nothing, or asks for a key, is none for a password. */
Test(login_password, roles)
{
    static const char head[] = "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\n"
                               "accounts: [root]\nallow: {shell: true, exec: true}\n";
    static const struct {
        const char *factors;
        uint32_t login;
        bool opens;
    } cases[] = {
        {"", FACTOR_PASSWORD, false},
        {"factors: [key, totp]\n", FACTOR_PASSWORD, false},
        {"factors: [password, totp]\n", FACTOR_PASSWORD, true},
        {"factors: [password, totp]\n", FACTOR_KEY, false},
        {"factors: [password, totp]\n", FACTOR_KEY | FACTOR_PASSWORD, true},
        {"factors: [key, password, totp]\n", FACTOR_PASSWORD, false},
        {"factors: [key, password, totp]\n", FACTOR_KEY, false},
        {"factors: [key, password, totp]\n", FACTOR_KEY | FACTOR_PASSWORD, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_lab lab;
        struct login_reply r;
        struct decision d;
        struct login l;
        struct err e = ERR_INIT;
        char role[400];
        lab_set_up(&lab);
        snprintf(role, sizeof role, "%s%s", head, cases[i].factors);
        struct policy *p = fixture_load_with(NULL, NULL, role, &e);
        cr_assert_not_null(p, "%s", e.text);
        lab.world.policy = p;
        struct secret *totp = lab_enrol(&lab, "alice");
        set_password(&lab, "alice", RIGHT);
        const bool named = cases[i].login & FACTOR_PASSWORD;
        lab_login(&l, "hv1:22");
        if (cases[i].login & FACTOR_KEY)
            claim(&lab, &l, named ? "alice+root" : "root", "alice", &r);
        if (named)
            give(&lab, &l, "alice+root", RIGHT, &r);
        code(&lab, &l, totp, &r);
        cr_assert_eq(l.phase, LOGIN_DONE, "case %zu", i);
        decision_make(&lab.world, &l, LAB_NOW, &d);
        /* There is no vault key in this lab: who gets as far as that was let in. */
        cr_expect_str_eq(d.token, cases[i].opens ? "no-credential" : "factors", "case %zu: %s", i,
                         d.text);
        if (!cases[i].opens && !named)
            cr_expect(strstr(d.text, "alice+root"), "it says how: %s", d.text);
        decision_clear(&d);
        login_clear(&l);
        secret_free(totp);
        policy_free(p);
        lab_tear_down(&lab);
    }
}
