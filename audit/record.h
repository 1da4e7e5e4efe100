/* SPDX-License-Identifier: Apache-2.0
 *
 * The record types of the trail (audit/record.def) and the layout of a record header
 * (docs/FORMAT.md). Used by every process that writes records and by all readers. Does no I/O. */
#ifndef SALLYPORT_AUDIT_RECORD_H
#define SALLYPORT_AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum record_type {
#define RECORD(number, name, token, producers, payload, sealing, meaning) RECORD_##name = (number),
#include "audit/record.def"
#undef RECORD
};

/* Under which of its session's data keys a type is sealed: the number of that key. */
enum record_sealing { SEALING_CLEAR = 0, SEALING_CONTENT = 1, SEALING_KEYSTROKES = 2 };

#define RECORD_HEADER_SIZE 176u
#define RECORD_HASH_SIZE   32u
#define RECORD_SESSION_ID  16u
/* Where the hashes stand in a header. */
#define RECORD_AT_PREVIOUS         80u
#define RECORD_AT_PAYLOAD_HASH     112u
#define RECORD_AT_SESSION_PREVIOUS 144u
/* A reader's buffer holds one record. 64 KiB of a producer's bytes, or a segment record that lists
 * some 2,000 sessions of 300 bytes each. */
#define RECORD_PAYLOAD_MAX (1024u * 1024u)
/* Bit 0: the payload is sealed. No other bit has a meaning yet. */
#define RECORD_FLAG_SEALED 1u

/* What sealing adds to a payload: the tag. */
#define RECORD_TAG_SIZE 16u

/* One header, field by field; the magic, the header's length and the eight zero bytes are implied.
 */
struct record {
    uint8_t type;
    uint8_t flags;
    uint64_t index;
    uint64_t real_ns;
    uint64_t boot_ns;
    uint8_t session[RECORD_SESSION_ID];
    uint64_t sequence;
    uint32_t channel;
    uint32_t payload_len;
    uint32_t epoch;
    uint32_t data_key;
    uint8_t previous[RECORD_HASH_SIZE];
    uint8_t payload_hash[RECORD_HASH_SIZE];
    uint8_t session_previous[RECORD_HASH_SIZE];
};

void record_encode(uint8_t out[RECORD_HEADER_SIZE], const struct record *r);
/* 0, or ERR_TAMPERED: wrong magic or header length, reserved bytes not zero, payload over the
 * maximum, an unknown flag. Unknown types pass. */
MUST_CHECK int record_decode(const uint8_t in[RECORD_HEADER_SIZE], struct record *r, struct err *e);

/* "session-start" ...; NULL for a number that is not in the table. */
const char *record_token(uint8_t type);
/* The bits of enum trail_producer that may send this type; 0 for an unknown one. */
unsigned record_producers(uint8_t type);
/* SEALING_CLEAR for an unknown type. */
enum record_sealing record_sealing(uint8_t type);
/* The length of the payload as it was before it was sealed. */
uint32_t record_plain_len(const struct record *r);
/* Whether the payload, once open, is a JSON object (else bytes as they crossed). */
bool record_is_json(uint8_t type);

#endif
