/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of policy/diff.h: two sets brought to common numbers. Side 0 is old, 1 is new. */
#ifndef SALLYPORT_POLICY_DIFF_STATE_H
#define SALLYPORT_POLICY_DIFF_STATE_H

#include "policy/diff.h"
#include "policy/set.h"
#include "policy/vector.h"

#define NOWHERE UINT32_MAX

/* What one role's `targets` select: label classes of its side, or, with names, targets of it. */
struct selection {
    bool named;
    struct numbers at;
    uint32_t list; /* of target classes, into diff_inside.lists; NOWHERE: not known yet */
};

struct side {
    const struct policy *p;
    const struct diff_input *input;
    uint32_t *joint_of_target, *label_class; /* by inventory index */
    uint32_t label_class_count;
    const char **keys, **values; /* labels that roles ask for, by address; of each class, by key */
    size_t key_count;
    uint32_t *label_sample;           /* a target of each label class */
    struct numbers *label_classes_of; /* target classes of each label class */
    struct selection *selections;
    size_t selection_count, selection_cap;
    uint32_t *selection_of_role, *effect_of_role;
    uint32_t *target_of_joint, *operator_of_joint; /* NOWHERE: it is not in this set */
};

/* What a role does, whoever holds it and whatever it is called. */
struct effect {
    uint32_t list;           /* of target classes */
    struct numbers accounts; /* ascending */
    struct numbers roles[2]; /* that have it, on each side */
};

struct operator_class {
    uint32_t from[2];          /* what else an operator's entry says of him */
    struct numbers effects[2]; /* ascending */
    struct numbers members;    /* joint operators */
};

/* A set of targets without the list: sums of numbers that are drawn anew in each run, so that
 * nobody can write a set whose lists are taken for one another. */
struct mark {
    uint64_t sum[2];
    size_t targets;
};

/* One difference: an operator class, as this account, on targets with this mark. */
struct found {
    uint32_t change, account, mark, operators, memos; /* mark, memos: numbers of interned ones */
};

struct diff_inside {
    struct side side[2];
    uint64_t at_s;
    const char **target_names, **operator_names, **account_names; /* by joint number */
    size_t target_count, operator_count, account_count, account_cap;

    /* Target classes: the targets that no role of either set tells apart. */
    size_t class_count;
    struct numbers *class_members; /* joint targets */

    struct interner list_ids; /* of lists of target classes */
    struct numbers *lists;    /* ascending; by id */
    size_t list_cap;

    struct interner effect_ids, account_ids;
    struct effect *effects;
    size_t effect_cap;

    struct interner operator_class_ids, operator_entry_ids;
    struct operator_class *operator_classes;
    size_t operator_class_cap;

    struct interner memo_ids, change_ids;
    struct memo {
        uint32_t change;           /* into changes; NOWHERE: no difference */
        struct numbers effects[2]; /* that were decided on */
    } * memos;
    size_t memo_cap;
    struct diff_change *changes;
    size_t change_cap;
    uint64_t compared;

    struct mark *class_marks; /* by target class */
    struct walk *walk;
    struct found *found;
    size_t found_count, found_cap;
    struct interner mark_ids, memo_list_ids;
    struct mark *marks;
    size_t mark_cap;
    struct numbers *memo_lists;
    size_t memo_list_cap;
    bool bounded;
    uint64_t visits, decisions; /* of target classes, and made; what bounds the walk */

    /* Role by role: lists are ids of operators, target classes and accounts. */
    struct role_found {
        uint32_t change, operators, classes, accounts, role; /* role: into role_names */
    } * role_found;
    size_t role_found_count, role_found_cap;
    struct role_name {
        const char *name;
        bool on[2];
    } * role_names;
};

uint32_t diff_list_id(struct diff_inside *in, const struct numbers *classes);

/* policy/diff_targets.c: joint targets, their classes, and each role's selection. */
void diff_join_targets(struct diff_inside *in);
/* policy/diff_effects.c: effects and operator classes. ERR_SYNTAX when a file of the block cannot
 * be read any more. */
MUST_CHECK int diff_join_roles(struct diff_inside *in, struct err *e);
MUST_CHECK int diff_join_operators(struct diff_inside *in, struct err *e);
/* policy/diff_compare.c: the change between these effects, decided for this operator and target
 * (joint numbers) and account; NOWHERE in *change: none. */
MUST_CHECK int diff_compare(struct diff_inside *in, const struct numbers effects[2],
                            uint32_t operator_number, uint32_t target, uint32_t account,
                            uint32_t *change, struct err *e);
void diff_change_clear(struct diff_change *change);
/* Gathers what differs over many decisions; then the change of it, as above, with the conditions of
 * these roles. Takes seen. */
struct seen *diff_seen_new(void);
void diff_seen_add(struct seen *seen, const struct policy_decision *old,
                   const struct policy_decision *new);
/* Rules that deny, of one role each (may be NULL): they take from other roles too. */
void diff_seen_denies(struct seen *seen, const struct role *old, const struct role *new);
uint32_t diff_seen_change(struct diff_inside *in, struct seen *seen, const struct role *const *old,
                          size_t old_count, const struct role *const *new, size_t new_count);

/* policy/diff_roles.c: fills role_found. */
void diff_role_by_role(struct diff_inside *in);
void diff_group_roles(struct diff_inside *in, struct diff *out);

/* policy/diff_walk.c: fills found. ERR_FULL: more than the bounds allow differs. */
MUST_CHECK int diff_walk(struct diff_inside *in, bool bounded, struct err *e);
/* The target classes on which this operator class has this change as this account. */
void diff_walk_classes(struct diff_inside *in, uint32_t operator_class, uint32_t account,
                       uint32_t change, struct numbers *classes);
void diff_walk_clear(struct diff_inside *in);
/* policy/diff_group.c */
void diff_group(struct diff_inside *in, struct diff *out);
/* policy/diff_identity.c */
void diff_identities(struct diff_inside *in, struct diff *out);

#endif
