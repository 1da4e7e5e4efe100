/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's two data keys: content and keystrokes. Made when its first sealed record comes, told
 * in a key record wrapped for the reviewers, kept in auditd's memory for as long as somebody writes
 * the session, and gone then. Used by auditd. Format: docs/FORMAT.md, "Sealed payloads". */
#ifndef SALLYPORT_AUDIT_SESSION_KEYS_H
#define SALLYPORT_AUDIT_SESSION_KEYS_H

#include "audit/reviewers.h"
#include "audit/trail.h"

struct session_keys;

/* Makes the keys, and appends the session's key record. NULL and e: ERR_INPUT (no reviewer for one
 * of them), ERR_MEMORY, ERR_CRYPTO, ERR_TRAIL. */
struct session_keys *session_keys_new(struct trail *t, const struct reviewers *reviewers,
                                      const uint8_t session[RECORD_SESSION_ID], struct err *e);
/* Wipes them. NULL-safe. */
void session_keys_free(struct session_keys *k);
/* The key for a type of record that is sealed. */
struct data_key *session_keys_get(const struct session_keys *k, enum record_sealing sealing);

#endif
