/* SPDX-License-Identifier: Apache-2.0
 *
 * Command rules as a boundary: an exec request is split into words by a strict grammar, compared
 * word by word with the role's exact argv, and what is forwarded is the words re-quoted, never
 * the client's text. Pure; used by authd (encodes them into the grant) and by the backend (decodes,
 * applies). */
#ifndef SALLYPORT_POLICY_RULES_H
#define SALLYPORT_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

#define WORDS_MAX      256
#define WORDS_TEXT_MAX 65536

struct words {
    size_t count;
    char *word[WORDS_MAX]; /* NUL-terminated, point into text */
    char *text;
};
void words_clear(struct words *w);

/* One simple command: words of [A-Za-z0-9_@%+=:,./-], or quoted ('...' anything but quote and
 * control characters; "..." without $ ` \ !); quoted and bare parts may join in one word. No
 * operator, redirection, assignment before the command, glob, ~, #, backslash, control or invisible
 * character, newline, tab, NUL, invalid UTF-8, reserved word, empty command. ERR_SYNTAX with the
 * column (bytes, from 1) and what was found; *out is then empty. */
MUST_CHECK int words_split(const void *text, size_t len, struct words *out, struct err *e);
/* Re-quotes for a POSIX shell: bare where only safe characters, else single quotes. Arguments with
 * ' \ or ! are refused (ERR_INPUT): no quoting of them is right on every target's shell. */
MUST_CHECK int words_quote(const struct words *w, struct buf *out, struct err *e);

/* Allow rules of all matching roles, with the absolute path for the bare program name. */
struct rule_set;

/* What one grant carries at most (auth/grant.def), and what one role may have of it. */
#define RULES_ENCODED_MAX 131072
#define RULE_NAME_MAX     127

/* An empty set that restricts: it allows nothing until rules are added. NULL when memory is out. */
struct rule_set *rule_set_new(void);
/* Bits: what a rule says beside which command it allows. */
enum rule_flag {
    RULE_STDIN_DIGEST = 1 /* of its standard input digests are kept, not the bytes */
};
/* Adds one rule: exactly argv, whose first word is an absolute path, or a bare name that then runs
 * as path. name is for records; flags are bits of enum rule_flag. ERR_INPUT when argv cannot be
 * forwarded (words_quote), ERR_FULL. */
MUST_CHECK int rule_set_add(struct rule_set *set, const char *name, const struct words *argv,
                            const char *path, unsigned flags, struct err *e);
/* Adds all rules of other. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int rule_set_merge(struct rule_set *set, const struct rule_set *other, struct err *e);

/* Which rule allows it, and what runs: on a match fills name ("bob-virsh/commands[0]", size 128)
 * and forward (the command line to send), as the first rule that matches has them; stdin_digest
 * (may be NULL) is set only where every rule that matches says `stdin: digest`. ERR_DENIED with a
 * text for the operator when none matches. A set without rules (decoded from nothing: some matching
 * role allows exec without command rules) matches everything: name is empty and forward is the
 * command as sent. A NULL set matches nothing. */
MUST_CHECK int rule_set_apply(const struct rule_set *set, const void *command, size_t len,
                              char name[128], bool *stdin_digest, struct buf *forward,
                              struct err *e);
/* A NULL set (as in struct policy_decision: no rules) is encoded as nothing. */
MUST_CHECK int rule_set_encode(const struct rule_set *set, struct buf *out);
/* NULL on error. len 0: no rules, everything is allowed as sent. */
struct rule_set *rule_set_decode(const void *bytes, size_t len, struct err *e);
void rule_set_free(struct rule_set *set);
/* True when there are rules: exec gets no PTY and nothing is forwarded as sent. (A shell that
 * another role allows has its PTY still.) A NULL set counts as one that restricts. */
bool rule_set_restricts(const struct rule_set *set);

#endif
