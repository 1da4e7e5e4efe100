/* SPDX-License-Identifier: Apache-2.0
 *
 * The system users under which the programs run, made by `sallyport init` where they are missing.
 */
#ifndef SALLYPORT_GATEWAY_INIT_USERS_H
#define SALLYPORT_GATEWAY_INIT_USERS_H

#include <sys/types.h>

#include "base/err.h"

/* user is a name or a number. A number is itself, with a group of the same number. A name that does
 * not exist is made by useradd(8): a system user without home or shell, with a group of its own.
 * *made is set when it was. */
MUST_CHECK int init_user(const char *user, uid_t *uid, gid_t *gid, int *made, struct err *e);

#endif
