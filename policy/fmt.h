/* SPDX-License-Identifier: Apache-2.0
 *
 * One layout for the YAML files of a policy set. Kept are: what the file says (both texts give the
 * same tree, with the same quoting), every comment in its order, the order of keys, single empty
 * lines. Changed are indentation, blanks, line breaks, and the place of comments in their lines:
 *
 *     - a level is indented by two blanks, a list below a key too
 *     - a list or map in brackets stays on one line, or goes there from several, when it fits
 *       FMT_COLUMNS and has no comment and no value over several lines within; else each item has a
 *       line
 *     - a value over several lines, plain, quoted or after | or >, keeps its lines; they get the
 *       indentation of what would be below its key
 *     - a comment that ends a line stands two blanks after it; one with a line of its own has the
 *       indentation of what follows, or of the level that it was written at
 *
 * Refused (ERR_INPUT with file, line, column): a key over several lines, a value alone, a byte
 * order mark; what base/yaml_tree.h refuses. What comes out is read again and compared, so that
 * nothing is lost by a mistake here: where something would be, it is refused too. Pure. */
#ifndef SALLYPORT_POLICY_FMT_H
#define SALLYPORT_POLICY_FMT_H

#include "base/buf.h"
#include "base/err.h"

#define FMT_COLUMNS 100

/* name is for messages. Appends the new text to out. */
MUST_CHECK int policy_fmt(const char *name, const void *text, size_t len, struct buf *out,
                          struct err *e);

#endif
