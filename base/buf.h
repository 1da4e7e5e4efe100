/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte queue with a maximum chosen at creation. Bytes go in at the tail and out at the head.
 * The memory grows on demand up to the maximum and is given back when the queue runs empty, so
 * that an idle session costs nothing; one that bulk goes through may keep it until it is idle. Used
 * by every process; does no I/O. */
#ifndef SALLYPORT_BASE_BUF_H
#define SALLYPORT_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
    uint8_t *data;
    size_t start; /* offset of the head within data */
    size_t len;   /* bytes queued */
    size_t cap;   /* bytes allocated */
    size_t max;   /* never more than this are queued */
    size_t keep;  /* of cap, when the queue runs empty */
};

/* max > 0. Allocates nothing yet. */
void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer may be used again (same maximum). NULL-safe. */
void buf_clear(struct buf *b);
/* From now on the queue keeps up to n bytes of memory when it runs empty, until buf_release: for
 * one that fills and empties thousands of times a second. */
void buf_keep(struct buf *b, size_t n);
/* Frees the memory of a queue that is empty; does nothing to another. */
void buf_release(struct buf *b);
/* As buf_clear, and wipes the memory first. */
void buf_wipe(struct buf *b);

/* Appends len bytes. ERR_FULL (and nothing appended) when they do not fit, ERR_MEMORY. */
MUST_CHECK int buf_put(struct buf *b, const void *bytes, size_t len);
/* Appends formatted text, without its NUL. */
MUST_CHECK int buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Room for len bytes at the tail, contiguous; NULL when they do not fit or memory is out.
 * buf_commit makes the first n of them part of the queue (n <= the len reserved). */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t n);

/* The queued bytes are contiguous: buf_head(b)[0 .. buf_len(b)). Valid until the next change. */
const uint8_t *buf_head(const struct buf *b);
size_t buf_len(const struct buf *b);
size_t buf_room(const struct buf *b);
/* Drops n <= buf_len(b) bytes from the head. */
void buf_consume(struct buf *b, size_t n);

/* A NUL-terminated copy of the queued bytes; the caller frees it. NULL when memory is out. */
char *buf_string(const struct buf *b);

#endif
