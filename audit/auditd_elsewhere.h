/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder's part in making checkpoints known elsewhere: it gives each to the courier, believes
 * what comes back by signatures alone, keeps the newest cosigned one, and says so when a checkpoint
 * stays unknown for too long, or when a witness knows this log with another history. */
#ifndef SALLYPORT_AUDIT_AUDITD_ELSEWHERE_H
#define SALLYPORT_AUDIT_AUDITD_ELSEWHERE_H

#include "audit/checkpoint.h"
#include "base/err.h"
#include "gateway/messages.h"

/* One syslog server and the witnesses. */
#define ELSEWHERE_MAX 9u

struct auditd;
struct elsewhere;

/* From the supervisor; fd is owned. */
MUST_CHECK int elsewhere_begin(struct auditd *a, const struct auditd_elsewhere *m, struct err *e);
MUST_CHECK int elsewhere_destination(struct auditd *a, const struct auditd_destination *m,
                                     struct err *e);
MUST_CHECK int elsewhere_courier(struct auditd *a, int fd, struct err *e);
/* After each round of the loop: a checkpoint may have become durable. */
void elsewhere_settled(struct auditd *a);
/* The log was shut down: waits up to 3 s until every destination that took checkpoints so far has
 * the last one. */
void elsewhere_farewell(struct auditd *a);
/* NULL-safe in a->elsewhere. */
void elsewhere_end(struct auditd *a);

#endif
