/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/agent_stream.h. */
#include "auth/agent_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/agent.h"
#include "auth/session.h"
#include "auth/vault.h"
#include "base/json_out.h"
#include "base/log.h"

/* Two requests and their answers; a backend asks one at a time. */
#define STREAM_MAX (2u * AGENT_MESSAGE_MAX)
/* A library asks twice; then it is a hostile backend that only fills the trail with alarms. */
#define BREACHES_MAX 3

struct agent_stream {
    struct connection *c;
    int fd;
    struct event *readable, *writable;
    struct agent agent;
    struct buf in, out;
    struct bytes to_sign; /* into in; p NULL: no signature under way */
    unsigned breaches;
};

static void stop(struct agent_stream *s)
{
    if (s->readable)
        event_free(s->readable);
    if (s->writable)
        event_free(s->writable);
    s->readable = s->writable = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void write_out(struct agent_stream *s)
{
    while (s->fd >= 0 && buf_len(&s->out) > 0) {
        ssize_t n = send(s->fd, buf_head(&s->out), buf_len(&s->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            buf_consume(&s->out, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (event_add(s->writable, NULL) < 0)
                stop(s);
            return;
        } else {
            stop(s);
        }
    }
}

static void breach(struct agent_stream *s, const char *why)
{
    struct connection *c = s->c;
    log_error("agent-breach", "conn=%llu text=\"%s\"", (unsigned long long)c->conn, why);
    authd_alarm(c->a, c->conn, c->login.operator_name, "agent-breach", why);
    if (++s->breaches >= BREACHES_MAX) {
        write_out(s);
        stop(s);
        session_end(c, "The session's process asked for what it was not granted.", "agent-breach");
    }
}

static void go_on(struct agent_stream *s);

static void use_recorded(void *arg, uint64_t conn, int rc)
{
    struct connection *c = connection_find(arg, conn);
    struct agent_stream *s = c && c->session ? c->session->agent : NULL;
    struct err e = ERR_INIT;
    uint8_t signature[VAULT_SIGNATURE_BYTES];

    if (!s || !s->to_sign.p)
        return;
    if (rc == 0)
        rc = vault_sign(c->a->world.store, c->session->decision.target,
                        c->login.destination.account, s->to_sign.p, s->to_sign.len, signature, &e);
    if (rc < 0)
        log_error("no-signature", "conn=%llu code=%s text=\"%s\"", (unsigned long long)conn,
                  err_token((enum err_code)rc), e.text);
    s->to_sign = (struct bytes){0};
    rc = rc == 0 ? agent_signed(&s->in, &s->out, signature, sizeof signature)
                 : agent_refused(&s->in, &s->out);
    if (rc < 0 || event_add(s->readable, NULL) < 0)
        stop(s);
    go_on(s);
}

static void record_use(struct agent_stream *s)
{
    struct connection *c = s->c;
    struct buf payload;
    struct json_out j;
    char fingerprint[64];

    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    vault_fingerprint(s->agent.identity, s->agent.identity_len, fingerprint);
    json_begin(&j, &payload);
    json_str(&j, "event", "vault-key-used");
    json_str(&j, "key", fingerprint);
    json_str(&j, "target", c->session->decision.target);
    json_str(&j, "account", c->login.destination.account);
    json_str(&j, "operator", c->login.operator_name);
    json_u64(&j, "connection", c->conn);
    json_hex(&j, "session", c->session->id, sizeof c->session->id);
    int rc = json_end(&j);
    if (rc == 0)
        rc = authd_record(c->a, RECORD_KEY, &payload, use_recorded, c->conn);
    else
        buf_clear(&payload);
    if (rc < 0)
        use_recorded(c->a, c->conn, ERR_TRAIL);
}

/* Takes what is there, one message after another, until one waits for its record. */
static void go_on(struct agent_stream *s)
{
    const char *why;
    while (s->fd >= 0 && !s->to_sign.p) {
        struct bytes data = {0};
        int event = agent_step(&s->agent, &s->in, &s->out, &data, &why);
        if (event == AGENT_MORE)
            break;
        if (event == AGENT_SIGN) {
            /* Nothing is read until it is answered: to_sign points into the buffer. */
            s->to_sign = data;
            event_del(s->readable);
            record_use(s);
            break; /* use_recorded goes on */
        }
        if (event < 0) {
            if (why)
                breach(s, why);
            write_out(s);
            stop(s);
        } else if (event == AGENT_BREACH) {
            breach(s, why);
        }
    }
    write_out(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct agent_stream *s = arg;
    uint8_t *room;
    (void)what;
    size_t want = buf_room(&s->in);
    if (want == 0 || !(room = buf_reserve(&s->in, want))) {
        stop(s);
        return;
    }
    ssize_t n = recv(fd, room, want, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        stop(s);
        return;
    }
    buf_commit(&s->in, (size_t)n);
    go_on(s);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    write_out(arg);
}

struct agent_stream *agent_stream_new(struct connection *c, int fd, const uint8_t *identity,
                                      size_t len)
{
    struct agent_stream *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return NULL;
    }
    s->c = c;
    s->fd = fd;
    buf_init(&s->in, STREAM_MAX);
    buf_init(&s->out, STREAM_MAX);
    agent_init(&s->agent, identity, len, c->login.destination.account);
    s->readable = event_new(c->a->base, fd, EV_READ | EV_PERSIST, on_readable, s);
    s->writable = event_new(c->a->base, fd, EV_WRITE, on_writable, s);
    if (!s->readable || !s->writable || evutil_make_socket_nonblocking(fd) < 0 ||
        event_add(s->readable, NULL) < 0) {
        agent_stream_free(s);
        return NULL;
    }
    return s;
}

void agent_stream_free(struct agent_stream *s)
{
    if (!s)
        return;
    stop(s);
    buf_wipe(&s->in);
    buf_wipe(&s->out);
    free(s);
}
