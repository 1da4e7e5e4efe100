/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store.h: the hashes of operators' passwords. They are sealed as the second factors are,
 * so that a copy of the database alone is nothing to guess passwords against. */
#include <stdio.h>
#include <string.h>

#include "auth/password.h"
#include "auth/store_internal.h"

/* "password/" and an operator's name. */
#define SEAL_NAME 80

static const char *seal_name(const char *name, char out[SEAL_NAME])
{
    snprintf(out, SEAL_NAME, "password/%s", name);
    return out;
}

/* With a NUL behind it, as text. */
static struct secret *as_text(const struct secret *hash)
{
    const size_t len = secret_len(hash);
    struct secret *text = len == PASSWORD_HASH ? secret_new(len + 1) : NULL;

    if (text)
        memcpy(secret_bytes(text), secret_view(hash), len);
    if (text && !password_hash_is((const char *)secret_view(text))) {
        secret_free(text);
        text = NULL;
    }
    return text;
}

int store_password_nobody(struct store *s, struct err *e)
{
    static const char hash[] = "$y$j9T$......................$"
                               "...........................................";
    char sealed_as[SEAL_NAME];

    _Static_assert(sizeof s->nobody == PASSWORD_HASH + SEAL_OVERHEAD, "store_internal.h");
    INVARIANT(password_hash_is(hash));
    return seal_close(s->seal, seal_name("", sealed_as), hash, PASSWORD_HASH, s->nobody, e);
}

int store_password_read(struct store *s, const char *name, struct secret **hash, bool *has,
                        struct err *e)
{
    char sealed_as[SEAL_NAME];
    sqlite3_stmt *st = store_bind(s, STMT_PASSWORD_READ, "t", name);
    int rc = store_row(s, st, e);

    *hash = NULL;
    *has = rc == 1;
    if (rc < 0)
        return rc;
    const void *sealed = *has ? sqlite3_column_blob(st, 0) : s->nobody;
    size_t len = *has ? (size_t)sqlite3_column_bytes(st, 0) : sizeof s->nobody;
    struct secret *opened =
        seal_open(s->seal, seal_name(*has ? name : "", sealed_as), sealed, len, e);
    if (*has)
        store_done(st);
    if (!opened)
        return ERR_TAMPERED;
    *hash = as_text(opened);
    secret_free(opened);
    return *hash ? 0 : err_set(e, ERR_TAMPERED, "store: a password's hash is malformed");
}

int store_password_put(struct store *s, const char *name, const char *hash, struct err *e)
{
    uint8_t sealed[PASSWORD_HASH + SEAL_OVERHEAD];
    char sealed_as[SEAL_NAME];

    if (!password_hash_is(hash))
        return err_set(e, ERR_INPUT, "not a password's hash");
    int rc = seal_close(s->seal, seal_name(name, sealed_as), (const uint8_t *)hash, PASSWORD_HASH,
                        sealed, e);
    return rc < 0 ? rc
                  : store_run(s,
                              store_bind(s, STMT_PASSWORD_PUT, "tb", name, (const void *)sealed,
                                         sizeof sealed),
                              NULL, e);
}

int store_password_remove(struct store *s, const char *name, struct err *e)
{
    int changes;
    int rc = store_run(s, store_bind(s, STMT_PASSWORD_REMOVE, "t", name), &changes, e);

    return rc == 0 && changes != 1 ? err_set(e, ERR_NOT_FOUND, "%s has no password", name) : rc;
}

static int found(struct store *s, sqlite3_stmt *st, bool *yes, struct err *e)
{
    int rc = store_row(s, st, e);

    *yes = rc == 1;
    if (rc == 1)
        store_done(st);
    return rc < 0 ? rc : 0;
}

int store_password_has(struct store *s, const char *name, bool *has, struct err *e)
{
    return found(s, store_bind(s, STMT_PASSWORD_HAS, "t", name), has, e);
}

int store_password_any(struct store *s, bool *any, struct err *e)
{
    return found(s, store_bind(s, STMT_PASSWORD_ANY, ""), any, e);
}
