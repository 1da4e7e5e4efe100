/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/session.h. */
#include "auth/session.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/agent_stream.h"
#include "auth/break_glass.h"
#include "auth/gateway_commands.h"
#include "auth/policy_set.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

/* A grant with all its rules, twice the rules of another set (auth/grant.def), small messages. */
#define BACKEND_QUEUE_MAX (1024u * 1024)
/* What a backend has to write its end record and let its buffers out. */
#define END_MS 2000

static void refuse(struct connection *c, const char *text, uint8_t status)
{
    struct login_refused m = {.status = status};
    struct err e = ERR_INIT;
    c->session->phase = SESSION_OVER;
    if (!c->frontend)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    watch_sent(c->frontend, login_refused_send(watch_link(c->frontend), &m, NULL, &e), &e);
    connection_enter(c, 0);
}

static void start_gateway(struct connection *c)
{
    struct login_gateway m = {0};
    struct err e = ERR_INIT;
    c->session->phase = SESSION_OVER;
    if (!(c->gateway = gateway_new(c))) {
        refuse(c, "The gateway is out of memory.", EXIT_TRY_AGAIN);
        return;
    }
    watch_sent(c->frontend, login_gateway_send(watch_link(c->frontend), &m, NULL, &e), &e);
    connection_enter(c, login_STATE_GATEWAY);
}

static void start_backend(struct connection *c)
{
    struct session *s = c->session;
    struct authd *a = c->a;
    struct authd_start_backend m = {
        .conn = c->conn, .generation = s->generation, .target = s->decision.target_index};
    struct err e = ERR_INIT;
    struct buf again;

    buf_init(&again, AGAIN_ENCODED_MAX);
    if (again_encode(&s->live.who, &again) < 0) {
        refuse(c, "The gateway is out of memory.", EXIT_TRY_AGAIN);
        return;
    }
    m.again = (struct bytes){buf_head(&again), buf_len(&again)};
    memcpy(m.session, s->id, sizeof m.session);
    strcpy(m.operator_name, c->login.operator_name);
    strcpy(m.target_name, s->decision.target);
    m.max_bytes = s->decision.policy.max_bytes;
    m.break_glass = s->decision.break_glass;
    s->phase = SESSION_CONNECTING;
    watch_sent(a->supervisor, authd_start_backend_send(watch_link(a->supervisor), &m, NULL, &e),
               &e);
    buf_clear(&again);
}

static void decision_recorded(void *arg, uint64_t conn, int rc)
{
    struct connection *c = connection_find(arg, conn);
    if (!c || !c->frontend || !c->session || c->session->phase != SESSION_DECIDING)
        return;
    struct session *s = c->session;
    if (rc < 0)
        refuse(c, "The recorder is not available, so no session can start; please try again.",
               EXIT_TRAIL);
    else if (!s->decision.allowed)
        refuse(c, s->decision.text, s->decision.status);
    else if (s->ending)
        refuse(c, s->end_text, EXIT_REFUSED);
    else if (s->decision.gateway)
        start_gateway(c);
    else
        start_backend(c);
}

/* The gateway's own commands are no recorded session: they go on. */
static void heed_admission(const struct authd *a, const struct login *l, struct decision *d)
{
    bool named = break_glass_named(&a->world, l);

    if (!*a->no_sessions || !d->allowed || d->gateway)
        return;
    d->break_glass = named && break_glass_holds(l);
    if (d->break_glass)
        return;
    d->allowed = false;
    d->status = EXIT_TRY_AGAIN;
    strcpy(d->token, "no-new-sessions");
    snprintf(d->text, sizeof d->text, "%s%s", a->no_sessions,
             named ? " " BREAK_GLASS_WANTS_CODE : "");
}

static void alarm_break_glass(const struct connection *c)
{
    char text[1000];

    snprintf(text, sizeof text, "%s begins a break-glass session on %s as %s. %s",
             c->login.operator_name, c->session->decision.target, c->login.destination.account,
             c->a->no_sessions);
    authd_alarm(c->a, c->conn, c->login.operator_name, "break-glass", text);
}

int session_open(struct connection *c, const struct frame *f, struct err *e)
{
    struct login_open m;
    struct buf payload;
    int rc = login_open_decode(f, &m, e);
    if (rc < 0)
        return rc;
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_MEMORY, "session");
    c->session = s;
    s->c = c;
    s->started_s = authd_now_s(c->a);
    s->generation = policy_set_generation(c->a->policies);
    decision_make(&c->a->world, &c->login, s->started_s, &s->decision);
    heed_admission(c->a, &c->login, &s->decision);
    if (s->decision.allowed && !s->decision.gateway)
        live_begin(c);
    if (RAND_bytes(s->id, sizeof s->id) != 1)
        return err_set(e, ERR_CRYPTO, "no random bytes");
    if (s->decision.alarm)
        authd_alarm(c->a, c->conn, c->login.operator_name, s->decision.token, s->decision.text);
    if (s->decision.break_glass)
        alarm_break_glass(c);
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    rc = decision_record(&s->decision, &c->login, s->id, &payload);
    if (rc == 0)
        rc = authd_record(c->a, RECORD_DECISION, &payload, decision_recorded, c->conn);
    else
        buf_clear(&payload);
    if (rc < 0)
        decision_recorded(c->a, c->conn, ERR_TRAIL);
    return 0;
}

/* ---- the backend ---- */

static void backend_over(struct connection *c)
{
    struct session *s = c->session;
    watch_free(s->backend);
    s->backend = NULL;
    agent_stream_free(s->agent);
    s->agent = NULL;
    s->phase = SESSION_OVER;
    s->end_deadline_ms = 0;
    if (!c->frontend)
        connection_forget(c);
}

static int on_backend_frame(void *arg, struct frame *f, struct err *e)
{
    struct connection *c = arg;
    struct grant_state m;
    char text[2100];
    int rc = grant_state_decode(f, &m, e);
    if (rc < 0)
        return rc;
    if (m.state < BACKEND_LOGGED_IN || m.state > BACKEND_ENDED)
        return err_set(e, ERR_PROTOCOL, "link grant: unknown state %u", m.state);
    if (m.state <= c->session->backend_state)
        return err_set(e, ERR_PROTOCOL, "link grant: state %u after %u", m.state,
                       c->session->backend_state);
    c->session->backend_state = m.state;
    log_info("backend", "conn=%llu state=%u text=\"%s\"", (unsigned long long)c->conn, m.state,
             escape_text(text, sizeof text, m.text, strlen(m.text)));
    return 0;
}

static void on_backend_ended(void *arg, int code, const struct err *e)
{
    struct connection *c = arg;
    if (code != ERR_CLOSED)
        connection_breach(c, "backend", e->text);
    backend_over(c);
}

static int send_grant(struct connection *c, struct err *e)
{
    struct session *s = c->session;
    const struct decision *d = &s->decision;
    struct grant_grant *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_MEMORY, "grant");
    memcpy(m->session, s->id, sizeof m->session);
    snprintf(m->operator_name, sizeof m->operator_name, "%s", c->login.operator_name);
    snprintf(m->address, sizeof m->address, "%s", c->login.source_text);
    m->port = c->login.port;
    strcpy(m->proxy, c->login.proxy);
    snprintf(m->target, sizeof m->target, "%s", d->target);
    snprintf(m->target_address, sizeof m->target_address, "%s", d->target_address);
    m->target_port = d->target_port;
    snprintf(m->account, sizeof m->account, "%s", c->login.destination.account);
    m->abilities = d->policy.abilities;
    m->record = (uint8_t)d->policy.record;
    m->idle_s = d->policy.idle_s > UINT32_MAX ? UINT32_MAX : (uint32_t)d->policy.idle_s;
    m->max_s = d->policy.max_s > UINT32_MAX ? UINT32_MAX : (uint32_t)d->policy.max_s;
    m->bulk = (uint8_t)d->policy.bulk;
    m->bulk_after = d->policy.bulk_after;
    m->keep_max = d->policy.keep_max;
    login_factors_text(&c->login, m->factors);
    snprintf(m->path, sizeof m->path, "%s", d->policy.path);
    snprintf(m->role, sizeof m->role, "%.64s", d->policy.because);
    snprintf(m->contact, sizeof m->contact, "%s", d->policy.contact);
    memcpy(m->policy_hash, d->policy_hash, sizeof m->policy_hash);
    m->break_glass = d->break_glass;
    m->host_keys = (struct bytes){buf_head(&d->host_keys), buf_len(&d->host_keys)};
    m->identity = (struct bytes){d->identity, sizeof d->identity};
    m->rules = (struct bytes){buf_head(&d->rules), buf_len(&d->rules)};
    m->files = (struct bytes){buf_head(&d->files), buf_len(&d->files)};
    m->forwards = (struct bytes){buf_head(&d->forwards), buf_len(&d->forwards)};
    int rc = grant_grant_send(watch_link(s->backend), m, NULL, e);
    free(m);
    return rc;
}

static void send_end(struct session *s)
{
    struct grant_end m;
    struct err e = ERR_INIT;
    snprintf(m.text, sizeof m.text, "%s", s->end_text);
    snprintf(m.token, sizeof m.token, "%s", s->end_token);
    watch_sent(s->backend, grant_end_send(watch_link(s->backend), &m, NULL, &e), &e);
}

/* Takes fd over. */
static struct watch *watch_backend(struct connection *c, int fd)
{
    static const struct watch_handler handler = {on_backend_frame, on_backend_ended};
    return watch_new(c->a->base, fd, &link_grant, LINK_FIRST, BACKEND_QUEUE_MAX, &handler, c);
}

static int take_backend(struct connection *c, const int fds[2], struct err *e)
{
    struct session *s = c->session;
    s->backend = watch_backend(c, fds[0]);
    s->agent = agent_stream_new(c, fds[1], s->decision.identity, sizeof s->decision.identity);
    if (!s->backend || !s->agent)
        return err_set(e, ERR_MEMORY, "links to a backend");
    link_enter(watch_link(s->backend), grant_STATE_GRANTED);
    int rc = send_grant(c, e);
    watch_sent(s->backend, 0, e);
    return rc;
}

void session_backend(struct connection *c, const int fds[3])
{
    struct session *s = c->session;
    struct login_granted m = {0};
    struct err e = ERR_INIT;

    if (s && s->phase == SESSION_CONNECTING && c->frontend && !s->ending)
        live_before_grant(c);
    if (!s || s->phase != SESSION_CONNECTING || !c->frontend || s->ending) {
        /* Nobody is there any more to serve: its closed links end the backend. */
        for (int i = 0; i < 3; i++)
            close(fds[i]);
        if (s && s->ending && c->frontend)
            refuse(c, s->end_text, EXIT_REFUSED);
        return;
    }
    if (take_backend(c, fds, &e) < 0) {
        log_error("grant", "conn=%llu text=\"%s\"", (unsigned long long)c->conn, e.text);
        close(fds[2]);
        watch_free(s->backend);
        agent_stream_free(s->agent);
        s->backend = NULL;
        s->agent = NULL;
        refuse(c, "The grant could not be given to the session's process.", EXIT_TRY_AGAIN);
        return;
    }
    s->phase = SESSION_LIVE;
    live_granted(c);
    snprintf(m.target, sizeof m.target, "%s", s->decision.target);
    if (s->decision.break_glass)
        strcpy(m.notice, BREAK_GLASS_NOTICE);
    watch_sent(c->frontend, login_granted_send(watch_link(c->frontend), &m, &fds[2], &e), &e);
    close(fds[2]);
    connection_enter(c, login_STATE_SESSION);
}

static void failure_recorded(void *arg, uint64_t conn, int rc)
{
    struct connection *c = connection_find(arg, conn);
    (void)rc; /* the refusal itself changes nothing that a record must precede */
    if (c && c->session && c->session->phase == SESSION_CONNECTING)
        refuse(c, c->session->decision.text, EXIT_TARGET_DOWN);
}

void session_backend_failed(struct connection *c, const char *reason)
{
    struct session *s = c->session;
    struct buf payload;
    if (!s || s->phase != SESSION_CONNECTING)
        return;
    s->decision.allowed = false;
    s->decision.status = EXIT_TARGET_DOWN;
    snprintf(s->decision.token, sizeof s->decision.token, "target-down");
    snprintf(s->decision.text, sizeof s->decision.text, "%s cannot be reached: %s.",
             s->decision.target, reason);
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    int rc = decision_record(&s->decision, &c->login, NULL, &payload);
    if (rc == 0)
        rc = authd_record(c->a, RECORD_DECISION, &payload, failure_recorded, c->conn);
    else
        buf_clear(&payload);
    if (rc < 0)
        failure_recorded(c->a, c->conn, rc);
}

int session_inherit(struct connection *c, const struct authd_live *m, int fd, struct err *e)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return err_set(e, ERR_MEMORY, "session");
    }
    c->session = s;
    s->c = c;
    s->inherited = true;
    s->phase = SESSION_LIVE;
    memcpy(s->id, m->session, sizeof s->id);
    snprintf(s->decision.target, sizeof s->decision.target, "%s", m->target_name);
    if (!(s->backend = watch_backend(c, fd)))
        return err_set(e, ERR_MEMORY, "the link to a backend");
    /* One that has no grant yet has ended (grant.away), and refuses what is sent now. */
    link_enter(watch_link(s->backend), grant_STATE_GRANTED);
    return live_inherit(c, m->again, e);
}

void session_free(struct session *s)
{
    if (!s)
        return;
    agent_stream_free(s->agent);
    watch_free(s->backend);
    live_clear(&s->live);
    decision_clear(&s->decision);
    free(s);
}

/* ---- the end ---- */

bool session_has_backend(const struct session *s)
{
    return s->phase == SESSION_LIVE;
}

void session_end(struct connection *c, const char *text, const char *token)
{
    struct session *s = c->session;
    if (!s || s->phase == SESSION_OVER || s->ending)
        return;
    s->ending = true;
    snprintf(s->end_text, sizeof s->end_text, "%s", text);
    snprintf(s->end_token, sizeof s->end_token, "%s", token);
    if (s->phase != SESSION_LIVE)
        return;
    s->end_deadline_ms = clock_mono_ms() + END_MS;
    authd_tick_soon(c->a);
    send_end(s);
}

bool session_tick(struct connection *c, uint64_t now_ms)
{
    struct session *s = c->session;
    if (s->end_deadline_ms && now_ms >= s->end_deadline_ms) {
        s->end_deadline_ms = 0;
        log_warn("backend-does-not-end", "conn=%llu", (unsigned long long)c->conn);
        authd_end_connection(c->a, c->conn, s->end_text);
    }
    bool waits = live_tick(c, now_ms);
    return waits || s->end_deadline_ms != 0;
}
