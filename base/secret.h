/* SPDX-License-Identifier: Apache-2.0
 *
 * The one type that holds a secret: in locked memory that is not dumped and not inherited by
 * children's cores, wiped when freed, compared in constant time, never printed.
 * Used by the processes that hold secrets; does no I/O but secret_read. */
#ifndef SALLYPORT_BASE_SECRET_H
#define SALLYPORT_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct secret; /* opaque */

/* len bytes, zeroed. NULL when memory is out or cannot be locked. A forked child does not inherit
 * the bytes; to look at them there is a broken invariant. */
struct secret *secret_new(size_t len);
/* A copy of bytes; the caller wipes its own. */
struct secret *secret_copy(const void *bytes, size_t len);
/* len bytes from the system's generator. */
struct secret *secret_random(size_t len);
/* Reads a whole file of at most max bytes from a descriptor, from offset 0. */
struct secret *secret_read(int fd, size_t max, struct err *e);
/* Wipes and frees; NULL-safe. */
void secret_free(struct secret *s);

uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_view(const struct secret *s);
size_t secret_len(const struct secret *s);
/* Constant time in the bytes; lengths are not secret. */
bool secret_equal(const struct secret *a, const void *bytes, size_t len);

/* Wipes plain memory so that the compiler cannot leave it out. */
void wipe(void *p, size_t len);
/* free(3), and nothing of it is left. For libraries that can be given one. */
void wipe_free(void *p);

/* For a process: no core, not dumpable, all memory MADV_DONTDUMP by RLIMIT_CORE 0 and
 * PR_SET_DUMPABLE. */
MUST_CHECK int secret_process_protect(struct err *e);

#endif
