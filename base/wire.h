/* SPDX-License-Identifier: Apache-2.0
 *
 * Integers and strings as they cross between processes and stand in records: big-endian, field by
 * field, never a struct. Errors stick: a chain of gets or puts is checked once, at its end.
 * Used by every process; the reader trusts nothing; does no I/O. */
#ifndef SALLYPORT_BASE_WIRE_H
#define SALLYPORT_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A view of bytes owned by somebody else. */
struct bytes {
    const uint8_t *p;
    size_t len;
};

struct wire_writer {
    uint8_t *out;
    size_t len, cap;
    bool failed; /* did not fit, or a string was longer than its maximum */
};

struct wire_reader {
    const uint8_t *in;
    size_t left;
    bool failed; /* truncated, over a maximum, or a NUL inside a string */
};

void wire_writer_init(struct wire_writer *w, void *out, size_t cap);
void wire_put_u8(struct wire_writer *w, uint8_t v);
void wire_put_u16(struct wire_writer *w, uint16_t v);
void wire_put_u32(struct wire_writer *w, uint32_t v);
void wire_put_u64(struct wire_writer *w, uint64_t v);
void wire_put_raw(struct wire_writer *w, const void *p, size_t len);
/* u16 length and the bytes without NUL; fails when strlen(s) > max. */
void wire_put_str(struct wire_writer *w, const char *s, size_t max);
/* u32 length and the bytes; fails when len > max. */
void wire_put_data(struct wire_writer *w, const void *p, size_t len, size_t max);
/* 0, or ERR_FULL when anything failed. */
MUST_CHECK int wire_put_end(const struct wire_writer *w, struct err *e);

void wire_reader_init(struct wire_reader *r, const void *in, size_t len);
uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
/* Copies len raw bytes to out (zeroes when truncated). */
void wire_get_raw(struct wire_reader *r, void *out, size_t len);
/* out has room for max + 1 bytes, always NUL-terminated; a NUL inside is an error. */
void wire_get_str(struct wire_reader *r, char *out, size_t max);
/* A view into the input. */
struct bytes wire_get_data(struct wire_reader *r, size_t max);
/* 0; ERR_PROTOCOL when anything failed or bytes are left over. */
MUST_CHECK int wire_get_end(const struct wire_reader *r, struct err *e);

/* Plain stores and loads, for fixed layouts. */
void wire_store_u16(uint8_t *p, uint16_t v);
void wire_store_u32(uint8_t *p, uint32_t v);
void wire_store_u64(uint8_t *p, uint64_t v);
uint16_t wire_load_u16(const uint8_t *p);
uint32_t wire_load_u32(const uint8_t *p);
uint64_t wire_load_u64(const uint8_t *p);

#endif
