/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set: operators, targets, roles; and the decision, a pure function of the set and a
 * request. Nothing here does I/O or reads a clock. Immutable after loading. */
#ifndef SALLYPORT_POLICY_POLICY_H
#define SALLYPORT_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/wire.h"
#include "policy/address.h"
#include "policy/files.h"
#include "policy/forwards.h"
#include "policy/rules.h"

struct policy; /* opaque */

/* Parses and checks a whole bundle (policy/bundle.h). NULL on error: the first error, with file,
 * line, column, found, expected. warnings may be NULL, else gets one line each. */
struct policy *policy_load(const void *bundle, size_t len, struct buf *warnings, struct err *e);
/* As policy_load, but goes on after a mistake where it can: NULL, and errors gets a line for the
 * first mistake of each operator, target and role file, e->text the first of all. What cannot be
 * gone on after is in e alone. */
struct policy *policy_load_gather(const void *bundle, size_t len, struct buf *warnings,
                                  struct buf *errors, struct err *e);
void policy_free(struct policy *p);
const uint8_t *policy_hash(const struct policy *p); /* 32 bytes */

#define OPERATOR_NAME_MAX 64  /* [a-z_][a-z0-9_.-]* */
#define TARGET_NAME_MAX   255 /* letters, digits, . and -, lower case */
#define ACCOUNT_NAME_MAX  64  /* [A-Za-z_][A-Za-z0-9_.-]* */

struct policy_key {
    uint8_t *blob; /* SSH wire format */
    size_t len;
    char fingerprint[64]; /* SHA256:base64 */
};
struct policy_operator {
    const char *name, *full_name; /* full_name may be NULL */
    const struct policy_key *keys;
    size_t key_count;
    const char *const *groups;
    size_t group_count;
};
struct policy_target {
    const char *name, *const *aliases;
    size_t alias_count;
    uint32_t index; /* in the inventory: the order of the file */
    struct address address;
    uint16_t port;
    const struct policy_key *host_keys;
    size_t host_key_count;
};

size_t policy_operator_count(const struct policy *p);
const struct policy_operator *policy_operator_at(const struct policy *p, size_t i);
const struct policy_operator *policy_operator_named(const struct policy *p, const char *name);
/* The operator who owns this public key; keys are unique over the set. */
const struct policy_operator *policy_operator_of_key(const struct policy *p, const void *blob,
                                                     size_t len);
size_t policy_target_count(const struct policy *p);
const struct policy_target *policy_target_at(const struct policy *p, uint32_t index);
const struct policy_target *policy_target_named(const struct policy *p, const char *name);
size_t policy_role_count(const struct policy *p);

enum ability {
    ABILITY_SHELL = 1,
    ABILITY_EXEC = 2,
    ABILITY_PTY = 4,
    ABILITY_SFTP = 8,
    ABILITY_FORWARD = 16,
};
enum record_mode { RECORD_STRICT = 0, RECORD_SYNC_ALL = 1 };
/* What is kept of the output of commands without a terminal. */
enum bulk_mode { BULK_FULL = 0, BULK_DIGEST = 1 };
enum factor { FACTOR_KEY = 1, FACTOR_PASSWORD = 2, FACTOR_TOTP = 4, FACTOR_REMEMBERED = 8 };

struct policy_request {
    const char *operator_name, *target, *account;
    struct address source;
    uint64_t now_s;            /* real time, for windows */
    uint32_t factors;          /* bits of enum factor that were used in this login */
    uint64_t remembered_age_s; /* age of the certificate when FACTOR_REMEMBERED */
};

struct policy_decision {
    bool allowed;
    uint32_t abilities;
    enum record_mode record;
    uint64_t idle_s, max_s; /* 0: no limit */
    uint64_t max_bytes;     /* of the trail, that the session may fill; 0: no limit */
    enum bulk_mode bulk;    /* BULK_DIGEST only where every matching role says so */
    uint64_t bulk_after;    /* bytes; the largest; 0 with BULK_FULL */
    uint64_t keep_max;      /* bytes of each file that SFTP moves; the largest; 0: none */
    uint64_t remember_s;    /* how old a remembered login may be here; 0: none counts */
    /* Real time at which another decision may come of the same request, by time windows; 0: never.
     * It may be more or less than now: decide with that time to know. */
    uint64_t until_s;
    /* "role kvm-operator (roles.d/kvm.yaml:1): members, target, account match; ..." */
    char path[1000];
    /* denied: for the operator, after both factors: what failed and whom to ask */
    char reason[1000];
    /* denied, for records: "unknown-operator", "unknown-target", "operator-address", "no-role",
     * "account", "address", "factors", "when", "remembered-too-old", "no-ability", "rules" */
    char token[32];
    /* denied: what decided, "no-role", "unknown-target", "kvm-operator/when" (or /accounts, /from,
     * /factors, /remember, /allow), "operator:alice/from"; allowed: the first role that matches and
     * permits anything */
    char because[128];
    /* the first role that gave the shell, exec, file rules, forwards; "" */
    char shell_role[65], exec_role[65], files_role[65], forward_role[65];
    char contact[121];              /* whom to ask, for refusals in the session */
    struct rule_set *rules;         /* NULL: none; freed by policy_decision_clear */
    struct file_rules *files;       /* NULL: no SFTP; freed by policy_decision_clear */
    struct forward_rules *forwards; /* NULL: none; freed by policy_decision_clear */
};
/* Fills *out; the caller clears it. ERR_MEMORY is a denial too: out->allowed is false on any
 * error. */
MUST_CHECK int policy_decide(const struct policy *p, const struct policy_request *r,
                             struct policy_decision *out, struct err *e);
void policy_decision_clear(struct policy_decision *d);

/* The operator's own `from`, for logins that go to no target. False: unknown operator. */
bool policy_operator_may_come_from(const struct policy *p, const char *operator_name,
                                   const struct address *source);

/* The longest `remember` over the operator's roles (seconds, 0: none): a certificate's life. */
uint64_t policy_remember_s(const struct policy *p, const char *operator_name);

/* The names of the operator's roles, own and by group, each once, in the order of the set. Fills at
 * most max of names, which belong to the set, and returns how many there are. */
size_t policy_roles_of(const struct policy *p, const char *operator_name, const char **names,
                       size_t max);

/* "2026-03-02 10:00 Asia/Seoul" as seconds since 1970; the zone must be one that the set names, or
 * UTC. A time that comes twice is the first one. ERR_SYNTAX, ERR_NOT_FOUND (the zone), ERR_INPUT.
 */
MUST_CHECK int policy_moment(const struct policy *p, const char *text, uint64_t *now_s,
                             struct err *e);

/* What any role permits to any of its operators behind this target's account; *out is NULL where
 * none does. The caller frees it. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int policy_forwards_to(const struct policy *p, const char *target, const char *account,
                                  struct forward_rules **out, struct err *e);

/* The addresses alone, for the supervisor: fills *count and returns an array indexed by inventory
 * index; free it. */
struct policy_target_address {
    char name[TARGET_NAME_MAX + 1];
    struct address address;
    uint16_t port;
};
struct policy_target_address *policy_target_addresses(const void *bundle, size_t len, size_t *count,
                                                      struct err *e);

#endif
