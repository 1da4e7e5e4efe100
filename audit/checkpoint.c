/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint and anchor notes to text and back. Runs in auditd, in `init` and in the reading tools;
 * what it reads may have been altered by anybody. Source: c2sp.org/tlog-checkpoint. */
#include "audit/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char anchor_title[] = "sallyport-anchor-v1";

int note_file_read(int dir, const char *path, struct buf *out, struct err *e)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r = 0;

    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    for (;;) {
        uint8_t chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = err_errno(e, "cannot read %s", path);
            break;
        }
        if (n == 0)
            break;
        if (memchr(chunk, '\0', (size_t)n)) {
            r = err_set(e, ERR_INPUT, "%s is not text", path);
            break;
        }
        if (buf_len(out) + (size_t)n > NOTE_MAX) {
            r = err_set(e, ERR_INPUT, "%s is over %d bytes", path, NOTE_MAX);
            break;
        }
        r = buf_put(out, chunk, (size_t)n);
        if (r < 0) {
            err_set(e, (enum err_code)r, "%s does not fit its buffer", path);
            break;
        }
    }
    close(fd);
    return r;
}

int vkey_read(struct vkey *v, int dir, const char *path, struct err *e)
{
    struct buf text;
    char *string = NULL;
    int r;

    buf_init(&text, NOTE_MAX);
    r = note_file_read(dir, path, &text, e);
    if (r < 0)
        goto out;
    string = buf_string(&text);
    if (!string) {
        r = err_set(e, ERR_MEMORY, "no memory to read %s", path);
        goto out;
    }
    r = vkey_parse(v, string, e);
    if (r < 0)
        err_wrap(e, "%s", path);
out:
    free(string);
    buf_clear(&text);
    return r;
}

int checkpoint_sign(struct buf *out, const struct checkpoint *c, EVP_PKEY *log_key, struct err *e)
{
    /* origin, 20 digits, 44 base64 characters, three newlines */
    char text[NOTE_NAME_MAX + 20 + 44 + 4], root[48];

    base64_encode(root, c->root, sizeof c->root);
    snprintf(text, sizeof text, "%s\n%" PRIu64 "\n%s\n", c->origin, c->size, root);
    return note_sign(out, text, c->origin, log_key, e);
}

/* Takes the next line off *at without its newline; NULL at the end. */
static const char *next_line(const char **at, const char *end, size_t *len)
{
    const char *line = *at, *newline;

    if (line >= end)
        return NULL;
    newline = memchr(line, '\n', (size_t)(end - line));
    *len = newline ? (size_t)(newline - line) : (size_t)(end - line);
    *at = newline ? newline + 1 : end;
    return line;
}

static int parse_size(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;

    if (len == 0 || (text[0] == '0' && len > 1))
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return ERR_SYNTAX;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return ERR_SYNTAX;
    }
    *out = value;
    return 0;
}

int checkpoint_open(struct checkpoint *c, const char *note, size_t len, const struct vkey *log,
                    struct err *e)
{
    const char *at = note, *end, *line;
    size_t text_len, n;
    int r = note_verify(note, len, log, &text_len, e);

    if (r < 0)
        return err_wrap(e, "checkpoint");
    end = note + text_len;
    line = next_line(&at, end, &n);
    if (!line || n != strlen(log->name) || memcmp(line, log->name, n) != 0)
        return err_set(e, ERR_TAMPERED, "checkpoint: its origin is not %s", log->name);
    memcpy(c->origin, log->name, n + 1);
    line = next_line(&at, end, &n);
    if (!line || parse_size(line, n, &c->size) < 0)
        return err_set(e, ERR_SYNTAX, "checkpoint: its second line is not a size");
    line = next_line(&at, end, &n);
    if (!line || base64_decode(line, n, c->root, sizeof c->root) < 0)
        return err_set(e, ERR_SYNTAX, "checkpoint: its third line is not a root hash");
    if (at != end)
        return err_set(e, ERR_SYNTAX, "checkpoint: this log's checkpoints have three lines");
    return 0;
}

int checkpoint_read(struct checkpoint *c, int dir, const struct vkey *log, struct err *e)
{
    struct buf text;
    int r;

    buf_init(&text, NOTE_MAX);
    r = note_file_read(dir, CHECKPOINT_FILE, &text, e);
    if (r == 0)
        r = checkpoint_open(c, (const char *)buf_head(&text), buf_len(&text), log, e);
    buf_clear(&text);
    return r;
}

int anchor_make(struct anchor *a, const struct vkey *log, const struct vkey *epoch, struct err *e)
{
    char log_text[VKEY_MAX], epoch_text[VKEY_MAX];
    char input[64 + NOTE_NAME_MAX + 2 * VKEY_MAX];
    int len;

    a->log = *log;
    a->epoch = *epoch;
    vkey_text(log, log_text);
    vkey_text(epoch, epoch_text);
    len =
        snprintf(input, sizeof input, "spa1-genesis\n%s\n%s\n%s", log->name, log_text, epoch_text);
    INVARIANT(len > 0 && (size_t)len < sizeof input);
    if (!EVP_Digest(input, (size_t)len, a->genesis, NULL, EVP_sha256(), NULL))
        return err_set(e, ERR_CRYPTO, "cannot hash the log's keys");
    return 0;
}

static int anchor_text(const struct anchor *a, char *out, size_t cap)
{
    char log_text[VKEY_MAX], epoch_text[VKEY_MAX], genesis[DIGEST_HEX];

    vkey_text(&a->log, log_text);
    vkey_text(&a->epoch, epoch_text);
    digest_hex(a->genesis, genesis);
    return snprintf(out, cap, "%s\n%s\n%s\n%s\n%s\n", anchor_title, a->log.name, log_text,
                    epoch_text, genesis);
}

/* title, origin, two keys, genesis, newlines */
#define ANCHOR_TEXT_MAX (32 + NOTE_NAME_MAX + 2 * VKEY_MAX + DIGEST_HEX)

int anchor_sign(struct buf *out, const struct anchor *a, EVP_PKEY *anchor_key, struct err *e)
{
    char text[ANCHOR_TEXT_MAX], name[NOTE_NAME_MAX + sizeof ANCHOR_NAME_SUFFIX];

    anchor_text(a, text, sizeof text);
    snprintf(name, sizeof name, "%s" ANCHOR_NAME_SUFFIX, a->log.name);
    return note_sign(out, text, name, anchor_key, e);
}

static int line_to_vkey(const char **at, const char *end, struct vkey *v, struct err *e)
{
    char text[VKEY_MAX];
    size_t n;
    const char *line = next_line(at, end, &n);

    if (!line || n >= sizeof text)
        return err_set(e, ERR_SYNTAX, "a key's line is missing or too long");
    memcpy(text, line, n);
    text[n] = '\0';
    return vkey_parse(v, text, e);
}

int anchor_open(struct anchor *a, const char *note, size_t len, const struct vkey *by,
                struct err *e)
{
    const char *at = note, *end = note + len, *line;
    char text[ANCHOR_TEXT_MAX];
    struct vkey log, epoch;
    size_t n, text_len;
    int r = 0;

    if (by) {
        r = note_verify(note, len, by, &text_len, e);
        if (r < 0)
            return err_wrap(e, ANCHOR_FILE);
    }
    line = next_line(&at, end, &n);
    if (!line || n != sizeof anchor_title - 1 || memcmp(line, anchor_title, n) != 0)
        return err_set(e, ERR_SYNTAX, ANCHOR_FILE ": its first line is not %s", anchor_title);
    line = next_line(&at, end, &n);
    r = line_to_vkey(&at, end, &log, e);
    if (r == 0)
        r = line_to_vkey(&at, end, &epoch, e);
    if (r == 0 && strlen(log.name) > ORIGIN_MAX)
        r = err_set(e, ERR_SYNTAX, "an origin of more than %d characters", ORIGIN_MAX);
    if (r == 0)
        r = anchor_make(a, &log, &epoch, e);
    if (r < 0)
        return err_wrap(e, ANCHOR_FILE);
    /* Writing it again settles the origin's line, the genesis and every separator. */
    n = (size_t)anchor_text(a, text, sizeof text);
    if (len < n || memcmp(text, note, n) != 0)
        return err_set(e, ERR_TAMPERED,
                       ANCHOR_FILE ": its origin or genesis is not that of its keys");
    return 0;
}

int anchor_read(struct anchor *a, int dir, const struct vkey *by, struct err *e)
{
    struct buf text;
    int r;

    buf_init(&text, NOTE_MAX);
    r = note_file_read(dir, ANCHOR_FILE, &text, e);
    if (r == 0)
        r = anchor_open(a, (const char *)buf_head(&text), buf_len(&text), by, e);
    buf_clear(&text);
    return r;
}
