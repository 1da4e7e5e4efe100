/* SPDX-License-Identifier: Apache-2.0
 *
 * The verifier of a whole trail: framing, every link, every session's links, every payload, the
 * segments, the genesis, the checkpoint's signature and root. Works on a live log and on a copy,
 * with public keys alone. Used by `sallyport audit verify`; trusts nothing but the keys it is
 * given. */
#ifndef SALLYPORT_AUDIT_VERIFY_H
#define SALLYPORT_AUDIT_VERIFY_H

#include "audit/checkpoint.h"
#include "audit/trail_read.h"

struct verify_options {
    int dir;
    const struct vkey *log;    /* NULL: the one that the anchor's note names */
    const struct vkey *anchor; /* NULL: the anchor's note is not checked ("unanchored") */
    /* Called about every 64 Ki records; may be NULL. */
    void (*progress)(void *arg, uint64_t records, uint64_t bytes);
    void *arg;
};

/* So many disputed sessions are named; the others are counted. */
#define VERIFY_DISPUTED_NAMED 16u

struct verify_result {
    uint64_t records; /* verified: 0 .. records - 1 */
    uint64_t bytes;   /* of those */
    uint64_t segments;
    uint64_t sessions;   /* that started */
    uint64_t checkpoint; /* size of the signed checkpoint */
    uint64_t unfinished; /* bytes of a record that is being written, or that a crash tore */
    uint64_t last_ns;    /* time of the last record */
    struct vkey log;
    uint64_t disputed; /* sessions whose input is disputed; the first of them: */
    uint8_t disputed_ids[VERIFY_DISPUTED_NAMED][RECORD_SESSION_ID];
    bool shut_down; /* the last record is a shutdown */
    /* When something is wrong: */
    enum fault fault;
    char file[SEGMENT_NAME_MAX]; /* a segment, "checkpoint" or "anchor.note" */
    uint64_t offset;             /* in it */
    uint64_t record;             /* its index */
};

/* 0: verified to result->records. ERR_TAMPERED: fault, file, offset, record and e say what is
 * wrong. Another code: it could not be checked. */
MUST_CHECK int trail_verify(const struct verify_options *o, struct verify_result *result,
                            struct err *e);

#endif
