/* SPDX-License-Identifier: Apache-2.0
 *
 * Field by field, big-endian (base/wire.h). Used by every process; the reader trusts nothing. */
#include "base/wire.h"

#include <string.h>

void wire_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void wire_store_u32(uint8_t *p, uint32_t v)
{
    wire_store_u16(p, (uint16_t)(v >> 16));
    wire_store_u16(p + 2, (uint16_t)v);
}

void wire_store_u64(uint8_t *p, uint64_t v)
{
    wire_store_u32(p, (uint32_t)(v >> 32));
    wire_store_u32(p + 4, (uint32_t)v);
}

uint16_t wire_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t wire_load_u32(const uint8_t *p)
{
    return (uint32_t)wire_load_u16(p) << 16 | wire_load_u16(p + 2);
}

uint64_t wire_load_u64(const uint8_t *p)
{
    return (uint64_t)wire_load_u32(p) << 32 | wire_load_u32(p + 4);
}

/* --- writer */

void wire_writer_init(struct wire_writer *w, void *out, size_t cap)
{
    *w = (struct wire_writer){.out = out, .cap = cap};
}

/* The next len bytes of the output; NULL, and failed for good, when they do not fit. */
static uint8_t *claim(struct wire_writer *w, size_t len)
{
    uint8_t *p;

    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return NULL;
    }
    p = w->out + w->len;
    w->len += len;
    return p;
}

void wire_put_u8(struct wire_writer *w, uint8_t v)
{
    uint8_t *p = claim(w, 1);
    if (p)
        *p = v;
}

void wire_put_u16(struct wire_writer *w, uint16_t v)
{
    uint8_t *p = claim(w, 2);
    if (p)
        wire_store_u16(p, v);
}

void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    uint8_t *p = claim(w, 4);
    if (p)
        wire_store_u32(p, v);
}

void wire_put_u64(struct wire_writer *w, uint64_t v)
{
    uint8_t *p = claim(w, 8);
    if (p)
        wire_store_u64(p, v);
}

void wire_put_raw(struct wire_writer *w, const void *p, size_t len)
{
    uint8_t *out = claim(w, len);
    if (out && len)
        memcpy(out, p, len);
}

void wire_put_str(struct wire_writer *w, const char *s, size_t max)
{
    /* max + 1: an array without a terminator must not be read on into its neighbour. */
    size_t len = strnlen(s, max + 1);

    if (len > max || len > UINT16_MAX) {
        w->failed = true;
        return;
    }
    wire_put_u16(w, (uint16_t)len);
    wire_put_raw(w, s, len);
}

void wire_put_data(struct wire_writer *w, const void *p, size_t len, size_t max)
{
    if (len > max || len > UINT32_MAX) {
        w->failed = true;
        return;
    }
    wire_put_u32(w, (uint32_t)len);
    wire_put_raw(w, p, len);
}

int wire_put_end(const struct wire_writer *w, struct err *e)
{
    return w->failed ? err_set(e, ERR_FULL, "a field is over its maximum") : 0;
}

/* --- reader */

void wire_reader_init(struct wire_reader *r, const void *in, size_t len)
{
    *r = (struct wire_reader){.in = in, .left = len};
}

/* The next len bytes of the input; NULL, and failed for good, when there are fewer. */
static const uint8_t *take(struct wire_reader *r, size_t len)
{
    const uint8_t *p;

    if (r->failed || len > r->left) {
        r->failed = true;
        return NULL;
    }
    p = r->in;
    if (len)
        r->in += len;
    r->left -= len;
    return p;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
    const uint8_t *p = take(r, 1);
    return p ? *p : 0;
}

uint16_t wire_get_u16(struct wire_reader *r)
{
    const uint8_t *p = take(r, 2);
    return p ? wire_load_u16(p) : 0;
}

uint32_t wire_get_u32(struct wire_reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? wire_load_u32(p) : 0;
}

uint64_t wire_get_u64(struct wire_reader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? wire_load_u64(p) : 0;
}

void wire_get_raw(struct wire_reader *r, void *out, size_t len)
{
    const uint8_t *p = take(r, len);

    if (!len)
        return;
    if (p)
        memcpy(out, p, len);
    else
        memset(out, 0, len);
}

void wire_get_str(struct wire_reader *r, char *out, size_t max)
{
    size_t len = wire_get_u16(r);
    const uint8_t *p;

    out[0] = '\0';
    if (len > max)
        r->failed = true;
    p = take(r, len);
    if (!p || !len)
        return;
    if (memchr(p, 0, len)) {
        r->failed = true;
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

struct bytes wire_get_data(struct wire_reader *r, size_t max)
{
    size_t len = wire_get_u32(r);
    const uint8_t *p;

    if (len > max)
        r->failed = true;
    p = take(r, len);
    return p ? (struct bytes){p, len} : (struct bytes){NULL, 0};
}

int wire_get_end(const struct wire_reader *r, struct err *e)
{
    if (r->failed)
        return err_set(e, ERR_PROTOCOL, "truncated, or a field is over its maximum");
    if (r->left)
        return err_set(e, ERR_PROTOCOL, "%zu bytes are left over", r->left);
    return 0;
}
