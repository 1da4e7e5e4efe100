/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundle of evidence of one session: a directory with its records, the proofs that they are in
 * a signed log, the keys' public halves, and how to check that. Written by `sallyport audit export`
 * from a trail's directory, checked by `sallyport audit verify --bundle`, which trusts nothing in
 * it but, where no key is given, its keys. Format: docs/FORMAT.md, "Evidence bundle". */
#ifndef SALLYPORT_AUDIT_BUNDLE_H
#define SALLYPORT_AUDIT_BUNDLE_H

#include "audit/checkpoint.h"
#include "audit/export.h"
#include "audit/record_source.h"

struct unseal;

#define BUNDLE_RECORDS "records.spa"
#define BUNDLE_GATEWAY "gateway.spa"
#define BUNDLE_PROOFS  "proofs"
#define BUNDLE_SUMMARY "session.txt"
#define BUNDLE_README  "README.md"
#define BUNDLE_SUMS    "SHA256SUMS"
/* "proofs/", 16 digits, ".tlog-proof", NUL */
#define BUNDLE_PROOF_NAME 64

struct bundle_options {
    int trail;                       /* the trail's directory: records and tiles */
    const struct vkey *log, *anchor; /* anchor NULL: not known */
    const char *session, *output;    /* output: a directory, or FILE.tar */
    bool force, with_recording, keystrokes;
    struct unseal *unseal;
    void (*progress)(void *arg, uint64_t records, uint64_t bytes);
    void *arg;
};

/* ERR_NOT_FOUND: no such session; ERR_INPUT: it cannot be bundled (destroyed payloads, no
 * checkpoint covers it yet), or the output is there. */
MUST_CHECK int bundle_write(const struct bundle_options *o, struct err *e);

struct bundle_result {
    struct vkey log;
    bool has_anchor;
    uint64_t size;                  /* of the checkpoint */
    uint64_t records, last, others; /* of the session; index of its last; of the gateway */
    unsigned witnesses;             /* signatures under the checkpoint that are not the log's */
    uint8_t session[RECORD_SESSION_ID];
    bool ended;                   /* it has its end record */
    bool judged;                  /* and the verdict behind it, the last record of each */
    bool disputed;                /* by any verdict in it */
    char file[BUNDLE_PROOF_NAME]; /* what is wrong: where */
    uint64_t offset, record;
};

/* log, anchor NULL: those in the bundle. 0; ERR_TAMPERED with file, offset and record; another
 * code: it could not be checked. */
MUST_CHECK int bundle_verify(int dir, const struct vkey *log, const struct vkey *anchor,
                             struct bundle_result *result, struct err *e);

/* The facts of session.txt, from the records in their order: writing and checking make the same
 * text. */
struct bundle_summary {
    uint8_t session[RECORD_SESSION_ID];
    uint64_t records, first, last, start_ns, last_ns, sealed, bytes_in, bytes_out;
    struct json_t *start, *finish, *verdict;
    unsigned refused, narrowed;
    uint64_t files; /* records of file operations */
};
void bundle_summary_note(struct bundle_summary *s, const struct record *r, const uint8_t *payload);
/* Appends the text to out. */
MUST_CHECK int bundle_summary_text(const struct bundle_summary *s, const char *origin,
                                   struct buf *out, struct err *e);
void bundle_summary_clear(struct bundle_summary *s);

/* README.md */
extern const char bundle_readme[];
void bundle_proof_name(char out[BUNDLE_PROOF_NAME], uint64_t index);
/* The public key as PEM. */
MUST_CHECK int bundle_pem(struct buf *out, const struct vkey *v, struct err *e);
/* A uncompressed tar (POSIX ustar) of a directory that bundle_write made. */
MUST_CHECK int bundle_tar(int dir, const char *name, int out, struct err *e);
/* Removes a directory and all in it. */
void bundle_remove(const char *path);

#endif
