/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload of a segment's first record: all that is needed to go on from there, for the recorder
 * and for a verifier. Used by auditd and the reading tools; does no I/O. */
#ifndef SALLYPORT_AUDIT_SEGMENT_STATE_H
#define SALLYPORT_AUDIT_SEGMENT_STATE_H

#include "audit/chain.h"
#include "base/buf.h"

/* The tree must be settled, here and for segment_state_check. */
MUST_CHECK int segment_state_write(struct buf *out, const struct chain *c, const char *origin,
                                   struct err *e);
/* Takes the state before the record into an initialised chain. It is to be believed only after the
 * root of a signed checkpoint came out right behind it. ERR_TAMPERED, ERR_MEMORY. */
MUST_CHECK int segment_state_read(struct chain *c, const struct record *r, const void *payload,
                                  struct err *e);
/* Compares what the record says with the state before it: epoch, subtrees, and each session that it
 * lists. ERR_TAMPERED, ERR_MEMORY. */
MUST_CHECK int segment_state_check(const struct chain *c, const struct record *r,
                                   const void *payload, struct err *e);

#endif
