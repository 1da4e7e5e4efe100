/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking through wrappers, for denies and classes: the commands that an argv would run, as far as
 * its text says. `sudo -u x -- virsh list` is `sudo`, and `virsh list`; `sh -c 'a; b'` is `sh`,
 * `a` and `b`. An allow never looks through anything (policy/rules.h). Used by authd's loader, the
 * backend (hostile argv) and `policy classify`. Pure. */
#ifndef SALLYPORT_POLICY_WRAPPERS_H
#define SALLYPORT_POLICY_WRAPPERS_H

#include <stdbool.h>

#include "base/err.h"
#include "policy/rules.h"

/* How deep wrappers may be nested, and how many commands one argv may hold; beyond is "opaque". */
#define WRAPPER_DEPTH_MAX    8
#define WRAPPER_COMMANDS_MAX 64

/* A command found in argv, argv itself first (depth 0). word[0] is the program as it was written
 * (a path still is one). Returning other than 0 ends the walk with that value. */
typedef int (*wrapper_found)(void *arg, const struct words *inner, unsigned depth);

/* Calls found for argv and for each command that wrappers in it run. *opaque is set when something
 * in it runs what its text does not say (an expansion, a script from standard input, an unknown
 * option of a known wrapper, a bound exceeded): a deny rule then cannot be sure. */
MUST_CHECK int wrappers_walk(const struct words *argv, wrapper_found found, void *arg, bool *opaque,
                             struct err *e);

#endif
