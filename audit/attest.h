/* SPDX-License-Identifier: Apache-2.0
 *
 * What the backend of a session recorded as the operator's input, beside what its frontend says
 * that it received. Two processes with two enemies: a hypervisor that took over the backend can
 * record input that never came, an operator who took over the frontend can deny what he sent;
 * neither can do both. Where both name the same count of bytes of a channel, their SHA-256 must be
 * the same, and nobody records more than the frontend's final count. A session where that does not
 * hold is disputed. Used by auditd; does no I/O. Both sides are hostile: memory is bounded, and
 * whatever does not fit makes a session unattested at worst. Format: docs/FORMAT.md,
 * "Attestations". */
#ifndef SALLYPORT_AUDIT_ATTEST_H
#define SALLYPORT_AUDIT_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/attest_start.h"
#include "audit/record.h"
#include "base/json_out.h"
#include "base/sha256.h"

/* The frontend's newest frames whose ends are in a final attestation; as many ends of input records
 * are remembered. A backend that ends early has read all but what its socket holds: 16 frames of
 * bulk (the relay's window), some more of keystrokes. */
#define ATTEST_POINTS 64u
/* Channels of one session that are compared at the same time: three times what the relay has open,
 * for those that closed on one side. Those that are done make room. */
#define ATTEST_CHANNELS 32u

/* A count of bytes of a channel, and the SHA-256 of so many. */
struct attest_point {
    uint64_t bytes;
    uint8_t sha256[RECORD_HASH_SIZE];
};

/* One attestation, as the frontend said it. */
struct attest_claim {
    bool is_end; /* of the frontend itself: there was no channel from `channels` on */
    uint64_t channels;
    uint32_t channel;
    bool is_start; /* this was started on the channel, nothing else is said */
    struct attest_start start;
    bool answered; /* final: the backend answered the start */
    bool final;    /* nothing more comes on this channel; at is the last count */
    struct attest_point at;
    unsigned point_count; /* ends of frames before the last, ascending */
    struct attest_point points[ATTEST_POINTS];
};

/* channel: of the record's header. ERR_PROTOCOL when the payload is not of the format. */
MUST_CHECK int attest_decode(const void *payload, size_t len, uint32_t channel,
                             struct attest_claim *out, struct err *e);
/* The total of an input-digest record: a count, and the SHA-256 of so many bytes. ERR_PROTOCOL when
 * the payload is not of the format. */
MUST_CHECK int attest_decode_digest(const void *payload, size_t len, struct attest_point *total,
                                    struct err *e);

struct attest;

/* One session's. NULL when memory is out. */
struct attest *attest_new(void);
void attest_free(struct attest *a);

/* The backend recorded these bytes of input. beside (NULL: nothing) is hashed along with them as
 * far as that costs nothing; what is left of it is the caller's. */
void attest_recorded(struct attest *a, uint32_t channel, const void *p, size_t len,
                     struct sha256_beside *beside);
/* The backend says of input that it does not keep: so many bytes of the channel, from its first
 * one, have this digest. Compared at this count alone. A channel's input is kept from its first
 * byte or not at all: one that has both is disputed, and one whose count does not grow. */
void attest_recorded_digest(struct attest *a, uint32_t channel, const struct attest_point *total);
/* The backend recorded this start. ERR_MEMORY. */
MUST_CHECK int attest_recorded_start(struct attest *a, uint32_t channel,
                                     const struct attest_start *start, struct err *e);
/* The backend wrote the session's end: it records nothing more. */
void attest_recorded_end(struct attest *a);
/* ERR_PROTOCOL when the claim contradicts an earlier one: fewer bytes, a second start, or something
 * after the last word. ERR_MEMORY. */
MUST_CHECK int attest_claimed(struct attest *a, const struct attest_claim *claim, struct err *e);

/* Both processes are gone: what is missing now does not come. */
void attest_conclude(struct attest *a);

/* What became disputed since it was asked last; each once. */
enum attest_dispute { ATTEST_NO_DISPUTE = 0, ATTEST_DISPUTE_INPUT = 1, ATTEST_DISPUTE_START = 2 };
unsigned attest_became_disputed(struct attest *a);
const char *attest_dispute_token(enum attest_dispute one);

enum attest_verdict { ATTEST_AGREED, ATTEST_DISPUTED, ATTEST_UNATTESTED };
const char *attest_verdict_name(enum attest_verdict verdict);
/* a NULL: there was no input and no attestation. */
enum attest_verdict attest_verdict(const struct attest *a);
/* Adds the members of a verdict record to the object that is begun. reason: why something may be
 * unattested; NULL: by what the claims say. */
void attest_write(const struct attest *a, const char *reason, struct json_out *j);

#endif
