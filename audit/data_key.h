/* SPDX-License-Identifier: Apache-2.0
 *
 * A data key of a session: seals the payload of one record at a time with AES-256-GCM, and says a
 * commitment, without which one ciphertext could be given two keys and two meanings. Used by auditd
 * (sealing) and by the reading tools (opening). Does no I/O. Format: docs/FORMAT.md, "Sealed
 * payloads". */
#ifndef SALLYPORT_AUDIT_DATA_KEY_H
#define SALLYPORT_AUDIT_DATA_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"

#define DATA_KEY_SIZE 32u
/* What sealing adds to a payload. */
#define DATA_KEY_TAG RECORD_TAG_SIZE

struct data_key;

/* The key `number` (enum record_sealing) of this session from its secret, which is what reviewers
 * find in the age file. NULL and e: ERR_CRYPTO, ERR_MEMORY. */
struct data_key *data_key_new(const uint8_t secret[DATA_KEY_SIZE],
                              const uint8_t session[RECORD_SESSION_ID], uint32_t number,
                              struct err *e);
/* Wipes it. NULL-safe. */
void data_key_free(struct data_key *k);
const uint8_t *data_key_commitment(const struct data_key *k);

/* len bytes become len + DATA_KEY_TAG bytes at out. header: of the record, whose bytes 0 to 79 are
 * final and become authenticated; sequence: the one in it, which no other payload under this key
 * ever has. ERR_CRYPTO. */
MUST_CHECK int data_key_seal(struct data_key *k, uint64_t sequence,
                             const uint8_t header[RECORD_HEADER_SIZE], const void *plain,
                             size_t len, uint8_t *out, struct err *e);
/* The reverse: len bytes become len - DATA_KEY_TAG. ERR_TAMPERED when the payload, the header or
 * the key is not the one it was sealed with; out has no meaning then. */
MUST_CHECK int data_key_open(struct data_key *k, uint64_t sequence,
                             const uint8_t header[RECORD_HEADER_SIZE], const void *sealed,
                             size_t len, uint8_t *out, struct err *e);

#endif
