/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork server: the program of the frontends or of the backends. The supervisor starts it once; it
 * forks one child per connection on the supervisor's word (link `forks`), so that a connection
 * costs no exec and about 0.3 MiB. The server itself never reads a byte from a peer. Runs as the
 * frontend's or backend's uid; trusts the supervisor's link, which it checks all the same.
 *
 * A main is
 *
 *     int main(int argc, char **argv)
 *     {
 *         return forkserver_run(&ops, argc, argv);
 *     }
 */
#ifndef SALLYPORT_GATEWAY_FORKSERVER_H
#define SALLYPORT_GATEWAY_FORKSERVER_H

#include <stdint.h>

#include "base/err.h"
#include "base/sandbox.h"

/* What the supervisor's start message said. */
struct forkserver_start {
    uint32_t login_ms;   /* frontend: from accept to both factors; else 0 */
    uint32_t connect_ms; /* backend: to log in to the target; else 0 */
    int host_key_fd;     /* frontend: private key file, open for reading at 0; else -1 */
};

/* What a child gets. It owns the descriptors. In the order of the message table: */
enum { FRONTEND_STREAM, FRONTEND_LOGIN, FRONTEND_TRAIL, FRONTEND_FDS };
enum { BACKEND_TARGET, BACKEND_RELAY, BACKEND_GRANT, BACKEND_AGENT, BACKEND_TRAIL, BACKEND_FDS };

struct forkserver_ops {
    enum sandbox_program server_sandbox; /* SANDBOX_FRONTEND_SERVER or SANDBOX_BACKEND_SERVER */
    enum sandbox_program child_sandbox;  /* SANDBOX_FRONTEND or SANDBOX_BACKEND */

    /* In the server, once, confined by sandbox_enter but not yet sealed: load libraries and the
     * host key (the server closes host_key_fd afterwards). *data is given to every child. NULL:
     * nothing to do. */
    int (*start)(const struct forkserver_start *start, void **data, struct err *e);

    /* In the child: sealed with child_sandbox, signals at their defaults but SIGPIPE ignored, no
     * descriptors but 0, 1, 2 and fds, log_connection(conn) done, killed when the server dies.
     * Returns the exit status: 0 for every orderly end, whatever the peer did; anything else, or a
     * signal, is a crash: it is counted against the source and the server is replaced. */
    int (*child)(uint64_t conn, const int *fds, void *data);
};

/* Enters the sandbox (the first thing it does), answers the supervisor, forks, reports ends;
 * returns the process's exit status when the supervisor is gone or a retired server has no child
 * left. */
int forkserver_run(const struct forkserver_ops *ops, int argc, char **argv);

#endif
