/* SPDX-License-Identifier: Apache-2.0
 *
 * A file operation as a line for people and as JSON. Everything that came from a peer is escaped.
 * Pure. */
#ifndef SALLYPORT_AUDIT_FILE_OP_SHOW_H
#define SALLYPORT_AUDIT_FILE_OP_SHOW_H

#include <jansson.h>

#include "audit/file_ops.h"

/* Four times two paths and two as asked, and the rest. */
#define FILE_OP_LINE_MAX (4u * 4 * FILE_OP_PATH_MAX + 32768u)

/* "open "/tmp/x" [write,creat]: ok, written 340 B, sha256 ..." to out, which has room for
 * FILE_OP_LINE_MAX more. No newline. */
MUST_CHECK int file_op_line(const struct file_op *op, struct buf *out);
/* One FILE record that was opened, as it stands; nothing for an event that is not known. */
MUST_CHECK int file_record_line(const struct export_record *v, struct buf *out);
/* "ok", "no-such-file", "refused", "unknown", "contradictory" */
const char *file_op_outcome(const struct file_op *op);
/* All of it but time and session; the caller's to decref. NULL when memory is out. */
json_t *file_op_json(const struct file_op *op);
/* The string, and NAME.raw beside it where it is no UTF-8. */
void file_json_bytes(json_t *object, const char *name, struct bytes b);
/* "\"/tmp/x\"", escaped. */
MUST_CHECK int file_text_quoted(struct buf *out, struct bytes b);

#endif
