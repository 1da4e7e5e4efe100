/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the kept contents of a session's files into a directory: DIR/CHANNEL-N-NAME, where NAME is
 * the last part of the path with every byte that is not plainly visible as `_`, and cut; `.read` or
 * `.written` behind it for a file that was opened for both. A path of a recording is never used as
 * a path, nothing that is there is overwritten, and the bytes go where their offsets say (what was
 * not moved is a hole). Each run of bytes is hashed as it comes and compared with the hashes that
 * the session recorded. Runs as the reviewer; the records are hostile. */
#ifndef SALLYPORT_AUDIT_FILE_EXTRACT_H
#define SALLYPORT_AUDIT_FILE_EXTRACT_H

#include "audit/file_ops.h"

struct file_extract; /* opaque */

enum extract_state {
    EXTRACT_COMPLETE, /* all that was moved, with the hashes that were recorded */
    EXTRACT_PART,     /* what was kept of it, with those hashes as far as they tell */
    EXTRACT_UNPROVED, /* it was not closed in the recording: there is no hash */
    EXTRACT_DIFFERS,  /* the contents are not those of the recorded hashes */
};

#define EXTRACT_NAME_MAX 256
struct extract_result {
    enum file_direction direction;
    enum extract_state state;
    char name[EXTRACT_NAME_MAX];
    uint64_t bytes; /* that are in it */
};
typedef int extract_fn(void *arg, const struct file_op *op, const struct extract_result *result);

/* Makes the directory (0700) where it is not there. ERR_SYSTEM. */
MUST_CHECK int file_extract_new(struct file_extract **out, const char *directory, struct err *e);
void file_extract_free(struct file_extract *x); /* NULL-safe */
/* A FILE_CONTENT record that was opened. ERR_INPUT: a file of that name is there; ERR_SYSTEM. */
MUST_CHECK int file_extract_put(struct file_extract *x, struct file_ops *ops,
                                const struct export_record *v, struct err *e);
/* The operation came out: once for each file that was made of it. */
MUST_CHECK int file_extract_finish(struct file_extract *x, struct file_op *op, extract_fn *each,
                                   void *arg);
/* FILE_CONTENT records that are not of their form, of no file that is open, or at an offset
 * that no file here can have. */
uint64_t file_extract_odd(const struct file_extract *x);

#endif
