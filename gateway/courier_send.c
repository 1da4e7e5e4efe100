/* SPDX-License-Identifier: Apache-2.0
 *
 * One destination's life, the same for a syslog server and a witness: the newest checkpoint is
 * under way, or it waits for a new one, or for the next try. Older checkpoints are never made up
 * for: the newest says all that they say. Run by the courier. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/courier.h"

void destination_report(struct destination *d)
{
    struct courier_state m = {.destination = d->number, .size = d->taken, .taken_ns = d->taken_ns};
    struct err e = ERR_INIT;

    memcpy(m.error, d->error, sizeof m.error);
    courier_sent(d->c, courier_state_send(d->c->supervisor, &m, NULL, &e), &e);
}

void destination_wait(struct destination *d, unsigned seconds)
{
    const struct timeval delay = {.tv_sec = seconds};

    evtimer_add(d->retry, &delay);
}

static void begin(struct destination *d)
{
    const struct timeval deadline = {.tv_sec = COURIER_DEADLINE_S};

    if (!d->working) {
        d->working = true;
        d->size = d->c->size;
        d->note_len = d->c->note_len;
        memcpy(d->note, d->c->note, d->note_len);
        d->rounds = 0;
    }
    evtimer_add(d->late, &deadline);
    if (d->number == 0)
        syslog_begin(d);
    else
        witness_begin(d);
}

void destination_wake(struct destination *d)
{
    struct courier *c = d->c;
    const struct courier_connect m = {.destination = d->number};
    struct err e = ERR_INIT;

    if (!d->used || d->working || d->connecting || c->size == 0 || d->taken >= c->size ||
        !c->recorder || evtimer_pending(d->retry, NULL))
        return;
    if (d->peer.fd >= 0) {
        d->reused = true;
        begin(d);
        return;
    }
    d->reused = false;
    d->connecting = true;
    courier_sent(c, courier_connect_send(c->supervisor, &m, NULL, &e), &e);
}

void destination_connected(struct destination *d, int fd)
{
    struct err e = ERR_INIT;

    d->connecting = false;
    if (peer_open(&d->peer, d, fd, d->c->tls, d->number == 0 ? d->name : NULL, &e) < 0) {
        destination_failed(d, e.text);
        return;
    }
    begin(d);
}

void destination_failed(struct destination *d, const char *text)
{
    const bool stale = d->reused, worked = d->working;

    if (worked && witness_lost(d))
        return;
    peer_close(&d->peer);
    evtimer_del(d->late);
    d->connecting = d->working = d->reused = false;
    d->step = WITNESS_IDLE;
    buf_clear(&d->request);
    if (!worked && !text[0])
        return;
    /* A server that closes an idle connection has done nothing wrong. */
    if (stale || (!worked && d->taken >= d->c->size)) {
        destination_wake(d);
        return;
    }
    d->failures++;
    log_info("not-taken", "destination=%u tries=%u error=\"%s\"", d->number, d->failures, text);
    if (strcmp(d->error, text) != 0) {
        snprintf(d->error, sizeof d->error, "%.200s", text);
        destination_report(d);
    }
    destination_wait(d, d->failures > 5 ? COURIER_BACKOFF_MAX_S : 1u << (d->failures - 1));
}

void destination_done(struct destination *d)
{
    evtimer_del(d->late);
    d->working = d->reused = false;
    d->step = WITNESS_IDLE;
    d->failures = 0;
    d->error[0] = '\0';
    if (d->size > d->taken)
        d->taken = d->size;
    d->taken_ns = clock_real_ns();
    destination_report(d);
    destination_wake(d);
}

void destination_again(struct destination *d)
{
    const struct courier_connect m = {.destination = d->number};
    struct err e = ERR_INIT;

    peer_close(&d->peer);
    d->connecting = true;
    courier_sent(d->c, courier_connect_send(d->c->supervisor, &m, NULL, &e), &e);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    destination_wake(arg);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    syslog_written(arg);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct destination *d = arg;

    (void)fd;
    (void)what;
    d->reused = false;
    destination_failed(d, "no answer in time");
}

int destination_init(struct destination *d, struct courier *c, uint8_t number, struct err *e)
{
    if (number >= COURIER_DESTINATIONS || d->used)
        return err_set(e, ERR_PROTOCOL, "destination %u", number);
    d->c = c;
    d->number = number;
    d->used = true;
    d->peer.fd = -1;
    buf_init(&d->request, 65536);
    d->retry = evtimer_new(c->base, on_retry, d);
    d->late = evtimer_new(c->base, on_late, d);
    d->again = evtimer_new(c->base, on_again, d);
    return d->retry && d->late && d->again ? 0 : err_set(e, ERR_MEMORY, "timers");
}
