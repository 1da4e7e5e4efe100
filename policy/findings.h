/* SPDX-License-Identifier: Apache-2.0
 *
 * Findings of `policy check`: the lines of the loader ("FILE:LINE:COLUMN: TEXT", a warning with
 * "warning: " before its text) taken apart. Pure. */
#ifndef SALLYPORT_POLICY_FINDINGS_H
#define SALLYPORT_POLICY_FINDINGS_H

#include <stdbool.h>

#include "base/buf.h"

struct finding {
    char *file;            /* "" when the text names none */
    unsigned line, column; /* 0: unknown */
    bool warning;
    char *text;
};
struct findings {
    struct finding *at;
    size_t count, cap, errors;
};

/* One line, without a newline. warning: what it is when it does not say so. */
MUST_CHECK int findings_add(struct findings *f, const char *line, bool warning);
/* Each line of text. */
MUST_CHECK int findings_add_lines(struct findings *f, const struct buf *text, bool warning);
/* By file, line and column; equal ones once. */
void findings_sort(struct findings *f);
void findings_clear(struct findings *f);

#endif
