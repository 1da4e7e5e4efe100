/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store's own files share: the table of prepared statements. */
#ifndef SALLYPORT_AUTH_STORE_INTERNAL_H
#define SALLYPORT_AUTH_STORE_INTERNAL_H

#include <sqlite3.h>

#include "auth/store.h"
#include "auth/store_reserve.h"

enum store_statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_OPERATOR_READ,
    STMT_OPERATOR_STEP,
    STMT_OPERATOR_LOCKOUT,
    STMT_OPERATOR_ADMIN_LOCK,
    STMT_OPERATOR_TOTP,
    STMT_ENROLMENT_PUT,
    STMT_ENROLMENT_TRY,
    STMT_ENROLMENT_MATCH,
    STMT_ENROLMENT_REDEEM,
    STMT_ENROLMENT_READ,
    STMT_CERTIFICATE_PUT,
    STMT_CERTIFICATE_PRUNE,
    STMT_CERTIFICATE_READ,
    STMT_CERTIFICATES_END,
    STMT_CERTIFICATES_LIST,
    STMT_CERTIFICATES_END_BESIDE,
    STMT_CERTIFICATE_END,
    STMT_CERTIFICATES_LIVE,
    STMT_VAULT_PUBLIC,
    STMT_VAULT_PRIVATE,
    STMT_VAULT_PUT,
    STMT_VAULT_EACH,
    STMT_PASSWORD_READ,
    STMT_PASSWORD_HAS,
    STMT_PASSWORD_ANY,
    STMT_PASSWORD_PUT,
    STMT_PASSWORD_REMOVE,
    STMT_APPROVAL_READ,
    STMT_APPROVAL_PUT,
    STMT_COUNT
};

/* A password's hash, sealed (auth/password.h). */
#define STORE_PASSWORD_SEALED (73 + SEAL_OVERHEAD)

struct store {
    sqlite3 *db;
    struct seal *seal;
    struct store_reserve reserve;
    uint8_t nobody[STORE_PASSWORD_SEALED]; /* store_password_nobody */
    sqlite3_stmt *statement[STMT_COUNT];
};

/* Binds the values in order: 't' const char *, 'i' uint64_t, 'b' const void * and size_t, 'n'
 * nothing (null). Returns the statement. */
sqlite3_stmt *store_bind(struct store *s, enum store_statement which, const char *types, ...);
/* One row or none: 1 (read it, then store_done), 0 (already done), negative. */
MUST_CHECK int store_row(struct store *s, sqlite3_stmt *st, struct err *e);
void store_done(sqlite3_stmt *st);
/* A statement without rows. *changes may be NULL. */
MUST_CHECK int store_run(struct store *s, sqlite3_stmt *st, int *changes, struct err *e);
/* At start: what is read instead of a password that is not there. */
MUST_CHECK int store_password_nobody(struct store *s, struct err *e);
/* Copies a text column that has a known maximum; cut when the file says otherwise. */
void store_column_text(sqlite3_stmt *st, int column, char *out, size_t cap);

#endif
