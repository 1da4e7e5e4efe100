/* SPDX-License-Identifier: Apache-2.0
 *
 * The links that records come on. Runs in auditd; a producer is hostile: its kind and session are
 * those of its descriptor, its types those that the table gives to its kind, its order the one that
 * a session has. A violation is an alarm record and the end of the link. Producers take turns of
 * TURN_BYTES, so that none starves another. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/auditd_state.h"
#include "audit/prune.h"
#include "audit/trail_end.h"
#include "base/json_out.h"
#include "base/log.h"

/* Known sessions before those that are over are forgotten, and how many of them stay. */
#define SESSIONS_HIGH 8192u
#define SESSIONS_KEPT 1024u
/* More than a socket's buffer holds at the end; bounds a producer that goes on sending. */
#define DRAIN_BYTES  (64u * 1024u * 1024u)
#define DRAIN_FRAMES 65536u

static const uint8_t gateway[RECORD_SESSION_ID];

static const char *kind_name(enum trail_producer kind)
{
    switch (kind) {
    case PRODUCER_SUPERVISOR:
        return "supervisor";
    case PRODUCER_AUTHD:
        return "authd";
    case PRODUCER_BACKEND:
        return "backend";
    case PRODUCER_FRONTEND:
        return "frontend";
    case PRODUCER_AUDITD:
        break;
    }
    return "?";
}

static int hold_session(struct producer *p, const uint8_t id[RECORD_SESSION_ID], struct err *e)
{
    struct sessions *sessions = trail_sessions(p->auditd->trail);

    if (memcmp(id, gateway, sizeof gateway) == 0)
        return 0;
    if (sessions_count(sessions) > SESSIONS_HIGH)
        sessions_forget(sessions, SESSIONS_KEPT);
    p->state = sessions_get(sessions, id);
    if (!p->state)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    p->state->holders++;
    memcpy(p->session, id, sizeof p->session);
    return 0;
}

static void append_alarm(struct producer *p, const char *text)
{
    struct auditd *a = p->auditd;
    struct err e = ERR_INIT;
    struct json_out j;
    struct buf payload;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "alarm", "producer-violation");
    json_str(&j, "producer", kind_name(p->kind));
    json_u64(&j, "connection", p->conn);
    json_bytes(&j, "text", text, strlen(text));
    if (json_end(&j) < 0)
        err_set(&e, ERR_MEMORY, "no memory for an alarm");
    else if (trail_append(a->trail, RECORD_ALARM, p->session, 0, buf_head(&payload),
                          buf_len(&payload), &e) == 0)
        e.code = 0;
    if (e.code < 0)
        auditd_fail(a, &e);
    buf_clear(&payload);
}

static void producer_free(struct producer *p)
{
    struct auditd *a = p->auditd;

    TAILQ_REMOVE(&a->producers, p, all);
    if (p->is_active)
        TAILQ_REMOVE(&a->active, p, active);
    a->producer_count--;
    if (p->state) {
        session_release(p->state);
        auditd_judge(p, p->state);
    }
    shares_release(p);
    if (p->readable)
        event_free(p->readable);
    if (p->writable)
        event_free(p->writable);
    link_free(p->link);
    free(p);
}

void producer_end(struct producer *p, const char *reason, const char *text)
{
    struct auditd *a = p->auditd;
    struct err e = ERR_INIT;

    if (p->started && !p->ended && !a->failing) {
        log_warn("session-without-end", "conn=%llu reason=%s", (unsigned long long)p->conn, reason);
        if (trail_append_end(a->trail, p->state, reason, text, clock_real_ns(), &e) < 0)
            auditd_fail(a, &e);
    }
    producer_free(p);
}

static void violation(struct producer *p, const char *text)
{
    log_error("producer-violation", "producer=%s conn=%llu error=\"%s\"", kind_name(p->kind),
              (unsigned long long)p->conn, text);
    if (!p->auditd->failing)
        append_alarm(p, text);
    producer_end(p, "backend-died", "the session's process broke the protocol and was ended");
}

/* Whether this record may come from this producer now; *session is where it belongs. */
static int check_record(struct producer *p, const struct trail_record *m, const uint8_t **session,
                        struct err *e)
{
    bool named = memcmp(m->session, gateway, sizeof gateway) != 0;

    if (!(record_producers(m->type) & (unsigned)p->kind))
        return err_set(e, ERR_PROTOCOL, "records of type %u are not a %s's", m->type,
                       kind_name(p->kind));
    if (m->want > WANT_DURABLE)
        return err_set(e, ERR_PROTOCOL, "a record wants %u", m->want);
    if (record_is_json(m->type) &&
        (m->payload.len < 2 || m->payload.p[0] != '{' || m->payload.p[m->payload.len - 1] != '}'))
        return err_set(e, ERR_PROTOCOL, "a %s record is not a JSON object", record_token(m->type));
    if (named && p->kind == PRODUCER_AUTHD)
        *session = m->session;
    else if (named && memcmp(m->session, p->session, sizeof p->session) != 0)
        return err_set(e, ERR_PROTOCOL, "a record names a session that is not its own");
    if (p->kind != PRODUCER_BACKEND)
        return 0;
    if (p->ended)
        return err_set(e, ERR_PROTOCOL, "a record after the session's end");
    if (p->started == (m->type == RECORD_SESSION_START))
        return err_set(e, ERR_PROTOCOL,
                       p->started ? "a second start of the session"
                                  : "a record before the session's start");
    if (!p->started && p->state->started)
        return err_set(e, ERR_PROTOCOL, "this session was started before");
    return 0;
}

/* 0, ERR_PROTOCOL, or ERR_TRAIL. */
static int take_record(struct producer *p, const struct frame *f, struct err *e)
{
    struct auditd *a = p->auditd;
    struct sessions *sessions = trail_sessions(a->trail);
    const uint8_t *session = p->session;
    struct trail_record m;
    int r = trail_record_decode(f, &m, e);

    if (r == 0)
        r = check_record(p, &m, &session, e);
    if (r == 0)
        r = auditd_compare(p, &m, e);
    if (r < 0)
        return r == ERR_MEMORY ? ERR_TRAIL : ERR_PROTOCOL;
    /* authd names sessions that are not held by a link. */
    if (session != p->session && sessions_count(sessions) > SESSIONS_HIGH)
        sessions_forget(sessions, SESSIONS_KEPT);
    r = auditd_append(p, &m, session, e);
    if (r == 0 && m.type == RECORD_HOLD && a->prune)
        prune_disturb(a->prune);
    if (r == 0)
        r = auditd_dispute(p, &m, e);
    if (r < 0)
        return r == ERR_PROTOCOL ? r : ERR_TRAIL;
    p->started = p->started || m.type == RECORD_SESSION_START;
    p->ended = p->ended || m.type == RECORD_SESSION_END;
    p->received++;
    shares_count(p, RECORD_HEADER_SIZE + m.payload.len);
    if (m.want >= WANT_ACCEPTED)
        p->want_accepted = p->received;
    if (m.want == WANT_DURABLE)
        p->want_durable = p->received;
    auditd_activate(p);
    return 0;
}

/* One turn. false: the producer is gone. */
static bool take_turn(struct producer *p, size_t bytes, unsigned frames)
{
    struct auditd *a = p->auditd;

    a->turns++;
    while (bytes > 0 && frames-- > 0 && disk_admits(p)) {
        struct err e = ERR_INIT;
        struct frame f;
        int r = link_recv(p->link, &f, &e);

        if (r == 0)
            return true;
        if (r == 1 && (a->failing || p->stopped))
            continue; /* it was told; what it still sends is not taken */
        if (r == 1) {
            bytes -= f.fields.len < bytes ? f.fields.len : bytes;
            r = take_record(p, &f, &e);
        }
        if (r == ERR_TRAIL) {
            auditd_fail(a, &e);
            return true;
        }
        if (r == ERR_PROTOCOL) {
            violation(p, e.text);
            return false;
        }
        if (r < 0) {
            producer_end(p, "backend-died",
                         "the session's process ended without an end record; what was forwarded "
                         "after the last record is unknown");
            return false;
        }
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)take_turn(arg, TURN_BYTES, TURN_FRAMES);
}

/* A producer whose answers wait is not read: it must listen first. */
static void watch(struct producer *p)
{
    if (link_pending(p->link) > 0) {
        event_del(p->readable);
        event_add(p->writable, NULL);
    } else {
        event_del(p->writable);
        if (p->pause == PAUSE_NOT)
            event_add(p->readable, NULL);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct producer *p = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    if (link_flush(p->link, &e) < 0)
        producer_end(p, "backend-died", "the session's process ended without an end record");
    else if (link_pending(p->link) == 0)
        watch(p);
}

void producer_tell(struct producer *p)
{
    struct trail_ack m = {.accepted = p->received, .durable = p->durable};
    struct err e = ERR_INIT;
    bool wants = p->want_accepted > p->told_accepted ||
                 (p->want_durable > p->told_durable && p->durable > p->told_durable);

    if (p->durable == p->received) {
        TAILQ_REMOVE(&p->auditd->active, p, active);
        p->is_active = false;
    }
    if (!wants)
        return;
    p->told_accepted = m.accepted;
    p->told_durable = m.durable;
    switch (trail_ack_send(p->link, &m, NULL, &e)) {
    case 0:
        if (link_pending(p->link) > 0)
            watch(p);
        break;
    case ERR_CLOSED:
        break; /* what it still sent is read first; then link_recv says closed */
    default:
        violation(p, "it does not read its answers");
        break;
    }
}

void producer_stop(struct producer *p, const char *text)
{
    struct trail_stop m;
    struct err e = ERR_INIT;

    if (p->stopped)
        return;
    p->stopped = true;
    if (p->pause != PAUSE_NOT)
        producer_resume(p);
    memset(&m, 0, sizeof m);
    strncpy(m.text, text, sizeof m.text - 1);
    if (trail_stop_send(p->link, &m, NULL, &e) < 0)
        log_warn("stop-not-sent", "producer=%s conn=%llu error=\"%s\"", kind_name(p->kind),
                 (unsigned long long)p->conn, e.text);
    else if (link_pending(p->link) > 0)
        watch(p);
}

void producer_pause(struct producer *p, enum pause why)
{
    if (p->stopped)
        return;
    p->pause = why;
    p->paused_ms = clock_mono_ms();
    event_del(p->readable);
    log_warn("producer-paused", "producer=%s conn=%llu", kind_name(p->kind),
             (unsigned long long)p->conn);
}

void producer_resume(struct producer *p)
{
    p->pause = PAUSE_NOT;
    watch(p);
}

static bool kind_is_known(uint8_t kind)
{
    return kind == PRODUCER_SUPERVISOR || kind == PRODUCER_AUTHD || kind == PRODUCER_BACKEND ||
           kind == PRODUCER_FRONTEND;
}

int producer_add(struct auditd *a, int fd, const struct auditd_producer *m, struct err *e)
{
    bool has_session = memcmp(m->session, gateway, sizeof gateway) != 0;
    struct producer *p = calloc(1, sizeof *p);
    int r = 0;

    if (!p || !(p->link = link_new(fd, &link_trail, LINK_SECOND, PRODUCER_QUEUE))) {
        close(fd);
        free(p);
        return err_set(e, ERR_MEMORY, "no memory for a producer");
    }
    link_enter(p->link, trail_STATE_OPEN);
    p->auditd = a;
    p->kind = (enum trail_producer)m->kind;
    p->conn = m->conn;
    p->break_glass = m->kind == PRODUCER_BACKEND && m->break_glass;
    TAILQ_INSERT_TAIL(&a->producers, p, all);
    a->producer_count++;
    if (!kind_is_known(m->kind) || (m->kind == PRODUCER_BACKEND) != has_session)
        r = err_set(e, ERR_PROTOCOL, "a producer of kind %u %s a session", m->kind,
                    has_session ? "with" : "without");
    else if (a->producer_count > PRODUCERS_MAX)
        r = err_set(e, ERR_BUSY, "more than %u producers", PRODUCERS_MAX);
    else if (!a->failing)
        r = hold_session(p, m->session, e);
    if (r == 0 && p->kind == PRODUCER_BACKEND)
        r = shares_hold(p, m, e);
    p->readable = event_new(a->base, fd, EV_READ | EV_PERSIST, on_readable, p);
    p->writable = event_new(a->base, fd, EV_WRITE | EV_PERSIST, on_writable, p);
    if (r == 0 && (!p->readable || !p->writable || event_add(p->readable, NULL) < 0))
        r = err_set(e, ERR_MEMORY, "no memory for a producer");
    if (r < 0)
        producer_free(p);
    else if (a->failing)
        producer_stop(p, a->failure);
    return r;
}

int producer_bind(struct auditd *a, const struct auditd_bind *m, struct err *e)
{
    struct producer *p;

    if (a->failing)
        return 0;
    TAILQ_FOREACH(p, &a->producers, all)
    {
        if (p->kind == PRODUCER_FRONTEND && p->conn == m->conn && !p->state)
            return hold_session(p, m->session, e);
    }
    log_info("bind-too-late", "conn=%llu", (unsigned long long)m->conn);
    return 0;
}

/* NULL: it has gone already. */
static struct producer *backend_of(struct auditd *a, uint64_t conn)
{
    struct producer *p;

    TAILQ_FOREACH(p, &a->producers, all)
    {
        if (p->kind == PRODUCER_BACKEND && p->conn == conn)
            return p;
    }
    return NULL;
}

int producer_limit(struct auditd *a, const struct frame *f, struct err *e)
{
    struct auditd_limit m;
    int r = auditd_limit_decode(f, &m, e);
    struct producer *p = r < 0 ? NULL : backend_of(a, m.conn);

    if (p)
        p->max_bytes = m.max_bytes;
    return r;
}

void producers_drain(struct auditd *a)
{
    struct producer *p;

    while ((p = TAILQ_FIRST(&a->producers))) {
        if (take_turn(p, DRAIN_BYTES, DRAIN_FRAMES))
            producer_end(p, "shutdown", "the gateway shut down");
    }
}
