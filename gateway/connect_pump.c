/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport connect`'s bytes: the CONNECT and what ssh says go out without waiting for the answer
 * (the gateway takes what follows the blank line as SSH, so a round trip is saved); the answer's
 * head is cut off what comes back. Buffers are bounded, neither way waits for the other, and each
 * end is passed on: the end of `in` becomes close_notify, the gateway's close ends it. Run on the
 * operator's device. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/connect.h"
#include "gateway/request.h"

#define QUEUE      (256u * 1024) /* what ssh and TLS move in about a millisecond */
#define RECORD     16384u
#define READ       (64u * 1024)
#define PIPE       (1024 * 1024) /* the largest that everybody may ask for */
#define ANSWER_MAX 4096u

struct queue {
    size_t start, len;
    uint8_t bytes[QUEUE];
};

struct pump {
    const struct connect_options *o;
    SSL *ssl;
    int in, out, out_flags; /* out_flags -1: nothing to restore */
    bool in_end, in_shut, gateway_end, out_gone, answered;
    bool want_in;   /* `in` may have something */
    bool tls_write; /* TLS waits for room */
    struct queue up, down;
};

static size_t room(struct queue *q, size_t wanted)
{
    if (q->len == 0)
        q->start = 0;
    if (q->start > 0 && QUEUE - q->start - q->len < wanted) {
        memmove(q->bytes, q->bytes + q->start, q->len);
        q->start = 0;
    }
    return QUEUE - q->start - q->len;
}

static uint8_t *tail(struct queue *q)
{
    return q->bytes + q->start + q->len;
}

static void consume(struct queue *q, size_t n)
{
    q->start += n;
    q->len -= n;
}

/* The head of the answer: cut off when it is complete. */
static int take_answer(struct pump *p, struct err *e)
{
    static const char ok[] = "HTTP/1.1 200 ";
    const char *text = (const char *)p->down.bytes + p->down.start;
    const char *end = memmem(text, p->down.len, "\r\n\r\n", 4);
    char shown[400];

    if (!end) {
        if (p->down.len > ANSWER_MAX)
            return err_set(e, ERR_PROTOCOL, "%s port %s is not a Sallyport gateway", p->o->host,
                           p->o->port);
        return 0;
    }
    if (p->down.len < sizeof ok - 1 || memcmp(text, ok, sizeof ok - 1) != 0) {
        const char *line = memchr(text, '\r', p->down.len);
        escape_text(shown, sizeof shown, text, (size_t)(line - text));
        return err_set(e, ERR_DENIED, "the gateway refused \"%s\": %s", p->o->target, shown);
    }
    consume(&p->down, (size_t)(end + 4 - text));
    p->answered = true;
    return 0;
}

/* True when something was moved. */
static bool from_gateway(struct pump *p, struct err *e)
{
    struct err broken = ERR_INIT;
    bool moved = false, clean = false;

    while (!p->gateway_end && room(&p->down, READ) >= RECORD) {
        const size_t space = room(&p->down, READ);
        int n, why;
        errno = 0;
        n = SSL_read(p->ssl, tail(&p->down), (int)(space < READ ? space : READ));
        if (n > 0) {
            p->down.len += (size_t)n;
            moved = true;
            if (!SSL_has_pending(p->ssl))
                break; /* passed on before TLS is asked for more */
            continue;
        }
        why = SSL_get_error(p->ssl, n);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
            break;
        p->gateway_end = true;
        moved = true;
        clean = why == SSL_ERROR_ZERO_RETURN;
        connect_broken(p->o, p->ssl, why, &broken);
    }
    if (moved && !p->answered && take_answer(p, e) < 0)
        return moved;
    if (p->gateway_end && broken.code && !(clean && p->answered))
        *e = broken;
    return moved;
}

static bool to_out(struct pump *p)
{
    ssize_t n;

    if (p->down.len == 0 || !p->answered)
        return false;
    n = write(p->out, p->down.bytes + p->down.start, p->down.len);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        p->out_gone = true;
        return true;
    }
    if (n <= 0)
        return n < 0 && errno == EINTR;
    consume(&p->down, (size_t)n);
    return true;
}

static bool from_in(struct pump *p)
{
    size_t space;
    ssize_t n;

    if (p->in_end || !p->want_in || (space = room(&p->up, READ)) < RECORD)
        return false;
    p->want_in = false; /* `in` may block: one read for each POLLIN */
    n = read(p->in, tail(&p->up), space < READ ? space : READ);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n <= 0)
        p->in_end = true;
    else
        p->up.len += (size_t)n;
    return true;
}

static bool to_gateway(struct pump *p, struct err *e)
{
    bool moved = false;
    int n, why;

    p->tls_write = false;
    while (p->up.len > 0 && !p->gateway_end) {
        errno = 0;
        n = SSL_write(p->ssl, p->up.bytes + p->up.start, (int)p->up.len);
        if (n > 0) {
            consume(&p->up, (size_t)n);
            moved = true;
            continue;
        }
        why = SSL_get_error(p->ssl, n);
        if (why == SSL_ERROR_WANT_WRITE)
            p->tls_write = true;
        else if (why != SSL_ERROR_WANT_READ) {
            /* What it said before it broke is still to be read. */
            ERR_clear_error();
            p->up.len = 0;
            p->in_end = p->in_shut = true;
            moved = true;
        }
        return moved;
    }
    if (p->in_end && !p->in_shut && p->up.len == 0) {
        p->in_shut = true;
        if (SSL_shutdown(p->ssl) < 0)
            ERR_clear_error();
        moved = true;
    }
    (void)e;
    return moved;
}

static int wait_for_more(struct pump *p, uint64_t until_ms, struct err *e)
{
    struct pollfd fds[3] = {{.fd = SSL_get_fd(p->ssl), .events = 0},
                            {.fd = -1, .events = POLLIN},
                            {.fd = -1, .events = POLLOUT}};
    const uint64_t now_ms = clock_mono_ms();
    int timeout = -1;

    if (!p->answered)
        timeout = now_ms >= until_ms ? 0 : (int)(until_ms - now_ms);
    if (!p->gateway_end && room(&p->down, READ) >= RECORD)
        fds[0].events |= POLLIN;
    if (p->tls_write)
        fds[0].events |= POLLOUT;
    if (!p->in_end && room(&p->up, READ) >= RECORD)
        fds[1].fd = p->in;
    if (p->down.len > 0 && p->answered)
        fds[2].fd = p->out;
    if (!fds[0].events)
        fds[0].fd = -1; /* a hang-up would wake us for nothing */
    switch (poll(fds, 3, timeout)) {
    case -1:
        return errno == EINTR ? 0 : err_errno(e, "poll");
    case 0:
        return err_set(e, ERR_TIMEOUT, "the gateway %s port %s does not answer", p->o->host,
                       p->o->port);
    }
    if (fds[1].revents)
        p->want_in = true;
    return 0;
}

/* A pipe or a socket is ours alone, or nearly: it must not block us. A terminal is not. */
static void prepare(struct pump *p)
{
    struct stat st;

    p->out_flags = -1;
    if (fstat(p->out, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        p->out_flags = fcntl(p->out, F_GETFL);
        if (p->out_flags >= 0)
            (void)fcntl(p->out, F_SETFL, p->out_flags | O_NONBLOCK);
        (void)fcntl(p->out, F_SETPIPE_SZ, PIPE);
    }
    (void)fcntl(p->in, F_SETPIPE_SZ, PIPE);
}

int connect_pump(const struct connect_options *o, SSL *ssl, int in, int out, struct err *e)
{
    static struct pump pump;
    struct pump *p = &pump;
    const uint64_t until_ms = clock_mono_ms() + CONNECT_TIMEOUT_MS;
    int rc = 0, n;

    p->o = o;
    p->ssl = ssl;
    p->in = in;
    p->out = out;
    e->code = 0;
    n = snprintf((char *)p->up.bytes, REQUEST_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 o->target, o->target);
    INVARIANT(n > 0 && (size_t)n < REQUEST_MAX);
    p->up.len = (size_t)n;
    prepare(p);
    while (rc == 0) {
        bool moved = from_in(p);
        moved |= to_gateway(p, e);
        moved |= from_gateway(p, e);
        moved |= to_out(p);
        if (e->code || p->out_gone || (p->gateway_end && p->down.len == 0))
            break;
        if (!moved)
            rc = wait_for_more(p, until_ms, e);
    }
    if (p->out_flags >= 0)
        (void)fcntl(p->out, F_SETFL, p->out_flags);
    return e->code;
}
