/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the FILE records of an SFTP channel are what its input says. Input records hold each
 * request in the recorded form (gateway/sftp_elide.h), word for word, and are attested; FILE
 * records are the backend's word, made from them. Here they are made again: each request that has
 * a path, FSETSTAT and copy-data have exactly one request or refused record, in order, with the
 * same operation, the same paths as they were asked for, the same flags, attributes and numbers;
 * other requests have none but where they were refused. Used by the reading tools; what it reads is
 * hostile, and memory is bounded. Pure. Source: docs/FORMAT.md, "Files". */
#ifndef SALLYPORT_AUDIT_FILE_CHECK_H
#define SALLYPORT_AUDIT_FILE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FILE_CHECK_TEXT 400 /* a disagreement, with its NUL */

struct file_check;

/* One channel's, from where its subsystem sftp was started. NULL when memory is out. */
struct file_check *file_check_new(void);
void file_check_free(struct file_check *c);

/* The channel's records in the order of the log: the payload of an input record, and that of a file
 * record (type 12; events other than `request` and `refused` are passed over). 1: they agree, so
 * far; 0: they do not, and text says how (again, if it was said before); ERR_MEMORY. */
MUST_CHECK int file_check_input(struct file_check *c, const void *p, size_t len,
                                char text[FILE_CHECK_TEXT]);
MUST_CHECK int file_check_record(struct file_check *c, const void *payload, size_t len,
                                 char text[FILE_CHECK_TEXT]);
/* The channel or the session is over: so many requests that should have a record have none. They
 * are the last ones, so a session that ended before they were judged explains it (each is recorded
 * as input before). */
size_t file_check_unjudged(const struct file_check *c);
/* Request and refused records that agreed. */
uint64_t file_check_agreed(const struct file_check *c);

#endif
