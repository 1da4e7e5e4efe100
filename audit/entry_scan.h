/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds a session's last record in a log's entry bundles: headers alone, the newest first, so that
 * a session of today is found at once in a trail of any length. Used by the reading tools; trusts
 * nothing and proves nothing: what it finds is proved afterwards. */
#ifndef SALLYPORT_AUDIT_ENTRY_SCAN_H
#define SALLYPORT_AUDIT_ENTRY_SCAN_H

#include "audit/tile_read.h"

/* So many digits of an id are taken for the only ones; with fewer, all of the log is looked
 * through. */
#define ENTRY_NAME_WHOLE 12

/* name: the beginning of a session's id (4 to 32 digits 0-9 a-f), or "last", the one that started
 * last. *header is its last record within the reader's size. ERR_USAGE: not a name; ERR_NOT_FOUND;
 * ERR_INPUT: several sessions have that name; errors of tile_read.h. */
MUST_CHECK int entry_last_of(struct tile_reader *t, const char *name,
                             uint8_t header[RECORD_HEADER_SIZE], struct err *e);

#endif
