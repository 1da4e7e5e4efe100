/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes that a record shows of what a peer sent: base/json_out.h's json_bytes, the other way
 * round. A reader may show the text or the bytes of its `.raw` sibling, so that a record where they
 * are not the same says two things, and is not taken. Used by auditd and the readers; the records
 * are hostile. Pure. */
#ifndef SALLYPORT_AUDIT_SHOWN_BYTES_H
#define SALLYPORT_AUDIT_SHOWN_BYTES_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the bytes of this member. 1; 0: it is not there; ERR_SYNTAX: it is no text, or its raw
 * bytes are not those of its text; ERR_MEMORY, also when they are more than out takes. */
MUST_CHECK int shown_bytes(const json_t *record, const char *name, struct buf *out);

#endif
