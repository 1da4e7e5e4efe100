/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rules of commands, files and forwards have in common: a list that is kept as the bytes
 * in which it crosses from authd to the backend, within a maximum (policy/rules.h, policy/files.h,
 * policy/forwards.h). Pure. */
#ifndef SALLYPORT_POLICY_RULE_BYTES_H
#define SALLYPORT_POLICY_RULE_BYTES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

/* The buffer's maximum is the list's. what: "file rules". ERR_MEMORY; ERR_FULL, which tells the
 * maximum. */
MUST_CHECK int rule_bytes_append(struct buf *to, const void *bytes, size_t len, const char *what,
                                 struct err *e);

/* Takes one rule, which somebody else wrote; false: it is malformed, or none that could be added.
 */
typedef bool (*rule_bytes_take)(void *arg, struct wire_reader *r);
/* The same for a whole list: each rule is taken, and their bytes are kept. ERR_PROTOCOL. */
MUST_CHECK int rule_bytes_decode(struct buf *to, const void *bytes, size_t len,
                                 rule_bytes_take take, void *arg, const char *what, struct err *e);

#endif
