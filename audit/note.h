/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed notes with Ed25519 keys (C2SP signed-note): the form of checkpoints and of the anchor's
 * certificate. A note is text of complete lines, an empty line, and signature lines
 * "— NAME BASE64(key id[4] || signature[64])". A verifier key ("vkey") is
 * "NAME+HEX(key id)+BASE64(0x01 || public key)", key id = SHA-256(NAME "\n" 0x01 public key)[0..4).
 * Used by auditd, `init` and the verifier; reads hostile notes; does no I/O. */
#ifndef SALLYPORT_AUDIT_NOTE_H
#define SALLYPORT_AUDIT_NOTE_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define NOTE_NAME_MAX 255
#define NOTE_KEY_SIZE 32 /* Ed25519 public key */
/* name, "+", 8 digits, "+", 44 base64 characters, NUL */
#define VKEY_MAX (NOTE_NAME_MAX + 1 + 8 + 1 + 44 + 1)
/* A checkpoint with the cosignatures of many witnesses stays far below. */
#define NOTE_MAX 65536

struct vkey {
    char name[NOTE_NAME_MAX + 1];
    uint8_t id[4];
    uint8_t key[NOTE_KEY_SIZE];
};

/* 1 to NOTE_NAME_MAX printable ASCII characters without blank and plus. */
MUST_CHECK int note_check_name(const char *name, struct err *e);

/* What a key signs, in the words of signed-note: the first byte of its blob and of its id's hash.
 */
enum signature_type {
    SIGNATURE_NOTE = 1,        /* notes */
    SIGNATURE_COSIGNATURE = 4, /* checkpoints with a time, by witnesses (audit/cosignature.h) */
};
MUST_CHECK int typed_key_make(struct vkey *v, enum signature_type type, const char *name,
                              const uint8_t key[NOTE_KEY_SIZE], struct err *e);
MUST_CHECK int typed_key_from_private(struct vkey *v, enum signature_type type, const char *name,
                                      EVP_PKEY *key, struct err *e);
void typed_key_text(const struct vkey *v, enum signature_type type, char out[VKEY_MAX]);
/* A final newline is allowed. ERR_SYNTAX, also for a key of another type. */
MUST_CHECK int typed_key_parse(struct vkey *v, enum signature_type type, const char *text,
                               struct err *e);

/* The same for SIGNATURE_NOTE. */
MUST_CHECK int vkey_make(struct vkey *v, const char *name, const uint8_t key[NOTE_KEY_SIZE],
                         struct err *e);
MUST_CHECK int vkey_from_private(struct vkey *v, const char *name, EVP_PKEY *key, struct err *e);
void vkey_text(const struct vkey *v, char out[VKEY_MAX]);
MUST_CHECK int vkey_parse(struct vkey *v, const char *text, struct err *e);

/* Appends text (which ends in a newline) and one signature to out. */
MUST_CHECK int note_sign(struct buf *out, const char *text, const char *name, EVP_PKEY *key,
                         struct err *e);
/* 0 and *text_len: the signed text is note[0 .. *text_len). ERR_SYNTAX: not a note; ERR_TAMPERED:
 * no signature of this key, or a wrong one. */
MUST_CHECK int note_verify(const char *note, size_t len, const struct vkey *v, size_t *text_len,
                           struct err *e);

/* Standard base64 with padding. out has room for 4 * ((len + 2) / 3) + 1. */
void base64_encode(char *out, const uint8_t *p, size_t len);
/* Exactly len bytes in canonical form from text_len characters; 0 or ERR_SYNTAX. */
MUST_CHECK int base64_decode(const char *text, size_t text_len, uint8_t *out, size_t len);

#endif
