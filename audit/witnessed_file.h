/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint.witnessed: the newest checkpoint that a witness cosigned, with the cosignature lines,
 * beside the trail. Written by auditd alone, which has verified what it adds; readers verify again.
 */
#ifndef SALLYPORT_AUDIT_WITNESSED_FILE_H
#define SALLYPORT_AUDIT_WITNESSED_FILE_H

#include "audit/note.h"
#include "base/buf.h"
#include "base/err.h"

/* Adds a verified cosignature line (with its newline) to the note of the checkpoint of `size`
 * records, signed by `log`: the file becomes that note with this line, and the cosignatures by
 * `others` that it had of the same checkpoint. A file with a newer checkpoint stays as it is. */
MUST_CHECK int witnessed_file_add(int dir, const struct vkey *log, const struct vkey *const *others,
                                  size_t count, uint64_t size, const struct buf *checkpoint,
                                  const char *line, size_t line_len, struct err *e);

#endif
