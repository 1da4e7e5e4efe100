/* SPDX-License-Identifier: Apache-2.0
 *
 * The manifest of a policy set: what its author and its approvers sign. It names every file of the
 * set by SHA-256, a serial, and the manifest of the set before, so that one signature is good for
 * one set at one place of one history. There is one text for each manifest:
 *
 *     manifest = %s"sallyport-policy-manifest 1" LF
 *                %s"serial " serial LF
 *                %s"previous " ( hash / %s"none" ) LF
 *                1*( hash 2SP name LF )      ; as sha256sum prints them; names ascending, bytewise
 *     serial   = %x31-39 *17DIGIT            ; no leading zero
 *     hash     = 64( DIGIT / %x61-66 )       ; lower case
 *     name     = 1*255( %x20-5B / %x5D-7E / %x80-FF )  ; no control character, no backslash
 *
 * `previous` is SHA-256 of the manifest before as a file (`sha256sum manifest`). The manifest and
 * the signatures themselves are not listed. Used by authd and its loader (the text is root's or an
 * intruder's) and by `sallyport policy`. Pure. */
#ifndef SALLYPORT_POLICY_MANIFEST_H
#define SALLYPORT_POLICY_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

#define MANIFEST_FILE        "manifest"
#define MANIFEST_AUTHOR_FILE "manifest.author.sig"
#define MANIFEST_APPROVALS   "approvals" /* directory of NAME.sig */
#define MANIFEST_AUTHOR      "sallyport-author"
#define MANIFEST_APPROVE     "sallyport-approve"
#define MANIFEST_HASH        32
#define MANIFEST_SERIAL_MAX  999999999999999999u /* 18 digits; SQLite's integers have 63 bits */
#define MANIFEST_MAX         (16u * 1024 * 1024) /* 65536 files (bundle.c) of names of 190 bytes */

struct manifest {
    uint64_t serial;
    bool first; /* previous none */
    uint8_t previous[MANIFEST_HASH];
    struct bytes files; /* the lines of files; a view */
    size_t count;
};

/* ERR_SYNTAX: "manifest:LINE:COLUMN: found ..., expected ...". */
MUST_CHECK int manifest_parse(const void *text, size_t len, struct manifest *out, struct err *e);
/* Of every file of the block (policy/bundle.h) but the manifest and signatures. previous NULL:
 * none. ERR_INPUT: a file's name cannot be listed. */
MUST_CHECK int manifest_write(uint64_t serial, const uint8_t *previous, const void *block,
                              size_t len, struct buf *out, struct err *e);
/* The block's files are those of the manifest, byte for byte. ERR_TAMPERED says which is not. */
MUST_CHECK int manifest_covers(const struct manifest *m, const void *block, size_t len,
                               struct err *e);
/* The next line of m->files, of which it is taken off: false at the end. name is a view. */
bool manifest_next(struct bytes *lines, uint8_t hash[MANIFEST_HASH], struct bytes *name);

void manifest_hash(const void *text, size_t len, uint8_t out[MANIFEST_HASH]);
void manifest_hash_text(const uint8_t hash[MANIFEST_HASH], char out[2 * MANIFEST_HASH + 1]);
/* 64 lower-case hexadecimal digits. ERR_SYNTAX. */
MUST_CHECK int manifest_hash_read(const char *text, size_t len, uint8_t out[MANIFEST_HASH]);

/* The manifest, or a signature: in the block, and not listed. */
bool manifest_is_evidence(const char *name);

#endif
