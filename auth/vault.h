/* SPDX-License-Identifier: Apache-2.0
 *
 * Vault keys: one Ed25519 key per (target, account), made here, sealed in the store, never leaving
 * authd; and their SSH forms (RFC 4253 section 6.6, RFC 8709). Used by authd alone; I/O only
 * through the store. */
#ifndef SALLYPORT_AUTH_VAULT_H
#define SALLYPORT_AUTH_VAULT_H

#include <stddef.h>
#include <stdint.h>

#include "auth/store.h"
#include "base/buf.h"
#include "policy/forwards.h"
#include "base/err.h"

#define VAULT_ALGORITHM       "ssh-ed25519"
#define VAULT_PUBLIC_BYTES    (4 + 11 + 4 + 32) /* string algorithm, string key */
#define VAULT_SIGNATURE_BYTES (4 + 11 + 4 + 64)

/* A new key pair, not yet stored: the caller records it first. private_key: the 32-byte seed. */
MUST_CHECK int vault_generate(struct secret **private_key, uint8_t blob[VAULT_PUBLIC_BYTES],
                              struct err *e);
/* ERR_NOT_FOUND. */
MUST_CHECK int vault_public(struct store *s, const char *target, const char *account,
                            uint8_t blob[VAULT_PUBLIC_BYTES], struct err *e);
/* Signs data with the key of (target, account); out: the SSH signature blob. */
MUST_CHECK int vault_sign(struct store *s, const char *target, const char *account,
                          const void *data, size_t len, uint8_t out[VAULT_SIGNATURE_BYTES],
                          struct err *e);
/* Appends "ssh-ed25519 AAAA…". */
MUST_CHECK int vault_public_text(const uint8_t *blob, size_t len, struct buf *out);
/* What the authorized_keys line has room for, all forward rules of a target included. */
#define VAULT_LINE_MAX (4096 + 4 * FORWARDS_ENCODED_MAX)
/* Appends the authorized_keys line for the target; from empty: without from="..."; forwards NULL:
 * none. */
MUST_CHECK int vault_authorized_line(const uint8_t *blob, size_t len, const char *from,
                                     const char *target, const char *account,
                                     const struct forward_rules *forwards, struct buf *out);
/* "SHA256:base64", as ssh-keygen -l prints it. */
void vault_fingerprint(const void *blob, size_t len, char out[64]);

#endif
