/* SPDX-License-Identifier: Apache-2.0
 *
 * One command rule's pattern: a matcher for each word of a command.
 *
 *     pattern = *SP word *( 1*SP word ) *SP
 *     word    = literal *( "|" literal ) / "*" / "**" / "-*" / "-**" / "<" matcher ">"
 *     literal = as a word of a command (policy/words.c): quoted, * | < > are themselves
 *     matcher = "int" [ ":" low "-" high ] / "path" [ ":" glob (policy/files.h) ] / "name"
 *
 * An ALLOW matches the whole argv, word by word, byte by byte:
 *     a|b     one of these
 *     *       one word, neither empty nor an option
 *     **      all the words that are left, none too, none of them empty or an option; last word
 * only
 *     -*      one word that is an option
 *     -**     all the words that are left, whatever they are; last word only
 *     <int>   a decimal number without sign and leading zeros, within the range
 *     <path>  an absolute path without "." ".." "//" and "/" at its end, that the glob matches. It
 * is compared as text: where links lead on the target is not asked <name>
 * [A-Za-z0-9_][A-Za-z0-9_.:+@-]*, at most 255 bytes An option is a word that begins with "-". That
 * a wildcard lets none through is the decision of this language: `virsh start **` must not become
 * `virsh start --console`, nor `rsync *` become `rsync --rsh=...`; whoever wants options writes
 * them, or writes -* for any.
 *
 * A DENY is meant wide, because what it misses runs:
 *     the program is compared by the last part of its path, in the rule and in the command;
 *     literals that are options may stand anywhere: as they are, with "=value", shortened
 * ("--rec"), within a cluster of short ones ("-rf" has -r and -f); the other words must be found in
 * their order, whatever stands before, between and behind them; so "**" at the end changes nothing.
 * A literal is found at the end of an option too
 *     (--domain=vm7), a number in any notation, a path in a form that is not canonical; a relative
 *     path may lead anywhere, so any <path> denies it.
 * It cannot know other names of one thing: -r and --recursive, a domain's number and its name.
 *
 * Encoded (base/wire.h): U16 words (>= 1), words x ( U8 kind, then: literal U8 count, count x DATA;
 * int U64 low, U64 high; path DATA glob, empty for any; nothing for others ).
 * Used by authd's loader (parses), by authd and the backend (hostile argv; the backend takes the
 * encoded form for hostile too). Pure. */
#ifndef SALLYPORT_POLICY_PATTERN_H
#define SALLYPORT_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"
#include "policy/rules.h"

#define PATTERN_ALTERNATIVES_MAX 64
#define PATTERN_INT_MAX          ((uint64_t)INT64_MAX)

enum pattern_kind {
    PATTERN_LITERAL = 1,
    PATTERN_ANY,          /* * */
    PATTERN_REST,         /* ** */
    PATTERN_OPTION,       /* -* */
    PATTERN_REST_OPTIONS, /* -** */
    PATTERN_INT,
    PATTERN_PATH,
    PATTERN_NAME,
    PATTERN_KIND_END_
};

struct pattern_word {
    enum pattern_kind kind;
    unsigned count;      /* literal: alternatives */
    struct bytes inside; /* view: literal: count x DATA; path: the glob */
    uint64_t low, high;  /* int */
};

struct pattern {
    size_t count;
    struct pattern_word word[WORDS_MAX];
};

/* Appends the encoded form of text to out. ERR_SYNTAX with the column (bytes, from 1), what was
 * found and expected; ERR_FULL, ERR_MEMORY. Of an error out may hold a part. */
MUST_CHECK int pattern_parse(const char *text, size_t len, struct buf *out, struct err *e);
/* The same of words that stand for themselves. */
MUST_CHECK int pattern_of_words(const struct words *w, struct buf *out, struct err *e);
/* Reads one; every view points into what r reads. False at anything that pattern_parse does not
 * make. */
bool pattern_get(struct wire_reader *r, struct pattern *out);

/* The i-th alternative of a literal (i < count). */
struct bytes pattern_alternative(const struct pattern_word *w, unsigned i);
/* The program where it is one literal, else {NULL, 0}. */
struct bytes pattern_program(const struct pattern *p);

/* path (may be NULL) is accepted in the program's place. */
bool pattern_allows(const struct pattern *p, const char *path, const struct words *argv);
/* As pattern_allows, but wildcards take options: for telling why a command is not allowed. */
bool pattern_allows_but_for_options(const struct pattern *p, const char *path,
                                    const struct words *argv);
bool pattern_denies(const struct pattern *p, const struct words *argv);

/* As it would be written, into out, always NUL-terminated, cut with "..." where it does not fit. */
void pattern_text(const struct pattern *p, char *out, size_t cap);
/* Whether any command that b matches is matched by a: decides by the written words, so false may be
 * wrong, true is not. */
bool pattern_covers(const struct pattern *a, const struct pattern *b);

#endif
