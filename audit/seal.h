/* SPDX-License-Identifier: Apache-2.0
 *
 * The seal that ends an epoch: a signed note by the epoch's key over everything up to it, which
 * names the next epoch's key. The key is destroyed when the seal is durable, so that nobody who
 * comes later can sign for that epoch again. Used by auditd, `init`, `new-log` and the verifier;
 * reads hostile notes; does no I/O. Format: docs/FORMAT.md, "Epochs and seals". */
#ifndef SALLYPORT_AUDIT_SEAL_H
#define SALLYPORT_AUDIT_SEAL_H

#include "audit/checkpoint.h"

/* An epoch has so many records at most, its seal among them. */
#define EPOCH_RECORDS_MAX (1u << 20)
/* Title, three numbers, four times, root, two keys with the longest names, and the signature's
 * line. */
#define SEAL_MAX 2048u

struct seal {
    char origin[NOTE_NAME_MAX + 1];
    uint32_t epoch;
    uint64_t first; /* index of the epoch's first record */
    uint64_t size;  /* the seal's own index: the leaves under root */
    uint8_t root[RECORD_HASH_SIZE];
    uint64_t start_real_ns, start_boot_ns; /* where the epoch before ended */
    uint64_t end_real_ns, end_boot_ns;     /* the times in the seal's own header */
    struct vkey next;                      /* the next epoch's key */
    bool closes;                           /* another log follows this one: */
    struct vkey next_log;                  /* its anchor */
};

/* "ORIGIN/epoch/N"; origin is ORIGIN_MAX long at most. */
void epoch_key_name(char out[NOTE_NAME_MAX + 1], const char *origin, uint32_t epoch);

/* Appends the signed note to out. */
MUST_CHECK int seal_sign(struct buf *out, const struct seal *s, EVP_PKEY *epoch_key, struct err *e);
/* Parses a note whose text is exactly that of a seal, with one signature by this key and nothing
 * else. ERR_SYNTAX: another form; ERR_TAMPERED: not signed by the key. */
MUST_CHECK int seal_open(struct seal *s, const void *note, size_t len, const struct vkey *by,
                         struct err *e);

#endif
