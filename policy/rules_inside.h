/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a set of command rules, shared by its keeping (policy/rules.c) and its applying
 * (policy/rules_judge.c). A set lives in its encoded form only, so that joining roles' sets,
 * sending them and applying them need no other form:
 *
 *     set   = nothing (it restricts nothing) / U8 flags, *rule, [ U8 4, DATA packs ]
 *     rule  = U8 1 (allow), STR name, STR path, U8 flags, pattern      (base/wire.h,
 * policy/pattern.h) / U8 2 (deny), STR name, pattern / U8 3 (deny of a class), STR name, U32 its
 * bit
 *
 * packs (policy/packs.h) are there exactly when a rule denies a class. In memory flags and packs
 * stand beside the rules. */
#ifndef SALLYPORT_POLICY_RULES_INSIDE_H
#define SALLYPORT_POLICY_RULES_INSIDE_H

#include "policy/packs.h"
#include "policy/pattern.h"
#include "policy/rules.h"

#define RULE_PATH_MAX 4096

_Static_assert(RULE_CLASS_MAX == CLASS_NAME_MAX, "a class's name fits a verdict");

enum rule_kind { RULE_ALLOW = 1, RULE_DENY, RULE_DENY_CLASS, RULES_PACKS };

/* Bits of a set's flags. */
enum { RULES_OPEN = 1, RULES_TOOK_SHELL = 2 };

struct rule_set {
    bool restricts, denies;
    unsigned flags;
    uint32_t classes;          /* that are denied */
    const struct packs *packs; /* NULL when no class is denied */
    struct packs *own;         /* what was decoded; packs points at it then */
    struct buf bytes;          /* rules, encoded */
};

struct rule {
    enum rule_kind kind;
    char name[RULE_NAME_MAX + 1];
    char path[RULE_PATH_MAX + 1];
    unsigned flags;
    uint32_t bit;
    struct pattern pattern; /* views */
};

/* Reads one rule; false at malformed bytes. 20 KiB: a set's rules are read one at a time. */
bool rule_get(struct wire_reader *r, struct rule *rule);

#endif
