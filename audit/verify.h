/* SPDX-License-Identifier: Apache-2.0
 *
 * The verifier of a trail: framing, every link, every session's links, every payload, the segments
 * and what they say of themselves, the genesis, one seal for each epoch, the recorder's starts and
 * ends, the checkpoint's signature and root, and checkpoints that are known from elsewhere. Works
 * on a live log and on a copy, with public keys alone. Used by `sallyport audit verify`; trusts
 * nothing but the keys it is given. */
#ifndef SALLYPORT_AUDIT_VERIFY_H
#define SALLYPORT_AUDIT_VERIFY_H

#include "audit/checkpoint.h"
#include "audit/trail_read.h"

/* So many disputed sessions are named; the others are counted. */
#define VERIFY_DISPUTED_NAMED 16u

/* A checkpoint that somebody outside of the gateway has. */
struct verify_known {
    char where[128]; /* a file's name, or a witness's */
    struct checkpoint checkpoint;
    bool held; /* result: the log has this root at this size */
};

struct verify_options {
    int dir;
    const struct vkey *log;     /* NULL: the one that the anchor's note names */
    const struct vkey *anchor;  /* NULL: the anchor's note is not checked ("unanchored") */
    struct verify_known *known; /* signed by the log's key; is put in order of size */
    size_t known_count;
    /* Not 0: begins at the last segment that begins at or before this record. What that segment's
     * first record says of the log before it is believed when the root of a signed checkpoint came
     * out right behind it, and the verdict waits for that. */
    uint64_t from;
    /* Not 0: ends when the records before this one are verified, and sealed or signed. */
    uint64_t before;
    /* NULL, or the beginning of a session's id in hexadecimal: what is found of it is told. */
    const char *session;
    /* Called about every 64 Ki records; may be NULL. */
    void (*progress)(void *arg, uint64_t records, uint64_t bytes);
    void *arg;
};

/* One session as far as it was read. */
struct verify_session {
    uint8_t id[RECORD_SESSION_ID];
    uint64_t records; /* 0: not found */
    uint64_t first, last;
    bool started, ended;
    bool ambiguous; /* another session's id begins the same */
};

struct verify_result {
    uint64_t from;    /* the first record that was verified */
    uint64_t records; /* verified: from .. records - 1 */
    uint64_t bytes;   /* of those */
    uint64_t segments;
    uint64_t sessions;   /* that started */
    uint64_t checkpoint; /* size of the signed checkpoint */
    uint64_t sealed;     /* records before the end of the last seal */
    uint64_t sealed_ns;  /* time of that */
    uint64_t epochs;     /* seals that were checked */
    uint64_t elsewhere;  /* size of the newest checkpoint known elsewhere that the log has */
    uint64_t unfinished; /* bytes of a record that is being written, or that a crash tore */
    uint64_t last_ns;    /* time of the last record */
    uint64_t disputed;   /* sessions that are disputed; the first of them: */
    uint8_t disputed_ids[VERIFY_DISPUTED_NAMED][RECORD_SESSION_ID];
    uint64_t dropped;     /* payloads that pruning destroyed: only their headers were verified */
    uint64_t unaccounted; /* of those, with `before`: by no order that was read */
    struct vkey log;
    struct verify_session session;
    bool shut_down; /* the log ends with a shutdown and its seal */
    bool closed;    /* another log follows, whose anchor is: */
    struct vkey next_log;
    /* The chain where it ended, or broke: */
    uint64_t reached;
    uint8_t root[RECORD_HASH_SIZE], head[RECORD_HASH_SIZE]; /* of so many records; the last leaf */
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
