/* SPDX-License-Identifier: Apache-2.0
 *
 * Cosignatures of checkpoints with Ed25519 (C2SP tlog-cosignature, signature type 0x04): a witness
 * says "as of this time, this is the largest consistent tree of this log that I have seen". Its
 * signature line is "— NAME BASE64(key id[4] || timestamp u64 || signature[64])", over
 * "cosignature/v1\ntime N\n" and the checkpoint's text. Used by auditd and the readers (verifying
 * what a remote peer sent) and by sallyport-witness (signing); does no I/O. */
#ifndef SALLYPORT_AUDIT_COSIGNATURE_H
#define SALLYPORT_AUDIT_COSIGNATURE_H

#include <openssl/evp.h>

#include "audit/note.h"

/* A witness's verifier key: "NAME+HEX(key id)+BASE64(0x04 || public key)". */
MUST_CHECK int witness_key_make(struct vkey *v, const char *name, const uint8_t key[NOTE_KEY_SIZE],
                                struct err *e);
MUST_CHECK int witness_key_from_private(struct vkey *v, const char *name, EVP_PKEY *key,
                                        struct err *e);
void witness_key_text(const struct vkey *v, char out[VKEY_MAX]);
/* A final newline is allowed. ERR_SYNTAX, also for a key of another signature type. */
MUST_CHECK int witness_key_parse(struct vkey *v, const char *text, struct err *e);

/* Appends the signature line over the checkpoint text[0 .. len) (which ends in a newline). */
MUST_CHECK int cosignature_sign(struct buf *out, const char *text, size_t len, const char *name,
                                EVP_PKEY *key, uint64_t time_s, struct err *e);
/* Looks for the witness's line among the signature lines (complete lines, no note text before
 * them); *line and *line_len are it with its newline. ERR_TAMPERED: there is none of this key, or
 * it is wrong; ERR_SYNTAX: something is no signature line. Lines of other keys are ignored. */
MUST_CHECK int cosignature_verify(const char *text, size_t len, const char *lines, size_t lines_len,
                                  const struct vkey *witness, uint64_t *time_s, const char **line,
                                  size_t *line_len, struct err *e);
/* The same in a whole note; a signature of the log itself is not looked at. */
MUST_CHECK int cosigned_note_verify(const char *note, size_t len, const struct vkey *witness,
                                    uint64_t *time_s, struct err *e);

#endif
