/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to all connections of an operator at once: a lock, a changed policy set, shutdown.
 */
#ifndef SALLYPORT_AUTH_SESSIONS_H
#define SALLYPORT_AUTH_SESSIONS_H

#include "auth/authd_state.h"

/* Ends the live sessions and complete logins of one operator; returns how many. Incomplete logins
 * go on: locks are told after both factors. */
unsigned sessions_end_operator(struct authd *a, const char *operator_name, const char *text,
                               const char *token);
/* Of those only what began with a remembered login instead of a code. */
unsigned sessions_end_remembered(struct authd *a, const char *operator_name, const char *text,
                                 const char *token);
/* Of those only what began with a password; incomplete logins too. */
unsigned sessions_end_password(struct authd *a, const char *operator_name, const char *text,
                               const char *token);
/* Ends the logins and commands to the gateway of those who, or whose key, are not in the policy set
 * that is in force now. Sessions: see auth/live.h. */
unsigned sessions_sweep(struct authd *a);
void sessions_end_all(struct authd *a, const char *text, const char *token);

#endif
