/* SPDX-License-Identifier: Apache-2.0
 *
 * Logins refused before anybody is known (unknown keys, left before a code): strangers must not
 * fill the trail, so per source (an IPv4 address, an IPv6 /64) the first is told at once and the
 * others summed up, one AUTHENTICATION record a minute. Bounded; pure, the time is passed in. */
#ifndef SALLYPORT_AUTH_REFUSALS_H
#define SALLYPORT_AUTH_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/login.h"
#include "base/buf.h"

#define REFUSALS_WINDOW_MS 60000
#define REFUSALS_SOURCES   1024 /* more at once share one sum, with the address "others" */

struct refusals;

struct refusals *refusals_new(void);
void refusals_free(struct refusals *r);

/* Counts one. True: the payload of a record that is due now was appended. */
bool refusals_note(struct refusals *r, const struct login *l, const char *reason, uint64_t now_ms,
                   struct buf *payload);
/* True: the payload of a minute's sum was appended; call again until false. */
bool refusals_due(struct refusals *r, uint64_t now_ms, struct buf *payload);
/* Is anything counted that refusals_due will tell or forget later? */
bool refusals_waiting(const struct refusals *r);

#endif
