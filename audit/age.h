/* SPDX-License-Identifier: Apache-2.0
 *
 * age v1 files (age-encryption.org/v1, C2SP age.md) for X25519 recipients, and the keys' texts
 * ("age1...", "AGE-SECRET-KEY-1..."). Writes and reads what age(1) reads and writes, as long as the
 * content is one chunk of 64 KiB: here it is a key. Used by auditd (to wrap data keys), `sallyport
 * init` and the reading tools; every file and text is hostile. Does no I/O. */
#ifndef SALLYPORT_AUDIT_AGE_H
#define SALLYPORT_AUDIT_AGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define AGE_KEY_SIZE 32u
/* "age1", 52 characters of key, 6 of checksum, and the NUL */
#define AGE_RECIPIENT_TEXT 63u
/* "AGE-SECRET-KEY-1" and the same */
#define AGE_IDENTITY_TEXT 75u
/* One chunk. */
#define AGE_PLAIN_MAX 65536u
/* Header bytes that are looked at: some hundred stanzas of any kind. */
#define AGE_HEADER_MAX     65536u
#define AGE_RECIPIENTS_MAX 64u

/* A recipient of X25519 from its text. ERR_INPUT: e says what is wrong with it. */
MUST_CHECK int age_recipient_parse(const char *text, uint8_t key[AGE_KEY_SIZE], struct err *e);
/* ERR_INPUT for a point of small order, with which everybody would share the same secret. */
MUST_CHECK int age_recipient_check(const uint8_t key[AGE_KEY_SIZE], struct err *e);
void age_recipient_text(const uint8_t key[AGE_KEY_SIZE], char out[AGE_RECIPIENT_TEXT]);
/* The same for an identity, which is a secret: the caller wipes. */
MUST_CHECK int age_identity_parse(const char *text, uint8_t key[AGE_KEY_SIZE], struct err *e);
void age_identity_text(const uint8_t key[AGE_KEY_SIZE], char out[AGE_IDENTITY_TEXT]);
/* A new identity, and the recipient that belongs to an identity. ERR_CRYPTO. */
MUST_CHECK int age_identity_new(uint8_t identity[AGE_KEY_SIZE], struct err *e);
MUST_CHECK int age_identity_recipient(const uint8_t identity[AGE_KEY_SIZE],
                                      uint8_t recipient[AGE_KEY_SIZE], struct err *e);

/* Appends an age file of len bytes to out, which each of these recipients can open. ERR_FULL,
 * ERR_MEMORY, ERR_CRYPTO. */
MUST_CHECK int age_encrypt(struct buf *out, const uint8_t (*recipients)[AGE_KEY_SIZE], size_t count,
                           const void *plain, size_t len, struct err *e);
/* Appends the content of a file. ERR_NOT_FOUND: it is not for this identity. ERR_TAMPERED: not an
 * age file, or altered. ERR_FULL: larger than out, or than one chunk. */
MUST_CHECK int age_decrypt(struct buf *out, const uint8_t identity[AGE_KEY_SIZE], const void *file,
                           size_t len, struct err *e);

#endif
