/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend: one process per logged-in connection, between a frontend and one target. It judges
 * each request of the frontend by the grant, records before it acts, and relays bytes. Forked by
 * the program sallyport-backend (gateway/forkserver.h). Trusts authd's grant and auditd's answers;
 * the frontend is whoever reached the port, the target may be hostile. Never sees a private key, a
 * password or a code. */
#ifndef SALLYPORT_GATEWAY_BACKEND_H
#define SALLYPORT_GATEWAY_BACKEND_H

#include "gateway/forkserver.h"

extern const struct forkserver_ops backend_ops;

/* The two callbacks of backend_ops, for tests that play the other processes. */
MUST_CHECK int backend_start(const struct forkserver_start *start, void **data, struct err *e);
int backend_child(uint64_t conn, const int *fds, void *data);

#endif
