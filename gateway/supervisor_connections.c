/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection table. A connection has three parts: the listener's (TLS), the frontend and the
 * backend; it is gone when none of them is left, and authd is told then. A program is believed
 * about the connections that were given to that very process, never by a number alone. Run by the
 * supervisor. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/supervisor.h"

/* A frontend waits no longer for a program that is being restarted. */
#define WAITING_MS 15000u
/* A process that still runs so long after the rest of its connection ended is killed: a backend may
 * wait for the trail to become durable, a frontend for the operator to read the last words. */
#define OUTLIVE_MS 30000u

void connections_init(struct supervisor *s)
{
    TAILQ_INIT(&s->connections);
    TAILQ_INIT(&s->parked);
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        TAILQ_INIT(&s->buckets[i]);
}

struct connection *connection_find(struct supervisor *s, uint64_t number)
{
    struct connection *c;

    TAILQ_FOREACH(c, &s->buckets[number % CONNECTION_BUCKETS], bucket)
    {
        if (c->number == number)
            break;
    }
    return c;
}

struct connection *connection_new(struct supervisor *s, int fd, const struct address *address,
                                  uint16_t port)
{
    struct connection *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->s = s;
    c->number = ++s->connections_ever;
    c->address = *address;
    address_text(address, c->address_text);
    c->port = port;
    c->accepted_ms = clock_mono_ms();
    c->accepted_real_ns = clock_real_ns();
    c->fd = fd;
    c->grant_fd = c->target_fd = -1;
    TAILQ_INSERT_TAIL(&s->connections, c, entry);
    TAILQ_INSERT_TAIL(&s->buckets[c->number % CONNECTION_BUCKETS], c, bucket);
    return c;
}

static bool side_over(const struct side *side)
{
    return side->state == SIDE_NONE || side->state == SIDE_GONE;
}

bool connection_check_gone(struct connection *c)
{
    struct supervisor *s = c->s;
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    const struct authd_gone m = {.conn = c->number};
    struct err e = ERR_INIT;

    if (c->listener || c->fd >= 0 || !side_over(&c->frontend) || !side_over(&c->backend))
        return false;
    if (c->known_to_authd && authd)
        program_sent(authd, authd_gone_send(authd->link, &m, NULL, &e), &e);
    log_debug("gone", "conn=%llu", (unsigned long long)c->number);
    TAILQ_REMOVE(&s->connections, c, entry);
    TAILQ_REMOVE(&s->buckets[c->number % CONNECTION_BUCKETS], c, bucket);
    gate_gone(c);
    target_cancel(c);
    free(c->request);
    free(c->certificate);
    free(c->again);
    if (c->grant_fd >= 0)
        close(c->grant_fd);
    free(c);
    supervisor_progress(s);
    return true;
}

void connection_drop(struct connection *c)
{
    const struct listener_drop m = {.conn = c->number};
    struct err e = ERR_INIT;

    if (c->listener && !c->dropped) {
        c->dropped = true;
        program_sent(c->listener, listener_drop_send(c->listener->link, &m, NULL, &e), &e);
    }
}

static void kill_side(struct connection *c, struct side *side)
{
    const struct forks_kill m = {.conn = c->number};
    struct err e = ERR_INIT;

    if ((side->state == SIDE_RUNNING || side->state == SIDE_FORKING) && !side->killed) {
        side->killed = true;
        program_sent(side->server, forks_kill_send(side->server->link, &m, NULL, &e), &e);
    }
}

void connection_kill(struct connection *c)
{
    kill_side(c, &c->frontend);
    kill_side(c, &c->backend);
    connection_drop(c);
}

void connection_side_gone(struct connection *c, struct side *side)
{
    side->state = SIDE_GONE;
    side->server = NULL;
    if (side == &c->frontend) {
        connection_drop(c);
        /* A backend that is not there yet will not be needed. */
        if (c->backend.state == SIDE_CONNECTING || c->backend.state == SIDE_WAITING) {
            target_cancel(c);
            c->backend.state = SIDE_GONE;
        }
    }
    connection_check_gone(c);
}

static void listener_gone(struct connection *c)
{
    if (c->listener)
        c->listener->connections--;
    c->listener = NULL;
    /* A frontend that runs sees the end of its stream; one that does not run is not needed. */
    if (c->frontend.state == SIDE_WAITING)
        c->frontend.state = SIDE_GONE;
    connection_check_gone(c);
}

void connections_program_died(struct program *p)
{
    struct connection *c, *next;

    for (c = TAILQ_FIRST(&p->s->connections); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->listener == p) {
            listener_gone(c);
        } else if (c->frontend.server == p) {
            connection_side_gone(c, &c->frontend);
        } else if (c->backend.server == p) {
            connection_side_gone(c, &c->backend);
        } else if (p->slot->kind == PROGRAM_AUTHD && c->known_to_authd) {
            /* authd's successor knows nothing of who is on the way in. Sessions live on. */
            if (c->backend.state != SIDE_RUNNING && c->backend.state != SIDE_GONE)
                connection_drop(c);
            if (c->backend.state == SIDE_CONNECTING || c->backend.state == SIDE_WAITING)
                backend_failed(c, "the login service ended");
            if (c->backend.state == SIDE_RUNNING)
                live_away(c);
        }
    }
}

/* Is this connection's side a child of this very server? */
static struct side *side_of(struct connection *c, const struct program *p)
{
    if (c && c->frontend.server == p)
        return &c->frontend;
    if (c && c->backend.server == p)
        return &c->backend;
    return NULL;
}

int on_forked(struct program *p, struct frame *f, struct err *e)
{
    struct forks_forked m;
    struct connection *c;
    struct side *side;
    int rc = forks_forked_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = connection_find(p->s, m.conn);
    side = side_of(c, p);
    if (!side || side->state != SIDE_FORKING)
        return err_set(e, ERR_PROTOCOL, "forked: connection %llu was not given to it",
                       (unsigned long long)m.conn);
    if (m.pid == 0) {
        log_error("fork-failed", "conn=%llu program=%s", (unsigned long long)m.conn,
                  program_name(p->slot->kind));
        connection_side_gone(c, side);
        return 0;
    }
    side->state = SIDE_RUNNING;
    side->pid = (pid_t)m.pid;
    return 0;
}

static void crashed(struct connection *c, struct program *p, const struct forks_ended *m)
{
    const int status = (int)m->wait_status;
    uint64_t penalty_ms = 0;
    struct json_out *j;

    if (!c->penalised)
        penalty_ms = penalise_crash(p->s, &c->address, !c->by_proxy);
    c->penalised = true;
    log_error("crash", "conn=%llu program=%s pid=%u %s=%d address=%s penalty_ms=%llu",
              (unsigned long long)c->number, program_name(p->slot->kind), m->pid,
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), c->address_text,
              (unsigned long long)penalty_ms);
    j = records_begin(p->s, "process-crashed");
    json_str(j, "program", program_name(p->slot->kind));
    json_u64(j, "pid", m->pid);
    json_u64(j, "connection", c->number);
    json_str(j, "address", c->address_text);
    json_u64(j, "port", c->port);
    if (c->by_proxy)
        json_str(j, "proxy", c->proxy_text);
    if (c->operator_name[0])
        json_str(j, "operator", c->operator_name);
    if (c->target_name[0])
        json_str(j, "target", c->target_name);
    if (WIFSIGNALED(status))
        json_i64(j, "signal", WTERMSIG(status));
    else
        json_i64(j, "status", WEXITSTATUS(status));
    json_bool(j, "denied_syscall", WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_EXIT_DENIED);
    json_u64(j, "penalty_s", penalty_ms / 1000);
    records_end(p->s, RECORD_ALARM);
    p->slot->deaths++;
    if (p->slot->running == p && p->s->phase == RUNNING)
        slot_renew(p->slot, true);
}

int on_ended(struct program *p, struct frame *f, struct err *e)
{
    struct forks_ended m;
    struct connection *c;
    struct side *side;
    int rc = forks_ended_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = connection_find(p->s, m.conn);
    side = side_of(c, p);
    if (!side || side->state != SIDE_RUNNING || side->pid != (pid_t)m.pid)
        return err_set(e, ERR_PROTOCOL, "ended: connection %llu has no such process of it",
                       (unsigned long long)m.conn);
    if (m.wait_status != 0 && !side->killed)
        crashed(c, p, &m);
    connection_side_gone(c, side);
    return 0;
}

/* The connection, if it was given to this very listener. */
static struct connection *of_listener(struct program *p, uint64_t number, struct err *e)
{
    struct connection *c = connection_find(p->s, number);

    if (c && c->listener == p)
        return c;
    err_set(e, ERR_PROTOCOL, "connection %llu was not given to it", (unsigned long long)number);
    return NULL;
}

int on_listener_ready(struct program *p, struct frame *f, struct err *e)
{
    struct listener_ready *m = malloc(sizeof *m);
    struct connection *c;
    int rc;

    if (!m)
        return err_set(e, ERR_MEMORY, "ready");
    rc = listener_ready_decode(f, m, e);
    c = rc < 0 ? NULL : of_listener(p, m->conn, e);
    if (!c || c->ready || c->gate != GATE_OPEN || c->refused ||
        m->certificate > CERTIFICATE_EXPIRED) {
        free(m);
        return err_set(e, ERR_PROTOCOL,
                       "ready: twice, malformed, not admitted, or for a foreign connection");
    }
    c->ready = true;
    c->ready_ms = clock_mono_ms();
    c->request = m;
    if (m->certificate_der.len > 0) {
        c->certificate = malloc(m->certificate_der.len);
        if (!c->certificate) {
            connection_drop(c);
            return 0;
        }
        memcpy(c->certificate, m->certificate_der.p, m->certificate_der.len);
    }
    m->certificate_der.p = c->certificate;
    c->frontend.state = SIDE_WAITING;
    begin_frontend(c);
    return 0;
}

/* What a connection that came to nothing means. */
static void count_failed(struct connection *c, const struct listener_failed *m)
{
    static const struct {
        const char *token;
        enum penalty_cause cause; /* 0: it is nobody's fault */
    } stages[] = {
        [STAGE_TLS] = {"tls", PENALTY_TLS},
        [STAGE_REQUEST] = {"request", PENALTY_REQUEST},
        [STAGE_DEADLINE] = {"handshake-deadline", PENALTY_DEADLINE},
        [STAGE_WAITING] = {"waiting", 0},
        [STAGE_SILENT] = {"silent", PENALTY_SILENT},
        [STAGE_PROXY] = {"proxy-header", 0},
    };

    if (c->refused)
        return; /* counted when it was */
    records_count(c->s, &c->address, c->by_proxy ? &c->proxy : NULL, stages[m->stage].token,
                  m->reason);
    if (stages[m->stage].cause && c->gate == GATE_OPEN)
        penalise(c->s, &c->address, !c->by_proxy, stages[m->stage].cause);
}

int on_listener_failed(struct program *p, struct frame *f, struct err *e)
{
    struct listener_failed m;
    struct connection *c;
    int rc = listener_failed_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = of_listener(p, m.conn, e);
    if (!c)
        return ERR_PROTOCOL;
    if (m.stage < STAGE_TLS || m.stage > STAGE_CHECK)
        return err_set(e, ERR_PROTOCOL, "failed: stage %u", m.stage);
    if ((m.stage == STAGE_PROXY || m.stage == STAGE_CHECK) && c->gate != GATE_HEADER)
        return err_set(e, ERR_PROTOCOL, "failed: no PROXY header was due");
    if (m.stage == STAGE_CHECK)
        p->s->proxy_checks++;
    else
        count_failed(c, &m);
    listener_gone(c);
    return 0;
}

int on_listener_closed(struct program *p, struct frame *f, struct err *e)
{
    struct listener_closed m;
    struct connection *c;
    int rc = listener_closed_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = of_listener(p, m.conn, e);
    if (!c)
        return ERR_PROTOCOL;
    log_debug("closed", "conn=%llu bytes_in=%llu bytes_out=%llu", (unsigned long long)m.conn,
              (unsigned long long)m.bytes_in, (unsigned long long)m.bytes_out);
    listener_gone(c);
    return 0;
}

const char *connection_state(const struct connection *c)
{
    if (c->ending_ms)
        return "ending";
    if (c->gate != GATE_OPEN)
        return "waiting";
    if (!c->ready)
        return "tls";
    if (c->frontend.state == SIDE_WAITING)
        return "waiting";
    if (c->backend.state == SIDE_RUNNING)
        return "session";
    return c->backend.state == SIDE_NONE ? "login" : "connecting";
}

void connections_tick(struct supervisor *s, uint64_t now_ms)
{
    struct connection *c, *next;

    for (c = TAILQ_FIRST(&s->connections); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        const bool part = c->frontend.state == SIDE_GONE || c->backend.state == SIDE_GONE ||
                          (c->ready && !c->listener);
        if (c->frontend.state == SIDE_WAITING && now_ms - c->ready_ms > WAITING_MS)
            connection_side_gone(c, &c->frontend);
        else if (part && !c->ending_ms)
            c->ending_ms = now_ms;
        else if (part && now_ms - c->ending_ms > OUTLIVE_MS)
            connection_kill(c);
    }
}
