/* SPDX-License-Identifier: Apache-2.0
 *
 * The index's database: tables, state, search (audit/text_index.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/text_index_state.h"

static const char schema[] =
    "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), genesis BLOB, next INTEGER,"
    " leaf BLOB, keystrokes INTEGER);"
    "CREATE TABLE sessions(number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, first INTEGER,"
    " start_ns INTEGER, end_ns INTEGER, operator TEXT, account TEXT, target TEXT, source TEXT,"
    " reason TEXT, verdict TEXT);"
    "CREATE TABLE sftp(session TEXT, channel INTEGER, PRIMARY KEY(session, channel)) WITHOUT ROWID;"
    "CREATE TABLE keys(session TEXT, header BLOB, payload BLOB);"
    "CREATE TABLE pieces(number INTEGER PRIMARY KEY, session INTEGER NOT NULL, record INTEGER,"
    " real_ns INTEGER, channel INTEGER, kind TEXT, text TEXT);"
    "CREATE VIRTUAL TABLE words USING fts5(text, content='pieces', content_rowid='number',"
    " tokenize=\"unicode61 remove_diacritics 2\");";

int text_index_failed(struct text_index *x, const char *what, struct err *e)
{
    return err_set(e, ERR_SYSTEM, "the index cannot %s: %s", what, sqlite3_errmsg(x->db));
}

int text_index_run(struct text_index *x, const char *sql, struct err *e)
{
    return sqlite3_exec(x->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : text_index_failed(x, "be written", e);
}

static int version_of(struct text_index *x)
{
    sqlite3_stmt *s;
    int version = -1;

    if (sqlite3_prepare_v2(x->db, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(s) == SQLITE_ROW)
        version = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return version;
}

static int begin_anew(struct text_index *x, struct err *e)
{
    char *version = sqlite3_mprintf("PRAGMA user_version = %d", TEXT_INDEX_VERSION);
    int r = version ? text_index_run(x, "BEGIN", e) : err_set(e, ERR_MEMORY, "no memory");

    if (r == 0)
        r = text_index_run(x, schema, e);
    if (r == 0)
        r = text_index_run(x, version, e);
    if (r == 0)
        r = text_index_run(x, "COMMIT", e);
    sqlite3_free(version);
    return r;
}

int text_index_open(struct text_index **out, const char *path, bool make, struct err *e)
{
    struct text_index *x = calloc(1, sizeof *x);
    mode_t mask;
    int r = 0, version;

    *out = NULL;
    if (!x)
        return err_set(e, ERR_MEMORY, "no memory for the index");
    TAILQ_INIT(&x->streams);
    if (!make && access(path, F_OK) != 0 && errno == ENOENT) {
        free(x);
        return err_set(e, ERR_NOT_FOUND, "there is no index %s: `sallyport audit index` makes it",
                       path);
    }
    mask = umask(077);
    if (sqlite3_open_v2(path, &x->db,
                        make ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY,
                        NULL) != SQLITE_OK)
        r = text_index_failed(x, "be opened", e);
    version = r == 0 ? version_of(x) : -1;
    if (r == 0 && make && version == 0)
        r = begin_anew(x, e);
    else if (r == 0 && version != TEXT_INDEX_VERSION)
        r = err_set(e, ERR_INPUT, "%s is no index of this version: --rebuild makes it anew", path);
    umask(mask);
    if (r == 0 && make)
        r = text_index_run(x,
                           "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; "
                           "PRAGMA temp_store = MEMORY",
                           e);
    if (r < 0) {
        text_index_close(x);
        return r;
    }
    *out = x;
    return 0;
}

void text_index_close(struct text_index *x)
{
    if (!x)
        return;
    text_index_drop_streams(x);
    for (size_t i = 0; i < sizeof x->statements / sizeof *x->statements; i++)
        sqlite3_finalize(x->statements[i]);
    sqlite3_close(x->db);
    free(x);
}

static void copy_blob(sqlite3_stmt *s, int column, uint8_t *out, size_t len)
{
    const void *p = sqlite3_column_blob(s, column);

    memset(out, 0, len);
    if (p && sqlite3_column_bytes(s, column) == (int)len)
        memcpy(out, p, len);
}

int text_index_state(struct text_index *x, struct text_index_state *state, struct err *e)
{
    sqlite3_stmt *s;
    int r = 0, step;

    if (sqlite3_prepare_v2(x->db, "SELECT genesis, next, leaf, keystrokes FROM state", -1, &s,
                           NULL) != SQLITE_OK)
        return text_index_failed(x, "be read", e);
    step = sqlite3_step(s);
    if (step == SQLITE_ROW) {
        copy_blob(s, 0, state->genesis, sizeof state->genesis);
        state->next = (uint64_t)sqlite3_column_int64(s, 1);
        copy_blob(s, 2, state->leaf, sizeof state->leaf);
        state->keystrokes = sqlite3_column_int(s, 3) != 0;
        r = 1;
    } else if (step != SQLITE_DONE) {
        r = text_index_failed(x, "be read", e);
    }
    sqlite3_finalize(s);
    return r;
}

int text_index_keys(struct text_index *x, text_index_key_fn *take, void *arg, struct err *e)
{
    sqlite3_stmt *s;
    int r = 0;

    if (sqlite3_prepare_v2(x->db, "SELECT header, payload FROM keys", -1, &s, NULL) != SQLITE_OK)
        return text_index_failed(x, "be read", e);
    while (r == 0 && sqlite3_step(s) == SQLITE_ROW)
        if (sqlite3_column_bytes(s, 0) == RECORD_HEADER_SIZE)
            r = take(arg, sqlite3_column_blob(s, 0), sqlite3_column_blob(s, 1),
                     (size_t)sqlite3_column_bytes(s, 1), e);
    sqlite3_finalize(s);
    return r;
}

/* Every condition stands in it; those that are not wanted are true of all. */
static const char search_sql[] =
    "SELECT s.id, s.operator, s.account, s.target, p.kind,"
    " snippet(words, 0, char(1), char(2), '…', 24), p.record, p.real_ns, s.start_ns, p.channel"
    " FROM words JOIN pieces p ON p.number = words.rowid JOIN sessions s ON s.number = p.session"
    " WHERE words MATCH ?1 AND (?2 IS NULL OR s.operator = ?2) AND (?3 IS NULL OR s.target = ?3)"
    " AND (?4 IS NULL OR substr(s.id, 1, length(?4)) = ?4) AND p.real_ns >= ?5 AND p.real_ns <= ?6"
    " ORDER BY p.real_ns, p.number LIMIT ?7";

static const char *text_of(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    return text ? text : "";
}

int text_index_search(struct text_index *x, const struct text_query *q, text_match_fn *each,
                      void *arg, struct err *e)
{
    sqlite3_stmt *s;
    int step, count = 0;

    if (sqlite3_prepare_v2(x->db, search_sql, -1, &s, NULL) != SQLITE_OK)
        return text_index_failed(x, "be searched", e);
    sqlite3_bind_text(s, 1, q->words, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, q->operator_name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, q->target, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, q->session, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 5, (sqlite3_int64)q->since_ns);
    sqlite3_bind_int64(s, 6, q->until_ns ? (sqlite3_int64)q->until_ns : INT64_MAX);
    sqlite3_bind_int64(s, 7, q->limit ? (sqlite3_int64)q->limit : -1);
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct text_match m = {
            .session = text_of(s, 0),
            .operator_name = text_of(s, 1),
            .account = text_of(s, 2),
            .target = text_of(s, 3),
            .kind = text_of(s, 4),
            .snippet = text_of(s, 5),
            .record = (uint64_t)sqlite3_column_int64(s, 6),
            .real_ns = (uint64_t)sqlite3_column_int64(s, 7),
            .session_ns = (uint64_t)sqlite3_column_int64(s, 8),
            .channel = (uint32_t)sqlite3_column_int64(s, 9),
        };

        count++;
        if (each(arg, &m) != 0)
            break;
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        count = text_index_failed(x, "be searched", e);
    sqlite3_finalize(s);
    return count;
}

char *text_query_words(char *const *words, int count)
{
    size_t room = 1, at = 0;
    char *out;

    for (int i = 0; i < count; i++)
        room += 2 * strlen(words[i]) + 8;
    out = malloc(room);
    for (int i = 0; out && i < count; i++) {
        size_t len = strlen(words[i]);
        bool prefix = len > 1 && words[i][len - 1] == '*';

        if (i > 0)
            out[at++] = ' ';
        out[at++] = '"';
        for (size_t n = 0; n < len - prefix; n++) {
            if (words[i][n] == '"')
                out[at++] = '"';
            out[at++] = words[i][n];
        }
        out[at++] = '"';
        if (prefix)
            out[at++] = '*';
    }
    if (out)
        out[at] = 0;
    return out;
}
