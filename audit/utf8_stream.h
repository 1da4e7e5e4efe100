/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that arrive in pieces, as text: a character that is cut by a piece's end is kept until its
 * rest comes; what is not UTF-8 becomes U+FFFD, one for each byte that fits nowhere. Used by the
 * exporting tools on hostile bytes; does no I/O. */
#ifndef SALLYPORT_AUDIT_UTF8_STREAM_H
#define SALLYPORT_AUDIT_UTF8_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Zeroed: at the beginning. */
struct utf8_stream {
    uint8_t kept[4];
    unsigned have;
};

/* Appends text to out, which needs room for 3 * (len + 4) bytes. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int utf8_stream_put(struct utf8_stream *s, const void *bytes, size_t len,
                               struct buf *out);
/* Nothing more comes: what is kept is not a character. */
MUST_CHECK int utf8_stream_end(struct utf8_stream *s, struct buf *out);

/* Appends valid UTF-8 as the inside of a JSON string: quote, backslash and controls (C0, DEL, C1)
 * escaped. What is not UTF-8 becomes U+FFFD. */
MUST_CHECK int json_text_put(struct buf *out, const void *text, size_t len);

#endif
