/* SPDX-License-Identifier: Apache-2.0
 *
 * From accept() to the first byte of TLS: whether a connection may come in, and when. The address
 * is TCP's, or, where its peer is a configured proxy, the one in the PROXY header, which a listener
 * parses and which is judged here in the same way; a proxy's own address is never judged.
 *
 *     direct:  accept -> judged -> [parked] -> given to a listener -> OPEN
 *     proxied: accept -> given to a listener -> HEADER -`proxied`-> judged -> [parked] -> OPEN
 *
 * What is not admitted is closed without a byte. A slowed source's connections are parked for
 * `penalty.delay`: few in all and fewer of one source, so that they hold up neither descriptors nor
 * each other; those beyond are closed. Run by the supervisor, who counts; the listener is believed
 * about the address of a proxy's connection, and about no other. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/supervisor.h"

/* Of the connections at most so many in all, and of one source, are parked. */
#define PARKED_SHARE     8u
#define PARKED_OF_SOURCE 4u

/* Is there room for one more of this source? */
static bool may_park(const struct supervisor *s, const struct address *address)
{
    const struct address key = address_quota_key(address);
    const uint64_t share = s->config.connections / PARKED_SHARE;
    const struct connection *c;
    uint64_t all = 0, same = 0;

    TAILQ_FOREACH(c, &s->parked, parked)
    {
        const struct address other = address_quota_key(&c->address);
        all++;
        same += other.family == key.family && memcmp(other.bytes, key.bytes, 16) == 0;
    }
    return all < (share > 0 ? share : 1) && same < PARKED_OF_SOURCE;
}

static void park(struct connection *c, uint64_t now_ms)
{
    c->gate = GATE_PARKED;
    c->parked_until_ms = now_ms + c->s->config.penalty_delay_ms;
    TAILQ_INSERT_TAIL(&c->s->parked, c, parked);
    log_debug("parked", "conn=%llu address=%s", (unsigned long long)c->number, c->address_text);
}

static void unpark(struct connection *c)
{
    if (c->gate == GATE_PARKED)
        TAILQ_REMOVE(&c->s->parked, c, parked);
    c->gate = GATE_OPEN;
}

void gate_gone(struct connection *c)
{
    unpark(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    acceptance_release(c->s->acceptance, c->counted ? &c->address : NULL);
}

/* Its descriptor goes to a listener. */
static void give_to_listener(struct connection *c)
{
    struct program *listener = program_listener(c->s);
    struct listener_accept m = {.conn = c->number, .port = c->port, .proxy = c->by_proxy};
    struct err e = ERR_INIT;

    memcpy(m.address, c->address_text, sizeof c->address_text);
    if (listener &&
        program_sent(listener, listener_accept_send(listener->link, &m, &c->fd, &e), &e) == 0) {
        c->listener = listener;
        listener->connections++;
    }
    close(c->fd);
    c->fd = -1;
    connection_check_gone(c);
}

/* A proxy's connection whose source may come in. */
static void admit(struct connection *c)
{
    const struct listener_admitted m = {.conn = c->number};
    struct err e = ERR_INIT;

    if (c->listener)
        program_sent(c->listener, listener_admitted_send(c->listener->link, &m, NULL, &e), &e);
}

static void refuse(struct supervisor *s, const struct connection *c, const struct address *address,
                   enum acceptance_verdict verdict)
{
    records_count(s, address, c && c->by_proxy ? &c->proxy : NULL,
                  verdict == ACCEPT_SLOWED ? "slowed" : acceptance_token(verdict), NULL);
}

void gate_incoming(struct supervisor *s, int fd, const struct address *peer, uint16_t port)
{
    const bool proxy = config_prefixes_contain(&s->config.proxy_from, peer);
    const uint64_t now_ms = clock_mono_ms();
    const enum acceptance_verdict verdict =
        proxy ? acceptance_ask_proxy(s->acceptance) : acceptance_ask(s->acceptance, peer, now_ms);
    const bool slowed = verdict == ACCEPT_SLOWED, in = slowed || verdict == ACCEPT_OK;
    struct connection *c = NULL;

    if (in && (!slowed || may_park(s, peer)))
        c = connection_new(s, fd, peer, port);
    if (!c) {
        if (in)
            acceptance_release(s->acceptance, proxy ? NULL : peer);
        close(fd);
        refuse(s, NULL, peer, in && !slowed ? ACCEPT_MEMORY : verdict);
        return;
    }
    c->by_proxy = proxy;
    c->counted = !proxy;
    c->gate = proxy ? GATE_HEADER : GATE_OPEN;
    if (proxy) {
        c->proxy = *peer;
        memcpy(c->proxy_text, c->address_text, sizeof c->proxy_text);
    } else {
        records_count(s, peer, NULL, acceptance_token(verdict), NULL);
    }
    log_debug("accepted", "conn=%llu address=%s port=%u proxy=%d", (unsigned long long)c->number,
              c->address_text, port, proxy);
    if (slowed)
        park(c, now_ms);
    else
        give_to_listener(c);
}

/* Takes the address of a PROXY header; false: it is none that the listener may send. */
static bool take_address(struct connection *c, const struct listener_proxied *m)
{
    static const uint8_t zero[12];
    struct sockaddr_storage sa;
    struct address a = {.family = m->family}, again;

    memcpy(a.bytes, m->address, sizeof a.bytes);
    if ((a.family != 4 && a.family != 6) ||
        (a.family == 4 && memcmp(a.bytes + 4, zero, sizeof zero) != 0))
        return false;
    /* One form for each address: what is v4-mapped is v4. */
    address_to_sockaddr(&a, m->port, &sa);
    if (address_from_sockaddr((const struct sockaddr *)&sa, &again, NULL) < 0 ||
        again.family != a.family)
        return false;
    c->address = a;
    c->port = m->port;
    address_text(&c->address, c->address_text);
    return true;
}

int on_listener_proxied(struct program *p, struct frame *f, struct err *e)
{
    struct listener_proxied m;
    struct connection *c;
    struct supervisor *s = p->s;
    const uint64_t now_ms = clock_mono_ms();
    enum acceptance_verdict verdict;
    int rc = listener_proxied_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = connection_find(s, m.conn);
    if (!c || c->listener != p || c->gate != GATE_HEADER || !take_address(c, &m))
        return err_set(
            e, ERR_PROTOCOL,
            "proxied: connection %llu is no proxy's, was named before, or is badly named",
            (unsigned long long)m.conn);
    c->gate = GATE_OPEN;
    /* The proxy itself, by its own word: it looks whether we are there. */
    if (config_prefixes_contain(&s->config.proxy_from, &c->address)) {
        s->proxy_checks++;
        c->refused = true;
        connection_drop(c);
        return 0;
    }
    verdict = acceptance_name(s->acceptance, &c->address, now_ms);
    c->counted = verdict == ACCEPT_OK || verdict == ACCEPT_SLOWED;
    log_debug("proxied", "conn=%llu address=%s port=%u proxy=%s verdict=%s",
              (unsigned long long)c->number, c->address_text, c->port, c->proxy_text,
              acceptance_token(verdict));
    if (!c->counted || (verdict == ACCEPT_SLOWED && !may_park(s, &c->address))) {
        c->refused = true;
        refuse(s, c, &c->address, verdict);
        connection_drop(c);
        return 0;
    }
    records_count(s, &c->address, &c->proxy, acceptance_token(verdict), NULL);
    if (verdict == ACCEPT_SLOWED)
        park(c, now_ms);
    else
        admit(c);
    return 0;
}

static void go_on(struct connection *c)
{
    unpark(c);
    if (c->by_proxy)
        admit(c);
    else
        give_to_listener(c);
}

void gate_tick(struct supervisor *s, uint64_t now_ms)
{
    struct connection *c;

    /* The delay is the same for all, so they stand in the order in which they go on. */
    while ((c = TAILQ_FIRST(&s->parked)) && now_ms >= c->parked_until_ms)
        go_on(c);
}

void gate_close(struct supervisor *s)
{
    struct connection *c;

    while ((c = TAILQ_FIRST(&s->parked))) {
        unpark(c);
        if (c->fd >= 0)
            close(c->fd);
        c->fd = -1;
        if (c->listener)
            connection_drop(c);
        else
            connection_check_gone(c);
    }
}
