/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a bundle that is being written, shared by the files bundle*.c alone. */
#ifndef SALLYPORT_AUDIT_BUNDLE_PARTS_H
#define SALLYPORT_AUDIT_BUNDLE_PARTS_H

#include "audit/bundle.h"
#include "audit/tlog_proof.h"

#define BUNDLE_QUEUE 65536u
/* Records of the gateway that name a session: an administrator's and readers' acts, alarms. */
#define BUNDLE_OTHERS_MAX 4096u
/* A line for each of their proofs, and some files more. */
#define BUNDLE_SUMS_MAX ((BUNDLE_OTHERS_MAX + 64u) * 128u)

struct bundle {
    const struct bundle_options *o;
    int dir; /* the bundle's own */
    struct vkey log;
    struct checkpoint checkpoint;
    struct buf note, sums;
    struct tile_reader *tiles;
    struct bundle_summary summary;
    uint64_t bytes;
};

/* A file of the bundle while it is written. */
struct bundle_file {
    char name[BUNDLE_PROOF_NAME];
    int fd;
    EVP_MD_CTX *sum;
    struct buf queue;
};

/* A whole file, 0600, with its line in SHA256SUMS. */
MUST_CHECK int bundle_put_file(struct bundle *b, const char *name, const void *p, size_t len,
                               struct err *e);
/* recording/: the opened session in the formats of `audit export`. */
MUST_CHECK int bundle_put_recording(struct bundle *b, struct err *e);
MUST_CHECK int bundle_file_begin(struct bundle *b, struct bundle_file *f, const char *name,
                                 struct err *e);
MUST_CHECK int bundle_file_put(struct bundle_file *f, const void *p, size_t len, struct err *e);
/* Closes it and adds it to the sums; r: what happened until now. */
MUST_CHECK int bundle_file_end(struct bundle *b, struct bundle_file *f, int r, struct err *e);

#endif
