/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints (C2SP tlog-checkpoint: origin, size, root; no extension lines) and the anchor note
 * that ties a log's keys together. Both are signed notes in files of the trail's directory. Used by
 * auditd, `init` and the verifier; reads hostile files. */
#ifndef SALLYPORT_AUDIT_CHECKPOINT_H
#define SALLYPORT_AUDIT_CHECKPOINT_H

#include "audit/digest.h"
#include "audit/note.h"

#define CHECKPOINT_FILE     "checkpoint"
#define CHECKPOINT_FILE_NEW "checkpoint.new"
/* One with cosignatures of witnesses, perhaps of a smaller size. */
#define CHECKPOINT_WITNESSED_FILE "checkpoint.witnessed"
#define ANCHOR_FILE               "anchor.note"
/* What is appended to the log's origin to name its other keys. */
#define ANCHOR_NAME_SUFFIX "/anchor"
/* A key's name is NOTE_NAME_MAX at most; "/epoch/4294967295" after an origin must still fit. */
#define ORIGIN_MAX (NOTE_NAME_MAX - 17)

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    uint8_t root[RECORD_HASH_SIZE];
};

/* Appends the signed note to out. */
MUST_CHECK int checkpoint_sign(struct buf *out, const struct checkpoint *c, EVP_PKEY *log_key,
                               struct err *e);
/* Verifies the signature and the form. The origin must be the key's name. */
MUST_CHECK int checkpoint_open(struct checkpoint *c, const char *note, size_t len,
                               const struct vkey *log, struct err *e);
/* Reads and opens the directory's checkpoint. ERR_NOT_FOUND when there is none. */
MUST_CHECK int checkpoint_read(struct checkpoint *c, int dir, const struct vkey *log,
                               struct err *e);

/* What the anchor key certifies, once, at the log's birth. */
struct anchor {
    struct vkey log;   /* its name is the origin */
    struct vkey epoch; /* the first epoch's key */
    uint8_t genesis[RECORD_HASH_SIZE];
};

/* genesis = SHA-256("spa1-genesis\n" origin "\n" log vkey "\n" first epoch vkey) */
MUST_CHECK int anchor_make(struct anchor *a, const struct vkey *log, const struct vkey *epoch,
                           struct err *e);
MUST_CHECK int anchor_sign(struct buf *out, const struct anchor *a, EVP_PKEY *anchor_key,
                           struct err *e);
/* by: the anchor's verifier key, or NULL where it is not known (then the note's signature proves
 * nothing and is not looked at). The genesis is computed again, never taken from the file. */
MUST_CHECK int anchor_open(struct anchor *a, const char *note, size_t len, const struct vkey *by,
                           struct err *e);
MUST_CHECK int anchor_read(struct anchor *a, int dir, const struct vkey *by, struct err *e);

/* Reads a whole small text file of at most NOTE_MAX bytes. out is set up by the caller.
 * ERR_NOT_FOUND, ERR_INPUT (too big, a NUL), ERR_SYSTEM. */
MUST_CHECK int note_file_read(int dir, const char *path, struct buf *out, struct err *e);
/* Reads a verifier key from a file. */
MUST_CHECK int vkey_read(struct vkey *v, int dir, const char *path, struct err *e);

#endif
