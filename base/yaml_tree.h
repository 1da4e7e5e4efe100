/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML as a tree whose every node knows its line and column, built on libyaml's events. Aliases,
 * anchors, tags, merge keys, duplicate keys, several documents, control characters, line breaks
 * that only YAML knows, text that is shown in another order than it is read in, and anything
 * over the bounds below are errors with a position. All scalars are text; the getters convert. Used
 * by the supervisor (configuration) and by authd's loader (policy). Does no I/O. */
#ifndef SALLYPORT_BASE_YAML_TREE_H
#define SALLYPORT_BASE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define YAML_FILE_MAX  (32u * 1024 * 1024) /* 100,000 targets of 300 bytes */
#define YAML_DEPTH_MAX 16
#define YAML_TEXT_MAX  65536 /* one scalar */

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column;    /* from 1 */
    const char *text;         /* scalar: NUL-terminated, no NUL inside */
    bool quoted;              /* scalar: was quoted, so `"true"` is text */
    size_t count;             /* list: items; map: pairs */
    struct yaml_node **items; /* list: items; map: values */
    struct yaml_node **keys;  /* map only */
};

struct yaml_doc; /* owns all nodes */

/* name is for messages. An empty document gives an empty map. NULL on error, e->text is
 * "NAME:LINE:COLUMN: found ..., expected ...". */
struct yaml_doc *yaml_parse(const char *name, const void *bytes, size_t len, struct err *e);
/* Not yaml_free: libyaml exports and calls a function of that name. */
void yaml_doc_free(struct yaml_doc *doc);
const struct yaml_node *yaml_root(const struct yaml_doc *doc);
const char *yaml_name(const struct yaml_doc *doc);

/* The value of a key, NULL when it is not there. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* "NAME:LINE:COLUMN: " and the message. Returns ERR_SYNTAX. */
int yaml_error(const struct yaml_doc *doc, const struct yaml_node *at, struct err *e,
               const char *format, ...) PRINTF_LIKE(4, 5);
/* What a node is, for messages: `a list`, `a map`, `nothing`, or its text, quoted, escaped and
 * cut. */
#define YAML_FOUND_MAX 280
const char *yaml_found(const struct yaml_node *n, char out[YAML_FOUND_MAX]);

/* The value of a key that must be there. */
MUST_CHECK int yaml_require(const struct yaml_doc *doc, const struct yaml_node *map,
                            const char *key, const struct yaml_node **out, struct err *e);
/* The node must be of this kind; expected is the words after "expected ". */
MUST_CHECK int yaml_is(const struct yaml_doc *doc, const struct yaml_node *n, enum yaml_kind kind,
                       const char *expected, struct err *e);
/* A scalar of 1 to max bytes on one line; *out belongs to the document. */
MUST_CHECK int yaml_text(const struct yaml_doc *doc, const struct yaml_node *n, size_t max,
                         const char *expected, const char **out, struct err *e);
/* One of words (NULL-terminated): *out is its place. The error names the nearest. */
MUST_CHECK int yaml_word(const struct yaml_doc *doc, const struct yaml_node *n,
                         const char *const *words, size_t *out, struct err *e);

/* Every key of map must be in known (NULL-terminated); the error names the nearest known word. */
MUST_CHECK int yaml_only_keys(const struct yaml_doc *doc, const struct yaml_node *map,
                              const char *const *known, struct err *e);
/* The nearest of words to text by edit distance, NULL when none is near (more than 1/3 of it
 * wrong). */
const char *nearest_word(const char *text, const char *const *words);

/* Conversions; each error says what was found and what is expected. */
MUST_CHECK int yaml_bool(const struct yaml_doc *d, const struct yaml_node *n, bool *out,
                         struct err *e);
MUST_CHECK int yaml_u64(const struct yaml_doc *d, const struct yaml_node *n, uint64_t min,
                        uint64_t max, uint64_t *out, struct err *e);
/* "90s", "15m", "8h", "2d"; a bare number is an error. In milliseconds. */
MUST_CHECK int yaml_duration(const struct yaml_doc *d, const struct yaml_node *n, uint64_t min_ms,
                             uint64_t max_ms, uint64_t *out_ms, struct err *e);
/* "4096", "64KiB", "1GiB". In bytes. */
MUST_CHECK int yaml_size(const struct yaml_doc *d, const struct yaml_node *n, uint64_t *out,
                         struct err *e);

#endif
