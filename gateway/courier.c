/* SPDX-License-Identifier: Apache-2.0
 *
 * The courier's start and loop, and its two links: the supervisor, who connects, and the recorder,
 * from whom checkpoints come and who judges answers. Runs as the courier's uid in an empty root. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/courier.h"

/* A few messages of 20 KiB for each destination. */
#define QUEUE_MAX      (1024u * 1024u)
#define FRAMES_AT_ONCE 32u

void courier_sent(struct courier *c, int rc, const struct err *e)
{
    if (rc < 0) {
        log_error("link", "error=\"%s\"", e->text);
        event_base_loopbreak(c->base);
    } else if (link_pending(c->supervisor) > 0) {
        event_add(c->supervisor_writable, NULL);
    }
}

static void recorder_gone(struct courier *c)
{
    if (c->recorder_readable)
        event_free(c->recorder_readable);
    if (c->recorder_writable)
        event_free(c->recorder_writable);
    c->recorder_readable = c->recorder_writable = NULL;
    link_free(c->recorder);
    c->recorder = NULL;
}

void recorder_sent(struct courier *c, int rc, const struct err *e)
{
    if (rc < 0)
        log_warn("recorder", "error=\"%s\"", e->text); /* its end is read next */
    else if (link_pending(c->recorder) > 0)
        event_add(c->recorder_writable, NULL);
}

/* --- the recorder */

static struct destination *destination(struct courier *c, uint8_t number)
{
    return number < COURIER_DESTINATIONS && c->to[number].used ? &c->to[number] : NULL;
}

static int on_recorder_message(struct courier *c, struct frame *f, struct err *e)
{
    struct destination *d;
    int rc;

    switch (f->spec->number) {
    case elsewhere_checkpoint_NUMBER: {
        struct elsewhere_checkpoint m;
        rc = elsewhere_checkpoint_decode(f, &m, e);
        if (rc < 0)
            return rc;
        c->size = m.size;
        c->note_len = m.note.len;
        memcpy(c->note, m.note.p, m.note.len);
        for (size_t i = 0; i < COURIER_DESTINATIONS; i++)
            destination_wake(&c->to[i]);
        return 0;
    }
    case elsewhere_verdict_NUMBER: {
        struct elsewhere_verdict m;
        rc = elsewhere_verdict_decode(f, &m, e);
        if (rc == 0 && (d = destination(c, m.destination)))
            witness_verdict(d, &m);
        return rc;
    }
    case elsewhere_proof_NUMBER: {
        struct elsewhere_proof m;
        rc = elsewhere_proof_decode(f, &m, e);
        if (rc == 0 && (d = destination(c, m.destination)))
            witness_proof(d, &m);
        return rc;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

static void on_recorder(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct err e = ERR_INIT;
    int rc = 1;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < FRAMES_AT_ONCE && rc > 0; i++) {
        struct frame f;

        rc = link_recv(c->recorder, &f, &e);
        if (rc > 0 && on_recorder_message(c, &f, &e) < 0)
            rc = ERR_PROTOCOL;
    }
    if (rc < 0) {
        if (rc != ERR_CLOSED)
            log_error("recorder", "error=\"%s\"", e.text);
        recorder_gone(c);
    }
}

static void on_recorder_writable(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    recorder_sent(c, link_flush(c->recorder, &e), &e);
}

static int attach_recorder(struct courier *c, int fd, struct err *e)
{
    recorder_gone(c);
    c->recorder = link_new(fd, &link_elsewhere, LINK_SECOND, QUEUE_MAX);
    if (!c->recorder)
        return err_set(e, ERR_MEMORY, "recorder");
    link_enter(c->recorder, elsewhere_STATE_ALWAYS);
    c->recorder_readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_recorder, c);
    c->recorder_writable = event_new(c->base, fd, EV_WRITE, on_recorder_writable, c);
    if (!c->recorder_readable || !c->recorder_writable || event_add(c->recorder_readable, NULL) < 0)
        return err_set(e, ERR_MEMORY, "recorder");
    for (size_t i = 0; i < COURIER_DESTINATIONS; i++)
        if (c->to[i].used && c->to[i].working)
            destination_failed(&c->to[i], "the recorder restarted");
    return 0;
}

/* --- the supervisor */

static int on_message(struct courier *c, struct frame *f, struct err *e)
{
    struct destination *d;
    int rc;

    switch (f->spec->number) {
    case courier_recorder_NUMBER: {
        struct courier_recorder m;
        rc = courier_recorder_decode(f, &m, e);
        return rc < 0 ? rc : attach_recorder(c, frame_take_fd(f, 0), e);
    }
    case courier_connected_NUMBER: {
        struct courier_connected m;
        rc = courier_connected_decode(f, &m, e);
        if (rc == 0 && (d = destination(c, m.destination)) && d->connecting)
            destination_connected(d, frame_take_fd(f, 0));
        return rc;
    }
    case courier_failed_NUMBER: {
        struct courier_failed m;
        rc = courier_failed_decode(f, &m, e);
        if (rc == 0 && (d = destination(c, m.destination)) && d->connecting)
            destination_failed(d, m.text);
        return rc;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s after the start", f->spec->name);
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct err e = ERR_INIT;
    int rc = 1;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < FRAMES_AT_ONCE && rc > 0; i++) {
        struct frame f;

        rc = link_recv(c->supervisor, &f, &e);
        if (rc > 0 && on_message(c, &f, &e) < 0)
            rc = ERR_PROTOCOL;
    }
    if (rc < 0) {
        if (rc != ERR_CLOSED)
            log_error("link", "error=\"%s\"", e.text);
        event_base_loopbreak(c->base);
    }
}

static void on_supervisor_writable(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    courier_sent(c, link_flush(c->supervisor, &e), &e);
}

/* --- the start */

struct files {
    int ca, certificate, key;
};

static int on_start_message(struct courier *c, struct frame *f, struct files *files, struct err *e)
{
    struct courier_syslog syslog;
    struct courier_client client;
    struct courier_witness witness;
    struct courier_start start;
    int rc;

    switch (f->spec->number) {
    case courier_syslog_NUMBER:
        rc = courier_syslog_decode(f, &syslog, e);
        if (rc == 0)
            rc = destination_init(&c->to[0], c, 0, e);
        if (rc < 0)
            return rc;
        memcpy(c->to[0].name, syslog.name, sizeof c->to[0].name);
        memcpy(c->to[0].host, syslog.host, sizeof c->to[0].host);
        files->ca = frame_take_fd(f, 0);
        return 0;
    case courier_client_NUMBER:
        rc = courier_client_decode(f, &client, e);
        if (rc == 0) {
            files->certificate = frame_take_fd(f, 0);
            files->key = frame_take_fd(f, 1);
        }
        return rc;
    case courier_witness_NUMBER: {
        struct destination *d;
        rc = courier_witness_decode(f, &witness, e);
        if (rc == 0 && (witness.destination == 0 || witness.destination >= COURIER_DESTINATIONS))
            rc = err_set(e, ERR_PROTOCOL, "witness %u", witness.destination);
        if (rc < 0)
            return rc;
        d = &c->to[witness.destination];
        memcpy(d->host, witness.host, sizeof witness.host);
        memcpy(d->path, witness.path, sizeof d->path);
        return destination_init(d, c, witness.destination, e);
    }
    case courier_start_NUMBER:
        rc = courier_start_decode(f, &start, e);
        if (rc < 0)
            return rc;
        memcpy(c->origin, start.origin, sizeof c->origin);
        return 1;
    }
    return err_set(e, ERR_PROTOCOL, "%s before the start", f->spec->name);
}

static int wait_for_start(struct courier *c, struct err *e)
{
    struct files files = {-1, -1, -1};
    int rc = 0;

    while (rc == 0) {
        struct frame f;

        rc = link_recv(c->supervisor, &f, e);
        if (rc == 0) {
            struct pollfd p = {.fd = link_fd(c->supervisor), .events = POLLIN};
            if (poll(&p, 1, -1) < 0 && errno != EINTR)
                rc = err_errno(e, "poll");
        } else if (rc > 0) {
            rc = on_start_message(c, &f, &files, e);
        }
    }
    if (rc > 0 && files.ca >= 0) {
        c->tls = peer_tls(files.ca, files.certificate, files.key, e);
        if (!c->tls)
            rc = e->code;
    }
    if (files.ca >= 0)
        close(files.ca);
    if (files.certificate >= 0)
        close(files.certificate);
    if (files.key >= 0)
        close(files.key);
    return rc < 0 ? rc : 0;
}

int courier_run(int argc, char **argv)
{
    static struct courier courier;
    const struct courier_started started = {0};
    struct courier *c = &courier;
    struct err e = ERR_INIT;
    int rc;

    log_init("sallyport-courier");
    rc = sandbox_enter(SANDBOX_COURIER, argc, argv, &e);
    if (rc < 0)
        goto failed;
    c->base = event_base_new();
    c->supervisor = link_new(SANDBOX_LINK_FD, &link_courier, LINK_SECOND, QUEUE_MAX);
    if (!c->base || !c->supervisor) {
        rc = err_set(&e, ERR_MEMORY, "event loop");
        goto failed;
    }
    link_enter(c->supervisor, courier_STATE_STARTING);
    rc = wait_for_start(c, &e);
    if (rc < 0)
        goto failed;
    c->supervisor_readable =
        event_new(c->base, SANDBOX_LINK_FD, EV_READ | EV_PERSIST, on_supervisor, c);
    c->supervisor_writable =
        event_new(c->base, SANDBOX_LINK_FD, EV_WRITE, on_supervisor_writable, c);
    if (!c->supervisor_readable || !c->supervisor_writable ||
        event_add(c->supervisor_readable, NULL) < 0) {
        rc = err_set(&e, ERR_MEMORY, "events");
        goto failed;
    }
    rc = sandbox_seal(SANDBOX_COURIER, &e);
    if (rc == 0) {
        link_enter(c->supervisor, courier_STATE_RUNNING);
        rc = courier_started_send(c->supervisor, &started, NULL, &e);
    }
    if (rc < 0)
        goto failed;
    event_base_dispatch(c->base);
    return EXIT_SUCCESS;
failed:
    log_error("start", "error=\"%s\"", e.text);
    return EXIT_FAILURE;
}
