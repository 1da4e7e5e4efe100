/* SPDX-License-Identifier: Apache-2.0
 *
 * What a writer or verifier of the trail must remember of each session: its next sequence number
 * and its last leaf. Session ids are random and made by authd. Used by auditd and the verifier;
 * does no I/O. */
#ifndef SALLYPORT_AUDIT_SESSIONS_H
#define SALLYPORT_AUDIT_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"

struct attest;

struct session_state {
    uint8_t id[RECORD_SESSION_ID];
    uint64_t next_sequence;
    uint8_t leaf[RECORD_HASH_SIZE]; /* of its last record; zero before the first */
    bool started, ended;            /* its start, its end record was seen */
    bool judged;                    /* its verdict, which is its last record */
    bool disputed;                  /* the verifier's: a verdict said so */
    uint64_t start_ns;              /* real time of its start record */
    uint64_t bytes_in, bytes_out;   /* payload bytes of its input, and output and stderr, records */
    unsigned holders;               /* producers of auditd that write it now */
    unsigned unlinked;              /* its records that the chain placed and did not link yet */
    struct attest *attest;          /* auditd's, while there are holders */
    uint64_t backend_bytes;         /* auditd: of records, with their headers, by its backend */
    uint64_t frontend_bytes;        /* and by its frontend */
    struct session_keys *keys;      /* auditd: its data keys, once it needed some */
    bool keys_over;                 /* it had some, and nobody held it since */
    struct session_state *chain;    /* same bucket */
    struct session_state *older, *newer;
};

struct sessions;
struct session_keys;

/* NULL when memory is out. */
struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);
/* NULL when it is not known. */
struct session_state *sessions_find(struct sessions *s, const uint8_t id[RECORD_SESSION_ID]);
/* Finds or makes; NULL when memory is out. */
struct session_state *sessions_get(struct sessions *s, const uint8_t id[RECORD_SESSION_ID]);
size_t sessions_count(const struct sessions *s);
/* In the order of their making: first(s), then ->newer, until NULL. */
struct session_state *sessions_first(struct sessions *s);

/* One holder less. With the last one the data keys go: they are never used again. */
void session_release(struct session_state *state);
/* Whether nothing more is expected of it: nobody writes it, and it ended or never started. The
 * gateway's own session (zero) is never over. */
bool session_is_over(const struct session_state *state);
/* Forgets the oldest sessions that are over, so that no more than keep of those stay. */
void sessions_forget(struct sessions *s, size_t keep);

#endif
