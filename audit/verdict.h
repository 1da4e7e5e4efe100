/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading verdict records. Used by the reading tools; trusts nothing it reads. */
#ifndef SALLYPORT_AUDIT_VERDICT_H
#define SALLYPORT_AUDIT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* Whether this payload's verdict is `word`. */
bool verdict_says(const struct json_t *payload, const char *word);
/* A verdict record's stored payload. */
bool verdict_is_disputed(const void *payload, size_t len);

#endif
