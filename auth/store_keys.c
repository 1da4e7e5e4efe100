/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store.h: device certificates and vault keys. */
#include "auth/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of certificates that ended by themselves are kept so long, for questions afterwards. */
#define CERTIFICATE_KEEP_S (90u * 24 * 3600)
/* "vault/", a target, "/", an account. */
#define SEAL_NAME 340

static void read_certificate(sqlite3_stmt *st, struct store_certificate *out)
{
    store_column_text(st, 0, out->operator_name, sizeof out->operator_name);
    store_column_text(st, 1, out->fingerprint, sizeof out->fingerprint);
    out->issued_s = (uint64_t)sqlite3_column_int64(st, 2);
    out->expires_s = (uint64_t)sqlite3_column_int64(st, 3);
    out->ended_s = (uint64_t)sqlite3_column_int64(st, 4);
    out->factors = (uint32_t)sqlite3_column_int64(st, 5);
}

int store_certificate_put(struct store *s, const uint8_t serial[STORE_SERIAL_BYTES],
                          const struct store_certificate *c, struct err *e)
{
    uint64_t prune = c->issued_s > CERTIFICATE_KEEP_S ? c->issued_s - CERTIFICATE_KEEP_S : 0;
    int rc = store_run(s, store_bind(s, STMT_CERTIFICATE_PRUNE, "i", prune), NULL, e);
    if (rc < 0)
        return rc;
    return store_run(s,
                     store_bind(s, STMT_CERTIFICATE_PUT, "bttiii", (const void *)serial,
                                (size_t)STORE_SERIAL_BYTES, c->operator_name, c->fingerprint,
                                c->issued_s, c->expires_s, (uint64_t)c->factors),
                     NULL, e);
}

int store_certificate_read(struct store *s, const uint8_t serial[STORE_SERIAL_BYTES],
                           struct store_certificate *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    sqlite3_stmt *st =
        store_bind(s, STMT_CERTIFICATE_READ, "b", (const void *)serial, (size_t)STORE_SERIAL_BYTES);
    int rc = store_row(s, st, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no certificate with this serial number was issued");
    read_certificate(st, out);
    store_done(st);
    return 0;
}

int store_certificates_end(struct store *s, const char *name, const char *why, uint64_t now_s,
                           unsigned *count, struct err *e)
{
    int changes;
    int rc =
        store_run(s, store_bind(s, STMT_CERTIFICATES_END, "tit", name, now_s, why), &changes, e);
    *count = (unsigned)changes;
    return rc;
}

int store_certificates_end_beside(struct store *s, const char *name, uint32_t factors,
                                  const char *why, uint64_t now_s, unsigned *count, struct err *e)
{
    int changes;
    int rc = store_run(
        s, store_bind(s, STMT_CERTIFICATES_END_BESIDE, "titi", name, now_s, why, (uint64_t)factors),
        &changes, e);
    *count = (unsigned)changes;
    return rc;
}

int store_certificates_sweep(struct store *s,
                             bool (*keep)(void *arg, const struct store_certificate *c), void *arg,
                             const char *why, uint64_t now_s, unsigned *count, struct err *e)
{
    uint8_t serial[STORE_SERIAL_BYTES] = {0};
    size_t serial_len = 0; /* the empty blob is below every serial */
    struct store_certificate c;
    int rc;

    *count = 0;
    for (;;) {
        sqlite3_stmt *st =
            store_bind(s, STMT_CERTIFICATES_LIST, "ib", now_s, (const void *)serial, serial_len);
        rc = store_row(s, st, e);
        if (rc <= 0)
            return rc;
        read_certificate(st, &c);
        const void *blob = sqlite3_column_blob(st, 6);
        serial_len = (size_t)sqlite3_column_bytes(st, 6);
        if (!blob || serial_len != sizeof serial) {
            store_done(st);
            return err_set(e, ERR_TAMPERED, "store: a certificate's serial number is malformed");
        }
        memcpy(serial, blob, sizeof serial);
        store_done(st);
        if (keep(arg, &c))
            continue;
        rc = store_run(s,
                       store_bind(s, STMT_CERTIFICATE_END, "bit", (const void *)serial, serial_len,
                                  now_s, why),
                       NULL, e);
        if (rc < 0)
            return rc;
        (*count)++;
    }
}

int store_certificates_live(struct store *s, const char *name, uint64_t now_s, unsigned *count,
                            uint64_t *until_s, struct err *e)
{
    sqlite3_stmt *st = store_bind(s, STMT_CERTIFICATES_LIVE, "ti", name, now_s);
    int rc = store_row(s, st, e);
    *count = 0;
    *until_s = 0;
    if (rc == 1) {
        *count = (unsigned)sqlite3_column_int64(st, 0);
        *until_s = (uint64_t)sqlite3_column_int64(st, 1);
        store_done(st);
        rc = 0;
    }
    return rc;
}

static const char *vault_seal_name(const char *target, const char *account, char out[SEAL_NAME])
{
    snprintf(out, SEAL_NAME, "vault/%s/%s", target, account);
    return out;
}

int store_vault_public(struct store *s, const char *target, const char *account, uint8_t *blob,
                       size_t *len, struct err *e)
{
    sqlite3_stmt *st = store_bind(s, STMT_VAULT_PUBLIC, "tt", target, account);
    int rc = store_row(s, st, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no key for %s@%s yet", account, target);
    size_t stored = (size_t)sqlite3_column_bytes(st, 0);
    rc = stored <= *len ? 0 : err_set(e, ERR_TAMPERED, "store: a public key is too long");
    if (rc == 0) {
        memcpy(blob, sqlite3_column_blob(st, 0), stored);
        *len = stored;
    }
    store_done(st);
    return rc;
}

struct secret *store_vault_private(struct store *s, const char *target, const char *account,
                                   struct err *e)
{
    char name[SEAL_NAME];
    sqlite3_stmt *st = store_bind(s, STMT_VAULT_PRIVATE, "tt", target, account);
    int rc = store_row(s, st, e);
    if (rc <= 0) {
        if (rc == 0)
            err_set(e, ERR_NOT_FOUND, "there is no key for %s@%s", account, target);
        return NULL;
    }
    struct secret *key =
        seal_open(s->seal, vault_seal_name(target, account, name), sqlite3_column_blob(st, 0),
                  (size_t)sqlite3_column_bytes(st, 0), e);
    store_done(st);
    return key;
}

int store_vault_put(struct store *s, const char *target, const char *account, const uint8_t *blob,
                    size_t len, const struct secret *private_key, uint64_t now_s, struct err *e)
{
    char name[SEAL_NAME];
    size_t sealed_len = secret_len(private_key) + SEAL_OVERHEAD;
    uint8_t *sealed = malloc(sealed_len);
    if (!sealed)
        return err_set(e, ERR_MEMORY, "store");
    int rc = seal_close(s->seal, vault_seal_name(target, account, name), secret_view(private_key),
                        secret_len(private_key), sealed, e);
    if (rc == 0)
        rc = store_run(s,
                       store_bind(s, STMT_VAULT_PUT, "ttbbi", target, account, (const void *)blob,
                                  len, (const void *)sealed, sealed_len, now_s),
                       NULL, e);
    free(sealed);
    return rc;
}

int store_vault_each(struct store *s, const char *target,
                     int (*each)(void *arg, const char *account, const uint8_t *blob, size_t len),
                     void *arg, struct err *e)
{
    char account[65];
    sqlite3_stmt *st = store_bind(s, STMT_VAULT_EACH, "t", target);
    int rc;
    /* store_row resets the statement at its end, not between rows. */
    while ((rc = store_row(s, st, e)) == 1) {
        store_column_text(st, 0, account, sizeof account);
        rc = each(arg, account, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
        if (rc < 0) {
            store_done(st);
            return rc;
        }
    }
    return rc;
}
