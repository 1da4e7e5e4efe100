/* SPDX-License-Identifier: Apache-2.0
 *
 * The record types of the trail (audit/record.def) and the layout of a record header
 * (docs/FORMAT.md). Used by every process that writes records and by all readers. */
#ifndef SALLYPORT_AUDIT_RECORD_H
#define SALLYPORT_AUDIT_RECORD_H

#include <stdint.h>

enum record_type {
#define RECORD(number, name, token, producers, payload, meaning) RECORD_##name = (number),
#include "audit/record.def"
#undef RECORD
};

/* "session-start" ...; NULL for a number that is not in the table. */
const char *record_token(uint8_t type);

#endif
