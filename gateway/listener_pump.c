/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes between the operator's TLS and the frontend's stream. Each direction holds at most one
 * chunk: nothing is read while something waits to be written. The usual way needs no memory of the
 * connection's own: a chunk goes through the process's scratch and out at once. The ends are passed
 * on one by one: the operator's close_notify shuts the stream for writing, the stream's end becomes
 * close_notify and FIN. Run by the listener; the bytes mean nothing here. */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/listener.h"

/* Chunks of one turn, so that one busy session does not starve the others: 1 MiB each way. */
#define TURNS 16

enum moved { MOVED, BLOCKED };

/* What an SSL call that did not succeed means. */
static enum moved judge(struct peer *p, int result)
{
    switch (SSL_get_error(p->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        break;
    case SSL_ERROR_ZERO_RETURN:
        p->up_end = true;
        break;
    default:
        p->failed = true;
        break;
    }
    ERR_clear_error();
    return BLOCKED;
}

static enum moved write_stream(struct peer *p, const uint8_t *bytes, size_t len, size_t *written)
{
    ssize_t n = write(p->stream, bytes, len);

    *written = 0;
    if (n >= 0) {
        *written = (size_t)n;
        return *written == len ? MOVED : BLOCKED;
    }
    if (errno == EINTR)
        return MOVED; /* the caller keeps the bytes and comes back */
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        p->stream_gone = true;
    return BLOCKED;
}

/* One chunk from TLS to the stream. */
static enum moved move_up(struct peer *p)
{
    uint8_t *scratch = p->l->scratch;
    size_t len = 0, written;
    enum moved moved = MOVED;

    if (p->stream_gone)
        buf_clear(&p->up);
    if (buf_len(&p->up) > 0) {
        moved = write_stream(p, buf_head(&p->up), buf_len(&p->up), &written);
        buf_consume(&p->up, written);
        return moved;
    }
    if (p->up_end) {
        if (!p->up_shut && !p->stream_gone)
            shutdown(p->stream, SHUT_WR);
        p->up_shut = true;
        return BLOCKED;
    }
    while (len + 16384 <= LISTENER_CHUNK && moved == MOVED) {
        int n = SSL_read(p->ssl, scratch + len, (int)(LISTENER_CHUNK - len));
        if (n <= 0)
            moved = judge(p, n);
        else
            len += (size_t)n;
        if (n > 0 && !SSL_has_pending(p->ssl))
            break; /* passed on before TLS is asked for more */
    }
    p->bytes_in += len;
    if (len == 0)
        return p->up_end && !p->up_shut ? MOVED : BLOCKED;
    if (p->stream_gone)
        return MOVED; /* nobody reads it: thrown away */
    write_stream(p, scratch, len, &written);
    if (written < len && !p->stream_gone && buf_put(&p->up, scratch + written, len - written) < 0)
        p->failed = true;
    /* Blocked only if TLS said so and all is written: then an event comes for more. */
    return moved == MOVED || p->up_end || buf_len(&p->up) > 0 ? MOVED : BLOCKED;
}

static enum moved write_tls(struct peer *p, const uint8_t *bytes, size_t len, size_t *written)
{
    *written = 0;
    while (*written < len) {
        int n = SSL_write(p->ssl, bytes + *written, (int)(len - *written));
        if (n <= 0)
            return judge(p, n);
        *written += (size_t)n;
    }
    return MOVED;
}

/* close_notify, then FIN. */
static enum moved shut_down(struct peer *p)
{
    int rc = SSL_shutdown(p->ssl);

    if (rc < 0) {
        const int why = SSL_get_error(p->ssl, rc);
        ERR_clear_error();
        if (why == SSL_ERROR_WANT_WRITE)
            return BLOCKED;
        /* The notify is out, and reading on comes to something else than the peer's. */
    }
    p->down_shut = true;
    shutdown(p->fd, SHUT_WR);
    return BLOCKED;
}

static void stream_ended(struct peer *p)
{
    struct pollfd state = {.fd = p->stream, .events = 0};

    p->down_end = true;
    /* Closed altogether, or only for writing? */
    if (poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)))
        p->stream_gone = true;
}

/* One chunk from the stream to TLS. */
static enum moved move_down(struct peer *p)
{
    size_t written;
    ssize_t n;
    enum moved moved;

    if (buf_len(&p->down) > 0) {
        moved = write_tls(p, buf_head(&p->down), buf_len(&p->down), &written);
        buf_consume(&p->down, written);
        return moved;
    }
    if (p->down_shut)
        return BLOCKED;
    if (p->down_end || p->stream < 0)
        return p->down_end ? shut_down(p) : BLOCKED;
    n = read(p->stream, p->l->scratch, LISTENER_CHUNK);
    if (n < 0 && errno == EINTR)
        return MOVED;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return BLOCKED;
    if (n <= 0) {
        stream_ended(p);
        return MOVED;
    }
    p->bytes_out += (uint64_t)n;
    moved = write_tls(p, p->l->scratch, (size_t)n, &written);
    if (written < (size_t)n && buf_put(&p->down, p->l->scratch + written, (size_t)n - written) < 0)
        p->failed = true;
    return moved;
}

bool pump(struct peer *p)
{
    for (unsigned turn = 0; turn < TURNS; turn++) {
        enum moved up = BLOCKED, down = BLOCKED;
        if (!p->failed)
            down = move_down(p);
        if (!p->failed && (p->stream >= 0 || p->down_shut))
            up = move_up(p);
        if (p->failed || (up == BLOCKED && down == BLOCKED))
            return true;
    }
    return false;
}

bool pump_over(const struct peer *p)
{
    return p->failed || (p->down_shut && p->up_end && (p->up_shut || p->stream_gone));
}

bool pump_leaving(const struct peer *p)
{
    return p->down_shut && (p->stream_gone || p->stream < 0);
}
