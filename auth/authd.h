/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-authd: the process that knows who is who and decides who may what. It holds the TOTP
 * secrets, the vault keys and the operator CA, and speaks typed messages only: with the supervisor,
 * with one frontend and one backend per connection, with auditd, and JSON lines on the control
 * socket. One thread, one event loop. */
#ifndef SALLYPORT_AUTH_AUTHD_H
#define SALLYPORT_AUTH_AUTHD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct authd_options {
    int link_fd;               /* link `authd` to the supervisor; taken */
    const char *store_path;    /* inside the root directory */
    bool sealed;               /* seccomp; only tests run without */
    uint64_t (*real_ns)(void); /* NULL: the real clock */
};

/* Until the supervisor says so or its link closes: 0. Negative: could not start, or the supervisor
 * broke the protocol. */
MUST_CHECK int authd_run(const struct authd_options *options, struct err *e);

#endif
