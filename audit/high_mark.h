/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest checkpoint, once more, in a file outside of the trail's directory: when an older copy
 * of that directory is put back, the recorder finds out and does not start. Two slots of 4,096
 * bytes, written in turn, each a checkpoint's note followed by zeroes; the larger size counts. The
 * supervisor opens STATE/trail.mark and gives auditd the descriptor; `new-log` removes it. */
#ifndef SALLYPORT_AUDIT_HIGH_MARK_H
#define SALLYPORT_AUDIT_HIGH_MARK_H

#include "audit/checkpoint.h"

#define HIGH_MARK_FILE      "trail.mark"
#define HIGH_MARK_SLOT_SIZE 4096u

/* The newest checkpoint in it that this log signed; size 0: none. *slot is where the next one is to
 * be written. What is not a note of this log is passed over. ERR_SYSTEM. */
MUST_CHECK int high_mark_read(int fd, const struct vkey *log, struct checkpoint *c, unsigned *slot,
                              struct err *e);
/* Overwrites the slot, durably. ERR_INPUT: the note is too long; ERR_SYSTEM. */
MUST_CHECK int high_mark_write(int fd, unsigned slot, const void *note, size_t len, struct err *e);

/* The refusal of a log that is shorter than a checkpoint of it that is known; where: a file, or who
 * knows it. Always ERR_TAMPERED. For whoever learns of such a checkpoint, also while running. */
int trail_refuse_shorter(uint64_t size, uint64_t known, const char *where, struct err *e);

#endif
