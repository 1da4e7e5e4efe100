/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a login share (auth/login.h). */
#ifndef SALLYPORT_AUTH_LOGIN_STEPS_H
#define SALLYPORT_AUTH_LOGIN_STEPS_H

#include "auth/login.h"

/* reason: static. */
void login_reply(struct login_reply *r, enum login_verdict verdict, const char *reason,
                 const char *format, ...) PRINTF_LIKE(4, 5);
/* operator_name, user and factors say who it is: what comes next is a code, unless the device is
 * remembered. */
void login_first_factor(struct login *l, const struct login_world *w, uint64_t now_s,
                        struct login_reply *r);

#endif
