/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of audit/file_ops.h: members of FILE records to an operation. Everything is bounded:
 * what is longer is cut, what is of another type is not there. */
#ifndef SALLYPORT_AUDIT_FILE_OP_PARSE_H
#define SALLYPORT_AUDIT_FILE_OP_PARSE_H

#include <jansson.h>

#include "audit/file_ops.h"

/* NULL where the payload is no JSON object. NULs in strings are taken. */
json_t *file_record_parse(const struct export_record *v);
bool file_number_take(struct file_number *out, const json_t *object, const char *name);
/* Of a request, and one that was refused. ERR_MEMORY; ERR_INPUT: it has no number or no op. */
MUST_CHECK int file_op_take_request(struct file_op *op, const json_t *j);
MUST_CHECK int file_op_take_path(struct file_op *op, const json_t *j);
MUST_CHECK int file_op_take_closed(struct file_op *op, const json_t *j);
void file_op_take_text(char *out, size_t cap, const json_t *j, const char *name);
/* NULL-safe; op->attached is the caller's. */
void file_op_free(struct file_op *op);

#endif
