/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of the log after its last record: what the next header must say. The writer fills
 * headers from it and the verifier compares headers with it, so the two cannot drift apart.
 * Used by auditd and the verifier; does no I/O. */
#ifndef SALLYPORT_AUDIT_CHAIN_H
#define SALLYPORT_AUDIT_CHAIN_H

#include "audit/digest.h"
#include "audit/merkle.h"
#include "audit/record.h"
#include "audit/sessions.h"

struct chain {
    uint64_t next;                  /* the next record's index */
    uint8_t leaf[RECORD_HASH_SIZE]; /* of the last record; the genesis leaf before the first */
    uint32_t epoch;
    uint8_t last_type; /* 0: no record yet */
    struct merkle merkle;
    struct sessions *sessions;
    struct digest *digest;
};

/* What is wrong with a place in the log, in the verifier's words. */
enum fault {
    FAULT_NONE,
    FAULT_EDITED,    /* bytes are not those that were written */
    FAULT_CUT,       /* it ends inside a record, or before its checkpoint */
    FAULT_MISSING,   /* records or a segment are not there */
    FAULT_REORDERED, /* a record stands where another should */
    FAULT_UNSIGNED,  /* a checkpoint or anchor whose signature or root is not right */
};
const char *fault_name(enum fault fault);

/* An empty log that begins with this genesis leaf. ERR_MEMORY. */
MUST_CHECK int chain_init(struct chain *c, const uint8_t genesis[RECORD_HASH_SIZE], struct err *e);
void chain_clear(struct chain *c);

/* Fills a new record's place: index, sequence, epoch, previous leaves. Everything else is the
 * caller's, the payload hash too. ERR_MEMORY (the table of sessions). */
MUST_CHECK int chain_place(struct chain *c, struct record *r, struct err *e);
/* Takes a placed, encoded record as the newest. */
MUST_CHECK int chain_advance(struct chain *c, const struct record *r,
                             const uint8_t header[RECORD_HEADER_SIZE], struct err *e);

/* Compares a record that was read with the state, and advances when all is right. ERR_TAMPERED with
 * *fault and e saying what; ERR_MEMORY. */
MUST_CHECK int chain_check(struct chain *c, const struct record *r,
                           const uint8_t header[RECORD_HEADER_SIZE], const void *payload,
                           enum fault *fault, struct err *e);

#endif
