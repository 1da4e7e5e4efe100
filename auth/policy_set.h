/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy set in force, and its replacement: all or nothing. The bundle comes from the
 * supervisor in a memfd; a confined child parses it first, so that a bundle that breaks the parser
 * breaks only that; then authd loads it, records it, swaps it in, and decides about what
 * runs again. */
#ifndef SALLYPORT_AUTH_POLICY_SET_H
#define SALLYPORT_AUTH_POLICY_SET_H

#include "auth/authd_state.h"

struct policy_set;
struct policy_approval;

struct policy_set *policy_set_new(struct authd *a);
void policy_set_free(struct policy_set *p);
/* Takes the memfd. Answers the supervisor with loaded or load_refused, and tells waiting admins. */
void policy_set_load(struct policy_set *p, uint64_t generation, const char *why, int memfd);
struct policy_approval *policy_set_approval(const struct policy_set *p);
/* Of the set in force; 0: none yet. */
uint64_t policy_set_generation(const struct policy_set *p);

#endif
