/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/connection.h: the table, and link `login` until the login is complete. While an answer
 * waits for its record the link is not read, so a frontend cannot get ahead of it. */
#include "auth/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/gateway_commands.h"
#include "auth/hasher.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/log.h"

/* command_output of 8 KiB frames to a slow frontend; a grant's descriptor message is small. */
#define FRONTEND_QUEUE_MAX (512u * 1024)
/* Somebody who enrols scans a picture with a telephone and types a code: minutes, not more. */
#define GATEWAY_IDLE_MS (10u * 60 * 1000)
/* A frontend has the same deadline, and may be quicker than the tick here. */
#define DEADLINE_SLACK_MS 1000

static struct connection **bucket(struct authd *a, uint64_t conn)
{
    return &a->bucket[conn % AUTHD_BUCKETS];
}

struct connection *connection_find(struct authd *a, uint64_t conn)
{
    struct connection *c = *bucket(a, conn);
    while (c && c->conn != conn)
        c = c->next;
    return c;
}

static struct connection *add(struct authd *a, uint64_t conn)
{
    struct connection *c;
    if (connection_find(a, conn) || a->connections >= AUTHD_CONNECTIONS_MAX ||
        !(c = calloc(1, sizeof *c)))
        return NULL;
    c->a = a;
    c->conn = conn;
    c->next = *bucket(a, conn);
    *bucket(a, conn) = c;
    a->connections++;
    return c;
}

void connection_forget(struct connection *c)
{
    struct connection **p = bucket(c->a, c->conn);
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    c->a->connections--;
    hasher_forget(c->a->hasher, c->conn);
    session_free(c->session);
    gateway_free(c->gateway);
    watch_free(c->frontend);
    login_clear(&c->login);
    free(c);
}

void connection_each(struct authd *a, void (*each)(struct connection *c, void *arg), void *arg)
{
    for (size_t i = 0; i < AUTHD_BUCKETS; i++)
        for (struct connection *c = a->bucket[i], *next; c; c = next) {
            next = c->next;
            each(c, arg);
        }
}

void connection_enter(struct connection *c, uint32_t state)
{
    if (c->frontend)
        link_enter(watch_link(c->frontend), state);
    if (state == login_STATE_SESSION)
        c->deadline_ms = 0;
    else if (state == login_STATE_GATEWAY)
        c->deadline_ms = clock_mono_ms() + GATEWAY_IDLE_MS;
}

void connection_end_login(struct connection *c, const char *text)
{
    struct login_end m;
    struct err e = ERR_INIT;
    if (!c->frontend)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    watch_sent(c->frontend, login_end_send(watch_link(c->frontend), &m, NULL, &e), &e);
    connection_enter(c, 0);
    c->login.phase = LOGIN_OVER;
    c->ended = true;
}

void connection_breach(struct connection *c, const char *who, const char *text)
{
    log_error("protocol", "conn=%llu peer=%s text=\"%s\"", (unsigned long long)c->conn, who, text);
    authd_alarm(c->a, c->conn, *c->login.operator_name ? c->login.operator_name : NULL,
                "protocol-broken", text);
    authd_end_connection(c->a, c->conn, "a process broke the protocol");
}

/* The source pays for it; the supervisor counts (gateway/penalties.h). Not for the gateway's own
 * end, and not for codes: those lock the operator (auth/lockout.h). */
static void report_failure(struct connection *c, enum failure_kind kind)
{
    struct authd_failure m = {
        .conn = c->conn, .proxied = *c->login.proxy != 0, .kind = (uint8_t)kind};
    struct authd *a = c->a;
    struct err e = ERR_INIT;

    if (a->stopping || c->failure_told || !c->login.source.family || !trail_client_open(a->trail))
        return;
    c->failure_told = true;
    snprintf(m.address, sizeof m.address, "%s", c->login.source_text);
    watch_sent(a->supervisor, authd_failure_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

/* Its frontend left before the login was complete. A frontend is a stranger's, so what counts is
 * what came here: questions about keys, claims, and the time. */
static void judge_end(struct connection *c)
{
    const struct login *l = &c->login;

    if (l->phase == LOGIN_DONE || (l->phase == LOGIN_OVER && l->codes > 0) || c->ended)
        return;
    if (c->deadline_ms && clock_mono_ms() + DEADLINE_SLACK_MS >= c->deadline_ms)
        report_failure(c, FAILURE_LOGIN_DEADLINE);
    else if (l->phase == LOGIN_WANTS_CODE || (l->phase == LOGIN_WANTS_PASSWORD && l->factors))
        return; /* the first factor was right; wrong passwords have been told */
    else if (l->unknown_probes > 0 || l->claims > 0)
        report_failure(c, FAILURE_FIRST_FACTOR);
    else
        report_failure(c, FAILURE_NO_LOGIN);
}

/* Somebody unknown, or somebody who left before a code. */
static void note_refusal(struct connection *c, const char *reason)
{
    struct buf payload;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    if (refusals_note(c->a->refusals, &c->login, reason, clock_mono_ms(), &payload)) {
        if (authd_record(c->a, RECORD_AUTHENTICATION, &payload, NULL, 0) < 0)
            log_warn("refusal-not-recorded", "conn=%llu", (unsigned long long)c->conn);
    } else {
        buf_clear(&payload);
    }
    authd_tick_soon(c->a);
}

static uint32_t over_state(const struct login *l)
{
    if (l->passwords && !l->codes)
        return login_STATE_PASSWORD;
    return *l->operator_name ? login_STATE_CODE : login_STATE_KEY;
}

static void send_answer(struct connection *c, int verdict, const char *text)
{
    struct login_answer m = {.verdict = (uint8_t)verdict};
    struct err e = ERR_INIT;
    snprintf(m.text, sizeof m.text, "%s", text);
    watch_sent(c->frontend, login_answer_send(watch_link(c->frontend), &m, NULL, &e), &e);
    switch (c->login.phase) {
    case LOGIN_WANTS_KEY:
        connection_enter(c, login_STATE_KEY);
        break;
    case LOGIN_WANTS_PASSWORD:
        connection_enter(c, login_STATE_PASSWORD);
        break;
    case LOGIN_WANTS_CODE:
        connection_enter(c, login_STATE_CODE);
        break;
    case LOGIN_DONE:
        connection_enter(c, login_STATE_LOGGED_IN);
        break;
    case LOGIN_OVER:
        /* Further attempts are answered "failed" as well, until the deadline. */
        connection_enter(c, over_state(&c->login));
        break;
    }
}

static const char recorder_missing[] =
    "The recorder is not available, so nobody can log in; please try again.";

static void answer_recorded(void *arg, uint64_t conn, int rc)
{
    struct connection *c = connection_find(arg, conn);
    if (!c || !c->frontend)
        return;
    if (rc < 0) {
        c->login.phase = LOGIN_OVER;
        send_answer(c, LOGIN_FAILED, recorder_missing);
    } else {
        send_answer(c, (int)c->reply.verdict, c->reply.text);
    }
    watch_hold(c->frontend, false);
}

/* Record, then answer. */
static void answer(struct connection *c)
{
    struct buf payload;
    if (c->reply.source_failed) {
        c->failure_told = false;
        report_failure(c, FAILURE_FIRST_FACTOR);
    }
    c->failure_told = c->failure_told || c->reply.our_fault;
    if (c->reply.summed)
        note_refusal(c, c->reply.reason);
    if (!c->reply.record) {
        send_answer(c, (int)c->reply.verdict, c->reply.text);
        return;
    }
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    int rc = login_record(&c->login, &c->reply, &payload);
    watch_hold(c->frontend, true);
    if (rc == 0)
        rc = authd_record(c->a, RECORD_AUTHENTICATION, &payload, answer_recorded, c->conn);
    else
        buf_clear(&payload);
    if (rc < 0)
        answer_recorded(c->a, c->conn, ERR_TRAIL);
}

static bool refuse_without_recorder(struct connection *c)
{
    if (trail_client_open(c->a->trail))
        return false;
    send_answer(c, LOGIN_FAILED, recorder_missing);
    return true;
}

static int on_probe(struct connection *c, const struct frame *f, struct err *e)
{
    struct login_probe m;
    int rc = login_probe_decode(f, &m, e);
    if (rc < 0)
        return rc;
    struct login_probed reply = {.known = login_probe(&c->login, &c->a->world, m.key)};
    struct err send = ERR_INIT;
    watch_sent(c->frontend, login_probed_send(watch_link(c->frontend), &reply, NULL, &send), &send);
    return 0;
}

static int on_claim(struct connection *c, const struct frame *f, struct err *e)
{
    struct login_claim m;
    int rc = login_claim_decode(f, &m, e);
    if (rc < 0)
        return rc;
    if (refuse_without_recorder(c))
        return 0;
    login_claim(&c->login, &c->a->world, m.user, m.key, authd_now_s(c->a), &c->reply);
    answer(c);
    return 0;
}

static int on_code(struct connection *c, const struct frame *f, struct err *e)
{
    struct login_code m;
    int rc = login_code_decode(f, &m, e);
    wipe((void *)(uintptr_t)f->fields.p, f->fields.len);
    if (rc == 0 && !refuse_without_recorder(c)) {
        login_code(&c->login, &c->a->world, m.answer, authd_now_s(c->a), &c->reply);
        answer(c);
    }
    wipe(&m, sizeof m);
    return rc;
}

/* Nothing of the frontend is read until its password's hash is there. */
static int on_password(struct connection *c, const struct frame *f, struct err *e)
{
    struct login_password m;
    struct secret *password = NULL;
    struct err why = ERR_INIT;
    char setting[PASSWORD_SETTING + 1];
    int rc = login_password_decode(f, &m, e);
    wipe((void *)(uintptr_t)f->fields.p, f->fields.len);
    if (rc == 0 && !refuse_without_recorder(c)) {
        const struct address source = address_quota_key(&c->login.source);
        bool wants = login_password(&c->login, &c->a->world, m.user, setting, &c->reply);
        int asked = 0;
        if (wants && !(password = secret_copy(m.password, strlen(m.password) + 1)))
            asked = err_set(&why, ERR_MEMORY, "no locked memory for a password");
        wipe(&m, sizeof m); /* what is here when the hasher's child is forked, the child keeps */
        if (password)
            asked = hasher_ask(c->a->hasher, c->conn, &source, setting, password, &why);
        if (asked < 0) {
            log_warn("password-not-checked", "conn=%llu text=\"%s\"", (unsigned long long)c->conn,
                     why.text);
            login_password_busy(&c->login, &c->reply);
        }
        c->checking = wants && asked == 0;
        if (c->checking)
            watch_hold(c->frontend, true);
        else
            answer(c);
    }
    wipe(&m, sizeof m);
    return rc;
}

void connection_password_hashed(void *authd, uint64_t conn, const char *hash)
{
    struct authd *a = authd;
    struct connection *c = connection_find(a, conn);
    if (!c || !c->frontend || !c->checking)
        return;
    c->checking = false;
    watch_hold(c->frontend, false);
    if (c->ended)
        return;
    login_password_hashed(&c->login, &a->world, hash, authd_now_s(a), &c->reply);
    answer(c);
}

/* A stranger's bytes may have done it: it is his failure, so that nobody ends it as often as he
 * likes. (Who is gone already has paid: connection_gone.) */
void connection_hasher_died(void *authd, uint64_t conn, const char *text)
{
    struct connection *c = connection_find(authd, conn);

    log_error("hasher-ended", "conn=%llu text=\"%s\"", (unsigned long long)conn, text);
    authd_alarm(authd, conn, NULL, "hasher-ended", text);
    if (!c || !c->checking || c->ended)
        return;
    c->failure_told = false;
    report_failure(c, FAILURE_FIRST_FACTOR);
}

static int on_frame(void *arg, struct frame *f, struct err *e)
{
    struct connection *c = arg;
    switch (f->spec->number) {
    case login_probe_NUMBER:
        return on_probe(c, f, e);
    case login_claim_NUMBER:
        return on_claim(c, f, e);
    case login_password_NUMBER:
        return on_password(c, f, e);
    case login_code_NUMBER:
        return on_code(c, f, e);
    case login_open_NUMBER:
        connection_enter(c, 0);
        return session_open(c, f, e);
    default:
        if (c->gateway && link_state(watch_link(c->frontend)) == login_STATE_GATEWAY) {
            connection_enter(c, login_STATE_GATEWAY);
            return gateway_frame(c->gateway, f, e);
        }
        return err_set(e, ERR_PROTOCOL, "link login: unexpected message");
    }
}

static void on_ended(void *arg, int code, const struct err *e)
{
    struct connection *c = arg;
    if (code != ERR_CLOSED) {
        connection_breach(c, "frontend", e->text);
        report_failure(c, FAILURE_BREACH);
    } else {
        judge_end(c);
    }
    if (c->login.phase == LOGIN_WANTS_KEY && c->login.unknown_probes > 0)
        note_refusal(c, "unknown-key");
    else if (c->login.phase == LOGIN_WANTS_CODE && c->login.codes == 0)
        note_refusal(c, "left-before-code");
    else if (c->login.phase == LOGIN_WANTS_PASSWORD && c->login.passwords == 0)
        note_refusal(c, "left-before-password");
    watch_free(c->frontend);
    c->frontend = NULL;
    /* A session goes on until its backend has ended: it sees the same for itself. */
    if (!c->session || !session_has_backend(c->session))
        connection_forget(c);
}

void connection_gone(struct connection *c)
{
    /* The work was done, whether or not somebody waited for what came of it. */
    if (c->checking && !c->ended) {
        c->failure_told = false;
        report_failure(c, FAILURE_FIRST_FACTOR);
    }
    connection_forget(c);
}

void connection_begin(struct authd *a, const struct authd_connection *m, int fd)
{
    static const struct watch_handler handler = {on_frame, on_ended};
    struct err e = ERR_INIT;
    struct connection *c = add(a, m->conn);

    if (!c) {
        close(fd);
        authd_end_connection(a, m->conn, "too many connections");
        return;
    }
    int rc = login_init(&c->login, m, &e);
    if (rc < 0)
        close(fd);
    else if (!(c->frontend = watch_new(a->base, fd, &link_login, LINK_SECOND, FRONTEND_QUEUE_MAX,
                                       &handler, c)))
        rc = err_set(&e, ERR_MEMORY, "link to a frontend");
    if (rc < 0) {
        log_error("connection", "conn=%llu text=\"%s\"", (unsigned long long)m->conn, e.text);
        connection_forget(c);
        authd_end_connection(a, m->conn, "authd cannot serve it");
        return;
    }
    c->deadline_ms = clock_mono_ms() + a->login_ms;
    connection_enter(c, login_STATE_KEY);
    if (a->stopping)
        connection_end_login(c, a->stop_reason);
    authd_tick_soon(a);
}

/* What an authd that died after it stored a lock did not do any more. */
static void heed_lock(struct connection *c)
{
    char text[1000], shown[4 * STORE_REASON_MAX + 1];
    struct store_operator row;
    struct err e = ERR_INIT;

    if (store_operator_read(c->a->world.store, c->login.operator_name, &row, &e) < 0) {
        log_error("lock-not-read", "conn=%llu text=\"%s\"", (unsigned long long)c->conn, e.text);
        session_end(c, "The login service cannot read its store; connect again.", "no-grant");
        return;
    }
    if (row.admin_locked) {
        snprintf(text, sizeof text, "Your login was locked by an administrator: %s",
                 escape_text(shown, sizeof shown, row.lock_reason, strlen(row.lock_reason)));
        session_end(c, text, "locked");
    }
    store_operator_clear(&row);
}

void connection_live(struct authd *a, const struct authd_live *m, int fd)
{
    struct connection *c = add(a, m->conn);
    struct err e = ERR_INIT;
    if (!c) {
        close(fd);
        authd_end_connection(a, m->conn, "too many connections");
        return;
    }
    c->login.phase = LOGIN_DONE;
    c->login.conn = m->conn;
    snprintf(c->login.source_text, sizeof c->login.source_text, "%s", m->address);
    snprintf(c->login.operator_name, sizeof c->login.operator_name, "%s", m->operator_name);
    /* What cannot be decided about again does not go on. */
    if (session_inherit(c, m, fd, &e) < 0) {
        log_error("session-not-inherited", "conn=%llu text=\"%s\"", (unsigned long long)m->conn,
                  e.text);
        if (c->session && c->session->backend) {
            session_end(c,
                        "The login service restarted and cannot watch this session; connect again.",
                        "no-grant");
        } else {
            connection_forget(c);
            authd_end_connection(a, m->conn, "authd cannot watch it");
        }
        return;
    }
    heed_lock(c);
}

struct tick {
    uint64_t now_ms;
    bool more;
};

static void tick_one(struct connection *c, void *arg)
{
    struct tick *t = arg;
    if (c->deadline_ms && t->now_ms >= c->deadline_ms) {
        c->deadline_ms = 0;
        log_info("deadline", "conn=%llu", (unsigned long long)c->conn);
        if (c->login.phase != LOGIN_DONE)
            report_failure(c, FAILURE_LOGIN_DEADLINE);
        authd_end_connection(c->a, c->conn, c->gateway ? "idle for too long" : "login deadline");
    }
    bool session = c->session && session_tick(c, t->now_ms);
    t->more = t->more || c->deadline_ms || session;
}

bool connection_tick_all(struct authd *a, uint64_t now_ms)
{
    struct tick t = {now_ms, false};
    connection_each(a, tick_one, &t);
    return t.more;
}
