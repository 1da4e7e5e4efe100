/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptors through which the world reaches the gateway: the listening TCP sockets, and the
 * control socket that authd serves. Who may come in is
 * supervisor_gate.c's. Run by the supervisor, as root. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/supervisor.h"

/* The kernel's own maximum is lower on most systems (net.core.somaxconn, 4096). */
#define BACKLOG 4096
/* Accepts of one turn of the loop, so that a flood of them does not starve the links. */
#define ACCEPTS_AT_ONCE 32

int sockets_lock(struct supervisor *s, struct err *e)
{
    char path[CONFIG_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/lock", s->config.state);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return err_errno(e, "%s (`sallyport init` makes the directory)", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(e, ERR_BUSY, "%s: another sallyportd runs with this state directory",
                           path);
        return err_errno(e, "%s", path);
    }
    return 0;
}

static int open_control(struct supervisor *s, struct err *e)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    mode_t mask;
    int rc;

    mask = umask(0); /* who started us may have had a narrow one */
    rc = mkdir(s->config.runtime, 0755);
    umask(mask);
    if (rc < 0 && errno != EEXIST)
        return err_errno(e, "%s", s->config.runtime);
    snprintf(to.sun_path, sizeof to.sun_path, "%s/control", s->config.runtime);
    s->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->control_fd < 0)
        return err_errno(e, "socket");
    if (unlink(to.sun_path) < 0 && errno != ENOENT)
        return err_errno(e, "%s", to.sun_path);
    /* Everybody may connect; authd asks the kernel who it is. */
    mask = umask(0);
    rc = bind(s->control_fd, (const struct sockaddr *)&to, sizeof to);
    umask(mask);
    if (rc < 0 || chmod(to.sun_path, 0666) < 0 || listen(s->control_fd, 64) < 0)
        return err_errno(e, "%s", to.sun_path);
    return 0;
}

/* After this many seconds of silence the kernel asks whether the peer is still there. The accepted
 * sockets inherit it, and TCP_NODELAY. */
static void set_options(int fd)
{
    const int on = 1, idle = 60, interval = 15, probes = 4;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void on_incoming(evutil_socket_t listening, short what, void *arg)
{
    struct supervisor *s = arg;

    (void)what;
    for (unsigned i = 0; i < ACCEPTS_AT_ONCE && s->accepting; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        struct address address;
        uint16_t port;
        int fd = accept4(listening, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            /* Out of descriptors or memory: the tick tries again, the kernel keeps the queue. */
            log_error("accept", "error=\"%s\"", strerror(errno));
            sockets_accepting(s, false);
        }
        if (fd < 0)
            return;
        if (address_from_sockaddr((const struct sockaddr *)&from, &address, &port) < 0) {
            close(fd);
            continue;
        }
        gate_incoming(s, fd, &address, port);
    }
}

static int open_listening(struct supervisor *s, size_t i, struct err *e)
{
    const struct config_endpoint *at = &s->config.listen.at[i];
    const int on = 1;
    char text[ADDRESS_TEXT];
    struct sockaddr_storage to;
    socklen_t len = address_to_sockaddr(&at->address, at->port, &to);
    int rc, fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(e, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (to.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(fd, (const struct sockaddr *)&to, len) < 0 || listen(fd, BACKLOG) < 0) {
        rc =
            err_errno(e, "cannot listen on %s port %u", address_text(&at->address, text), at->port);
        close(fd);
        return rc;
    }
    set_options(fd);
    s->listening[i] = event_new(s->base, fd, EV_READ | EV_PERSIST, on_incoming, s);
    if (!s->listening[i]) {
        close(fd);
        return err_set(e, ERR_MEMORY, "event");
    }
    return 0;
}

int sockets_open(struct supervisor *s, struct err *e)
{
    int rc = open_control(s, e);

    for (size_t i = 0; rc == 0 && i < s->config.listen.count; i++)
        rc = open_listening(s, i, e);
    return rc;
}

void sockets_accepting(struct supervisor *s, bool on)
{
    if (s->accepting == on)
        return;
    s->accepting = on;
    log_debug("accepting", "on=%d", on);
    for (size_t i = 0; i < s->config.listen.count; i++) {
        if (!s->listening[i])
            continue;
        if (on)
            event_add(s->listening[i], NULL);
        else
            event_del(s->listening[i]);
    }
}

void sockets_close(struct supervisor *s)
{
    char path[CONFIG_PATH_MAX + 16];

    sockets_accepting(s, false);
    for (size_t i = 0; i < s->config.listen.count; i++) {
        if (!s->listening[i])
            continue;
        close(event_get_fd(s->listening[i]));
        event_free(s->listening[i]);
        s->listening[i] = NULL;
    }
    if (s->control_fd >= 0) {
        snprintf(path, sizeof path, "%s/control", s->config.runtime);
        unlink(path);
        close(s->control_fd);
        s->control_fd = -1;
    }
}

/* sd_notify(3): one datagram to the socket that the service manager named. */
void sockets_notify(struct supervisor *s, const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len;
    int fd;

    if (s->ready_fd >= 0 && strcmp(state, "READY=1") == 0) {
        if (write(s->ready_fd, "ready\n", 6) < 0)
            log_warn("ready-fd", "error=\"%s\"", strerror(errno));
        close(s->ready_fd);
        s->ready_fd = -1;
    }
    if (!name || (name[0] != '/' && name[0] != '@') || strlen(name) >= sizeof to.sun_path)
        return;
    len = strlen(name);
    memcpy(to.sun_path, name, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        log_warn("notify", "error=\"%s\"", strerror(errno));
    close(fd);
}
