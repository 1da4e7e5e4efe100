/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets between the processes of one connection. The supervisor makes every pair and gives
 * each end to exactly one process, so that who speaks on it is known; it keeps one kind itself,
 * authd's ends of the links to backends, which authd's successor gets (supervisor_live.c). A
 * frontend begins when the listener is done with TLS; a backend when authd granted a session and
 * the target's socket is connected. Run by the supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/forkserver.h"
#include "gateway/supervisor.h"

/* Send buffers. The kernel counts a frame of 64 KiB as 72 KiB or so; each holds what may be under
 * way: a window of output (1 MiB) on the relay, a batch of records on the trail. */
#define STREAM_SNDBUF (512u * 1024)
#define LOGIN_SNDBUF  (128u * 1024)
#define RELAY_SNDBUF  (2u * 1024 * 1024)
#define TRAIL_SNDBUF  (2u * 1024 * 1024)
#define GRANT_SNDBUF  (512u * 1024) /* a grant has up to 213 KiB */
#define AGENT_SNDBUF  (64u * 1024)

/* A renewed server's address layout is not guessed at often enough to matter. */
#define FORKS_PER_SERVER 256u

enum { OURS, THEIRS };

struct pairs {
    int fd[5][2];
    size_t count;
};

static void pairs_close(struct pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        close(p->fd[i][0]);
        close(p->fd[i][1]);
    }
    p->count = 0;
}

/* A pair of frames, or of bytes. */
static int pairs_add(struct pairs *p, bool frames, size_t sndbuf, struct err *e)
{
    int rc =
        frames ? link_pair(p->fd[p->count], sndbuf, e) : stream_pair(p->fd[p->count], sndbuf, e);

    if (rc == 0)
        p->count++;
    return rc;
}

static void count_fork(struct program *server)
{
    struct slot *slot = server->slot;

    if (++server->forks == FORKS_PER_SERVER && slot->running == server)
        slot_renew(slot, false);
}

static int give_trail(struct program *auditd, enum trail_producer kind, const struct connection *c,
                      bool with_session, int fd, struct err *e)
{
    struct auditd_producer m = {.kind = (uint8_t)kind, .conn = c->number};

    if (with_session) {
        memcpy(m.session, c->session, sizeof m.session);
        memcpy(m.operator_name, c->operator_name, sizeof m.operator_name);
        m.max_bytes = c->max_bytes;
        m.break_glass = c->break_glass;
    }
    return program_sent(auditd, auditd_producer_send(auditd->link, &m, &fd, e), e);
}

static int give_login(struct program *authd, struct connection *c, int fd, struct err *e)
{
    struct authd_connection m = {.conn = c->number,
                                 .port = c->port,
                                 .certificate = c->request->certificate,
                                 .certificate_der = c->request->certificate_der};

    memcpy(m.address, c->address_text, sizeof c->address_text);
    memcpy(m.proxy, c->proxy_text, sizeof c->proxy_text);
    memcpy(m.target, c->request->target, sizeof m.target);
    return program_sent(authd, authd_connection_send(authd->link, &m, &fd, e), e);
}

/* Everything that a frontend needs, in the order in which its absence would be noticed first. */
static int send_frontend(struct connection *c, struct program *const programs[PROGRAM_KINDS],
                         struct err *e)
{
    const struct listener_stream stream = {.conn = c->number};
    const struct forks_fork_frontend fork_it = {.conn = c->number};
    struct program *server = programs[PROGRAM_FRONTEND];
    struct pairs p = {.count = 0};
    int fds[FRONTEND_FDS], rc;

    rc = pairs_add(&p, false, STREAM_SNDBUF, e);
    if (rc == 0)
        rc = pairs_add(&p, true, LOGIN_SNDBUF, e);
    if (rc == 0)
        rc = pairs_add(&p, true, LOGIN_SNDBUF, e);
    if (rc == 0)
        rc = give_trail(programs[PROGRAM_AUDITD], PRODUCER_FRONTEND, c, false, p.fd[2][OURS], e);
    if (rc == 0) {
        rc = give_login(programs[PROGRAM_AUTHD], c, p.fd[1][OURS], e);
        c->known_to_authd = rc == 0;
    }
    if (rc == 0) {
        fds[FRONTEND_STREAM] = p.fd[0][THEIRS];
        fds[FRONTEND_LOGIN] = p.fd[1][THEIRS];
        fds[FRONTEND_TRAIL] = p.fd[2][THEIRS];
        rc = program_sent(server, forks_fork_frontend_send(server->link, &fork_it, fds, e), e);
    }
    if (rc == 0) {
        c->frontend.state = SIDE_FORKING;
        c->frontend.server = server;
        count_fork(server);
        rc = program_sent(c->listener,
                          listener_stream_send(c->listener->link, &stream, &p.fd[0][OURS], e), e);
    }
    pairs_close(&p);
    return rc;
}

void begin_frontend(struct connection *c)
{
    struct program *programs[PROGRAM_KINDS] = {NULL};
    struct err e = ERR_INIT;

    INVARIANT(c->frontend.state == SIDE_WAITING && c->request);
    programs[PROGRAM_AUDITD] = program_of(c->s, PROGRAM_AUDITD);
    programs[PROGRAM_AUTHD] = c->s->authd_has_policy ? program_of(c->s, PROGRAM_AUTHD) : NULL;
    programs[PROGRAM_FRONTEND] = program_of(c->s, PROGRAM_FRONTEND);
    if (!programs[PROGRAM_AUDITD] || !programs[PROGRAM_AUTHD] || !programs[PROGRAM_FRONTEND] ||
        !c->listener || c->listener->broken)
        return; /* begin_waiting or the tick comes back to it */
    if (send_frontend(c, programs, &e) < 0) {
        log_error("frontend", "conn=%llu error=\"%s\"", (unsigned long long)c->number, e.text);
        if (c->frontend.state == SIDE_WAITING)
            c->frontend.state = SIDE_GONE;
        connection_drop(c);
    }
    free(c->request);
    free(c->certificate);
    c->request = NULL;
    c->certificate = NULL;
}

void backend_failed(struct connection *c, const char *reason)
{
    struct program *authd = program_of(c->s, PROGRAM_AUTHD);
    struct authd_backend_failed m = {.conn = c->number};
    struct err e = ERR_INIT;

    strncpy(m.reason, reason, sizeof m.reason - 1);
    log_info("backend-failed", "conn=%llu target=%s reason=\"%s\"", (unsigned long long)c->number,
             c->target_name, reason);
    target_cancel(c);
    if (authd)
        program_sent(authd, authd_backend_failed_send(authd->link, &m, NULL, &e), &e);
    connection_side_gone(c, &c->backend);
}

/* The names of the pairs that a backend needs. */
enum { RELAY, GRANT, AGENT, TRAIL, BACKEND_PAIRS };

static int send_backend(struct connection *c, struct program *const programs[PROGRAM_KINDS],
                        struct err *e)
{
    const struct auditd_bind bind = {.conn = c->number};
    const struct authd_backend to_authd = {.conn = c->number};
    const struct forks_fork_backend fork_it = {.conn = c->number};
    struct program *auditd = programs[PROGRAM_AUDITD], *authd = programs[PROGRAM_AUTHD],
                   *server = programs[PROGRAM_BACKEND];
    struct auditd_bind bound = bind;
    struct pairs p = {.count = 0};
    int rc;

    memcpy(bound.session, c->session, sizeof bound.session);
    rc = pairs_add(&p, true, RELAY_SNDBUF, e);
    if (rc == 0)
        rc = pairs_add(&p, true, GRANT_SNDBUF, e);
    if (rc == 0)
        rc = pairs_add(&p, false, AGENT_SNDBUF, e);
    if (rc == 0)
        rc = pairs_add(&p, true, TRAIL_SNDBUF, e);
    if (rc == 0)
        rc = program_sent(auditd, auditd_bind_send(auditd->link, &bound, NULL, e), e);
    if (rc == 0)
        rc = give_trail(auditd, PRODUCER_BACKEND, c, true, p.fd[TRAIL][OURS], e);
    if (rc == 0) {
        int fds[BACKEND_FDS] = {[BACKEND_TARGET] = c->target_fd,
                                [BACKEND_RELAY] = p.fd[RELAY][THEIRS],
                                [BACKEND_GRANT] = p.fd[GRANT][THEIRS],
                                [BACKEND_AGENT] = p.fd[AGENT][THEIRS],
                                [BACKEND_TRAIL] = p.fd[TRAIL][THEIRS]};
        rc = program_sent(server, forks_fork_backend_send(server->link, &fork_it, fds, e), e);
    }
    if (rc == 0 && (c->grant_fd = fcntl(p.fd[GRANT][OURS], F_DUPFD_CLOEXEC, 0)) < 0)
        rc = err_errno(e, "a descriptor for a session");
    if (rc == 0) {
        int fds[3] = {p.fd[GRANT][OURS], p.fd[AGENT][OURS], p.fd[RELAY][OURS]};
        c->backend.state = SIDE_FORKING;
        c->backend.server = server;
        count_fork(server);
        rc = program_sent(authd, authd_backend_send(authd->link, &to_authd, fds, e), e);
    }
    pairs_close(&p);
    return rc;
}

void begin_backend(struct connection *c)
{
    struct program *programs[PROGRAM_KINDS] = {NULL};
    struct err e = ERR_INIT;

    programs[PROGRAM_AUDITD] = program_of(c->s, PROGRAM_AUDITD);
    programs[PROGRAM_AUTHD] = program_of(c->s, PROGRAM_AUTHD);
    programs[PROGRAM_BACKEND] = program_of(c->s, PROGRAM_BACKEND);
    c->backend.state = SIDE_WAITING;
    if (!programs[PROGRAM_AUDITD] || !programs[PROGRAM_AUTHD]) {
        backend_failed(c, "a part of the gateway is being restarted; please connect again");
        return;
    }
    if (!programs[PROGRAM_BACKEND])
        return;
    if (send_backend(c, programs, &e) < 0) {
        log_error("backend", "conn=%llu error=\"%s\"", (unsigned long long)c->number, e.text);
        if (c->backend.state == SIDE_WAITING)
            backend_failed(c, "the gateway could not start a process for the session");
        return;
    }
    target_cancel(c); /* the backend has its own copy */
}

void begin_waiting(struct supervisor *s)
{
    struct connection *c, *next;

    for (c = TAILQ_FIRST(&s->connections); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->frontend.state == SIDE_WAITING)
            begin_frontend(c);
        else if (c->backend.state == SIDE_WAITING)
            begin_backend(c);
    }
}

int on_start_backend(struct program *authd, struct frame *f, struct err *e)
{
    const struct policy_target_address *target;
    struct authd_start_backend m;
    struct connection *c;
    int rc = authd_start_backend_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = connection_find(authd->s, m.conn);
    if (!c || !c->known_to_authd)
        return 0; /* it went away in the meantime, and `gone` is on its way */
    if (c->backend.state != SIDE_NONE || c->frontend.state == SIDE_NONE)
        return err_set(e, ERR_PROTOCOL, "start_backend: connection %llu has one",
                       (unsigned long long)m.conn);
    if (c->frontend.state == SIDE_GONE)
        return 0;
    memcpy(c->session, m.session, sizeof c->session);
    memcpy(c->operator_name, m.operator_name, sizeof c->operator_name);
    memcpy(c->target_name, m.target_name, sizeof c->target_name);
    c->max_bytes = m.max_bytes;
    c->break_glass = m.break_glass;
    rc = live_keep(c, m.again, e);
    if (rc < 0)
        return rc;
    target = policy_target(authd->s, m.generation, m.target);
    c->backend.state = SIDE_CONNECTING;
    if (target)
        target_connect(c, &target->address, target->port);
    else
        backend_failed(c, "the policy set changed in the meantime; please connect again");
    return 0;
}
