/* SPDX-License-Identifier: Apache-2.0
 *
 * From what was kept elsewhere to a checkpoint (audit/known.h). Hostile text; a form that does not
 * verify is no checkpoint. */
#include "audit/known.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"origin", "size", "root", "signature"};
enum { ORIGIN, SIZE, ROOT, SIGNATURE, PARAMETERS };
static const char signature_prefix[] = "\xe2\x80\x94 ";

/* --- the parameters */

/* RFC 5424 6.3.3: three characters are escaped in a parameter's value. */
static int put_escaped(struct buf *out, const char *p, size_t len)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < len; i++) {
        if (p[i] == '"' || p[i] == '\\' || p[i] == ']')
            r = buf_put(out, "\\", 1);
        if (r == 0)
            r = buf_put(out, p + i, 1);
    }
    return r;
}

int known_parameters(struct buf *out, const char *note, size_t len, struct err *e)
{
    const char *at = note, *end = note + len;
    const size_t prefix_len = sizeof signature_prefix - 1;
    int r = 0;

    for (size_t i = 0; i < PARAMETERS && r == 0; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = newline ? (size_t)(newline - at) : 0;

        if (n > 0 && i == SIGNATURE) {
            /* "— ORIGIN BASE64" */
            const char *blank = memrchr(at, ' ', n);
            if (n < prefix_len || memcmp(at, signature_prefix, prefix_len) != 0 || !blank ||
                blank < at + prefix_len)
                n = 0;
            else
                n -= (size_t)(blank + 1 - at), at = blank + 1;
        }
        if (n == 0)
            return err_set(e, ERR_SYNTAX, "not a signed checkpoint");
        r = buf_printf(out, " %s=\"", names[i]);
        if (r == 0)
            r = put_escaped(out, at, n);
        if (r == 0)
            r = buf_put(out, "\"", 1);
        at = newline + 1;
        if (i == ROOT && (at >= end || *at++ != '\n'))
            return err_set(e, ERR_SYNTAX, "a checkpoint with more than three lines");
    }
    return r < 0 ? err_set(e, (enum err_code)r, "a checkpoint's line does not fit") : 0;
}

/* Takes ` NAME="VALUE"`; the value, without escapes, goes to out. Returns what follows, or NULL. */
static const char *take(const char *p, const char *end, const char *name, struct buf *out)
{
    const size_t len = strlen(name);

    if ((size_t)(end - p) < len + 3 || p[0] != ' ' || memcmp(p + 1, name, len) != 0 ||
        p[len + 1] != '=' || p[len + 2] != '"')
        return NULL;
    for (p += len + 3; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end)
            return NULL;
        if ((unsigned char)*p < ' ' || buf_put(out, p, 1) < 0)
            return NULL;
    }
    return p < end ? p + 1 : NULL;
}

static const char *find(const char *p, const char *end, const char *what)
{
    return memmem(p, (size_t)(end - p), what, strlen(what));
}

int known_note(struct buf *out, const char *line, size_t len, struct err *e)
{
    static const char *const starts[] = {"[" KNOWN_SD_ID, "checkpoint"};
    const char *end = line + len;
    struct buf values[PARAMETERS];
    bool done = false;
    int r = 0;

    for (size_t i = 0; i < PARAMETERS; i++)
        buf_init(&values[i], 512);
    for (size_t s = 0; s < 2 && !done; s++) {
        for (const char *p = line; !done && (p = find(p, end, starts[s]));) {
            const char *at = p += strlen(starts[s]);
            for (size_t i = 0; i < PARAMETERS && at; i++) {
                buf_clear(&values[i]);
                at = take(at, end, names[i], &values[i]);
            }
            done = at != NULL;
        }
    }
    if (!done)
        r = err_set(e, ERR_SYNTAX, "no checkpoint in this line");
    if (r == 0)
        r = buf_printf(out, "%.*s\n%.*s\n%.*s\n\n%s%.*s %.*s\n", (int)buf_len(&values[ORIGIN]),
                       (const char *)buf_head(&values[ORIGIN]), (int)buf_len(&values[SIZE]),
                       (const char *)buf_head(&values[SIZE]), (int)buf_len(&values[ROOT]),
                       (const char *)buf_head(&values[ROOT]), signature_prefix,
                       (int)buf_len(&values[ORIGIN]), (const char *)buf_head(&values[ORIGIN]),
                       (int)buf_len(&values[SIGNATURE]),
                       (const char *)buf_head(&values[SIGNATURE]));
    for (size_t i = 0; i < PARAMETERS; i++)
        buf_clear(&values[i]);
    return r;
}

/* --- any form */

struct search {
    const struct vkey *log;
    struct checkpoint *best;
    bool looked, found;
};

static void consider(struct search *s, const char *note, size_t len, struct err *why)
{
    struct checkpoint c;
    struct err e = ERR_INIT;

    s->looked = true;
    if (checkpoint_open(&c, note, len, s->log, &e) < 0) {
        *why = e;
        return;
    }
    if (!s->found || c.size > s->best->size)
        *s->best = c;
    s->found = true;
}

static void consider_lines(struct search *s, const char *text, size_t len, struct err *why)
{
    const char *end = text + len;

    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const size_t n = newline ? (size_t)(newline - p) : (size_t)(end - p);
        struct err ignored = ERR_INIT;
        struct buf note;

        buf_init(&note, KNOWN_LINE_MAX);
        if (n <= 2 * KNOWN_LINE_MAX && known_note(&note, p, n, &ignored) == 0)
            consider(s, (const char *)buf_head(&note), buf_len(&note), why);
        buf_clear(&note);
        p += n + 1;
    }
}

int known_checkpoint_parse(struct checkpoint *c, const char *text, size_t len,
                           const struct vkey *log, struct err *e)
{
    static const char proof_title[] = "c2sp.org/tlog-proof@v1\n";
    struct search s = {.log = log, .best = c};
    struct err why = ERR_INIT;
    const char *empty;

    consider_lines(&s, text, len, &why);
    if (s.found)
        return 0;
    if (len > sizeof proof_title - 1 && memcmp(text, proof_title, sizeof proof_title - 1) == 0 &&
        (empty = find(text, text + len, "\n\n")))
        consider(&s, empty + 2, len - (size_t)(empty + 2 - text), &why);
    else if (!s.looked && find(text, text + len, signature_prefix))
        consider(&s, text, len, &why);
    if (s.found)
        return 0;
    if (!s.looked)
        return err_set(e, ERR_SYNTAX,
                       "found no checkpoint, neither as a note nor in lines of syslog");
    return err_set(e, why.code == ERR_SYNTAX ? ERR_SYNTAX : ERR_TAMPERED, "%s", why.text);
}
