/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-frontend: the fork server of the processes that speak SSH with operators. */
#include "gateway/forkserver.h"
#include "gateway/frontend.h"

static struct frontend_server server;

static int start(const struct forkserver_start *s, void **data, struct err *e)
{
    *data = &server;
    return frontend_server_start(&server, s->host_key_fd, s->login_ms, e);
}

static int child(uint64_t conn, const int *fds, void *data)
{
    return frontend_run(conn, fds, data);
}

int main(int argc, char **argv)
{
    static const struct forkserver_ops ops = {
        .server_sandbox = SANDBOX_FRONTEND_SERVER,
        .child_sandbox = SANDBOX_FRONTEND,
        .start = start,
        .child = child,
    };

    return forkserver_run(&ops, argc, argv);
}
