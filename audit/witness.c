/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision of a witness (audit/witness.h), in the order that C2SP tlog-witness demands. Runs in
 * sallyport-witness, one request after the other, so that compare and store are one step. */
#include "audit/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/cosignature.h"
#include "audit/digest.h"

#define STATE_NEW "state.new"
/* A checkpoint with one signature and one cosignature: 4 * 255 bytes of names, and keys. */
#define STATE_MAX NOTE_MAX

/* --- parsing */

static const char *line_of(const char **at, const char *end, size_t *len)
{
    const char *line = *at, *newline = memchr(line, '\n', (size_t)(end - line));

    if (!newline)
        return NULL;
    *len = (size_t)(newline - line);
    *at = newline + 1;
    return line;
}

/* Decimal without leading zeroes. */
static int parse_decimal(const char *p, size_t len, uint64_t *out)
{
    uint64_t v = 0;

    if (len == 0 || len > 19 || (len > 1 && p[0] == '0'))
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return ERR_SYNTAX;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *out = v;
    return 0;
}

int witness_request_parse(struct witness_request *r, const char *body, size_t len, struct err *e)
{
    const char *at = body, *end = body + len;
    size_t n = 0;
    const char *line = line_of(&at, end, &n);

    r->proof.count = 0;
    if (!line || n < 5 || memcmp(line, "old ", 4) != 0 ||
        parse_decimal(line + 4, n - 4, &r->old_size) < 0)
        return err_set(e, ERR_SYNTAX, "the first line is not the old size");
    for (;;) {
        line = line_of(&at, end, &n);
        if (!line)
            return err_set(e, ERR_SYNTAX, "no empty line before the checkpoint");
        if (n == 0)
            break;
        if (r->proof.count == WITNESS_PROOF_MAX)
            return err_set(e, ERR_SYNTAX, "more than %u hashes", WITNESS_PROOF_MAX);
        if (base64_decode(line, n, r->proof.hash[r->proof.count++], RECORD_HASH_SIZE) < 0)
            return err_set(e, ERR_SYNTAX, "a proof's line is not a hash");
    }
    r->note = at;
    r->note_len = (size_t)(end - at);
    return r->note_len ? 0 : err_set(e, ERR_SYNTAX, "no checkpoint");
}

/* Origin, size and root of a checkpoint's text; extension lines are allowed. */
struct head {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    uint8_t root[RECORD_HASH_SIZE];
};

static int parse_head(struct head *h, const char *text, size_t len, struct err *e)
{
    const char *at = text, *end = text + len;
    size_t n = 0;
    const char *line = line_of(&at, end, &n);

    if (!line || n == 0 || n > NOTE_NAME_MAX)
        return err_set(e, ERR_SYNTAX, "a checkpoint without an origin");
    memcpy(h->origin, line, n);
    h->origin[n] = '\0';
    line = line_of(&at, end, &n);
    if (!line || parse_decimal(line, n, &h->size) < 0)
        return err_set(e, ERR_SYNTAX, "a checkpoint without a size");
    line = line_of(&at, end, &n);
    if (!line || base64_decode(line, n, h->root, sizeof h->root) < 0)
        return err_set(e, ERR_SYNTAX, "a checkpoint without a root");
    return 0;
}

/* --- state */

static void state_name(const char *origin, struct digest *d, char out[DIGEST_HEX])
{
    uint8_t hash[RECORD_HASH_SIZE];

    digest_bytes(d, origin, strlen(origin), hash);
    digest_hex(hash, out);
}

/* The newest cosigned checkpoint; size 0 when there is none. */
static int read_state(const struct witness *w, const char *origin, struct head *h, struct err *e)
{
    char name[DIGEST_HEX];
    struct buf text;
    int r;

    memset(h, 0, sizeof *h);
    state_name(origin, w->digest, name);
    buf_init(&text, STATE_MAX);
    r = note_file_read(w->dir, name, &text, e);
    if (r == ERR_NOT_FOUND)
        r = 0;
    else if (r == 0)
        r = parse_head(h, (const char *)buf_head(&text), buf_len(&text), e);
    if (r == 0 && h->origin[0] && strcmp(h->origin, origin) != 0)
        r = err_set(e, ERR_TAMPERED, "%s: it is of another log", name);
    buf_clear(&text);
    return r;
}

static int write_all(int fd, const struct buf *text, struct err *e)
{
    const uint8_t *p = buf_head(text);
    size_t left = buf_len(text);

    while (left > 0) {
        ssize_t n = write(fd, p, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(e, "cannot write the state");
        p += n;
        left -= (size_t)n;
    }
    return fdatasync(fd) < 0 ? err_errno(e, "cannot synchronise the state") : 0;
}

static int write_state(const struct witness *w, const char *origin, const struct buf *text,
                       struct err *e)
{
    char name[DIGEST_HEX];
    int r,
        fd = openat(w->dir, STATE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_errno(e, "cannot make " STATE_NEW);
    r = write_all(fd, text, e);
    close(fd);
    if (r < 0)
        return r;
    state_name(origin, w->digest, name);
    if (renameat(w->dir, STATE_NEW, w->dir, name) < 0)
        return err_errno(e, "cannot rename the state");
    return fsync(w->dir) < 0 ? err_errno(e, "cannot synchronise the state's directory") : 0;
}

/* --- the two questions */

static unsigned say(struct buf *body, unsigned status, const char *text)
{
    buf_consume(body, buf_len(body));
    return buf_printf(body, "%s\n", text) < 0 ? 500 : status;
}

static const struct vkey *find_log(const struct witness *w, const char *origin)
{
    for (size_t i = 0; i < w->log_count; i++)
        if (strcmp(w->logs[i].name, origin) == 0)
            return &w->logs[i];
    return NULL;
}

static bool is_empty_root(struct digest *d, const uint8_t root[RECORD_HASH_SIZE])
{
    uint8_t empty[RECORD_HASH_SIZE];

    digest_bytes(d, "", 0, empty);
    return memcmp(empty, root, sizeof empty) == 0;
}

/* The checkpoint with the log's signature (others are dropped) and ours. */
static int compose(struct witness *w, const struct witness_request *q, size_t text_len,
                   const struct vkey *log, uint64_t now_s, struct buf *line, struct buf *state,
                   struct err *e)
{
    const char *p = q->note + text_len + 1, *end = q->note + q->note_len;
    int r = cosignature_sign(line, q->note, text_len, w->name, w->key, now_s, e);

    if (r == 0)
        r = buf_put(state, q->note, text_len + 1);
    while (r == 0 && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const size_t n = (size_t)(newline + 1 - p), at = 4 + strlen(log->name);

        /* "— NAME BASE64": note_verify saw that each line is one */
        if (n > at + 1 && memcmp(p + 4, log->name, at - 4) == 0 && p[at] == ' ')
            r = buf_put(state, p, n);
        p = newline + 1;
    }
    if (r == 0)
        r = buf_put(state, buf_head(line), buf_len(line));
    return r < 0 && e->code == 0 ? err_set(e, (enum err_code)r, "the state does not fit") : r;
}

unsigned witness_add_checkpoint(struct witness *w, const char *request, size_t len, uint64_t now_s,
                                struct buf *body)
{
    struct witness_request q;
    struct head head, known;
    struct err e = ERR_INIT;
    const struct vkey *log;
    struct buf state;
    size_t text_len;
    int r;

    if (witness_request_parse(&q, request, len, &e) < 0 ||
        parse_head(&head, q.note, q.note_len, &e) < 0)
        return say(body, 400, e.text);
    log = find_log(w, head.origin);
    if (!log)
        return say(body, 404, "the log is not known here");
    r = note_verify(q.note, q.note_len, log, &text_len, &e);
    if (r == ERR_SYNTAX)
        return say(body, 400, e.text);
    if (r < 0)
        return say(body, 403, e.text);
    if (q.old_size > head.size)
        return say(body, 400, "the old size is larger than the checkpoint's");
    if (read_state(w, head.origin, &known, &e) < 0)
        return say(body, 500, "the state cannot be read");
    if (q.old_size != known.size) {
        buf_consume(body, buf_len(body));
        return buf_printf(body, "%" PRIu64 "\n", known.size) < 0 ? 500 : 409;
    }
    if (head.size == 0 && !is_empty_root(w->digest, head.root))
        return say(body, 422, "the root is not that of the empty tree");
    if (known.size == 0 || known.size == head.size
            ? q.proof.count > 0 || (known.size && memcmp(known.root, head.root, sizeof head.root))
            : proof_check_consistency(&q.proof, known.size, head.size, known.root, head.root, &e) <
                  0)
        return say(body, 422, "the checkpoint does not continue the one that is known here");
    buf_init(&state, STATE_MAX);
    buf_consume(body, buf_len(body));
    r = compose(w, &q, text_len, log, now_s, body, &state, &e);
    if (r == 0)
        r = write_state(w, head.origin, &state, &e);
    buf_clear(&state);
    return r < 0 ? say(body, 500, "the state cannot be written") : 200;
}

unsigned witness_checkpoint(struct witness *w, const char *origin_hash, struct buf *body)
{
    struct err e = ERR_INIT;
    int r;

    if (strlen(origin_hash) != DIGEST_HEX - 1 ||
        strspn(origin_hash, "0123456789abcdef") != DIGEST_HEX - 1)
        return say(body, 404, "there is no such page");
    r = note_file_read(w->dir, origin_hash, body, &e);
    if (r == ERR_NOT_FOUND)
        return say(body, 404, "no checkpoint of this log was cosigned here");
    return r < 0 ? say(body, 500, "the state cannot be read") : 200;
}
