/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the loader of pack files share: policy/packs_load.c (file, programs,
 * verbs) and policy/packs_load_entry.c (options, entries, cases). Used by authd's loader and the
 * tool; the files are root's, but may hold any mistake. Pure. */
#ifndef SALLYPORT_POLICY_PACKS_LOAD_H
#define SALLYPORT_POLICY_PACKS_LOAD_H

#include "policy/packs_set.h"

struct pack_loading {
    struct packs *packs;
    struct yaml_doc *doc;
    struct err *e;
    const struct yaml_node *own_classes; /* the file's `classes`, or NULL */
    struct pack_program *program;
};

int pack_no_memory(struct pack_loading *l);
/* A list of 0 to max (NULL: empty). */
int pack_list(struct pack_loading *l, const struct yaml_node *n, size_t max, const char *what,
              size_t *count);
/* Words of visible ASCII; blanks: single ones may part several. *out is the pool's. */
int pack_word(struct pack_loading *l, const struct yaml_node *n, bool blanks, const char *what,
              const char **out);
/* Reads flags, values and optional of a program or entry. */
int pack_load_options(struct pack_loading *l, const struct yaml_node *map,
                      struct pack_option **options, size_t *count);
/* The option of this spelling in the entry (may be NULL) or the program; NULL: none. */
const struct pack_option *pack_option_named(const struct pack_program *program,
                                            const struct pack_entry *entry, const char *name);
/* Everything of an entry but its verbs. */
int pack_load_entry(struct pack_loading *l, const struct yaml_node *n, struct pack_entry *entry);
/* The bits of a class, or of a list of them. */
int pack_load_classes(struct pack_loading *l, const struct yaml_node *n, uint32_t *bits);

#endif
