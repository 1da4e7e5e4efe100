/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking through wrappers, for denies and classes: the commands that an argv would run, as far as
 * its text says. `sudo -u x -- virsh list` is `sudo`, and `virsh list`; `sh -c 'a; b'` is `sh`,
 * `a` and `b`; `virsh 'list; start vm7'` is itself, `virsh list` and `virsh start vm7`. An allow
 * never looks through anything (policy/rules.h). Used by authd's loader, the backend (hostile argv)
 * and `policy classify`. Pure.
 *
 * It sees names, not programs: a copy, a link or a script of another name is what its name says. */
#ifndef SALLYPORT_POLICY_WRAPPERS_H
#define SALLYPORT_POLICY_WRAPPERS_H

#include <stdbool.h>

#include "base/err.h"
#include "policy/rules.h"

/* How deep wrappers may be nested, and how many commands one argv may hold; beyond is "opaque". */
#define WRAPPER_DEPTH_MAX    8
#define WRAPPER_COMMANDS_MAX 64
#define WRAPPER_WHY_MAX      200

/* A command found in argv, argv itself first (depth 0). word[0] is the program as it was written
 * (a path still is one). Returning other than 0 ends the walk with that value. inner is valid
 * during the call; its text is NULL. */
typedef int (*wrapper_found)(void *arg, const struct words *inner, unsigned depth);

/* Calls found for argv and for each command that wrappers in it run. *opaque is set when something
 * in it runs what its text does not say (an expansion, a script from standard input, an unknown
 * option of a known wrapper, a bound exceeded): a deny rule then cannot be sure. */
MUST_CHECK int wrappers_walk(const struct words *argv, wrapper_found found, void *arg, bool *opaque,
                             struct err *e);
/* The same; why says what cannot be seen ("xargs: adds words from its standard input"; the
 * program's name is the argv's own, hostile), "" when all is. */
MUST_CHECK int wrappers_walk_why(const struct words *argv, wrapper_found found, void *arg,
                                 char why[WRAPPER_WHY_MAX], struct err *e);

/* For warnings: how this program (a path is stripped) can run other commands, NULL when it is not
 * known to. *always: whatever its words are. */
const char *wrapper_risk(const char *program, bool *always);

#endif
