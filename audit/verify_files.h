/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints that somebody outside of the gateway has kept, for the verifier: files given on the
 * command line, and what witnesses cosigned. Used by the reading tools; reads hostile files. */
#ifndef SALLYPORT_AUDIT_VERIFY_FILES_H
#define SALLYPORT_AUDIT_VERIFY_FILES_H

#include "audit/verify.h"

/* Adds the file's checkpoint, which the log's key must have signed. ERR_NOT_FOUND, ERR_SYNTAX,
 * ERR_TAMPERED (not by this log), ERR_MEMORY. */
MUST_CHECK int known_add_file(struct verify_known **list, size_t *count, int dir, const char *path,
                              const struct vkey *log, struct err *e);
/* Adds the directory's CHECKPOINT_WITNESSED_FILE, if it is there and one of these witnesses
 * cosigned it; *cosigned is how many did. It is no error when it is not there. */
MUST_CHECK int known_add_witnessed(struct verify_known **list, size_t *count, int dir,
                                   const struct vkey *log, const struct vkey *witnesses,
                                   size_t witness_count, size_t *cosigned, struct err *e);

#endif
