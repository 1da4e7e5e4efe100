/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store.h: opening, schema, statements. EXCLUSIVE locking keeps WAL's index in our own
 * memory (no shared mapping) and makes a second authd fail instead of sharing.
 * https://www.sqlite.org/wal.html, "Use of WAL Without Shared-Memory" */
#include "auth/store_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_VERSION 3

static const char pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
                              "PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL;"
                              "PRAGMA foreign_keys=ON;"
                              "PRAGMA secure_delete=ON;"
                              "PRAGMA temp_store=MEMORY;"
                              "PRAGMA trusted_schema=OFF;";

/* totp, private_key: sealed. Times in seconds since 1970; 0: none. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS operator("
    " name TEXT PRIMARY KEY NOT NULL, totp BLOB,"
    " last_step INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"
    " locked_until INTEGER NOT NULL DEFAULT 0, lock_reason TEXT) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS enrolment("
    " operator TEXT PRIMARY KEY NOT NULL, hash BLOB NOT NULL, expires INTEGER NOT NULL,"
    " tries INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS certificate("
    " serial BLOB PRIMARY KEY NOT NULL, operator TEXT NOT NULL REFERENCES operator(name),"
    " fingerprint TEXT NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " ended INTEGER NOT NULL DEFAULT 0, why TEXT,"
    " factors INTEGER NOT NULL DEFAULT 1) STRICT, WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS certificate_operator ON certificate(operator, ended);"
    "CREATE TABLE IF NOT EXISTS vault_key("
    " target TEXT NOT NULL, account TEXT NOT NULL, public_key BLOB NOT NULL,"
    " private_key BLOB NOT NULL, created INTEGER NOT NULL,"
    " PRIMARY KEY(target, account)) STRICT, WITHOUT ROWID;"
    /* version 2 */
    "CREATE TABLE IF NOT EXISTS approval("
    " id INTEGER PRIMARY KEY NOT NULL CHECK(id=1), serial INTEGER NOT NULL,"
    " manifest BLOB NOT NULL, approvers BLOB NOT NULL) STRICT;"
    /* version 3, with certificate.factors */
    "CREATE TABLE IF NOT EXISTS password("
    " operator TEXT PRIMARY KEY NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version=3;";
/* Of versions 1 and 2: all certificates were issued beside a key (FACTOR_KEY). */
static const char certificate_factors[] =
    "ALTER TABLE certificate ADD COLUMN factors INTEGER NOT NULL DEFAULT 1;";

static const char *const statements[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_OPERATOR_READ] = "SELECT totp, last_step, failures, locked_until, lock_reason"
                           " FROM operator WHERE name=?1",
    [STMT_OPERATOR_STEP] = "UPDATE operator SET last_step=?2 WHERE name=?1 AND last_step<?2",
    [STMT_OPERATOR_LOCKOUT] =
        "INSERT INTO operator(name, failures, locked_until) VALUES(?1, ?2, ?3)"
        " ON CONFLICT(name) DO UPDATE SET failures=?2, locked_until=?3",
    [STMT_OPERATOR_ADMIN_LOCK] = "INSERT INTO operator(name, lock_reason) VALUES(?1, ?2)"
                                 " ON CONFLICT(name) DO UPDATE SET lock_reason=?2",
    [STMT_OPERATOR_TOTP] = "INSERT INTO operator(name, totp, last_step) VALUES(?1, ?2, ?3)"
                           " ON CONFLICT(name) DO UPDATE SET totp=?2, last_step=?3, failures=0",
    [STMT_ENROLMENT_PUT] =
        "INSERT OR REPLACE INTO enrolment(operator, hash, expires, tries) VALUES(?1, ?2, ?3, ?4)",
    [STMT_ENROLMENT_TRY] =
        "UPDATE enrolment SET tries=tries-1 WHERE operator=?1 AND tries>0 AND expires>?2",
    [STMT_ENROLMENT_MATCH] = "SELECT hash FROM enrolment WHERE operator=?1",
    [STMT_ENROLMENT_REDEEM] = "DELETE FROM enrolment WHERE operator=?1 AND hash=?2 AND expires>?3",
    [STMT_ENROLMENT_READ] =
        "SELECT expires FROM enrolment WHERE operator=?1 AND tries>0 AND expires>?2",
    [STMT_CERTIFICATE_PUT] = "INSERT INTO certificate(serial, operator, fingerprint, issued,"
                             " expires, factors) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_CERTIFICATE_PRUNE] = "DELETE FROM certificate WHERE expires<?1",
    [STMT_CERTIFICATE_READ] =
        "SELECT operator, fingerprint, issued, expires, ended, factors FROM certificate"
        " WHERE serial=?1",
    [STMT_CERTIFICATES_END] =
        "UPDATE certificate SET ended=?2, why=?3 WHERE operator=?1 AND ended=0 AND expires>?2",
    [STMT_CERTIFICATES_LIST] =
        "SELECT operator, fingerprint, issued, expires, ended, factors, serial"
        " FROM certificate WHERE ended=0 AND expires>?1 AND serial>?2"
        " ORDER BY serial LIMIT 1",
    [STMT_CERTIFICATES_END_BESIDE] =
        "UPDATE certificate SET ended=?2, why=?3 WHERE operator=?1 AND ended=0 AND expires>?2"
        " AND (factors & ?4)<>0",
    [STMT_CERTIFICATE_END] = "UPDATE certificate SET ended=?2, why=?3 WHERE serial=?1",
    [STMT_CERTIFICATES_LIVE] = "SELECT count(*), max(expires) FROM certificate"
                               " WHERE operator=?1 AND ended=0 AND expires>?2",
    [STMT_VAULT_PUBLIC] = "SELECT public_key FROM vault_key WHERE target=?1 AND account=?2",
    [STMT_VAULT_PRIVATE] = "SELECT private_key FROM vault_key WHERE target=?1 AND account=?2",
    [STMT_VAULT_PUT] = "INSERT INTO vault_key(target, account, public_key, private_key, created)"
                       " VALUES(?1, ?2, ?3, ?4, ?5)",
    [STMT_VAULT_EACH] =
        "SELECT account, public_key FROM vault_key WHERE target=?1 ORDER BY account",
    [STMT_PASSWORD_READ] = "SELECT hash FROM password WHERE operator=?1",
    [STMT_PASSWORD_HAS] = "SELECT 1 FROM password WHERE operator=?1",
    [STMT_PASSWORD_ANY] = "SELECT 1 FROM password LIMIT 1",
    [STMT_PASSWORD_PUT] = "INSERT OR REPLACE INTO password(operator, hash) VALUES(?1, ?2)",
    [STMT_PASSWORD_REMOVE] = "DELETE FROM password WHERE operator=?1",
    [STMT_APPROVAL_READ] = "SELECT serial, manifest, approvers FROM approval WHERE id=1",
    [STMT_APPROVAL_PUT] =
        "INSERT OR REPLACE INTO approval(id, serial, manifest, approvers) VALUES(1, ?1, ?2, ?3)",
};

static int failed(struct store *s, const char *what, struct err *e)
{
    return err_set(e, ERR_SYSTEM, "store: %s: %s", what, sqlite3_errmsg(s->db));
}

static int schema_version(struct store *s, int *version, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        rc = failed(s, "reading the schema's version", e);
    else
        *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return rc;
}

static int make_tables(struct store *s, int version, struct err *e)
{
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        (version > 0 && sqlite3_exec(s->db, certificate_factors, NULL, NULL, NULL) != SQLITE_OK) ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return failed(s, "creating its tables", e);
    return 0;
}

static int set_up(struct store *s, struct err *e)
{
    int version = 0, rc;

    if (sqlite3_exec(s->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return failed(s, "opening", e);
    if ((rc = schema_version(s, &version, e)) < 0)
        return rc;
    if (version > SCHEMA_VERSION)
        return err_set(e, ERR_INPUT, "store: its schema is version %d, this program knows up to %d",
                       version, SCHEMA_VERSION);
    /* Nothing is written when the tables are there: the disk may be full. */
    if (version < SCHEMA_VERSION && (rc = make_tables(s, version, e)) < 0)
        return rc;
    for (int i = 0; i < STMT_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statement[i], NULL) != SQLITE_OK)
            return failed(s, "preparing a statement", e);
    return 0;
}

struct store *store_open(const char *path, struct seal *seal, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);
    int rc;

    if (!s) {
        seal_free(seal);
        err_set(e, ERR_MEMORY, "store");
        return NULL;
    }
    s->seal = seal;
    s->reserve.fd = -1;
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
                            SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        if (s->db)
            failed(s, "opening", e);
        else
            err_set(e, ERR_MEMORY, "store");
        goto fail;
    }
    store_reserve_open(&s->reserve, path);
    if (store_password_nobody(s, e) < 0)
        goto fail;
    rc = set_up(s, e);
    if (rc < 0 && sqlite3_errcode(s->db) == SQLITE_FULL && store_reserve_give(&s->reserve)) {
        store_rollback(s);
        e->code = 0;
        rc = set_up(s, e);
    }
    if (rc < 0)
        goto fail;
    return s;
fail:
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (int i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(s->statement[i]);
    sqlite3_close(s->db);
    store_reserve_close(&s->reserve);
    seal_free(s->seal);
    free(s);
}

sqlite3_stmt *store_bind(struct store *s, enum store_statement which, const char *types, ...)
{
    sqlite3_stmt *st = s->statement[which];
    va_list ap;
    int rc = SQLITE_OK;

    sqlite3_reset(st);
    va_start(ap, types);
    for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
        if (*types == 't') {
            const char *text = va_arg(ap, const char *);
            rc = text ? sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT)
                      : sqlite3_bind_null(st, i);
        } else if (*types == 'i') {
            rc = sqlite3_bind_int64(st, i, (sqlite3_int64)va_arg(ap, uint64_t));
        } else {
            const void *p = va_arg(ap, const void *);
            size_t len = va_arg(ap, size_t);
            rc = sqlite3_bind_blob64(st, i, p, len, SQLITE_TRANSIENT);
        }
    }
    va_end(ap);
    /* A value that could not be bound is null, which every NOT NULL column and every comparison
     * refuses: the statement fails or finds nothing. */
    return st;
}

void store_done(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

int store_row(struct store *s, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        rc = failed(s, "reading", e);
    else
        rc = 0;
    store_done(st);
    return rc;
}

/* What is in the log of writes goes to its place in the database, where it mostly overwrites; the
 * log's blocks are free then, and perhaps enough for the reserve. */
static void make_room(struct store *s)
{
    if (s->reserve.fd < 0 || !sqlite3_get_autocommit(s->db))
        return;
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    store_reserve_refill(&s->reserve);
}

int store_run(struct store *s, sqlite3_stmt *st, int *changes, struct err *e)
{
    int result = sqlite3_step(st), rc;

    if (result == SQLITE_FULL && store_reserve_give(&s->reserve)) {
        sqlite3_reset(st); /* its values stay bound */
        result = sqlite3_step(st);
    }
    rc = result == SQLITE_DONE ? 0 : failed(s, "writing", e);
    if (changes)
        *changes = rc == 0 ? sqlite3_changes(s->db) : 0;
    store_done(st);
    if (rc == 0 && !s->reserve.full)
        make_room(s);
    return rc;
}

void store_column_text(sqlite3_stmt *st, int column, char *out, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(st, column);
    size_t len = text ? strlen((const char *)text) : 0;
    if (len >= cap)
        len = cap - 1;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

int store_begin(struct store *s, struct err *e)
{
    /* A transaction that finds the disk full at its end is gone: so it is looked before. */
    if (store_reserve_is_needed(&s->reserve))
        (void)store_reserve_give(&s->reserve);
    return store_run(s, store_bind(s, STMT_BEGIN, ""), NULL, e);
}

int store_commit(struct store *s, struct err *e)
{
    return store_run(s, store_bind(s, STMT_COMMIT, ""), NULL, e);
}

void store_rollback(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}
