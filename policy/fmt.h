/* SPDX-License-Identifier: Apache-2.0
 *
 * One layout for the YAML files of a policy set. Kept are: what the file says (both texts give the
 * same tree, with the same quoting), every comment in its order, the order of keys, single empty
 * lines. Changed are indentation, blanks, line breaks, and the place of comments in their lines:
 *
 *     - a level is indented by two blanks, a list below a key too
 *     - a list or map in brackets stays on one line when it fits FMT_COLUMNS and has no comment
 *       within; else each item has a line
 *     - a comment that ends a line stands two blanks after it; one with a line of its own has the
 *       indentation of what follows, or of the level that it was written at
 *
 * Refused (ERR_INPUT with file, line, column): a plain or quoted value over several lines, which
 * another layout would change; what base/yaml_tree.h refuses. Pure. */
#ifndef SALLYPORT_POLICY_FMT_H
#define SALLYPORT_POLICY_FMT_H

#include "base/buf.h"
#include "base/err.h"

#define FMT_COLUMNS 100

/* name is for messages. Appends the new text to out. */
MUST_CHECK int policy_fmt(const char *name, const void *text, size_t len, struct buf *out,
                          struct err *e);

#endif
