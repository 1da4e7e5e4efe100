/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a policy set, shared by its loaders and the decision. Everything is built once by
 * policy_load and only read afterwards. Texts of labels, groups and accounts are interned in the
 * pool, so they are compared as pointers. Used by authd (all of it) and the supervisor (targets'
 * addresses). */
#ifndef SALLYPORT_POLICY_SET_H
#define SALLYPORT_POLICY_SET_H

#include "base/buf.h"
#include "base/yaml_tree.h"
#include "policy/packs.h"
#include "policy/policy.h"
#include "policy/pool.h"
#include "policy/when.h"
#include "policy/zone.h"

/* Numbers that keep a decision short and a set's memory bounded; far above what people write. */
#define KEYS_MAX          64  /* of one operator or target */
#define GROUPS_MAX        128 /* of one operator */
#define LABELS_MAX        64  /* of one target or selector */
#define ALIASES_MAX       64
#define COMMANDS_MAX      256 /* rules of one role */
#define FILE_PATTERNS_MAX 256 /* of one role and direction */
#define LIST_MAX          65536
#define DESCRIPTION_MAX   4096
#define ROLE_NAME_MAX     64
#define CONTACT_MAX       120 /* bytes of whom to ask */
#define CONTACT_DEFAULT   "your policy administrators"

/* What of a role decides whether it matches, in the order in which it is looked at. Time comes
 * last, so that of a role that would otherwise match one knows when it will. */
enum role_key { ROLE_TARGETS, ROLE_ACCOUNTS, ROLE_FROM, ROLE_FACTORS, ROLE_WHEN, ROLE_KEYS };

/* Where something was written. */
struct place {
    const char *file; /* NULL: nowhere */
    unsigned line, column;
};

/* Roles as bits, for a decision's walk through them; only words with a bit, ascending. */
struct role_word {
    uint64_t bits;
    uint32_t word; /* roles word * 64 and on */
};
struct role_words {
    struct role_word *at;
    size_t count;
};

struct operator_entry {
    struct policy_operator pub;   /* pub.groups are interned */
    uint32_t *group_index;        /* into policy.groups, as many as pub.groups */
    struct numbers roles;         /* that name the operator, ascending */
    struct role_words role_words; /* the same */
    const struct prefix *from;    /* none: anywhere */
    size_t from_count;
    struct place from_place;
};

struct group {
    const char *name;
    struct numbers roles;         /* that name the group, ascending */
    struct role_words role_words; /* the same */
};

/* Label keys that roles may name for the index (policy/role_index.h). */
#define INDEX_KEYS_MAX 64

struct label {
    const char *key, *value; /* interned */
    uint32_t row, index_key; /* policy/role_index.c; no role names the key: INDEX_KEYS_MAX */
};

struct target_entry {
    struct policy_target pub;
    struct label *labels;
    size_t label_count;
};

/* One key of a selector: the target's label must be one of the values. For the key `name` the
 * values are inventory indices instead. */
struct selector {
    const char *key;           /* interned; NULL: the target's name */
    const char *const *values; /* interned */
    const uint32_t *targets;   /* ascending */
    size_t count;
};

struct role {
    const char *name, *file;
    unsigned line;
    uint32_t number;
    const struct selector *selectors; /* none: all targets */
    size_t selector_count;
    const char *const *accounts; /* interned */
    size_t account_count;
    const struct prefix *from; /* none: anywhere */
    size_t from_count;
    struct when when;
    /* bits of FACTOR_KEY, FACTOR_PASSWORD and FACTOR_TOTP: all must be used; 0: any that let in */
    uint32_t factors;
    uint64_t remember_s, idle_s, max_s, max_bytes; /* 0: not remembered, no limit */
    bool shell, exec;
    enum record_mode record;
    struct rule_set *rules;   /* NULL: no command rules, exec of anything; without exec: denies */
    struct file_rules *files; /* NULL: no file transfer; else at least one rule */
    struct forward_rules *forwards; /* NULL: none; else at least one */
    enum bulk_mode bulk;
    uint64_t bulk_after, keep_max;         /* bytes; keep_max 0: no contents */
    struct place keys[ROLE_KEYS], members; /* of site.yaml where the role inherits */
};

/* What roles inherit (site.yaml). */
struct site {
    const struct prefix *from;
    size_t from_count;
    struct when when;
    uint32_t factors; /* bits; [key, totp] when site.yaml does not say */
    struct place from_place, when_place, factors_place;
    const char *contact;
};

struct named_zone {
    const char *name;
    struct zone *zone;
};

/* policy/role_index.h */
struct role_index {
    size_t words; /* of a row */
    size_t key_count;
    uint32_t row_count;
    uint64_t *rows;     /* row_count * words; NULL: no index */
    uint64_t *named;    /* bits: roles whose targets have the key name */
    uint32_t *first_of; /* of each target: where its roles begin in roles_of */
    uint32_t *roles_of; /* that name the target, ascending */
};

struct policy {
    uint8_t hash[32];
    struct pool pool;
    struct site site;

    struct named_zone *zones; /* malloc'ed; those that the block brought */
    size_t zone_count;
    struct table zone_by_name;

    struct operator_entry *operators;
    size_t operator_count;
    struct table operator_by_name, operator_by_key;
    struct group *groups; /* malloc'ed */
    size_t group_count, group_cap;
    struct table group_by_name;

    struct target_entry *targets;
    size_t target_count;
    struct table target_by_name; /* names and aliases */
    struct table label_pairs;    /* "key\0value" of all targets */

    struct packs *packs; /* classes of commands; loaded before roles */

    struct role *roles;
    size_t role_count;
    struct table role_by_name;
    struct role_index index;
};

/* One file being loaded. */
struct loading {
    struct policy *p;
    struct yaml_doc *doc;
    struct buf *warnings; /* may be NULL */
    struct buf
        *errors;     /* not NULL: mistakes are gathered here, and the load goes on where it can */
    bool incomplete; /* operators, targets or packs are missing by a mistake that was told */
    struct err *e;
};
/* Takes the mistake into l->errors, so that the load goes on: a set that has one is of no use but
 * for finding more. False: it must end. */
bool policy_gather(struct loading *l);

int policy_load_site(struct loading *l);
int policy_load_operators(struct loading *l);
int policy_load_targets(struct loading *l);
/* role->number is set and its texts go to the pool. */
int policy_load_role(struct loading *l, struct role *role);
/* What site and roles have in common (policy/conditions.c): n may be NULL, then nothing is changed;
 * *place gets where it stands. */
int policy_load_from(struct loading *l, const struct yaml_node *n, const struct prefix **from,
                     size_t *count);
int policy_load_when(struct loading *l, const struct yaml_node *n, struct when *when);
int policy_load_factors(struct loading *l, const struct yaml_node *n, uint32_t *factors);
/* from, when and factors of a role, or the site's; and without the site's. */
int policy_load_role_conditions(struct loading *l, const struct yaml_node *root, struct role *role);
void policy_drop_inherited(const struct yaml_node *root, struct role *role);
/* The parts of a role that say what it permits: allow (policy/role_allow.c), programs and commands
 * (policy/role_commands.c), the value of allow.sftp (policy/role_files.c) and of allow.forward
 * (policy/role_forwards.c); and session (policy/role_session.c), after the others. */
int policy_load_role_allow(struct loading *l, const struct yaml_node *root, struct role *role);
int policy_load_role_commands(struct loading *l, const struct yaml_node *root, struct role *role);
/* Of a role whose commands were loaded (policy/role_warnings.c). */
int policy_warn_of_commands(struct loading *l, const struct yaml_node *commands,
                            const struct role *role);
int policy_load_role_files(struct loading *l, const struct yaml_node *n, struct role *role);
int policy_load_role_forwards(struct loading *l, const struct yaml_node *n, struct role *role);
int policy_load_role_session(struct loading *l, const struct yaml_node *root, struct role *role);

/* Appends "FILE:LINE:COLUMN: warning: ..." when the caller wants warnings. */
void policy_warn(struct loading *l, const struct yaml_node *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
int policy_no_memory(struct loading *l);
struct place policy_place(const char *file, const struct yaml_node *n);
/* " (did you mean ...?)" or ""; names ends in NULL, and may be NULL. */
const char *policy_did_you_mean(const char *text, const char **names, char out[300]);
/* Errors with the nearest name. others: what else could stand there, "". */
int policy_unknown_operator(struct loading *l, const struct yaml_node *n, const char *name,
                            const char *others);
int policy_unknown_target(struct loading *l, const struct yaml_node *n, const char *name);
/* *zone NULL: UTC. */
int policy_zone(struct loading *l, const struct yaml_node *n, const char *name,
                const struct zone **zone);

/* map is a map, and all its keys are known ones. */
int policy_check_keys(struct loading *l, const struct yaml_node *map, const char *const *known);

/* Names: 1 to max bytes, first one of [a-z_] (lower) or [A-Za-z_], then also digits, ".", "_" and
 * "-". */
enum name_kind { NAME_OPERATOR, NAME_ACCOUNT, NAME_GROUP, NAME_ROLE, NAME_TARGET, NAME_LABEL };
/* Checks a scalar; *out belongs to the document. */
int policy_name(struct loading *l, const struct yaml_node *n, enum name_kind kind,
                const char **out);

/* A list of min to max items: *items, *count. */
int policy_list(struct loading *l, const struct yaml_node *n, size_t min, size_t max,
                const char *expected, struct yaml_node *const **items, size_t *count);

#endif
