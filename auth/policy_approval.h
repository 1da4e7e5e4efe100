/* SPDX-License-Identifier: Apache-2.0
 *
 * Two persons, as authd holds to it: what is in force (from the store, so that it outlives
 * restarts), whether a set may follow (policy/approval.h), and the step from one to the next. The
 * order is: the policy record is durable, then the store has the new state, then the set is in
 * force. Ended in between: after the record alone, the set is a signed successor still, and is
 * recorded a second time when it is loaded again; after the store, it is the set in force, and any
 * earlier one is refused. So nothing unrecorded comes into force, and nothing comes back. */
#ifndef SALLYPORT_AUTH_POLICY_APPROVAL_H
#define SALLYPORT_AUTH_POLICY_APPROVAL_H

#include "auth/authd_state.h"
#include "base/json_out.h"
#include "policy/approval.h"

/* The loader's exit status for a set that is right, and not approved. */
#define POLICY_NOT_APPROVED 3

struct policy_approval;

struct policy_approval *policy_approval_new(struct authd *a);
void policy_approval_free(struct policy_approval *p);
/* Before a loader is forked: reads the store, once. */
MUST_CHECK int policy_approval_begin(struct policy_approval *p, struct err *e);
/* In the loader. Touches neither the store nor the trail. */
MUST_CHECK int policy_approval_try(const struct policy_approval *p, const void *block, size_t len,
                                   struct err *e);
/* In authd: the same, and keeps what is to be accepted; the block must stay until then. */
MUST_CHECK int policy_approval_check(struct policy_approval *p, const void *block, size_t len,
                                     struct err *e);
/* Members of the policy record: what policy_approval_check kept. */
void policy_approval_record(const struct policy_approval *p, struct json_out *j);
/* The record is durable: now the store. On an error the set must not come into force. */
MUST_CHECK int policy_approval_accept(struct policy_approval *p, struct err *e);
/* Records an alarm. */
void policy_approval_refused(struct policy_approval *p, const char *text);

/* What is in force, for the control socket: the text of approvers.yaml in *text. */
const struct approval_state *policy_approval_state(struct policy_approval *p, struct bytes *text,
                                                   struct err *e);

#endif
