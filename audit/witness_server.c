/* SPDX-License-Identifier: Apache-2.0
 *
 * audit/witness_server.h. Nobody is trusted here: a client has REQUEST_S for a whole request and
 * its answer, whatever it sends in between, and the client that has been there longest goes when
 * CLIENTS_MAX are there. Answers are made one after the other. */
#include "audit/witness_server.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/http.h"
#include "base/clock.h"
#include "base/log.h"

#define CLIENTS_MAX 256u
/* From the accepted connection, or the last answer, to the end of the next answer. */
#define REQUEST_S 10
#define IN_MAX    (HTTP_HEAD_MAX + HTTP_BODY_MAX)
#define OUT_MAX   (NOTE_MAX + 1024u)
#define READ_MAX  16384u

struct server;

struct client {
    TAILQ_ENTRY(client) entry; /* oldest first */
    struct server *s;
    int fd;
    struct event *readable, *writable, *late;
    struct buf in, out;
    bool closing;
};

struct server {
    struct event_base *base;
    struct witness *w;
    void (*before_request)(void *);
    void *arg;
    TAILQ_HEAD(, client) clients;
    unsigned count;
};

static void drop(struct client *c)
{
    TAILQ_REMOVE(&c->s->clients, c, entry);
    c->s->count--;
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    if (c->late)
        event_free(c->late);
    close(c->fd);
    buf_clear(&c->in);
    buf_clear(&c->out);
    free(c);
}

static int put_response(struct client *c, unsigned status, const struct buf *body, bool close)
{
    const char *type = status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8";
    int r = buf_printf(
        &c->out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status,
        http_reason(status), type, buf_len(body), close ? "Connection: close\r\n" : "");

    return r < 0 ? r : buf_put(&c->out, buf_head(body), buf_len(body));
}

static unsigned answer(struct server *s, const struct http_message *m, const char *in,
                       struct buf *body)
{
    const size_t len = strlen(m->path), suffix = strlen("/checkpoint");
    char hash[DIGEST_HEX];

    s->before_request(s->arg);
    if (strcmp(m->path, "/add-checkpoint") == 0)
        return strcmp(m->method, "POST") != 0
                   ? 405
                   : witness_add_checkpoint(s->w, in + m->head_len, m->body_len,
                                            clock_real_ns() / 1000000000u, body);
    if (len == 1 + DIGEST_HEX - 1 + suffix && strcmp(m->path + len - suffix, "/checkpoint") == 0) {
        if (strcmp(m->method, "GET") != 0)
            return 405;
        memcpy(hash, m->path + 1, DIGEST_HEX - 1);
        hash[DIGEST_HEX - 1] = '\0';
        return witness_checkpoint(s->w, hash, body);
    }
    return 404;
}

/* Answers what is complete in c->in, one at a time: the next when the answer is out. */
static void serve_requests(struct client *c)
{
    while (!c->closing && buf_len(&c->out) == 0) {
        const char *in = (const char *)buf_head(&c->in);
        struct http_message m;
        struct err e = ERR_INIT;
        struct buf body;
        unsigned status;
        int r = http_request_parse(&m, in, buf_len(&c->in), &e);

        if (r == 0)
            return;
        buf_init(&body, OUT_MAX - 512);
        if (r < 0) {
            status = r == ERR_FULL ? 413 : 400;
            if (buf_printf(&body, "%s\n", e.text) < 0)
                status = 500;
            c->closing = true;
        } else {
            status = answer(c->s, &m, in, &body);
            c->closing = m.close;
            buf_consume(&c->in, m.head_len + m.body_len);
        }
        if (status >= 400)
            log_debug("answer", "status=%u", status);
        if (put_response(c, status, &body, c->closing) < 0)
            c->closing = true;
        buf_clear(&body);
    }
}

static void flush(struct client *c)
{
    const struct timeval deadline = {.tv_sec = REQUEST_S};

    while (buf_len(&c->out) > 0) {
        ssize_t n = send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            event_add(c->writable, NULL);
            return;
        }
        if (n <= 0) {
            drop(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
        if (buf_len(&c->out) == 0) {
            if (c->closing) {
                drop(c);
                return;
            }
            /* A new request, a new deadline, and the newest of all. */
            evtimer_add(c->late, &deadline);
            TAILQ_REMOVE(&c->s->clients, c, entry);
            TAILQ_INSERT_TAIL(&c->s->clients, c, entry);
            serve_requests(c);
        }
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    flush(arg);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    uint8_t *room;
    ssize_t n;

    (void)what;
    room = buf_reserve(&c->in, READ_MAX);
    if (!room) {
        drop(c);
        return;
    }
    n = recv(fd, room, READ_MAX, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    serve_requests(c);
    flush(c);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    drop(arg);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval deadline = {.tv_sec = REQUEST_S};
    struct server *s = arg;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *c;

    (void)what;
    if (client < 0)
        return;
    if (s->count == CLIENTS_MAX)
        drop(TAILQ_FIRST(&s->clients));
    c = calloc(1, sizeof *c);
    if (!c) {
        close(client);
        return;
    }
    c->s = s;
    c->fd = client;
    buf_init(&c->in, IN_MAX + READ_MAX);
    buf_init(&c->out, OUT_MAX);
    TAILQ_INSERT_TAIL(&s->clients, c, entry);
    s->count++;
    /* A timer of its own: a timeout of the socket's event would begin anew with every byte. */
    c->late = evtimer_new(s->base, on_late, c);
    c->readable = event_new(s->base, client, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(s->base, client, EV_WRITE, on_writable, c);
    if (!c->readable || !c->writable || !c->late || event_add(c->readable, NULL) < 0 ||
        evtimer_add(c->late, &deadline) < 0)
        drop(c);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct server *s = arg;

    (void)what;
    log_info("end", "signal=%d", (int)number);
    event_base_loopbreak(s->base);
}

int witness_serve(struct witness *w, int listen_fd, void (*before_request)(void *), void *arg,
                  int (*seal)(const struct witness *w, struct err *e))
{
    struct server s = {.w = w, .before_request = before_request, .arg = arg};
    struct event *accepting = NULL, *ends[2] = {NULL};
    struct err e = ERR_INIT;
    int status = EXIT_FAILURE;

    TAILQ_INIT(&s.clients);
    s.base = event_base_new();
    if (s.base) {
        accepting = event_new(s.base, listen_fd, EV_READ | EV_PERSIST, on_accept, &s);
        ends[0] = evsignal_new(s.base, SIGTERM, on_signal, &s);
        ends[1] = evsignal_new(s.base, SIGINT, on_signal, &s);
    }
    if (!accepting || !ends[0] || !ends[1] || event_add(accepting, NULL) < 0 ||
        event_add(ends[0], NULL) < 0 || event_add(ends[1], NULL) < 0) {
        log_error("start", "error=\"no event loop\"");
        goto out;
    }
    if (seal(w, &e) < 0) {
        log_error("start", "error=\"%s\"", e.text);
        goto out;
    }
    log_info("ready", "logs=%zu", w->log_count);
    event_base_dispatch(s.base);
    status = EXIT_SUCCESS;
out:
    while (!TAILQ_EMPTY(&s.clients))
        drop(TAILQ_FIRST(&s.clients));
    if (accepting)
        event_free(accepting);
    for (size_t i = 0; i < 2; i++)
        if (ends[i])
            event_free(ends[i]);
    if (s.base)
        event_base_free(s.base);
    return status;
}
