/* SPDX-License-Identifier: Apache-2.0
 *
 * What a witness decides (C2SP tlog-witness): whether a checkpoint is a consistent continuation of
 * the newest one that it cosigned for that log. State is one file per log, written anew, made
 * durable and renamed before the cosignature leaves. Runs in sallyport-witness, which takes
 * requests from anybody; trusts its own directory and the list of logs. */
#ifndef SALLYPORT_AUDIT_WITNESS_H
#define SALLYPORT_AUDIT_WITNESS_H

#include <openssl/evp.h>

#include "audit/checkpoint.h"
#include "audit/proof.h"
#include "base/buf.h"

#define WITNESS_PROOF_MAX 63u
#define WITNESS_LOGS_MAX  1024u

struct witness {
    int dir; /* the state's directory */
    char name[NOTE_NAME_MAX + 1];
    EVP_PKEY *key;
    struct vkey logs[WITNESS_LOGS_MAX];
    size_t log_count;
    struct digest *digest;
};

/* The body of an add-checkpoint request. note points into the body. */
struct witness_request {
    uint64_t old_size;
    struct proof proof;
    const char *note;
    size_t note_len;
};

/* ERR_SYNTAX. */
MUST_CHECK int witness_request_parse(struct witness_request *r, const char *body, size_t len,
                                     struct err *e);

/* Answers add-checkpoint: returns the HTTP status and fills body (a cosignature line for 200, the
 * size for 409, else a sentence). now_s is the time that is cosigned. 500: the state cannot be
 * read or written; nothing was cosigned. */
unsigned witness_add_checkpoint(struct witness *w, const char *request, size_t len, uint64_t now_s,
                                struct buf *body);
/* Answers GET /ORIGIN_HASH/checkpoint: 200 with the newest cosigned checkpoint, or 404. */
unsigned witness_checkpoint(struct witness *w, const char *origin_hash, struct buf *body);

/* audit/witness_program.c */
int witness_run(int argc, char **argv);

#endif
