/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules: to which hosts and ports an operator may have the target connect (SSH's
 * direct-tcpip).
 *
 *     pattern = host ":" port ["-" port]
 *     host    = name / v4 / v4-prefix / "[" (v6 / v6-prefix) "]"
 *     name    = labels of letters, digits, "-" and "_", joined by "."; not all of digits and dots
 *
 * A name matches itself alone, whatever its case; what it means is the target's resolver's to say
 * and no concern of a rule. An address or prefix matches literal addresses alone, in whatever form
 * they are written; no name is resolved. There is no pattern over names.
 * Used by authd (encodes them into the grant) and by the backend (decodes, applies to hostile
 * requests). Pure. */
#ifndef SALLYPORT_POLICY_FORWARDS_H
#define SALLYPORT_POLICY_FORWARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FORWARD_HOST_MAX      255
#define FORWARD_PATTERN_MAX   280   /* a host, brackets, a prefix's length, two ports */
#define FORWARDS_ENCODED_MAX  16384 /* auth/grant.def; what a grant's rules have together */
#define FORWARD_RULE_NAME_MAX 127

struct forward_rules;

/* An empty set permits nothing. NULL when memory is out. */
struct forward_rules *forward_rules_new(void);
void forward_rules_free(struct forward_rules *rules);
/* name is for records and refusals ("bob/forward[0]"). ERR_INPUT with what was found and expected,
 * ERR_FULL. Of an error nothing is added. */
MUST_CHECK int forward_rules_add(struct forward_rules *rules, const char *name, const char *pattern,
                                 struct err *e);
/* Adds all rules of other. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int forward_rules_merge(struct forward_rules *rules, const struct forward_rules *other,
                                   struct err *e);
/* A NULL set is encoded as nothing, as an empty one. */
MUST_CHECK int forward_rules_encode(const struct forward_rules *rules, struct buf *out);
/* NULL on error. len 0: a set that permits nothing. */
struct forward_rules *forward_rules_decode(const void *bytes, size_t len, struct err *e);

/* Which rule permits it: name (may be NULL) gets the first one's, "" when none does, and host_as
 * the form in which the target is to be asked (an address in its usual text, a name in lower case).
 * A NULL set permits nothing. */
bool forward_rules_match(const struct forward_rules *rules, const char *host, uint16_t port,
                         char name[FORWARD_RULE_NAME_MAX + 1], char host_as[FORWARD_HOST_MAX + 1]);
/* Calls each with every pattern, in order. */
void forward_rules_each(const struct forward_rules *rules,
                        void (*each)(void *arg, const char *name, const char *pattern), void *arg);

/* "host:port" as a person writes what he asks for: no prefix, no range. ERR_INPUT. */
MUST_CHECK int forward_parse(const char *text, size_t len, char host[FORWARD_HOST_MAX + 1],
                             uint16_t *port, struct err *e);

#endif
