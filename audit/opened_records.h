/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of a source, opened with the reviewer's identities where that can be done: what export,
 * index and the list of commands go over. Memory: that of the source and of unseal. The records are
 * hostile; what could not be opened is counted by reason, so that the verbs can say so. */
#ifndef SALLYPORT_AUDIT_OPENED_RECORDS_H
#define SALLYPORT_AUDIT_OPENED_RECORDS_H

#include "audit/export.h"
#include "audit/record_source.h"
#include "audit/segments.h"
#include "audit/unseal.h"

struct opened_records {
    struct record_source *source; /* both the caller's */
    struct unseal *unseal;
    char segment[SEGMENT_NAME_MAX];
    uint64_t records, bytes;
    uint64_t counts[UNSEAL_FAILED + 1]; /* by enum unseal_result */
    uint64_t first_tampered;            /* index; while counts[UNSEAL_TAMPERED] > 0 */
    struct record current;
    struct err failure; /* of the last UNSEAL_FAILED or UNSEAL_TAMPERED */
};

/* 1: *v is the next record, valid until the next call; 0: the end; or an error. */
MUST_CHECK int opened_next(struct opened_records *o, struct export_record *v, struct err *e);
/* One line on stderr for each reason for which payloads stayed closed, and for what is not as it
 * was written. keystrokes: whether those were asked for. 0, or ERR_TAMPERED. */
int opened_report(const struct opened_records *o, bool keystrokes, struct err *e);

#endif
