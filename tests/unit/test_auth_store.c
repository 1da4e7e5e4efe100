/* SPDX-License-Identifier: Apache-2.0
 *
 * The store: what survives, what it refuses, vault keys. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vault.h"
#include "tests/unit/auth_lab.h"

Test(store, enrolment_tokens_have_few_tries_and_an_end)
{
    static const uint8_t right[STORE_HASH_BYTES] = {1}, wrong[STORE_HASH_BYTES] = {2};
    struct auth_lab lab;
    struct err e = ERR_INIT;
    uint64_t expires;
    lab_set_up(&lab);
    struct store *s = lab.world.store;
    cr_expect_eq(store_enrolment_try(s, "alice", right, LAB_NOW, &e), ERR_DENIED, "none yet");
    cr_assert_eq(store_enrolment_put(s, "alice", right, LAB_NOW + 100, 3, &e), 0);
    cr_expect_eq(store_enrolment_try(s, "bob", right, LAB_NOW, &e), ERR_DENIED, "another's");
    cr_expect_eq(store_enrolment_try(s, "alice", right, LAB_NOW + 100, &e), ERR_DENIED, "expired");
    cr_expect_eq(store_enrolment_try(s, "alice", wrong, LAB_NOW, &e), ERR_DENIED);
    cr_expect_eq(store_enrolment_try(s, "alice", right, LAB_NOW, &e), 0);
    cr_expect_eq(store_enrolment_try(s, "alice", right, LAB_NOW, &e), 0);
    cr_expect_eq(store_enrolment_try(s, "alice", right, LAB_NOW, &e), ERR_DENIED, "no tries left");
    cr_assert_eq(store_enrolment_read(s, "alice", LAB_NOW, &expires, &e), 0);
    cr_expect_eq(expires, 0);
    lab_tear_down(&lab);
}

static bool keep_none(void *arg, const struct store_certificate *c)
{
    (void)arg, (void)c;
    return false;
}

static bool keep_alice(void *arg, const struct store_certificate *c)
{
    (void)arg;
    return strcmp(c->operator_name, "alice") == 0;
}

static void put_certificate(struct store *s, uint8_t first, const char *name, uint64_t expires_s)
{
    uint8_t serial[STORE_SERIAL_BYTES] = {first};
    struct store_certificate c = {.issued_s = LAB_NOW, .expires_s = expires_s};
    struct err e = ERR_INIT;
    strcpy(c.operator_name, name);
    strcpy(c.fingerprint, "SHA256:x");
    cr_assert_eq(store_certificate_put(s, serial, &c, &e), 0, "%s", e.text);
}

Test(store, certificates_end)
{
    struct auth_lab lab;
    struct store_certificate c;
    struct err e = ERR_INIT;
    uint8_t serial[STORE_SERIAL_BYTES] = {1};
    unsigned count;
    uint64_t until;
    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    secret_free(lab_enrol(&lab, "bob"));
    struct store *s = lab.world.store;
    put_certificate(s, 1, "alice", LAB_NOW + 100);
    put_certificate(s, 2, "alice", LAB_NOW + 200);
    put_certificate(s, 3, "bob", LAB_NOW + 300);
    cr_assert_eq(store_certificates_live(s, "alice", LAB_NOW + 150, &count, &until, &e), 0);
    cr_expect(count == 1 && until == LAB_NOW + 200);
    cr_assert_eq(store_certificates_sweep(s, keep_alice, NULL, "test", LAB_NOW, &count, &e), 0);
    cr_expect_eq(count, 1);
    cr_assert_eq(store_certificates_end(s, "alice", "test", LAB_NOW + 1, &count, &e), 0);
    cr_expect_eq(count, 2);
    cr_assert_eq(store_certificate_read(s, serial, &c, &e), 0);
    cr_expect_eq(c.ended_s, LAB_NOW + 1);
    cr_assert_eq(store_certificates_sweep(s, keep_none, NULL, "test", LAB_NOW, &count, &e), 0);
    cr_expect_eq(count, 0, "they have ended already");
    serial[0] = 9;
    cr_expect_eq(store_certificate_read(s, serial, &c, &e), ERR_NOT_FOUND);
    lab_tear_down(&lab);
}

Test(store, refuses_a_second_process_and_a_wrong_key)
{
    struct auth_lab lab;
    struct store_operator o;
    struct err e = ERR_INIT;
    lab_set_up(&lab);
    secret_free(lab_enrol(&lab, "alice"));
    cr_expect_null(store_open(lab.store_path, seal_new(secret_random(32), &e), &e), "in use");
    store_close(lab.world.store);
    lab.world.store = store_open(lab.store_path, seal_new(secret_random(32), &e), &e);
    cr_assert_not_null(lab.world.store);
    cr_expect_eq(store_operator_read(lab.world.store, "alice", &o, &e), ERR_TAMPERED);
    store_operator_clear(&o);
    lab_tear_down(&lab);
}

Test(store, refuses_a_newer_schema_and_no_database)
{
    struct auth_lab lab;
    struct err e = ERR_INIT;
    sqlite3 *db;
    lab_set_up(&lab);
    store_close(lab.world.store);
    cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    cr_expect_null(store_open(lab.store_path, seal_new(secret_random(32), &e), &e));
    cr_expect(strstr(e.text, "version 99"), "%s", e.text);
    FILE *f = fopen(lab.store_path, "w");
    for (int i = 0; i < 500; i++)
        fputs("this is no database\n", f);
    fclose(f);
    cr_expect_null(store_open(lab.store_path, seal_new(secret_random(32), &e), &e));
    lab.world.store = NULL;
    lab_tear_down(&lab);
}

/* A store of the version before has no such table. */
Test(store, what_was_approved_last)
{
    static const uint8_t hash[STORE_HASH_BYTES] = {1, 2, 3};
    const struct bytes text = {(const uint8_t *)"approvers: 1\n", 13}, none = {NULL, 0};
    struct auth_lab lab;
    struct store_approval a;
    struct err e = ERR_INIT;
    sqlite3 *db;

    lab_set_up(&lab);
    store_close(lab.world.store);
    cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE approval; DROP TABLE password; ALTER TABLE certificate"
                              " DROP COLUMN factors; PRAGMA user_version=1",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    lab.world.store = store_open(lab.store_path, seal_new(secret_random(32), &e), &e);
    cr_assert_not_null(lab.world.store, "%s", e.text);
    cr_expect_eq(store_approval_read(lab.world.store, &a, &e), 0, "%s", e.text);
    cr_expect(a.serial == 0 && buf_len(&a.approvers) == 0);

    cr_expect_eq(store_approval_put(lab.world.store, 7, hash, text, &e), 0, "%s", e.text);
    store_close(lab.world.store);
    lab.world.store = store_open(lab.store_path, seal_new(secret_random(32), &e), &e);
    cr_expect_eq(store_approval_read(lab.world.store, &a, &e), 0, "%s", e.text);
    cr_expect(a.serial == 7 && memcmp(a.manifest, hash, sizeof hash) == 0);
    cr_assert_eq(buf_len(&a.approvers), 13);
    cr_expect_eq(memcmp(buf_head(&a.approvers), text.p, 13), 0);
    buf_clear(&a.approvers);

    cr_expect_eq(store_approval_put(lab.world.store, 8, hash, none, &e), 0, "%s", e.text);
    cr_expect_eq(store_approval_read(lab.world.store, &a, &e), 0, "%s", e.text);
    cr_expect(a.serial == 8 && buf_len(&a.approvers) == 0);
    store_close(lab.world.store);

    /* Of a row that cannot be right, nothing is believed. */
    static const char *const wrong[] = {"serial=0", "manifest=x'00'", "approvers=zeroblob(300000)"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char sql[300];
        struct err why = ERR_INIT;
        snprintf(sql, sizeof sql,
                 "UPDATE approval SET serial=1, manifest=zeroblob(32), approvers=x'';"
                 "UPDATE approval SET %s",
                 wrong[i]);
        cr_assert_eq(sqlite3_open(lab.store_path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sql);
        sqlite3_close(db);
        lab.world.store = store_open(lab.store_path, seal_new(secret_random(32), &e), &e);
        cr_expect_eq(store_approval_read(lab.world.store, &a, &why), ERR_TAMPERED, "%s", wrong[i]);
        buf_clear(&a.approvers);
        store_close(lab.world.store);
    }
    lab.world.store = NULL;
    lab_tear_down(&lab);
}

Test(store, holds_no_secret_in_the_clear)
{
    struct auth_lab lab;
    struct err e = ERR_INIT;
    uint8_t blob[VAULT_PUBLIC_BYTES];
    struct secret *seed = NULL;
    static char file[1 << 20];
    lab_set_up(&lab);
    struct secret *totp = lab_enrol(&lab, "alice");
    cr_assert_eq(vault_generate(&seed, blob, &e), 0);
    cr_assert_eq(
        store_vault_put(lab.world.store, "hv1", "root", blob, sizeof blob, seed, LAB_NOW, &e), 0);
    static const char *const suffixes[] = {"", "-wal"};
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", lab.store_path, suffixes[i]);
        FILE *f = fopen(path, "r");
        cr_assert_not_null(f);
        size_t n = fread(file, 1, sizeof file, f);
        fclose(f);
        cr_expect_null(memmem(file, n, secret_view(totp), secret_len(totp)));
        cr_expect_null(memmem(file, n, secret_view(seed), secret_len(seed)));
    }
    secret_free(seed);
    secret_free(totp);
    lab_tear_down(&lab);
}

Test(vault, authorized_keys_line)
{
    uint8_t blob[VAULT_PUBLIC_BYTES];
    struct secret *seed = NULL;
    struct err e = ERR_INIT;
    struct buf line;
    buf_init(&line, 1024);
    cr_assert_eq(vault_generate(&seed, blob, &e), 0);
    cr_assert_eq(vault_authorized_line(blob, sizeof blob, "192.0.2.1", "hv1", "root", NULL, &line),
                 0);
    char *text = buf_string(&line);
    cr_expect_eq(
        strncmp(text, "restrict,pty,from=\"192.0.2.1\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", 62), 0,
        "%s", text);
    cr_expect_str_eq(strrchr(text, ' '), " sallyport:root@hv1");
    free(text);
    buf_clear(&line);
    secret_free(seed);
}
