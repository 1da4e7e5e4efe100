/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks an SSH server for its host key, to be shown to a person who compares it. Runs in
 * `sallyport target add`; logs in nowhere. What the server says is a claim until somebody confirmed
 * it. */
#ifndef SALLYPORT_AUTH_HOST_SCAN_H
#define SALLYPORT_AUTH_HOST_SCAN_H

#include "base/err.h"

struct host_scan {
    char address[64];     /* literal: where the name led */
    char key[2048];       /* "ssh-ed25519 AAAA..." */
    char fingerprint[64]; /* "SHA256:..." as ssh-keygen -l prints it */
};

/* host is a name or an address. The strongest kind of key that the server has. */
MUST_CHECK int host_scan(const char *host, unsigned port, struct host_scan *out, struct err *e);

#endif
