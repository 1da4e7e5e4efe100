/* SPDX-License-Identifier: Apache-2.0
 *
 * Compares the FILE records of all SFTP channels that a reader passes with the requests that
 * recorded input holds (audit/file_check.h). Where input stayed sealed or is destroyed there is
 * nothing to compare with, and that is counted. Used by the reading tools; the records are hostile.
 * Memory: that of FILE_CHECKS_MAX channels at once; a further one is not compared. */
#ifndef SALLYPORT_AUDIT_FILE_CHECKS_H
#define SALLYPORT_AUDIT_FILE_CHECKS_H

#include "audit/export.h"
#include "audit/file_check.h"

/* A gateway's sessions have some ten channels each; these are those of one reading. */
#define FILE_CHECKS_MAX 1024u

struct file_checks; /* opaque */

struct file_checks_result {
    uint64_t agreed;     /* operations */
    uint64_t unjudged;   /* requests at a session's end that have no record */
    uint64_t differing;  /* channels; then those below are of the first */
    uint64_t not_opened; /* channels whose input, or operations, could not be read */
    uint64_t too_many;   /* channels beyond the maximum */
    uint64_t record;
    uint32_t channel;
    uint8_t session[RECORD_SESSION_ID];
    char text[FILE_CHECK_TEXT];
};

struct file_checks *file_checks_new(void); /* NULL when memory is out */
void file_checks_free(struct file_checks *c);
/* The next record, of any type and session. ERR_MEMORY. */
MUST_CHECK int file_checks_put(struct file_checks *c, const struct export_record *v, struct err *e);
/* There are no more records. Valid until c is freed. */
const struct file_checks_result *file_checks_end(struct file_checks *c);

#endif
