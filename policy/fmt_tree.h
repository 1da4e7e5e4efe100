/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML file as it was written, for policy/fmt.h: values with their own characters, and every
 * comment at the node that it belongs to. Pure; memory that runs out aborts: it is a tool's. */
#ifndef SALLYPORT_POLICY_FMT_TREE_H
#define SALLYPORT_POLICY_FMT_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "policy/pool.h"

struct fmt_comment {
    const char *text; /* from "#" on, without trailing blanks */
    size_t len, column;
    bool blank_before; /* an empty line stands before it */
    struct fmt_comment *next;
};
struct fmt_comments {
    struct fmt_comment *first, *last;
};

/* The first line of | or >, taken apart. */
struct fmt_block {
    char style, chomp;   /* '|' or '>'; '-', '+', or 0 */
    bool sized;          /* it says how far its lines are indented */
    size_t columns;      /* so many blanks of each line are no text */
    const char *comment; /* in that line */
    size_t comment_len;
};

enum fmt_kind { FMT_SCALAR, FMT_BLOCK_SCALAR, FMT_LIST, FMT_MAP };
struct fmt_node {
    enum fmt_kind kind;
    bool flow, blank_before;
    size_t line, column; /* as written, from 0; of a collection: of its entries */
    const char *text;    /* scalar: as it was written; of a block: its lines, after the first */
    size_t len;
    bool lines; /* a plain or quoted scalar over several lines */
    struct fmt_block block;
    struct fmt_node **child; /* a map's: key, value, key, ... */
    size_t count, cap;
    struct fmt_comments before; /* in lines of their own, before this node's first character */
    struct fmt_comments trail;  /* at the end of its line; of brackets: after the closing one */
    struct fmt_comments head;   /* of brackets: after the opening one, in its line */
    struct fmt_comments tail;   /* at its end, indented as its entries are */
};

struct fmt_file {
    const char *name;
    struct pool pool;
    struct fmt_node *root; /* NULL: nothing but comments */
    bool marked;           /* begins with "---" */
    struct fmt_comments tail;
    struct fmt_comment **all; /* in the order of the file */
    size_t comment_count, comment_cap;
};

/* The text must outlive the file. ERR_INPUT, with a position. */
MUST_CHECK int fmt_file_read(struct fmt_file *f, const char *name, const char *text, size_t len,
                             struct err *e);
void fmt_file_clear(struct fmt_file *f);

#endif
