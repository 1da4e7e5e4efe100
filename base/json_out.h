/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes one flat or nested JSON value into a bounded buffer: the payloads of the trail's
 * structured records, and --json output of programs that need no parser. Strings that a peer sent
 * are taken as bytes: invalid UTF-8 becomes \u00XX of each byte and the member gets a sibling
 * "NAME.raw" with the bytes in hex, so that nothing is lost.
 * Used by every process that writes records; does no I/O. */
#ifndef SALLYPORT_BASE_JSON_OUT_H
#define SALLYPORT_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define JSON_OUT_DEPTH 16 /* the deepest payload, SESSION_START, has 4 */

struct json_out {
    struct buf *out;
    unsigned depth;
    bool first[JSON_OUT_DEPTH];   /* per depth: nothing written yet */
    char closing[JSON_OUT_DEPTH]; /* per depth: '}' or ']' */
    bool failed;                  /* sticks; checked by json_end */
};

/* Starts with an open object `{`. */
void json_begin(struct json_out *j, struct buf *out);
/* name NULL inside arrays (there, invalid UTF-8 has no sibling). */
void json_str(struct json_out *j, const char *name, const char *value); /* NULL value: null */
void json_bytes(struct json_out *j, const char *name, const void *p,
                size_t len); /* text a peer sent */
void json_hex(struct json_out *j, const char *name, const void *p, size_t len);
void json_u64(struct json_out *j, const char *name, uint64_t value);
void json_i64(struct json_out *j, const char *name, int64_t value);
void json_bool(struct json_out *j, const char *name, bool value);
void json_open_object(struct json_out *j, const char *name);
void json_open_array(struct json_out *j, const char *name);
void json_close(struct json_out *j); /* the innermost object or array */
/* Closes the outermost object. 0, or ERR_FULL / ERR_MEMORY. */
MUST_CHECK int json_end(struct json_out *j);

#endif
