/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of a command as options and positionals, by the style of its program. What could be a
 * classed option is one: an abbreviation that several options begin with is all of them. Used by
 * policy/packs_classify.c alone, on hostile words. Pure. */
#ifndef SALLYPORT_POLICY_PACKS_PARSE_H
#define SALLYPORT_POLICY_PACKS_PARSE_H

#include "policy/packs_set.h"

/* A letter of "-xyz" is an option, so a word of 64 KiB could be that many. */
#define PARSED_OPTIONS_MAX 512

struct pack_words {
    size_t count;
    const char *word[WORDS_MAX];
    unsigned place[WORDS_MAX]; /* in argv */
};

struct pack_parsed {
    struct {
        const char *name, *value; /* value NULL: none */
        unsigned place;
    } options[PARSED_OPTIONS_MAX];
    size_t option_count;
    const char *positional[WORDS_MAX];
    size_t positional_count;
    size_t sure; /* so many positionals stood before anything unknown */
    const char *arg[PACK_ARGS_MAX];
    unsigned arg_place[PACK_ARGS_MAX];
};

/* Reads words[from..] with the options of entry (may be NULL) and program. ERR_FULL. */
MUST_CHECK int pack_parse(const struct pack_program *program, const struct pack_entry *entry,
                          const struct pack_words *words, size_t from, struct pack_parsed *out,
                          struct err *e);
/* Reads options alone, from *at on, to the first word that is none or is not known: *at is its
 * place, *unknown says which of both. *ends: one of the options ends the program. */
MUST_CHECK int pack_parse_leading(const struct pack_program *program,
                                  const struct pack_words *words, size_t *at, bool *unknown,
                                  bool *ends, struct pack_parsed *out, struct err *e);

#endif
