/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of digest_many: eight messages side by side, in the lanes of AVX2. */
#ifndef SALLYPORT_AUDIT_DIGEST_WIDE_H
#define SALLYPORT_AUDIT_DIGEST_WIDE_H

#include <stdbool.h>

#include "audit/digest_many.h"

/* The CPU has AVX2, and no SHA instructions, with which one message at a time is faster. */
bool digest_wide_pays(void);
/* 64-byte blocks that it is padded to. */
static inline size_t digest_job_blocks(const struct digest_job *j)
{
    return (j->len + (j->prefix == DIGEST_PLAIN ? 0 : 1) + 8) / 64 + 1;
}
/* Those of at most `longest` blocks; the others are the caller's. Only where it pays. */
void digest_wide(const struct digest_job *jobs, size_t count, size_t longest);

#endif
