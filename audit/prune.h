/* SPDX-License-Identifier: Apache-2.0
 *
 * Carries out one order of two custodians on the trail, in small steps between the recorder's other
 * work: looks through the whole log (is the order of this log and this history, was it carried out
 * before, what is held, which sessions go on), records what will be destroyed, durably, and only
 * then writes each segment anew without it. A crash at any point is taken up at the next start.
 * Runs in auditd. Format: docs/FORMAT.md, "Retention". */
#ifndef SALLYPORT_AUDIT_PRUNE_H
#define SALLYPORT_AUDIT_PRUNE_H

#include "audit/prune_order.h"
#include "audit/trail.h"

struct prune;

/* Signatures were checked: names says whose. ERR_SYNTAX, ERR_DENIED (another log's), ERR_TRAIL,
 * ERR_MEMORY. */
MUST_CHECK int prune_new(struct prune **out, struct trail *t, int dir, const void *order,
                         size_t len, char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1], struct err *e);
/* An order that was under way when the recorder ended. *out NULL: none. */
MUST_CHECK int prune_resume(struct prune **out, struct trail *t, int dir, struct err *e);
void prune_free(struct prune *p); /* NULL-safe */

/* Some milliseconds of work. 1: there is more; 0: done. ERR_DENIED: the order cannot be carried
 * out, and nothing was; ERR_TRAIL: the trail failed; others: a segment could not be written anew,
 * the next start goes on. */
MUST_CHECK int prune_step(struct prune *p, struct err *e);
/* A session was held: an order that has destroyed nothing yet is not carried out. */
void prune_disturb(struct prune *p);
/* Once done: what was done, in words. */
const char *prune_summary(const struct prune *p);

#endif
