/* SPDX-License-Identifier: Apache-2.0
 *
 * Command rules as a boundary: an exec request is split into words by a strict grammar and compared
 * with the roles' patterns (policy/pattern.h); what is forwarded is the words re-quoted, never the
 * client's text.
 *
 *     a deny of any matching role comes first and covers the whole grant: it looks through wrappers
 *     (policy/wrappers.h), and denies too what nobody can see through;
 *     then an allow must match the argv as it was sent;
 *     an open set (some role allows exec without naming commands) allows what else there is.
 *
 * Pure; used by authd (encodes them into the grant) and by the backend (decodes, applies). */
#ifndef SALLYPORT_POLICY_RULES_H
#define SALLYPORT_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* Re-quotes for a POSIX shell: bare where only safe characters, else single quotes; a first word of
 * the shell's own language is quoted too. Words with ' \ or ! are refused (ERR_INPUT): no quoting
 * of them is right on every target's shell. */
MUST_CHECK int words_quote(const struct words *w, struct buf *out, struct err *e);

/* The command rules of all matching roles. */
struct rule_set;
struct packs;

/* What one grant carries at most (auth/grant.def). */
#define RULES_ENCODED_MAX 131072
#define RULE_NAME_MAX     127
#define RULE_TEXT_MAX     870 /* with "; ask " and 120 bytes: what a message carries */
#define RULE_CLASS_MAX    32  /* CLASS_NAME_MAX of policy/packs.h */

/* An empty set that restricts: it allows nothing until rules are added. NULL when memory is out. */
struct rule_set *rule_set_new(void);
/* Bits: what a rule says beside which command it allows. */
enum rule_flag {
    RULE_STDIN_DIGEST = 1 /* of its standard input digests are kept, not the bytes */
};
/* Adds one rule; name is for records and refusals ("kvm-operator/commands[0]"); pattern is encoded
 * (pattern_parse). An allow's program is one literal: an absolute path, or a bare name that then
 * runs as path. ERR_INPUT when what it allows could never be forwarded (words_quote), ERR_FULL,
 * ERR_MEMORY. Of an error nothing is added. */
MUST_CHECK int rule_set_allow(struct rule_set *set, const char *name, struct bytes pattern,
                              const char *path, unsigned flags, struct err *e);
MUST_CHECK int rule_set_deny(struct rule_set *set, const char *name, struct bytes pattern,
                             struct err *e);
/* bit is the class's in packs, which must live as long as the set. */
MUST_CHECK int rule_set_deny_class(struct rule_set *set, const char *name,
                                   const struct packs *packs, uint32_t bit, struct err *e);
/* rule_set_allow of words that stand for themselves. */
MUST_CHECK int rule_set_add(struct rule_set *set, const char *name, const struct words *argv,
                            const char *path, unsigned flags, struct err *e);
/* Whatever is one plain command and is not denied is allowed. */
void rule_set_open(struct rule_set *set);
/* A shell that a role permits was taken away, because a deny could not hold there. */
void rule_set_take_shell(struct rule_set *set);
/* Adds all rules of other; open if one of them is. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int rule_set_merge(struct rule_set *set, const struct rule_set *other, struct err *e);

bool rule_set_is_open(const struct rule_set *set);
/* Whether it denies anything; name (may be NULL) gets the first rule that does, else "". */
bool rule_set_denies(const struct rule_set *set, char name[128]);
bool rule_set_took_shell(const struct rule_set *set);

/* What decided. */
struct rule_verdict {
    char rule[128];                      /* "bob-virsh/commands[0]"; "": none */
    char class_name[RULE_CLASS_MAX + 1]; /* of a deny by class; "" */
    bool stdin_digest; /* every rule that allows it says `stdin: digest`, and the set is not open */
};
/* 0: allowed, forward is the command line to send, as the first rule that matches has it.
 * ERR_DENIED with a text for the operator, at most RULE_TEXT_MAX bytes, to which who calls adds
 * whom to ask; any other error is a refusal too. A set that restricts nothing (decoded from
 * nothing) allows everything as it was sent, without a rule. A NULL set allows nothing. Of an error
 * forward holds nothing. */
MUST_CHECK int rule_set_judge(const struct rule_set *set, const void *command, size_t len,
                              struct rule_verdict *out, struct buf *forward, struct err *e);
/* The same, for who needs no more than the rule's name; stdin_digest may be NULL. */
MUST_CHECK int rule_set_apply(const struct rule_set *set, const void *command, size_t len,
                              char name[128], bool *stdin_digest, struct buf *forward,
                              struct err *e);
/* Whether rule_set_encode can carry it, packs and all; where memory is out: no. */
bool rule_set_fits(const struct rule_set *set);
/* Encoded with the entries of the packs whose classes it denies. A NULL set (as in struct
 * policy_decision: no rules) is encoded as nothing. */
MUST_CHECK int rule_set_encode(const struct rule_set *set, struct buf *out);
/* NULL on error. len 0: no rules, everything is allowed as sent. */
struct rule_set *rule_set_decode(const void *bytes, size_t len, struct err *e);
void rule_set_free(struct rule_set *set);
/* Calls each with every rule in one form for people, in order: "allow virsh list
 * (/usr/bin/virsh)", "deny class:snapshot". Equal rules give equal texts, whatever their names.
 * That a set is open is no rule. */
void rule_set_each(const struct rule_set *set, void (*each)(void *arg, const char *rule),
                   void *arg);
/* True when there are rules: exec gets no PTY and nothing is forwarded as sent. (A shell that
 * another role allows has its PTY still.) A NULL set counts as one that restricts. */
bool rule_set_restricts(const struct rule_set *set);

#endif
