/* SPDX-License-Identifier: Apache-2.0
 *
 * Times as people type them, for the reading commands. Pure: the present is an argument. */
#ifndef SALLYPORT_AUDIT_TIME_TEXT_H
#define SALLYPORT_AUDIT_TIME_TEXT_H

#include <stdint.h>

#include "base/err.h"

/* A length of time: "1m20s", "2h", "90", "1.5s", "1:20", "1:02:03". ERR_SYNTAX. */
MUST_CHECK int time_length_parse(const char *text, uint64_t *ns, struct err *e);
/* A moment: "2026-11-22", "2026-11-22 14:05", "2026-11-22T14:05:10Z" (UTC), "14:05" (of this day),
 * "today", "yesterday", or a length of time, so long ago ("2h", "3d"). ERR_SYNTAX. */
MUST_CHECK int time_moment_parse(const char *text, uint64_t now_ns, uint64_t *ns, struct err *e);

#endif
