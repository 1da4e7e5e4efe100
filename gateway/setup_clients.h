/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport setup --for CLIENT`: what to put where, so that a client other than plain ssh goes
 * through the gateway. It prints and changes nothing. What it prints is made of the device
 * directory's own paths and of names, each of characters that need no quoting inside quotes. */
#ifndef SALLYPORT_GATEWAY_SETUP_CLIENTS_H
#define SALLYPORT_GATEWAY_SETUP_CLIENTS_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"

struct setup_client {
    const char *client;   /* a name of gateway/setup_clients.def, or "list" */
    const char *dir;      /* which gateway, as device_choose takes it; NULL: the only one */
    const char *identity; /* NULL: what the device's ssh_config says, else ~/.ssh/id_ed25519 */
    const char *user;     /* NULL: what the device's ssh_config says, else root */
    const char *target;   /* the host in the examples; NULL: hv1 */
};

/* Prints to standard output. An unknown client is ERR_USAGE, with the nearest name. */
MUST_CHECK int setup_client_print(const struct setup_client *wanted, struct err *e);

/* Whether text is not empty and made of letters, digits and the characters of `also`. */
bool setup_plain(const char *text, const char *also);
/* The path made absolute, when it can stand in double quotes in ssh_config and in a shell; the
 * caller frees it. */
char *setup_path(const char *path, const char *what, struct err *e);
/* This program's own path: what runs it does so from anywhere, and mostly by a shell. */
MUST_CHECK int setup_program(char out[PATH_MAX], struct err *e);

#endif
