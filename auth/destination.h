/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a connection wants to go, from its CONNECT line or, in plain SSH, from its user name: the
 * one parser of both. Exact: no case folding, no trailing dot, no percent signs. Pure.
 *
 *     CONNECT   host ":" "22"        account = user name
 *     plain     account "@" host     exactly one "@"
 *     host      = 1*255(%x61-7A / DIGIT / "." / "-")
 *     account   = (ALPHA / "_") *63(ALPHA / DIGIT / "_" / "." / "-") */
#ifndef SALLYPORT_AUTH_DESTINATION_H
#define SALLYPORT_AUTH_DESTINATION_H

#include <stdbool.h>

#define DESTINATION_GATEWAY "gateway"

struct destination {
    bool valid;
    bool gateway;     /* the gateway itself; the account means nothing */
    char target[256]; /* "" when not valid */
    char account[65];
    char problem[1000]; /* not valid: for the operator, after both factors */
    char token[32];     /* "unknown-target", "account" */
};

/* connect_target: as the listener gave it, empty for plain SSH. */
void destination_parse(const char *connect_target, const char *user, struct destination *out);

#endif
