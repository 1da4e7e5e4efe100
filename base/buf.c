/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded byte queue (base/buf.h). Invariants: start + len <= cap <= max rounded up once;
 * data is NULL when cap is 0. Used by every process; does no I/O. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A queue that ran empty keeps at most this much: a page saves the next small message a malloc, and
 * costs an idle session nothing that counts. */
#define KEEP_WHEN_EMPTY  4096u
#define FIRST_ALLOCATION 256u

void buf_init(struct buf *b, size_t max)
{
    INVARIANT(max > 0);
    *b = (struct buf){.max = max, .keep = KEEP_WHEN_EMPTY};
}

void buf_keep(struct buf *b, size_t n)
{
    b->keep = n;
}

void buf_release(struct buf *b)
{
    if (b->len == 0)
        buf_clear(b);
}

void buf_clear(struct buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct buf){.max = b->max, .keep = b->keep};
}

void buf_wipe(struct buf *b)
{
    if (!b)
        return;
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_clear(b);
}

/* Grows by copying into fresh memory and wiping the old, since a queue may hold secrets that
 * buf_wipe must still reach. */
static int grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : FIRST_ALLOCATION;
    uint8_t *data;

    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    if (cap > b->max)
        cap = b->max;
    data = malloc(cap);
    if (!data)
        return ERR_MEMORY;
    if (b->data) {
        memcpy(data, b->data + b->start, b->len);
        explicit_bzero(b->data + b->start, b->len);
        free(b->data);
    }
    b->data = data;
    b->start = 0;
    b->cap = cap;
    return 0;
}

/* Makes len bytes at the tail contiguous. */
static int make_room(struct buf *b, size_t len)
{
    if (len > b->max - b->len)
        return ERR_FULL;
    if (len <= b->cap - b->start - b->len)
        return 0;
    /* Moving is worth it only when at least half of the memory comes free by it: each byte is then
     * moved at most once per byte that went out. */
    if (b->len + len <= b->cap && (b->start >= b->cap / 2 || b->cap == b->max)) {
        memmove(b->data, b->data + b->start, b->len);
        b->start = 0;
        return 0;
    }
    return grow(b, b->len + len > b->cap ? b->len + len : b->cap + 1);
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
    static uint8_t nothing[1];

    if (make_room(b, len))
        return NULL;
    return b->data ? b->data + b->start + b->len : nothing;
}

void buf_commit(struct buf *b, size_t n)
{
    INVARIANT(n <= b->cap - b->start - b->len);
    b->len += n;
}

int buf_put(struct buf *b, const void *bytes, size_t len)
{
    int rc = make_room(b, len);

    if (rc)
        return rc;
    if (len)
        memcpy(b->data + b->start + b->len, bytes, len);
    b->len += len;
    return 0;
}

int buf_printf(struct buf *b, const char *format, ...)
{
    char small[512];
    va_list ap;
    int n, rc;

    va_start(ap, format);
    n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n < 0)
        return ERR_INPUT;
    if ((size_t)n < sizeof small)
        return buf_put(b, small, (size_t)n);

    char *large = NULL;
    va_start(ap, format);
    n = vasprintf(&large, format, ap);
    va_end(ap);
    if (n < 0)
        return ERR_MEMORY;
    rc = buf_put(b, large, (size_t)n);
    free(large);
    return rc;
}

const uint8_t *buf_head(const struct buf *b)
{
    static const uint8_t nothing[1];
    return b->data ? b->data + b->start : nothing;
}

size_t buf_len(const struct buf *b)
{
    return b->len;
}

size_t buf_room(const struct buf *b)
{
    return b->max - b->len;
}

void buf_consume(struct buf *b, size_t n)
{
    INVARIANT(n <= b->len);
    b->start += n;
    b->len -= n;
    if (b->len)
        return;
    b->start = 0;
    if (b->cap > b->keep)
        buf_clear(b);
}

char *buf_string(const struct buf *b)
{
    char *s = malloc(b->len + 1);

    if (!s)
        return NULL;
    if (b->len)
        memcpy(s, b->data + b->start, b->len);
    s[b->len] = '\0';
    return s;
}
