/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills the reviewer's index: sessions' facts, and text in pieces. A piece ends with a line where
 * it can, so that words are not cut, and after 10 s, so that its time means something. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/not_kept.h"
#include "audit/text_index_state.h"
#include "base/wire.h"

#define PIECE_NS 10000000000ull

static const char *const statement_sql[STATEMENTS] = {
    [ADD_SESSION] = "INSERT OR IGNORE INTO sessions(id, first, start_ns) VALUES(?1, ?2, ?3)",
    [START_SESSION] = "UPDATE sessions SET operator = ?2, account = ?3, target = ?4, source = ?5,"
                      " start_ns = ?6 WHERE id = ?1",
    [END_SESSION] = "UPDATE sessions SET reason = ?2, end_ns = ?3 WHERE id = ?1",
    [SET_VERDICT] = "UPDATE sessions SET verdict = ?2 WHERE id = ?1",
    [SESSION_NUMBER] = "SELECT number FROM sessions WHERE id = ?1",
    [ADD_PIECE] = "INSERT INTO pieces(session, record, real_ns, channel, kind, text)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [ADD_SFTP] = "INSERT OR IGNORE INTO sftp(session, channel) VALUES(?1, ?2)",
    [IS_SFTP] = "SELECT 1 FROM sftp WHERE session = ?1 AND channel = ?2",
    [DROP_SFTP] = "DELETE FROM sftp WHERE session = ?1",
    [ADD_WORDS] = "INSERT INTO words(rowid, text) VALUES(?1, ?2)",
    [ADD_KEY] = "INSERT INTO keys(session, header, payload) VALUES(?1, ?2, ?3)",
    [DROP_KEYS] = "DELETE FROM keys WHERE session = ?1",
    [SET_STATE] = "INSERT OR REPLACE INTO state(one, genesis, next, leaf, keystrokes)"
                  " VALUES(1, ?1, ?2, ?3, ?4)",
};

/* The statement, with no value bound; in a transaction. NULL and e. */
static sqlite3_stmt *statement(struct text_index *x, enum statement which, struct err *e)
{
    if (!x->in_transaction) {
        if (text_index_run(x, "BEGIN", e) < 0)
            return NULL;
        x->in_transaction = true;
    }
    if (!x->statements[which] &&
        sqlite3_prepare_v3(x->db, statement_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                           &x->statements[which], NULL) != SQLITE_OK) {
        text_index_failed(x, "be written", e);
        return NULL;
    }
    sqlite3_reset(x->statements[which]);
    sqlite3_clear_bindings(x->statements[which]);
    return x->statements[which];
}

static int finish(struct text_index *x, sqlite3_stmt *s, struct err *e)
{
    int step = sqlite3_step(s);

    if (step != SQLITE_DONE && step != SQLITE_ROW)
        return text_index_failed(x, "be written", e);
    sqlite3_reset(s);
    return 0;
}

static void bind_id(sqlite3_stmt *s, int at, const uint8_t session[RECORD_SESSION_ID])
{
    char id[2 * RECORD_SESSION_ID + 1];

    hex_encode(id, session, RECORD_SESSION_ID);
    sqlite3_bind_text(s, at, id, -1, SQLITE_TRANSIENT);
}

static void bind_member(sqlite3_stmt *s, int at, const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));

    sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_TRANSIENT);
}

/* 0: there is none, or an error. */
static sqlite3_int64 session_number(struct text_index *x, const uint8_t session[RECORD_SESSION_ID],
                                    struct err *e)
{
    sqlite3_stmt *s;

    if (x->last_number && memcmp(session, x->last_session, RECORD_SESSION_ID) == 0)
        return x->last_number;
    s = statement(x, SESSION_NUMBER, e);
    if (!s)
        return 0;
    bind_id(s, 1, session);
    x->last_number = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    memcpy(x->last_session, session, RECORD_SESSION_ID);
    if (!x->last_number)
        text_index_failed(x, "find a session", e);
    return x->last_number;
}

static int add_session(struct text_index *x, const struct record *r, struct err *e)
{
    sqlite3_stmt *s;

    if (x->last_number && memcmp(r->session, x->last_session, RECORD_SESSION_ID) == 0)
        return 0;
    s = statement(x, ADD_SESSION, e);
    if (!s)
        return e->code;
    bind_id(s, 1, r->session);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)r->index);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)r->real_ns);
    if (finish(x, s, e) < 0)
        return e->code;
    return session_number(x, r->session, e) ? 0 : e->code;
}

static int add_piece(struct text_index *x, const uint8_t session[RECORD_SESSION_ID],
                     uint64_t record, uint64_t real_ns, uint32_t channel, const char *kind,
                     const void *text, size_t len, struct err *e)
{
    sqlite3_int64 number = session_number(x, session, e);
    sqlite3_stmt *s = number ? statement(x, ADD_PIECE, e) : NULL;
    int r;

    if (!s)
        return e->code;
    sqlite3_bind_int64(s, 1, number);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)record);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)real_ns);
    sqlite3_bind_int64(s, 4, channel);
    sqlite3_bind_text(s, 5, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, text, (int)len, SQLITE_TRANSIENT);
    r = finish(x, s, e);
    s = r == 0 ? statement(x, ADD_WORDS, e) : NULL;
    if (!s)
        return e->code;
    sqlite3_bind_int64(s, 1, sqlite3_last_insert_rowid(x->db));
    sqlite3_bind_text(s, 2, text, (int)len, SQLITE_TRANSIENT);
    x->pending += len;
    return finish(x, s, e);
}

/* --- streams */

static size_t slot_of(const struct record *r, const char *kind)
{
    return (wire_load_u64(r->session) ^ r->channel ^ (uint64_t)(uint8_t)kind[0] << 8) &
           (STREAM_SLOTS - 1);
}

static int flush(struct text_index *x, struct text_stream *t, size_t len, struct err *e)
{
    int r = len > 0 ? add_piece(x, t->session, t->record, t->real_ns, t->channel, t->kind,
                                buf_head(&t->text), len, e)
                    : 0;

    buf_consume(&t->text, len);
    return r;
}

static void drop(struct text_index *x, struct text_stream *t)
{
    struct record r = {.channel = t->channel};
    struct text_stream **at;

    memcpy(r.session, t->session, RECORD_SESSION_ID);
    at = &x->slots[slot_of(&r, t->kind)];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    TAILQ_REMOVE(&x->streams, t, used);
    x->stream_count--;
    buf_clear(&t->text);
    free(t);
}

void text_index_drop_streams(struct text_index *x)
{
    while (!TAILQ_EMPTY(&x->streams))
        drop(x, TAILQ_FIRST(&x->streams));
}

/* 1: the channel is one of SFTP's; 0; or an error. */
static int is_sftp(struct text_index *x, const struct record *r, struct err *e)
{
    sqlite3_stmt *s = statement(x, IS_SFTP, e);
    int step;

    if (!s)
        return e->code;
    bind_id(s, 1, r->session);
    sqlite3_bind_int64(s, 2, r->channel);
    step = sqlite3_step(s);
    sqlite3_reset(s);
    return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : text_index_failed(x, "be read", e);
}

/* The record's stream, begun where it is new. NULL and e. */
static struct text_stream *stream(struct text_index *x, const struct record *r, const char *kind,
                                  struct err *e)
{
    size_t slot = slot_of(r, kind);
    struct text_stream *t = x->slots[slot];
    int sftp;

    while (t && (t->channel != r->channel || t->kind != kind ||
                 memcmp(t->session, r->session, RECORD_SESSION_ID) != 0))
        t = t->next;
    if (t) {
        TAILQ_REMOVE(&x->streams, t, used);
        TAILQ_INSERT_TAIL(&x->streams, t, used);
        return t;
    }
    if (x->stream_count >= TEXT_INDEX_STREAMS) {
        struct text_stream *oldest = TAILQ_FIRST(&x->streams);

        if (flush(x, oldest, buf_len(&oldest->text), e) < 0)
            return NULL;
        drop(x, oldest);
    }
    sftp = strcmp(kind, "stderr") == 0 ? 0 : is_sftp(x, r, e);
    if (sftp < 0)
        return NULL;
    t = calloc(1, sizeof *t);
    if (!t) {
        err_set(e, ERR_MEMORY, "no memory for a channel's text");
        return NULL;
    }
    t->sftp = sftp;
    memcpy(t->session, r->session, RECORD_SESSION_ID);
    t->channel = r->channel;
    t->kind = kind;
    term_filter_init(&t->filter, TERM_TEXT);
    buf_init(&t->text, 4 * (size_t)TEXT_INDEX_PIECE);
    t->next = x->slots[slot];
    x->slots[slot] = t;
    TAILQ_INSERT_TAIL(&x->streams, t, used);
    x->stream_count++;
    return t;
}

/* Where a piece of at most this many bytes ends best: behind its last newline, else its last blank.
 */
static size_t piece_end(const struct buf *b)
{
    const uint8_t *p = buf_head(b);
    size_t len = buf_len(b);
    const uint8_t *end = memrchr(p, '\n', len);

    if (!end)
        end = memrchr(p, ' ', len);
    if (end)
        return (size_t)(end - p) + 1;
    while (len > 1 && (p[len - 1] & 0xc0) == 0x80) /* between characters */
        len--;
    return len > 1 ? len - 1 : buf_len(b);
}

static int add_text(struct text_index *x, const struct export_record *v, const char *kind,
                    struct err *e)
{
    struct text_stream *t = stream(x, v->r, kind, e);
    const uint8_t *p = v->payload;
    int r = 0;

    if (!t)
        return e->code;
    if (t->sftp)
        return 0;
    if (buf_len(&t->text) > 0 && v->r->real_ns > t->real_ns + PIECE_NS)
        r = flush(x, t, buf_len(&t->text), e);
    for (size_t left = v->len, n; r == 0 && left > 0; p += n, left -= n) {
        n = left > 1024 ? 1024 : left;
        if (buf_len(&t->text) == 0) {
            t->record = v->r->index;
            t->real_ns = v->r->real_ns;
        }
        r = term_filter_put(&t->filter, p, n, &t->text);
        if (r < 0)
            return err_set(e, (enum err_code)r, "no memory for a channel's text");
        if (buf_len(&t->text) >= TEXT_INDEX_PIECE) {
            r = flush(x, t, piece_end(&t->text), e);
            t->record = v->r->index;
            t->real_ns = v->r->real_ns;
        }
    }
    return r;
}

/* --- records */

/* The strings of a record about what was asked for. */
static int add_words_of(struct text_index *x, const struct export_record *v, const char *kind,
                        struct err *e)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL), *value;
    struct buf text;
    const char *name;
    int r = 0;

    buf_init(&text, 2 * RECORD_PAYLOAD_MAX);
    json_object_foreach(j, name, value)
    {
        const char *s = json_string_value(value);

        if (s && strcmp(name, "event") != 0 && strcmp(name, "kind") != 0 && r == 0)
            r = buf_printf(&text, "%s%s", buf_len(&text) ? "\n" : "", s);
    }
    json_decref(j);
    if (r < 0)
        err_set(e, (enum err_code)r, "no memory for a record's words");
    else if (buf_len(&text) > 0)
        r = add_piece(x, v->r->session, v->r->index, v->r->real_ns, v->r->channel, kind,
                      buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    return r;
}

static int note_sftp(struct text_index *x, const struct record *r, enum statement which,
                     struct err *e)
{
    sqlite3_stmt *s = statement(x, which, e);

    if (!s)
        return e->code;
    bind_id(s, 1, r->session);
    if (which == ADD_SFTP)
        sqlite3_bind_int64(s, 2, r->channel);
    return finish(x, s, e);
}

/* "rename /a /b", of a request and of one that was refused: their results have no words. */
static int add_file(struct text_index *x, const struct export_record *v, struct err *e)
{
    static const char *const names[] = {"op", "path", "to", "asked", "asked_to"};
    json_t *j = json_loadb((const char *)v->payload, v->len, JSON_ALLOW_NUL, NULL);
    const char *event = json_string_value(json_object_get(j, "event"));
    struct buf text;
    int r = 0;

    buf_init(&text, 2 * RECORD_PAYLOAD_MAX);
    if (event && (strcmp(event, "request") == 0 || strcmp(event, "refused") == 0))
        for (size_t i = 0; i < sizeof names / sizeof *names && r == 0; i++) {
            const char *s = json_string_value(json_object_get(j, names[i]));

            if (s)
                r = buf_printf(&text, "%s%s", buf_len(&text) ? " " : "", s);
        }
    json_decref(j);
    if (r < 0)
        err_set(e, (enum err_code)r, "no memory for a record's words");
    else if (buf_len(&text) > 0)
        r = add_piece(x, v->r->session, v->r->index, v->r->real_ns, v->r->channel, "file",
                      buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    return r;
}

static int add_not_kept(struct text_index *x, const struct export_record *v, struct err *e)
{
    char text[NOT_KEPT_TEXT];

    return not_kept_by_close(v->payload, v->len, text)
               ? add_piece(x, v->r->session, v->r->index, v->r->real_ns, v->r->channel, "output",
                           text, strlen(text), e)
               : 0;
}

static int start_session(struct text_index *x, const struct export_record *v, struct err *e)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    sqlite3_stmt *s = statement(x, START_SESSION, e);
    int r = s ? 0 : e->code;

    if (s) {
        bind_id(s, 1, v->r->session);
        bind_member(s, 2, j, "operator");
        bind_member(s, 3, j, "account");
        bind_member(s, 4, j, "target");
        bind_member(s, 5, j, "source");
        sqlite3_bind_int64(s, 6, (sqlite3_int64)v->r->real_ns);
        r = finish(x, s, e);
    }
    json_decref(j);
    return r;
}

static int end_session(struct text_index *x, const struct export_record *v, enum statement which,
                       const char *member, struct err *e)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    sqlite3_stmt *s = statement(x, which, e);
    int r = s ? 0 : e->code;

    if (s) {
        bind_id(s, 1, v->r->session);
        bind_member(s, 2, j, member);
        if (which == END_SESSION)
            sqlite3_bind_int64(s, 3, (sqlite3_int64)v->r->real_ns);
        r = finish(x, s, e);
    }
    json_decref(j);
    if (r < 0 || which != END_SESSION)
        return r;
    for (struct text_stream *t = TAILQ_FIRST(&x->streams), *next; t && r == 0; t = next) {
        next = TAILQ_NEXT(t, used);
        if (memcmp(t->session, v->r->session, RECORD_SESSION_ID) != 0)
            continue;
        r = flush(x, t, buf_len(&t->text), e);
        drop(x, t);
    }
    return r;
}

static int keep_key(struct text_index *x, const struct export_record *v, struct err *e)
{
    sqlite3_stmt *s = statement(x, ADD_KEY, e);

    if (!s)
        return e->code;
    bind_id(s, 1, v->r->session);
    sqlite3_bind_blob(s, 2, v->header, RECORD_HEADER_SIZE, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 3, v->payload, (int)v->len, SQLITE_TRANSIENT);
    return finish(x, s, e);
}

/* After its last record, or a long time: the verdict may follow the end, so keys stay until then.
 */
static int forget_key(struct text_index *x, const struct record *r, struct err *e)
{
    sqlite3_stmt *s = statement(x, DROP_KEYS, e);

    if (!s)
        return e->code;
    bind_id(s, 1, r->session);
    return finish(x, s, e);
}

int text_index_put(struct text_index *x, const struct export_record *v, bool keystrokes,
                   struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    int r;

    if (memcmp(v->r->session, gateway, sizeof gateway) == 0 || !v->payload)
        return 0;
    r = add_session(x, v->r, e);
    if (r < 0)
        return r;
    switch (v->r->type) {
    case RECORD_SESSION_START:
        return start_session(x, v, e);
    case RECORD_SESSION_END:
        r = end_session(x, v, END_SESSION, "reason", e);
        if (r == 0)
            r = note_sftp(x, v->r, DROP_SFTP, e);
        return r < 0 ? r : forget_key(x, v->r, e);
    case RECORD_VERDICT:
        return end_session(x, v, SET_VERDICT, "verdict", e);
    case RECORD_KEY:
        return keep_key(x, v, e);
    case RECORD_OUTPUT:
        return add_text(x, v, "output", e);
    case RECORD_STDERR:
        return add_text(x, v, "stderr", e);
    case RECORD_INPUT:
        return keystrokes ? add_text(x, v, "input", e) : 0;
    case RECORD_EXEC:
        r = add_not_kept(x, v, e);
        return r < 0 ? r : add_words_of(x, v, "command", e);
    case RECORD_COMMAND:
        return add_words_of(x, v, "command", e);
    case RECORD_SUBSYSTEM: /* no other one than sftp is permitted */
        r = note_sftp(x, v->r, ADD_SFTP, e);
        return r < 0 ? r : add_words_of(x, v, "request", e);
    case RECORD_FORWARD_OPEN: /* what crosses is no text either */
        r = note_sftp(x, v->r, ADD_SFTP, e);
        return r < 0 ? r : add_words_of(x, v, "request", e);
    case RECORD_REQUEST:
        return add_words_of(x, v, "request", e);
    case RECORD_FILE:
        return add_file(x, v, e);
    default:
        return 0;
    }
}

uint64_t text_index_pending(const struct text_index *x)
{
    return x->pending;
}

int text_index_commit(struct text_index *x, const struct text_index_state *state, struct err *e)
{
    struct text_stream *t;
    sqlite3_stmt *s;
    int r = 0;

    TAILQ_FOREACH(t, &x->streams, used)
    {
        r = flush(x, t, buf_len(&t->text), e);
        if (r < 0)
            return r;
    }
    s = statement(x, SET_STATE, e);
    if (!s)
        return e->code;
    sqlite3_bind_blob(s, 1, state->genesis, sizeof state->genesis, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)state->next);
    sqlite3_bind_blob(s, 3, state->leaf, sizeof state->leaf, SQLITE_TRANSIENT);
    sqlite3_bind_int(s, 4, state->keystrokes);
    r = finish(x, s, e);
    if (r == 0)
        r = text_index_run(x, "COMMIT", e);
    x->in_transaction = r != 0;
    x->pending = 0;
    return r;
}
