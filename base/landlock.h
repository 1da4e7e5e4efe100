/* SPDX-License-Identifier: Apache-2.0
 *
 * A wall around one directory for a program that needs no root and so cannot change its own: from
 * then on the process opens, makes, renames and removes plain files in that directory only, and
 * neither connects nor binds. Landlock of Linux 5.13 and up (landlock(7)); a filter of system calls
 * cannot tell one path from another. */
#ifndef SALLYPORT_BASE_LANDLOCK_H
#define SALLYPORT_BASE_LANDLOCK_H

#include "base/err.h"

/* For this thread and those that it makes; PR_SET_NO_NEW_PRIVS must be set. 1: the wall stands; 0:
 * the kernel has no Landlock; ERR_SYSTEM. */
MUST_CHECK int landlock_only(int dir, struct err *e);

#endif
