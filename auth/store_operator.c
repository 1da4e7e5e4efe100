/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store.h: operators' second factors and locks, enrolment tokens. */
#include "auth/store_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "totp/" and an operator's name. */
#define SEAL_NAME 80

static const char *totp_seal_name(const char *name, char out[SEAL_NAME])
{
    snprintf(out, SEAL_NAME, "totp/%s", name);
    return out;
}

int store_operator_read(struct store *s, const char *name, struct store_operator *out,
                        struct err *e)
{
    char seal_name[SEAL_NAME];
    memset(out, 0, sizeof *out);
    sqlite3_stmt *st = store_bind(s, STMT_OPERATOR_READ, "t", name);
    int rc = store_row(s, st, e);
    if (rc <= 0)
        return rc;
    rc = 0;
    if (sqlite3_column_type(st, 0) != SQLITE_NULL) {
        const void *sealed = sqlite3_column_blob(st, 0);
        out->totp = seal_open(s->seal, totp_seal_name(name, seal_name), sealed,
                              (size_t)sqlite3_column_bytes(st, 0), e);
        if (!out->totp)
            rc = ERR_TAMPERED;
    }
    out->last_step = (uint64_t)sqlite3_column_int64(st, 1);
    out->lockout.failures = (uint64_t)sqlite3_column_int64(st, 2);
    out->lockout.locked_until_s = (uint64_t)sqlite3_column_int64(st, 3);
    out->admin_locked = sqlite3_column_type(st, 4) != SQLITE_NULL;
    store_column_text(st, 4, out->lock_reason, sizeof out->lock_reason);
    store_done(st);
    return rc;
}

void store_operator_clear(struct store_operator *o)
{
    secret_free(o->totp);
    o->totp = NULL;
}

int store_operator_take_step(struct store *s, const char *name, uint64_t step, struct err *e)
{
    int changes;
    int rc = store_run(s, store_bind(s, STMT_OPERATOR_STEP, "ti", name, step), &changes, e);
    if (rc == 0 && changes != 1)
        rc = err_set(e, ERR_DENIED, "the step was used already");
    return rc;
}

int store_operator_set_lockout(struct store *s, const char *name, const struct lockout *l,
                               struct err *e)
{
    return store_run(
        s, store_bind(s, STMT_OPERATOR_LOCKOUT, "tii", name, l->failures, l->locked_until_s), NULL,
        e);
}

int store_operator_set_admin_lock(struct store *s, const char *name, const char *reason,
                                  struct err *e)
{
    return store_run(s, store_bind(s, STMT_OPERATOR_ADMIN_LOCK, "tt", name, reason), NULL, e);
}

int store_operator_set_totp(struct store *s, const char *name, const struct secret *totp,
                            uint64_t step, struct err *e)
{
    char seal_name[SEAL_NAME];
    size_t len = secret_len(totp) + SEAL_OVERHEAD;
    uint8_t *sealed = malloc(len);
    if (!sealed)
        return err_set(e, ERR_MEMORY, "store");
    int rc = seal_close(s->seal, totp_seal_name(name, seal_name), secret_view(totp),
                        secret_len(totp), sealed, e);
    if (rc == 0)
        rc = store_run(
            s, store_bind(s, STMT_OPERATOR_TOTP, "tbi", name, (const void *)sealed, len, step),
            NULL, e);
    free(sealed);
    return rc;
}

int store_enrolment_put(struct store *s, const char *name, const uint8_t hash[STORE_HASH_BYTES],
                        uint64_t expires_s, unsigned tries, struct err *e)
{
    return store_run(s,
                     store_bind(s, STMT_ENROLMENT_PUT, "tbii", name, (const void *)hash,
                                (size_t)STORE_HASH_BYTES, expires_s, (uint64_t)tries),
                     NULL, e);
}

int store_enrolment_try(struct store *s, const char *name, const uint8_t hash[STORE_HASH_BYTES],
                        uint64_t now_s, struct err *e)
{
    int changes, rc;
    bool equal = false;

    rc = store_run(s, store_bind(s, STMT_ENROLMENT_TRY, "ti", name, now_s), &changes, e);
    if (rc < 0)
        return rc;
    sqlite3_stmt *st = store_bind(s, STMT_ENROLMENT_MATCH, "t", name);
    rc = store_row(s, st, e);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        const void *stored = sqlite3_column_blob(st, 0);
        equal = stored && sqlite3_column_bytes(st, 0) == STORE_HASH_BYTES &&
                CRYPTO_memcmp(stored, hash, STORE_HASH_BYTES) == 0;
        store_done(st);
    }
    if (changes != 1 || !equal)
        return err_set(e, ERR_DENIED, "there is no such enrolment token");
    return 0;
}

int store_enrolment_redeem(struct store *s, const char *name, const uint8_t hash[STORE_HASH_BYTES],
                           uint64_t now_s, struct err *e)
{
    int changes;
    int rc = store_run(s,
                       store_bind(s, STMT_ENROLMENT_REDEEM, "tbi", name, (const void *)hash,
                                  (size_t)STORE_HASH_BYTES, now_s),
                       &changes, e);
    if (rc == 0 && changes != 1)
        rc = err_set(e, ERR_DENIED, "the enrolment token was redeemed, replaced, or has expired");
    return rc;
}

int store_enrolment_read(struct store *s, const char *name, uint64_t now_s, uint64_t *expires_s,
                         struct err *e)
{
    sqlite3_stmt *st = store_bind(s, STMT_ENROLMENT_READ, "ti", name, now_s);
    int rc = store_row(s, st, e);
    *expires_s = 0;
    if (rc == 1) {
        *expires_s = (uint64_t)sqlite3_column_int64(st, 0);
        store_done(st);
        rc = 0;
    }
    return rc;
}
