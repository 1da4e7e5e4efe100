/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 as the trail uses it: payloads, leaves, nodes. One fetched algorithm and one context that
 * is used again for every hash (three times as fast as one-shot calls). Not shared by threads.
 * Used by auditd and the readers; does no I/O. Source: RFC 6962 2.1. */
#ifndef SALLYPORT_AUDIT_DIGEST_H
#define SALLYPORT_AUDIT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"

struct digest;

/* NULL when memory is out or the provider has no SHA-256. */
struct digest *digest_new(void);
void digest_free(struct digest *d);

/* These cannot fail short of a broken library, which aborts. */
void digest_bytes(struct digest *d, const void *p, size_t len, uint8_t out[RECORD_HASH_SIZE]);
/* SHA-256(0x00 || header) */
void digest_leaf(struct digest *d, const uint8_t header[RECORD_HEADER_SIZE],
                 uint8_t out[RECORD_HASH_SIZE]);
/* SHA-256(0x01 || left || right); out may be left or right. */
void digest_node(struct digest *d, const uint8_t left[RECORD_HASH_SIZE],
                 const uint8_t right[RECORD_HASH_SIZE], uint8_t out[RECORD_HASH_SIZE]);

/* SHA-256(prefix || p) */
void digest_prefixed(struct digest *d, uint8_t prefix, const void *p, size_t len,
                     uint8_t out[RECORD_HASH_SIZE]);

/* 64 lower-case hexadecimal digits and a NUL. */
#define DIGEST_HEX (2 * RECORD_HASH_SIZE + 1)
void digest_hex(const uint8_t hash[RECORD_HASH_SIZE], char out[DIGEST_HEX]);
/* len bytes as 2 * len digits and a NUL. */
void hex_encode(char *out, const uint8_t *p, size_t len);
/* Exactly 2 * len lower-case digits; 0 or ERR_SYNTAX. */
MUST_CHECK int hex_decode(const char *text, uint8_t *out, size_t len);

#endif
