/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens sealed payloads for a reviewer: takes the key records of the sessions that are read, and
 * the identities that the reviewer has. X25519 identities in plain files are opened natively;
 * everything else (files with a passphrase, plugins, SSH keys) by running age(1), which asks its
 * questions on the terminal. Runs in the reading tools, as the reviewer; every record is hostile.
 * Format: docs/FORMAT.md, "Sealed payloads".
 *
 * Use: unseal_new, unseal_add_identity for each --identity or else unseal_add_default; then for the
 * records in their order: unseal_note, unseal_record. Memory: some 2 KB for each session whose key
 * record was noted and not opened yet, 150 bytes for an opened one, at most UNSEAL_SESSIONS_MAX
 * of them (the one that was used least recently goes). */
#ifndef SALLYPORT_AUDIT_UNSEAL_H
#define SALLYPORT_AUDIT_UNSEAL_H

#include <stdbool.h>

#include "audit/record.h"
#include "base/wire.h"

struct unseal;

/* Sessions at once; a gateway has at most 100,000 connections at once. */
#define UNSEAL_SESSIONS_MAX   131072u
#define UNSEAL_IDENTITIES_MAX 64u

enum unseal_result {
    UNSEAL_CLEAR, /* it is not sealed: the payload is what is stored */
    UNSEAL_OPENED,
    UNSEAL_NO_IDENTITY,   /* sealed, and no identity was given */
    UNSEAL_NO_KEY,        /* the session's key record was not among those noted, or is destroyed */
    UNSEAL_NOT_YOURS,     /* none of the identities is one that the session was sealed for */
    UNSEAL_NO_KEYSTROKES, /* one of them is, but only without the keystrokes */
    UNSEAL_TAMPERED,      /* payload, header or key record is not what was written */
    UNSEAL_FAILED, /* it could not be tried (memory; age(1) is missing or failed): e says why */
};
/* A clause for people, such as "keystrokes are not for this identity". */
const char *unseal_result_text(enum unseal_result result);

/* NULL and e: ERR_MEMORY. */
struct unseal *unseal_new(struct err *e);
/* Wipes all keys. NULL-safe. */
void unseal_free(struct unseal *u);

/* The option of every reading verb, for its table and its help. */
#define UNSEAL_OPTION                                                                              \
    {                                                                                              \
        "identity", required_argument, NULL, 'i'                                                   \
    }
#define UNSEAL_HELP                                                                                \
    "  -i, --identity FILE  open sealed records with the age identities in FILE; may be\n"         \
    "                       repeated (default: $SALLYPORT_IDENTITY, else\n"                        \
    "                       ~/.config/sallyport/reviewer.identity, where that is there)\n"

/* The identities in a file: as age(1) takes them with -i. A file that is encrypted with a
 * passphrase is opened now, by age(1), which asks for it. ERR_SYSTEM, ERR_INPUT, ERR_FULL. */
MUST_CHECK int unseal_add_identity(struct unseal *u, const char *path, struct err *e);
/* $SALLYPORT_IDENTITY, else ~/.config/sallyport/reviewer.identity where that is there: 0 also when
 * there is none. */
MUST_CHECK int unseal_add_default(struct unseal *u, struct err *e);
bool unseal_has_identity(const struct unseal *u);

/* Any record, before those that it opens; takes the keys when it is a key record with a session's
 * keys, and ignores every other. Nothing is decrypted yet. ERR_MEMORY; ERR_TAMPERED: it is a key
 * record, but not well-formed (its session's records will be UNSEAL_TAMPERED). */
MUST_CHECK int unseal_note(struct unseal *u, const struct record *r, const void *payload,
                           struct err *e);
/* The plain payload of a record that was read. header: its RECORD_HEADER_SIZE bytes; stored:
 * r->payload_len bytes. For UNSEAL_CLEAR and UNSEAL_OPENED *plain is the payload: stored itself, or
 * memory that is valid until the next call; else it is empty and e says what is wrong. */
enum unseal_result unseal_record(struct unseal *u, const struct record *r,
                                 const uint8_t header[RECORD_HEADER_SIZE], const void *stored,
                                 struct bytes *plain, struct err *e);

#endif
