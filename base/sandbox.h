/* SPDX-License-Identifier: Apache-2.0
 *
 * What each program may do, in one table (base/sandbox.def): limits, system calls. A program enters
 * in two steps. sandbox_enter, the first call of its main: root directory, uid, capabilities,
 * no_new_privs, limits, a clean descriptor table. sandbox_seal, when it has opened what it needs
 * and before it reads a byte from a peer: seccomp. A failure of either is fatal; nothing runs half
 * confined. Only sanitizer builds leave seccomp out. */
#ifndef SALLYPORT_BASE_SANDBOX_H
#define SALLYPORT_BASE_SANDBOX_H

#include "base/err.h"

enum sandbox_program {
    SANDBOX_SUPERVISOR,
    SANDBOX_LISTENER,
    SANDBOX_FRONTEND_SERVER, /* forks frontends */
    SANDBOX_FRONTEND,
    SANDBOX_BACKEND_SERVER, /* forks backends */
    SANDBOX_BACKEND,
    SANDBOX_AUTHD,
    SANDBOX_POLICY_LOADER, /* authd's child that parses a set first */
    SANDBOX_AUDITD,
    SANDBOX_COURIER,
    SANDBOX_WITNESS, /* sallyport-witness, started by anybody: sealed, not entered */
    SANDBOX_READER,  /* one for each request to read recordings */
    SANDBOX_FIREWALL,
    SANDBOX_HASHER, /* authd's child that hashes passwords */
};

/* The link to the supervisor that each program is started with. */
#define SANDBOX_LINK_FD 3

/* Parses `--uid N --gid N --root DIR` (the supervisor's only arguments to a program), then: umask
 * 077, chdir and chroot to DIR, drops every capability but the one that the table lets the program
 * keep (KEEP), groups, gid, uid, sets no_new_privs,
 * not dumpable, no core, the table's rlimits, closes every descriptor but 0, 1, 2 and
 * SANDBOX_LINK_FD. Refuses to run as uid 0 afterwards. */
MUST_CHECK int sandbox_enter(enum sandbox_program program, int argc, char **argv, struct err *e);

/* Installs the table's seccomp filter: allowed calls pass, the table's `refused` calls return
 * EACCES, any other is trapped: its name is written to descriptor 2 as "error PROGRAM
 * seccomp-denied syscall=NAME number=N" and the process exits with status 159 (128 + SIGSYS). May
 * be called again in a forked child with the child's narrower program. */
MUST_CHECK int sandbox_seal(enum sandbox_program program, struct err *e);

/* Makes the filter of a program that will be sealed in a forked child, when its parent will not be
 * permitted to. The table's own child (sandbox.def) needs no such call. */
MUST_CHECK int sandbox_prepare(enum sandbox_program program, struct err *e);

/* What the supervisor needs to know when it starts a program. */
const char *sandbox_name(enum sandbox_program program);

#define SANDBOX_EXIT_DENIED 159

#endif
