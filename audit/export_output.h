/* SPDX-License-Identifier: Apache-2.0
 *
 * The file that an export goes to: it appears under its name when it is complete, readable by its
 * owner alone, and never in the place of another unless that was asked for. "-" is standard output.
 * Used by the reading tools. */
#ifndef SALLYPORT_AUDIT_EXPORT_OUTPUT_H
#define SALLYPORT_AUDIT_EXPORT_OUTPUT_H

#include <stdbool.h>

#include "base/buf.h"

struct export_output {
    int fd;
    bool force;
    char *path, *beside; /* NULL: standard output */
};

/* path NULL or "-": standard output. ERR_INPUT: there is something and not force. */
MUST_CHECK int export_output_open(struct export_output *o, const char *path, bool force,
                                  struct err *e);
/* Writes what is queued and empties it. ERR_CLOSED: the reader of a pipe went away. */
MUST_CHECK int export_output_write(struct export_output *o, struct buf *b, struct err *e);
/* Gives it its name. */
MUST_CHECK int export_output_commit(struct export_output *o, struct err *e);
/* Removes what was not committed. */
void export_output_clear(struct export_output *o);

#endif
