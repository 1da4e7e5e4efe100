/* SPDX-License-Identifier: Apache-2.0
 *
 * The fork server's loop (gateway/forkserver.h): one link, one signalfd, a table of children. Runs
 * as the frontend's or backend's uid. It never reads a byte from a peer, so that what it holds
 * (the host key, the layout of the address space) is exposed only in its children. Its children
 * die with it (PR_SET_PDEATHSIG), so that none outlives the supervisor's knowledge of it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/forkserver.h"
#include "gateway/messages.h"

/* The supervisor renews a server after 256 forks; twice that leaves room for requests under way. */
#define CHILDREN_MAX 512
/* `forked` and `ended` are 16 and 20 bytes; four of them for each possible child. */
#define QUEUE_MAX (CHILDREN_MAX * 4u * 64u)
#define FDS_MAX   BACKEND_FDS

struct child {
    pid_t pid;
    uint64_t conn;
};

struct forkserver {
    const struct forkserver_ops *ops;
    void *data;
    struct link *link;
    int signals;
    bool retired;
    size_t count;
    struct child children[CHILDREN_MAX];
};

/* Closes every descriptor from 3 up that is not one of fds. */
static int close_others(const int *fds, size_t count)
{
    int sorted[FDS_MAX];
    unsigned from = 3;

    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > fds[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = fds[i];
    }
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)sorted[i] > from && close_range(from, (unsigned)sorted[i] - 1, 0) < 0)
            return -1;
        from = (unsigned)sorted[i] + 1;
    }
    return close_range(from, ~0u, 0);
}

static _Noreturn void child_main(const struct forkserver *s, pid_t server, uint64_t conn,
                                 const int *fds, size_t count)
{
    struct err e = ERR_INIT;
    sigset_t none;

    /* The server may have died between the fork and the prctl. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != server)
        exit(EXIT_FAILURE);
    log_connection(conn);
    sigemptyset(&none);
    if (close_others(fds, count) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0) {
        log_error("child-start", "error=\"descriptors or signals\" errno=%d", errno);
        exit(EXIT_FAILURE);
    }
    if (sandbox_seal(s->ops->child_sandbox, &e) < 0) {
        log_error("child-start", "error=\"%s\"", e.text);
        exit(EXIT_FAILURE);
    }
    exit(s->ops->child(conn, fds, s->data));
}

/* Forks, and tells the supervisor. Negative only when the link is broken. */
static int fork_child(struct forkserver *s, struct frame *f, uint64_t conn, struct err *e)
{
    const pid_t server = getpid();
    const size_t count = f->spec->fds;
    struct forks_forked answer = {.conn = conn};
    int fds[FDS_MAX];
    pid_t pid = -1;

    for (size_t i = 0; i < count; i++)
        fds[i] = frame_take_fd(f, (unsigned)i);
    if (!s->retired && s->count < CHILDREN_MAX)
        pid = fork();
    if (pid == 0)
        child_main(s, server, conn, fds, count);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (pid > 0) {
        s->children[s->count++] = (struct child){.pid = pid, .conn = conn};
        answer.pid = (uint32_t)pid;
    } else {
        log_warn("fork-failed", "conn=%llu children=%zu retired=%d errno=%d",
                 (unsigned long long)conn, s->count, s->retired, errno);
    }
    return forks_forked_send(s->link, &answer, NULL, e);
}

static int on_fork(struct forkserver *s, struct frame *f, struct err *e)
{
    const bool frontend = s->ops->server_sandbox == SANDBOX_FRONTEND_SERVER;
    uint64_t conn;
    int rc;

    if (f->spec->number == forks_fork_frontend_NUMBER && frontend) {
        struct forks_fork_frontend m;
        rc = forks_fork_frontend_decode(f, &m, e);
        conn = m.conn;
    } else if (f->spec->number == forks_fork_backend_NUMBER && !frontend) {
        struct forks_fork_backend m;
        rc = forks_fork_backend_decode(f, &m, e);
        conn = m.conn;
    } else {
        return err_set(e, ERR_PROTOCOL, "%s is for the other kind of server", f->spec->name);
    }
    return rc < 0 ? rc : fork_child(s, f, conn, e);
}

static int on_kill(struct forkserver *s, const struct frame *f, struct err *e)
{
    struct forks_kill m;
    int rc = forks_kill_decode(f, &m, e);

    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        if (s->children[i].conn == m.conn)
            kill(s->children[i].pid, SIGKILL);
    }
    return rc;
}

static int on_message(struct forkserver *s, struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case forks_fork_frontend_NUMBER:
    case forks_fork_backend_NUMBER:
        return on_fork(s, f, e);
    case forks_kill_NUMBER:
        return on_kill(s, f, e);
    case forks_retire_NUMBER: {
        struct forks_retire m;
        s->retired = true;
        return forks_retire_decode(f, &m, e);
    }
    default:
        return err_set(e, ERR_PROTOCOL, "%s after the start", f->spec->name);
    }
}

static int reap(struct forkserver *s, struct err *e)
{
    struct signalfd_siginfo info;
    int status, rc = 0;
    pid_t pid;

    /* One SIGCHLD may stand for several ends; waitpid tells how many. */
    while (read(s->signals, &info, sizeof info) > 0)
        continue;
    while (rc == 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->children[i].pid != pid)
                continue;
            const struct forks_ended m = {
                .conn = s->children[i].conn, .pid = (uint32_t)pid, .wait_status = (uint32_t)status};
            s->children[i] = s->children[--s->count];
            rc = forks_ended_send(s->link, &m, NULL, e);
            break;
        }
    }
    return rc;
}

/* Until the supervisor closes the link (ERR_CLOSED), or 0 when retired and alone. */
static int serve(struct forkserver *s, struct err *e)
{
    struct frame f;
    int rc = 0;

    while (!s->retired || s->count > 0 || link_pending(s->link) > 0) {
        struct pollfd fds[2] = {{.fd = link_fd(s->link), .events = POLLIN},
                                {.fd = s->signals, .events = POLLIN}};
        if (link_pending(s->link) > 0)
            fds[0].events |= POLLOUT;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return err_errno(e, "poll");
        if (fds[0].revents & POLLOUT)
            rc = link_flush(s->link, e);
        if (rc == 0)
            rc = reap(s, e);
        while (rc == 0 && (rc = link_recv(s->link, &f, e)) > 0)
            rc = on_message(s, &f, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The supervisor's start message; then this process is sealed and says so. */
static int start(struct forkserver *s, struct err *e)
{
    const bool frontend = s->ops->server_sandbox == SANDBOX_FRONTEND_SERVER;
    struct forkserver_start values = {.host_key_fd = -1};
    struct forks_started answer = {0};
    struct frame f;
    int rc;

    while ((rc = link_recv(s->link, &f, e)) == 0) {
        struct pollfd p = {.fd = link_fd(s->link), .events = POLLIN};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(e, "poll");
    }
    if (rc < 0)
        return rc;
    if (f.spec->number == forks_start_frontend_NUMBER && frontend) {
        struct forks_start_frontend m;
        rc = forks_start_frontend_decode(&f, &m, e);
        values.login_ms = m.login_ms;
        values.host_key_fd = frame_take_fd(&f, 0);
    } else if (f.spec->number == forks_start_backend_NUMBER && !frontend) {
        struct forks_start_backend m;
        rc = forks_start_backend_decode(&f, &m, e);
        values.connect_ms = m.connect_ms;
    } else {
        return err_set(e, ERR_PROTOCOL, "%s before the start", f.spec->name);
    }
    if (rc == 0 && s->ops->start)
        rc = s->ops->start(&values, &s->data, e);
    if (values.host_key_fd >= 0)
        close(values.host_key_fd);
    if (rc == 0)
        rc = sandbox_seal(s->ops->server_sandbox, e);
    if (rc < 0)
        return rc;
    link_enter(s->link, forks_STATE_RUNNING);
    return forks_started_send(s->link, &answer, NULL, e);
}

int forkserver_run(const struct forkserver_ops *ops, int argc, char **argv)
{
    static struct forkserver server;
    struct forkserver *s = &server;
    struct err e = ERR_INIT;
    sigset_t signals;
    int rc;

    log_init(sandbox_name(ops->server_sandbox));
    s->ops = ops;
    if (sandbox_enter(ops->server_sandbox, argc, argv, &e) < 0)
        goto failed;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    s->signals = -1;
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == 0)
        s->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    s->link = link_new(SANDBOX_LINK_FD, &link_forks, LINK_SECOND, QUEUE_MAX);
    if (s->signals < 0 || !s->link) {
        err_errno(&e, "signalfd or link");
        goto failed;
    }
    link_enter(s->link, forks_STATE_STARTING);
    rc = start(s, &e);
    if (rc == 0)
        rc = serve(s, &e);
    if (rc == 0 || rc == ERR_CLOSED)
        return EXIT_SUCCESS;
failed:
    log_error("fork-server", "error=\"%s\"", e.text);
    return EXIT_FAILURE;
}
