/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules: where a session may open a TCP connection to, from the target's side
 * (direct-tcpip). Each names one host and one port; no pattern, no range, no prefix.
 *
 *     rule = host ":" port
 *     host = name / v4 / "[" v6 "]"     name: letters, digits, "-", "."; not all digits after the
 *                                       last "."; compared without case
 *     port = 1 to 65535
 *
 * A name is not looked up here and matches that name alone: "localhost:22" does not permit
 * 127.0.0.1, which the target may take for something else. Addresses are compared as such, a
 * v4-mapped v6 address is the v4 one. What is asked of the target is the rule's text, never the
 * client's. Used by authd (encodes them into the grant) and by the backend (decodes, applies to
 * hostile requests). Pure. */
#ifndef SALLYPORT_POLICY_FORWARDS_H
#define SALLYPORT_POLICY_FORWARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FORWARD_HOST_MAX      255
#define FORWARD_TEXT_MAX      (FORWARD_HOST_MAX + 8) /* brackets, colon, port */
#define FORWARD_RULE_NAME_MAX 127
#define FORWARDS_ENCODED_MAX  32768 /* what a grant's rules have together */

struct forward_rules;

/* An empty set permits nothing. NULL when memory is out. */
struct forward_rules *forward_rules_new(void);
void forward_rules_free(struct forward_rules *rules);
/* text: a rule as above; name is for records and refusals ("bob/forward[0]"). ERR_INPUT with what
 * is wrong, ERR_FULL. Of an error nothing is added. */
MUST_CHECK int forward_rules_add(struct forward_rules *rules, const char *name, const char *text,
                                 struct err *e);
/* Adds all rules of other. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int forward_rules_merge(struct forward_rules *rules, const struct forward_rules *other,
                                   struct err *e);
/* A NULL set is encoded as nothing, as an empty one. */
MUST_CHECK int forward_rules_encode(const struct forward_rules *rules, struct buf *out);
/* NULL on error. len 0: a set that permits nothing. */
struct forward_rules *forward_rules_decode(const void *bytes, size_t len, struct err *e);

/* May host and port, as a client sent them (hostile, of any length and any port), be connected to?
 * name (may be NULL) gets the first rule that says so, and send (may be NULL) the host as the
 * target is to be asked for it; both "" when none does. */
bool forward_rules_match(const struct forward_rules *rules, const void *host, size_t len,
                         uint64_t port, char name[128], char send[FORWARD_HOST_MAX + 1]);

/* Calls each with every rule, in order; text is "host:port" in its one form. */
void forward_rules_each(const struct forward_rules *rules,
                        void (*each)(void *arg, const char *name, const char *text), void *arg);

/* "host:port" as in a rule: *out is the host without brackets, in the one form of it. */
MUST_CHECK int forward_parse(const char *text, char host[FORWARD_HOST_MAX + 1], uint16_t *port,
                             struct err *e);

#endif
