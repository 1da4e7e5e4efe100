/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of `sallyport audit prove`, shared by cli_prove.c and cli_prove_check.c alone. */
#ifndef SALLYPORT_AUDIT_CLI_PROVE_H
#define SALLYPORT_AUDIT_CLI_PROVE_H

#include "audit/cli_audit.h"
#include "audit/tlog_proof.h"

enum { PROVED = 0, NOT_PROVED = 1, NOT_CHECKED = 2 };

/* "record 17 (session-end, session 6f0c..., 2026-01-02T03:04:05Z)" */
#define RECORD_TEXT 200
const char *record_text(char out[RECORD_TEXT], const struct record *r);
/* Signatures in a note besides the log's own. */
unsigned note_other_signatures(const char *note, size_t len);

/* --check: what to check, and with what. */
#define PROVE_WITNESSES_MAX 16u
struct prove_check_options {
    const char *proof, *header, *payload;       /* files; NULL: the proof carries it; not given */
    const char *witnesses[PROVE_WITNESSES_MAX]; /* keys as given: each has to have cosigned */
    size_t witness_count;
    bool json;
};

/* Offline, with the log's public key and those of the witnesses. */
int prove_check(struct audit_source *s, const struct prove_check_options *o);

#endif
