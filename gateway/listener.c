/* SPDX-License-Identifier: Apache-2.0
 *
 * The listener's loop: what the supervisor says, and when to end: with the supervisor. Runs as the
 * listener's uid in an empty root; trusts the supervisor's link, which it checks all the same. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/listener.h"

/* The largest message (ready) has 4.4 KiB; one for each of 2000 connections. */
#define QUEUE_MAX (8u * 1024 * 1024)
/* Frames that are taken before the connections get their turn. */
#define FRAMES_AT_ONCE 64

void listener_sent(struct listener *l, int rc, const struct err *e)
{
    if (rc < 0) {
        log_error("link", "error=\"%s\"", e->text);
        event_base_loopbreak(l->base);
    } else if (link_pending(l->link) > 0) {
        event_add(l->writable, NULL);
    }
}

static int on_message(struct listener *l, struct frame *f, struct err *e)
{
    struct peer *p;
    int rc;

    switch (f->spec->number) {
    case listener_accept_NUMBER: {
        struct listener_accept m;
        rc = listener_accept_decode(f, &m, e);
        if (rc == 0)
            peer_accept(l, &m, frame_take_fd(f, 0));
        return rc;
    }
    /* Those below may cross with our `closed`. */
    case listener_admitted_NUMBER: {
        struct listener_admitted m;
        rc = listener_admitted_decode(f, &m, e);
        if (rc == 0 && (p = peer_find(l, m.conn)))
            peer_admitted(p);
        return rc;
    }
    case listener_stream_NUMBER: {
        struct listener_stream m;
        rc = listener_stream_decode(f, &m, e);
        if (rc == 0 && (p = peer_find(l, m.conn)))
            peer_stream(p, frame_take_fd(f, 0));
        return rc;
    }
    case listener_drop_NUMBER: {
        struct listener_drop m;
        rc = listener_drop_decode(f, &m, e);
        if (rc == 0 && (p = peer_find(l, m.conn)))
            peer_drop(p);
        return rc;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s after the start", f->spec->name);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < FRAMES_AT_ONCE; i++) {
        rc = link_recv(l->link, &f, &e);
        if (rc > 0)
            rc = on_message(l, &f, &e);
        else if (rc == 0)
            return;
        if (rc < 0)
            break;
    }
    if (rc < 0) {
        if (rc != ERR_CLOSED)
            log_error("link", "error=\"%s\"", e.text);
        event_base_loopbreak(l->base);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    struct err e = ERR_INIT;
    int rc = link_flush(l->link, &e);

    (void)fd;
    (void)what;
    if (rc == 0 && link_pending(l->link) == 0)
        event_del(l->writable);
    else
        listener_sent(l, rc, &e);
}

static int wait_for_start(struct listener *l, struct err *e)
{
    struct listener_start m;
    struct frame f;
    int rc, key, chain, ca;

    while ((rc = link_recv(l->link, &f, e)) == 0) {
        struct pollfd p = {.fd = link_fd(l->link), .events = POLLIN};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(e, "poll");
    }
    if (rc < 0)
        return rc;
    if (f.spec->number != listener_start_NUMBER)
        return err_set(e, ERR_PROTOCOL, "%s before the start", f.spec->name);
    rc = listener_start_decode(&f, &m, e);
    if (rc < 0)
        return rc;
    l->handshake_ms = m.handshake_ms;
    l->connections_max = m.connections_max;
    key = frame_take_fd(&f, 0);
    chain = frame_take_fd(&f, 1);
    ca = frame_take_fd(&f, 2);
    l->tls = tls_context(key, chain, ca, e);
    close(key);
    close(chain);
    close(ca);
    return l->tls ? 0 : e->code;
}

static int set_up_loop(struct listener *l, struct err *e)
{
    l->base = event_base_new();
    if (!l->base)
        return err_set(e, ERR_MEMORY, "event loop");
    l->readable = event_new(l->base, link_fd(l->link), EV_READ | EV_PERSIST, on_readable, l);
    l->writable = event_new(l->base, link_fd(l->link), EV_WRITE | EV_PERSIST, on_writable, l);
    if (!l->readable || !l->writable || event_add(l->readable, NULL) < 0)
        return err_set(e, ERR_MEMORY, "events");
    return 0;
}

int listener_run(int argc, char **argv)
{
    static struct listener listener;
    const struct listener_started started = {0};
    struct listener *l = &listener;
    struct err e = ERR_INIT;
    int rc;

    log_init("sallyport-listener");
    rc = sandbox_enter(SANDBOX_LISTENER, argc, argv, &e);
    if (rc < 0)
        goto failed;
    /* TLS buffers of 16 and 64 KiB come and go with every burst; giving them back to the kernel
     * each time would cost a page fault per 4 KiB moved. */
    mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    for (size_t i = 0; i < PEER_BUCKETS; i++)
        TAILQ_INIT(&l->buckets[i]);
    l->link = link_new(SANDBOX_LINK_FD, &link_listener, LINK_SECOND, QUEUE_MAX);
    if (!l->link) {
        rc = err_set(&e, ERR_MEMORY, "link");
        goto failed;
    }
    link_enter(l->link, listener_STATE_STARTING);
    rc = wait_for_start(l, &e);
    if (rc == 0)
        rc = set_up_loop(l, &e);
    if (rc == 0)
        rc = sandbox_seal(SANDBOX_LISTENER, &e);
    if (rc == 0) {
        link_enter(l->link, listener_STATE_RUNNING);
        rc = listener_started_send(l->link, &started, NULL, &e);
    }
    if (rc < 0)
        goto failed;
    event_base_dispatch(l->base);
    return EXIT_SUCCESS;
failed:
    log_error("start", "error=\"%s\"", e.text);
    return EXIT_FAILURE;
}
