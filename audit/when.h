/* SPDX-License-Identifier: Apache-2.0
 *
 * Times as people give them on a command line. Used by the reading tools; does no I/O. */
#ifndef SALLYPORT_AUDIT_WHEN_H
#define SALLYPORT_AUDIT_WHEN_H

#include <stdint.h>

#include "base/err.h"

/* "2026-03-02", "2026-03-02T10:00", "2026-03-02T10:00:30Z" (all UTC; a blank may stand for the T),
 * or so long before now: "90m", "2h", "3d". ERR_SYNTAX. */
MUST_CHECK int when_parse(const char *text, uint64_t now_ns, uint64_t *ns, struct err *e);

#endif
