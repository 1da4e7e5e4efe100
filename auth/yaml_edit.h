/* SPDX-License-Identifier: Apache-2.0
 *
 * Adds one entry to a hand-written YAML file and leaves everything else in it as it is: comments,
 * order, layout. Pure; used by `sallyport user add` and `sallyport target add`. */
#ifndef SALLYPORT_AUTH_YAML_EDIT_H
#define SALLYPORT_AUTH_YAML_EDIT_H

#include "base/buf.h"
#include "base/err.h"

/* text is a file whose top level has the map section ("operators", "targets"), which must not have
 * the key name yet. entry is the lines of the entry below it, each ending in a newline, indented by
 * nothing, the first being "NAME:". out is initialised here and gets the whole new file, which has
 * been parsed again and found to differ by that entry alone. ERR_INPUT when the key is there, or
 * when the section is written in a way that cannot be added to (`{a: ..., b: ...}` on one line). */
MUST_CHECK int yaml_edit_add(const char *file, const struct buf *text, const char *section,
                             const char *name, const char *entry, struct buf *out, struct err *e);

/* value as a double-quoted YAML scalar, appended to out. ERR_INPUT when it has control characters.
 */
MUST_CHECK int yaml_edit_quote(const char *value, struct buf *out, struct err *e);

#endif
