/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of an SSH public key file, checked: "TYPE BASE64 [COMMENT]". Used by the loaders of
 * operators and targets. Pure. Source: RFC 4253 6.6, RFC 5656 3.1, RFC 8709; sshd(8) for the line.
 */
#ifndef SALLYPORT_POLICY_PUBKEY_H
#define SALLYPORT_POLICY_PUBKEY_H

#include "base/err.h"
#include "policy/policy.h"
#include "policy/pool.h"

/* The blob lies in the pool. ERR_SYNTAX with what was found and expected, ERR_MEMORY. */
MUST_CHECK int pubkey_parse(struct pool *pool, const char *line, struct policy_key *out,
                            struct err *e);
/* A key that signs policy sets: also one of a security key, and no curve that base/sshsig.h does
 * not verify. */
MUST_CHECK int pubkey_parse_signer(struct pool *pool, const char *line, struct policy_key *out,
                                   struct err *e);

#endif
