/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gets in although the trail's disk is full: the operators that the configuration names, with
 * both factors given now. Used by authd alone; whether the gate is closed for that reason alone,
 * and whether there is a reserve to record from, is the supervisor's and auditd's to say. Pure. */
#ifndef SALLYPORT_AUTH_BREAK_GLASS_H
#define SALLYPORT_AUTH_BREAK_GLASS_H

#include "auth/login.h"

#define BREAK_GLASS_PROMPT                                                                         \
    "The trail's disk is full and no session starts; you may break the glass, which is an alarm. " \
    "A "                                                                                           \
    "remembered login does not count for that."
#define BREAK_GLASS_WANTS_CODE                                                                     \
    "You may get in all the same: log in again, with a code given now (a remembered login does "   \
    "not count)."
#define BREAK_GLASS_NOTICE                                                                         \
    "BREAK-GLASS: the trail's disk is full. This session is recorded from a small reserve and an " \
    "alarm was raised; it ends when the reserve is used up. Please make room."

/* This login is one of theirs, to a target, while break-glass holds. */
bool break_glass_named(const struct login_world *w, const struct login *l);
/* It has what is asked of them: the key, and a code that was given for this connection. */
bool break_glass_holds(const struct login *l);

#endif
