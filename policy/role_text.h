/* SPDX-License-Identifier: Apache-2.0
 *
 * A role's conditions and limits as short texts, for the policy tools. Pure. */
#ifndef SALLYPORT_POLICY_ROLE_TEXT_H
#define SALLYPORT_POLICY_ROLE_TEXT_H

#include "policy/set.h"

/* "from 10.20.0.0/16; Mon-Fri 08:00-20:00 Asia/Seoul; key and code; remembered 8h". The caller
 * frees it. */
char *role_conditions_text(const struct role *role);
/* "10.20.0.0/16, 192.0.2.7", sorted; "anywhere" for none. As buf_printf. */
MUST_CHECK int prefixes_text(const struct prefix *from, size_t count, struct buf *out);
/* "15m", "8h", "90s"; "none" for 0. */
const char *role_duration_text(uint64_t s, char out[32]);
/* "64KiB", "20GiB", "1000"; "none" for 0. */
const char *role_size_text(uint64_t bytes, char out[32]);

#endif
