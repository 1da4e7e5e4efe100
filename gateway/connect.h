/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport connect`: ssh's ProxyCommand on the operator's device. It opens TLS to the gateway,
 * asks for a target by CONNECT, and moves bytes between TLS and descriptors 0 and 1. Trusts the
 * gateway only by the CA file that `sallyport setup` put down; what it moves means nothing to it.
 */
#ifndef SALLYPORT_GATEWAY_CONNECT_H
#define SALLYPORT_GATEWAY_CONNECT_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/err.h"

struct connect_options {
    const char *host, *port;
    const char *name;    /* what the gateway's certificate has to say: a DNS name or an address */
    const char *ca_file; /* PEM */
    const char *key_file, *certificate_file; /* PEM; NULL or not there: without */
    const char *target;                      /* "NAME:PORT" */
};

/* Until the gateway answered the CONNECT; a slow handshake on a bad line takes 3 s. */
#define CONNECT_TIMEOUT_MS 20000

/* TCP and TLS: on success *ssl's handshake is done and the gateway is who it should be. */
MUST_CHECK int connect_open(const struct connect_options *o, SSL **ssl, struct err *e);
void connect_close(SSL *ssl);

/* Sends the CONNECT, then pumps until the gateway closes. `in` and `out` stay open. */
MUST_CHECK int connect_pump(const struct connect_options *o, SSL *ssl, int in, int out,
                            struct err *e);

/* Why a TLS call on an open connection failed. Returns ERR_CLOSED. */
int connect_broken(const struct connect_options *o, SSL *ssl, int why, struct err *e);

#endif
