/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a connection wants to go, from its CONNECT line or, in plain SSH, from its user name: the
 * one parser of both. Exact: no case folding, no trailing dot, no percent signs. Pure. Who names
 * himself in the user name gives a password; the frontend asks the same function, so that what it
 * offers depends on that name alone.
 *
 *     CONNECT   host ":" "22"             user name = [operator "+"] account
 *     plain     user name "@" host        exactly one "@"
 *     host      = 1*255(%x61-7A / DIGIT / "." / "-")
 *     operator  = (%x61-7A / "_") *63(%x61-7A / DIGIT / "_" / "." / "-")
 *     account   = (ALPHA / "_") *63(ALPHA / DIGIT / "_" / "." / "-")
 *
 * For the target `gateway` the account may be anything, and empty. */
#ifndef SALLYPORT_AUTH_DESTINATION_H
#define SALLYPORT_AUTH_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>

#define DESTINATION_GATEWAY "gateway"

struct destination {
    bool valid;
    bool gateway;     /* the gateway itself; the account means nothing */
    char target[256]; /* "" when not valid */
    char account[65];
    char problem[1000]; /* not valid: for the operator, after both factors */
    char token[32];     /* "unknown-target", "account" */
};

/* The operator whom a user name of either form names; it is one that could be in operators.yaml,
 * not one who is. out has room for 65 bytes and is empty when there is none. Returns the length of
 * the name and its "+", 0: none. */
size_t destination_operator(const char *user, char out[65]);
/* connect_target: as the listener gave it, empty for plain SSH. */
void destination_parse(const char *connect_target, const char *user, struct destination *out);

#endif
