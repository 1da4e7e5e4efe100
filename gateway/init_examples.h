/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration that `sallyport init` begins with. Pure text. */
#ifndef SALLYPORT_GATEWAY_INIT_EXAMPLES_H
#define SALLYPORT_GATEWAY_INIT_EXAMPLES_H

#include "base/buf.h"
#include "base/err.h"

struct init_settings {
    const char *gateway, *listen, *state, *runtime, *admin;
    /* listener, frontend, backend, authd, auditd, reader, courier, firewall: a name or a number
     * each */
    const char *users[8];
};

MUST_CHECK int init_sallyport_yaml(const struct init_settings *s, struct buf *out);
extern const char init_operators_yaml[], init_targets_yaml[], init_role_example[];
/* The head of a list of reviewers; entries of the list follow. */
extern const char init_reviewers_yaml[];

#endif
