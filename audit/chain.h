/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of the log after its last record: what the next header must say. The writer fills
 * headers from it and the verifier compares headers with it, so the two cannot drift apart.
 * Used by auditd and the verifier; does no I/O. */
#ifndef SALLYPORT_AUDIT_CHAIN_H
#define SALLYPORT_AUDIT_CHAIN_H

#include "audit/digest.h"
#include "audit/merkle.h"
#include "audit/read_ahead.h"
#include "audit/record.h"
#include "audit/seal.h"
#include "audit/sessions.h"

/* The epoch that the next record is of. */
struct epoch {
    uint32_t number;
    struct vkey key;           /* its seal is signed by this */
    uint64_t first;            /* index of its first record; all before it is sealed */
    uint64_t real_ns, boot_ns; /* where it began: the seal before; record 0 in the first epoch */
};

/* Where the recorder's own course stands: what may follow. */
enum chain_run {
    RUN_BORN,      /* nothing yet */
    RUN_GOING,     /* a recorder writes, or ended without a shutdown */
    RUN_SHUTDOWN,  /* the last record is a shutdown: its seal must follow, or a recovery */
    RUN_ENDED,     /* shutdown and seal: in order */
    RUN_RECOVERED, /* a recovery record; the recorder opens the log next */
};

/* The writer places records before it links them (chain_place, chain_link): until the newest is
 * linked, leaf, merkle and the sessions' leaves are those of an earlier record, whose number is
 * merkle.size; all else is of the newest. For a reader both are one step, chain_check. */
struct chain {
    uint64_t next;                  /* the next record's index */
    uint8_t leaf[RECORD_HASH_SIZE]; /* of the last record; the genesis leaf before the first */
    char origin[NOTE_NAME_MAX + 1];
    struct epoch epoch;
    bool closed;          /* the last seal names the log that follows this one: */
    struct vkey next_log; /* its anchor */
    enum chain_run run;
    uint8_t last_type; /* 0: no record yet */
    struct merkle merkle;
    struct sessions *sessions;
    struct digest *digest;
    /* The hashes of the record to be checked next, where the reader computed them already; its
     * place is set before each chain_check. NULL: they are computed here. */
    const struct record_hashes *known;
};

/* What is wrong with a place in the log, in the verifier's words. */
enum fault {
    FAULT_NONE,
    FAULT_EDITED,    /* bytes are not those that were written */
    FAULT_CUT,       /* it ends inside a record, or before its checkpoint */
    FAULT_MISSING,   /* records or a segment are not there */
    FAULT_REORDERED, /* a record stands where another should */
    FAULT_UNSEALED,  /* an epoch goes on, or the next begins, without the seal that ends it */
    FAULT_UNSIGNED,  /* a checkpoint, anchor or seal whose signature or root is not right */
};
const char *fault_name(enum fault fault);

/* An empty log that begins with this anchor: its genesis leaf, its first epoch's key. ERR_MEMORY.
 */
MUST_CHECK int chain_init(struct chain *c, const struct anchor *a, struct err *e);
void chain_clear(struct chain *c);

/* Gives a new record its place, index, sequence and epoch, and counts it as the newest; payload as
 * it was before sealing. Its hashes are not known yet: chain_link takes them, with *state, which
 * stays known until then. After a seal's: chain_take_seal. ERR_MEMORY (the table of sessions). */
MUST_CHECK int chain_place(struct chain *c, struct record *r, const void *payload,
                           struct session_state **state, struct err *e);
/* Completes the header of the oldest record that is placed and not linked, whose payload's hash
 * stands in it already: both previous leaves, and from them its own leaf and the tree. */
void chain_link(struct chain *c, struct session_state *state, uint8_t header[RECORD_HEADER_SIZE]);
/* Whether every record that was placed is linked. */
bool chain_is_linked(const struct chain *c);

/* Compares a record that was read with the state, and advances when all is right. payload NULL:
 * the payload was dropped by pruning, which only sealed payloads and a session's keys may be; its
 * hash is not checked then. ERR_TAMPERED with *fault and e saying what; ERR_MEMORY. */
MUST_CHECK int chain_check(struct chain *c, const struct record *r,
                           const uint8_t header[RECORD_HEADER_SIZE], const void *payload,
                           enum fault *fault, struct err *e);

/* chain_epoch.c */
/* The seal that ends the current epoch here (all is linked), but for the next epoch's key; real_ns
 * and boot_ns are those of its record. */
void chain_next_seal(struct chain *c, struct seal *s, uint64_t real_ns, uint64_t boot_ns);
/* Compares a seal's payload with the state before it. As chain_check. */
MUST_CHECK int chain_check_seal(struct chain *c, const struct record *r, const void *payload,
                                struct seal *s, enum fault *fault, struct err *e);
/* The seal's record was taken: the next epoch begins. */
void chain_take_seal(struct chain *c, const struct seal *s);
/* Whether a record of this type may come now: one epoch after the other, a shutdown only before its
 * seal, a log that ended without one goes on with a recovery. As chain_check. */
MUST_CHECK int chain_check_order(const struct chain *c, const struct record *r, const void *payload,
                                 enum fault *fault, struct err *e);
/* What the run is after a record. */
enum chain_run chain_run_after(enum chain_run run, const struct record *r, const void *payload);
/* "going" ...; for segment records. */
const char *chain_run_name(enum chain_run run);
MUST_CHECK int chain_run_parse(const char *name, enum chain_run *run);

#endif
