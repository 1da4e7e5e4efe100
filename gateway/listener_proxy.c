/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY header at the beginning of a configured peer's connection. What is read of the socket
 * is the header's to the byte, so that TLS finds all of its own: bytes are peeked at, parsed, and
 * taken only as far as they belong to the header. Whom it names is the supervisor's to judge; until
 * it says `admitted` nothing more is read, and the handshake's time begins with that word. Run by
 * the listener; the header may hold what a stranger wanted in it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/listener.h"
#include "gateway/proxy_header.h"

/* Takes n bytes that were peeked at. */
static bool take(struct peer *p, size_t n)
{
    uint8_t *room = buf_reserve(&p->up, n);
    ssize_t got;

    if (!room)
        return false;
    do
        got = recv(p->fd, room, n, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n)
        return false;
    buf_commit(&p->up, n);
    return true;
}

static void ended(struct peer *p)
{
    /* A load balancer that only looks whether the port is open. */
    if (buf_len(&p->up) == 0)
        peer_set_failure(p, STAGE_CHECK, "it closed at once");
    else
        peer_set_failure(p, STAGE_PROXY, "it closed within the PROXY header");
    p->failed = true;
}

static void named(struct peer *p, const struct proxy_header *h)
{
    struct listener_proxied m = {.conn = p->number, .family = h->source.family, .port = h->port};
    struct err e = ERR_INIT;

    memcpy(m.address, h->source.bytes, sizeof m.address);
    buf_clear(&p->up);
    evtimer_del(p->deadline);
    p->phase = PEER_NAMED;
    listener_sent(p->l, listener_proxied_send(p->l->link, &m, NULL, &e), &e);
}

void peer_read_header(struct peer *p)
{
    uint8_t bytes[PROXY_HEADER_MAX + 1];
    struct proxy_header h;

    for (;;) {
        const size_t before = buf_len(&p->up);
        ssize_t n;

        if (before > 0)
            memcpy(bytes, buf_head(&p->up), before);
        n = recv(p->fd, bytes + before, sizeof bytes - before, MSG_PEEK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            ended(p);
            return;
        }
        proxy_header_parse(bytes, before + (size_t)n, &h);
        if (h.kind == PROXY_REFUSED) {
            peer_set_failure(p, STAGE_PROXY, h.why);
            p->failed = true;
            return;
        }
        if (!take(p, h.kind == PROXY_MORE ? (size_t)n : h.consumed - before)) {
            peer_set_failure(p, STAGE_WAITING, "out of memory");
            p->failed = true;
            return;
        }
        if (h.kind == PROXY_LOCAL) {
            peer_set_failure(p, STAGE_CHECK, "a connection of the proxy's own");
            p->failed = true;
            return;
        }
        if (h.kind == PROXY_ADDRESS) {
            named(p, &h);
            return;
        }
    }
}

void peer_admitted(struct peer *p)
{
    if (p->phase != PEER_NAMED)
        return;
    p->phase = PEER_HANDSHAKE;
    peer_set_deadline(p, p->l->handshake_ms);
    peer_step(p);
}
