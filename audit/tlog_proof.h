/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a proof that a record is in the log, checkable offline: C2SP tlog-proof. Its extra
 * data is here the record's header, whose hash is the leaf: so the text alone, with the log's key,
 * says which record it is about. Used by the reading tools; what is parsed is hostile; no I/O.
 * Source: c2sp.org/tlog-proof. */
#ifndef SALLYPORT_AUDIT_TLOG_PROOF_H
#define SALLYPORT_AUDIT_TLOG_PROOF_H

#include "audit/checkpoint.h"
#include "audit/proof.h"

/* Title, header in base64, PROOF_MAX lines of 45 bytes, and a note. */
#define TLOG_PROOF_MAX (NOTE_MAX + 8192)

struct tlog_proof {
    bool has_header;
    uint8_t header[RECORD_HEADER_SIZE]; /* the extra data */
    uint64_t index;
    struct proof proof;
    const char *note; /* the checkpoint, verbatim, with all its signatures; owned by others */
    size_t note_len;
};

/* Appends the text to out. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int tlog_proof_write(struct buf *out, const struct tlog_proof *p, struct err *e);
/* p->note points into text. Extra data that is no record header is passed over. ERR_SYNTAX. */
MUST_CHECK int tlog_proof_parse(struct tlog_proof *p, const char *text, size_t len, struct err *e);
/* That the record with this header is in the log of this key; *c is the checkpoint that says so.
 * ERR_TAMPERED, ERR_SYNTAX. */
MUST_CHECK int tlog_proof_check(const struct tlog_proof *p,
                                const uint8_t header[RECORD_HEADER_SIZE], const struct vkey *log,
                                struct checkpoint *c, struct err *e);

#endif
