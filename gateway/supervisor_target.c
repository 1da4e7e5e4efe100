/* SPDX-License-Identifier: Apache-2.0
 *
 * connect() to a target's address from the inventory, without waiting for it, with a deadline. The
 * socket goes to the backend unread: the first byte on it is the backend's business. Run by the
 * supervisor, because neither the backend nor authd may open a socket. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/supervisor.h"

/* A target that vanished without a word is noticed after 60 + 4 * 15 s. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES     4

void target_cancel(struct connection *c)
{
    if (c->target_event)
        event_free(c->target_event);
    c->target_event = NULL;
    if (c->target_fd >= 0)
        close(c->target_fd);
    c->target_fd = -1;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    char reason[200];
    int error = 0;
    socklen_t len = sizeof error;

    if (what & EV_TIMEOUT) {
        snprintf(reason, sizeof reason, "no answer within %llu s",
                 (unsigned long long)c->s->config.connect_ms / 1000);
        backend_failed(c, reason);
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error) {
        backend_failed(c, strerror(error));
        return;
    }
    event_free(c->target_event);
    c->target_event = NULL;
    begin_backend(c);
}

static void set_options(int fd)
{
    const int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
              probes = KEEPALIVE_PROBES;

    /* A connection without them works too. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void target_connect(struct connection *c, const struct address *address, uint16_t port)
{
    const uint64_t ms = c->s->config.connect_ms;
    const struct timeval deadline = {.tv_sec = (time_t)(ms / 1000),
                                     .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    struct sockaddr_storage to;
    const socklen_t len = address_to_sockaddr(address, port, &to);

    c->target_fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->target_fd < 0) {
        backend_failed(c, strerror(errno));
        return;
    }
    set_options(c->target_fd);
    if (connect(c->target_fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
        backend_failed(c, strerror(errno));
        return;
    }
    c->target_event = event_new(c->s->base, c->target_fd, EV_WRITE, on_connected, c);
    if (!c->target_event || event_add(c->target_event, &deadline) < 0)
        backend_failed(c, "out of memory");
}
