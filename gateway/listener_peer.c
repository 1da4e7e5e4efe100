/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of one connection in the listener: PROXY header, TLS handshake, first bytes, waiting for
 * the frontend, pumping, good-bye. Each step does all that can be done without waiting; the events
 * are edge-triggered and stand for both directions, so that a busy connection costs no system call
 * for its interest in them. Run by the listener; the peer is a stranger. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/listener.h"
#include "gateway/request.h"

/* How long a closed connection may take to take its last bytes and say good-bye. */
#define LINGER_MS 2000u
/* authd's table has as much room for a certificate (auth/authd.def). */
#define CERTIFICATE_MAX 4096

#define STEP_EVENTS     (EV_READ | EV_WRITE | EV_ET | EV_PERSIST)
/* A stream tells of room after every read at its other end, which only a full one cares for. */
#define STREAM_EVENTS (EV_READ | EV_ET | EV_PERSIST)
#define ROOM_EVENTS   (EV_WRITE | EV_ET)

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    peer_step(arg);
}

void peer_set_deadline(struct peer *p, uint64_t ms)
{
    const struct timeval t = {.tv_sec = (time_t)(ms / 1000),
                              .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    evtimer_add(p->deadline, &t);
}

static void set_linger(struct peer *p)
{
    if (!p->linger) {
        p->linger = true;
        peer_set_deadline(p, LINGER_MS);
    }
}

struct peer *peer_find(struct listener *l, uint64_t number)
{
    struct peer *p;

    TAILQ_FOREACH(p, &l->buckets[number % PEER_BUCKETS], entry)
    {
        if (p->number == number)
            break;
    }
    return p;
}

static void tell_failed(struct listener *l, uint64_t conn, uint8_t stage, const char *reason)
{
    struct listener_failed m = {.conn = conn, .stage = stage};
    struct err e = ERR_INIT;

    snprintf(m.reason, sizeof m.reason, "%s", reason);
    listener_sent(l, listener_failed_send(l->link, &m, NULL, &e), &e);
}

/* The end of a connection here: the supervisor is told, everything is freed. */
static void peer_close(struct peer *p)
{
    struct listener *l = p->l;
    const struct listener_closed m = {
        .conn = p->number, .bytes_in = p->bytes_in, .bytes_out = p->bytes_out};
    struct err e = ERR_INIT;

    log_debug("closed", "conn=%llu stage=%u reason=\"%s\" in=%llu out=%llu",
              (unsigned long long)p->number, p->stage, p->reason, (unsigned long long)p->bytes_in,
              (unsigned long long)p->bytes_out);
    if (p->told_ready)
        listener_sent(l, listener_closed_send(l->link, &m, NULL, &e), &e);
    else
        tell_failed(l, p->number, p->stage, p->reason);
    TAILQ_REMOVE(&l->buckets[p->number % PEER_BUCKETS], p, entry);
    l->connections--;
    if (p->on_fd)
        event_free(p->on_fd);
    if (p->on_stream)
        event_free(p->on_stream);
    if (p->on_room)
        event_free(p->on_room);
    if (p->deadline)
        event_free(p->deadline);
    SSL_free(p->ssl);
    close(p->fd);
    if (p->stream >= 0)
        close(p->stream);
    buf_clear(&p->up);
    buf_clear(&p->down);
    free(p);
}

void peer_set_failure(struct peer *p, enum listener_stage stage, const char *reason)
{
    p->stage = (uint8_t)stage;
    snprintf(p->reason, sizeof p->reason, "%s", reason);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct peer *p = arg;

    (void)fd;
    (void)what;
    if (!p->linger)
        peer_set_failure(p, STAGE_DEADLINE,
                         p->phase == PEER_HEADER      ? "no complete PROXY header"
                         : p->phase == PEER_HANDSHAKE ? "during the TLS handshake"
                                                      : "no complete request");
    peer_close(p);
}

void peer_accept(struct listener *l, const struct listener_accept *m, int fd)
{
    struct peer *p;

    if (l->connections >= l->connections_max || peer_find(l, m->conn) ||
        !(p = calloc(1, sizeof *p))) {
        tell_failed(l, m->conn, STAGE_WAITING, "too many connections");
        close(fd);
        return;
    }
    p->l = l;
    p->number = m->conn;
    p->fd = fd;
    p->stream = -1;
    p->stage = STAGE_TLS;
    p->phase = m->proxy ? PEER_HEADER : PEER_HANDSHAKE;
    buf_init(&p->up, LISTENER_CHUNK);
    buf_init(&p->down, LISTENER_CHUNK);
    TAILQ_INSERT_TAIL(&l->buckets[p->number % PEER_BUCKETS], p, entry);
    l->connections++;
    p->ssl = tls_accept(l->tls, fd, p);
    p->on_fd = event_new(l->base, fd, STEP_EVENTS, on_event, p);
    p->deadline = evtimer_new(l->base, on_deadline, p);
    if (!p->ssl || !p->on_fd || !p->deadline || event_add(p->on_fd, NULL) < 0) {
        peer_set_failure(p, STAGE_WAITING, "out of memory");
        peer_close(p);
        return;
    }
    peer_set_deadline(p, l->handshake_ms);
}

static void step_handshake(struct peer *p)
{
    int rc = SSL_do_handshake(p->ssl), why;

    if (rc == 1) {
        p->phase = PEER_REQUEST;
        return;
    }
    why = SSL_get_error(p->ssl, rc);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        return;
    }
    if (BIO_number_read(SSL_get_rbio(p->ssl)) == 0) {
        peer_set_failure(p, STAGE_SILENT, "it closed before it said anything");
        p->failed = true;
        return;
    }
    peer_set_failure(p, STAGE_TLS, "");
    tls_reason(p->ssl, p->reason, sizeof p->reason);
    /* The alert is on its way. A close now, with bytes of the peer's unread, would reset the
     * connection and the peer would never see it. */
    shutdown(p->fd, SHUT_WR);
    p->phase = PEER_DRAIN;
    set_linger(p);
}

/* Returns false when it was closed. */
static bool step_drain(struct peer *p)
{
    ssize_t n;

    do
        n = recv(p->fd, p->l->scratch, LISTENER_CHUNK, 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return true;
    peer_close(p);
    return false;
}

static void refuse(struct peer *p, const struct request *r)
{
    char text[1024];
    const size_t len = request_refusal(r, text, sizeof text);

    peer_set_failure(p, STAGE_REQUEST, r->why);
    buf_clear(&p->up);
    if (buf_put(&p->down, text, len) < 0)
        p->failed = true;
    p->phase = PEER_REFUSED;
    p->down_end = true;
    p->stream_gone = true;
    set_linger(p);
}

/* The certificate that the handshake accepted, if any. Returns false when there is something wrong.
 */
static bool describe_certificate(struct peer *p, struct listener_ready *m, uint8_t **der)
{
    X509 *cert = SSL_get1_peer_certificate(p->ssl);
    int len;

    *der = NULL;
    m->certificate = CERTIFICATE_NONE;
    if (!cert)
        return true;
    len = i2d_X509(cert, der);
    X509_free(cert);
    if (len <= 0 || len > CERTIFICATE_MAX)
        return false;
    m->certificate = p->expired ? CERTIFICATE_EXPIRED : CERTIFICATE_VALID;
    m->certificate_der = (struct bytes){.p = *der, .len = (size_t)len};
    return true;
}

static void tell_ready(struct peer *p, const struct request *r)
{
    struct listener_ready m = {.conn = p->number};
    struct err e = ERR_INIT;
    uint8_t *der;

    buf_consume(&p->up, r->consumed);
    p->bytes_in = buf_len(&p->up);
    if (!describe_certificate(p, &m, &der) ||
        (r->kind == REQUEST_CONNECT &&
         buf_put(&p->down, REQUEST_ACCEPTED, sizeof REQUEST_ACCEPTED - 1) < 0)) {
        OPENSSL_free(der);
        peer_set_failure(p, STAGE_TLS, "client certificate: too large");
        p->failed = true;
        return;
    }
    memcpy(m.target, r->target, sizeof m.target);
    evtimer_del(p->deadline);
    p->phase = PEER_WAITING;
    p->told_ready = true;
    listener_sent(p->l, listener_ready_send(p->l->link, &m, NULL, &e), &e);
    OPENSSL_free(der);
}

static void step_request(struct peer *p)
{
    struct request r;
    uint8_t *room;
    int n;

    for (;;) {
        room = buf_reserve(&p->up, 16384); /* fits: at most REQUEST_MAX bytes are there */
        if (!room) {
            p->failed = true;
            return;
        }
        n = SSL_read(p->ssl, room, 16384);
        if (n <= 0)
            break;
        buf_commit(&p->up, (size_t)n);
        if (request_parse(buf_head(&p->up), buf_len(&p->up), &r) == REQUEST_MORE)
            continue;
        if (r.kind == REQUEST_REFUSED)
            refuse(p, &r);
        else
            tell_ready(p, &r);
        return;
    }
    n = SSL_get_error(p->ssl, n);
    ERR_clear_error();
    if (n != SSL_ERROR_WANT_READ && n != SSL_ERROR_WANT_WRITE) {
        peer_set_failure(p, STAGE_REQUEST, "it closed before its request");
        p->failed = true;
    }
}

void peer_step(struct peer *p)
{
    bool done = true;

    if (p->phase == PEER_HEADER)
        peer_read_header(p);
    if (p->phase == PEER_HANDSHAKE)
        step_handshake(p);
    if (p->phase == PEER_DRAIN) {
        step_drain(p);
        return;
    }
    if (p->phase == PEER_REQUEST)
        step_request(p);
    if (p->phase >= PEER_WAITING)
        done = pump(p);
    if (p->failed || (p->phase >= PEER_WAITING && pump_over(p))) {
        peer_close(p);
        return;
    }
    if (p->phase >= PEER_WAITING && pump_leaving(p))
        set_linger(p);
    if (p->on_room && buf_len(&p->up) > 0 && event_add(p->on_room, NULL) < 0) {
        p->failed = true;
        done = false;
    }
    if (!done)
        event_active(p->on_fd, EV_READ, 1);
}

void peer_stream(struct peer *p, int fd)
{
    if (p->phase != PEER_WAITING) {
        close(fd);
        return;
    }
    p->stream = fd;
    p->phase = PEER_PUMP;
    if (evutil_make_socket_nonblocking(fd) == 0)
        p->on_stream = event_new(p->l->base, fd, STREAM_EVENTS, on_event, p);
    p->on_room = event_new(p->l->base, fd, ROOM_EVENTS, on_event, p);
    if (!p->on_stream || !p->on_room || event_add(p->on_stream, NULL) < 0)
        p->failed = true;
    peer_step(p);
}

void peer_drop(struct peer *p)
{
    set_linger(p);
    if (p->stream < 0) {
        p->down_end = true;
        p->stream_gone = true;
    }
    if (!p->told_ready && p->phase < PEER_REFUSED) {
        peer_set_failure(p, STAGE_WAITING, "dropped by the gateway");
        peer_close(p);
        return;
    }
    peer_step(p);
}
