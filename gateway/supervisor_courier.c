/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor does for the courier: opens its files, connects its sockets, makes the link
 * between it and auditd anew whenever one of the two is, and remembers what it says of its
 * destinations, for `sallyport status`. The courier runs only where a destination is configured,
 * and no session waits for it. Run by the supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/supervisor.h"

/* Before the courier's own deadline. */
#define CONNECT_S 10
/* A few verdicts and proofs of 20 KiB. */
#define LINK_SNDBUF (256u * 1024)

struct carry {
    struct supervisor *s;
    uint8_t number;
    int fd; /* -1: no connect under way */
    struct event *event;
    uint64_t size, taken_ns;
    char error[201];
};

static struct carry carries[COURIER_DESTINATIONS_MAX];

bool courier_wanted(const struct supervisor *s)
{
    return s->config.syslog_address.port || s->config.witnesses.count;
}

static void label(const struct supervisor *s, size_t number, char out[81])
{
    const struct config_witness *w = number ? &s->config.witnesses.at[number - 1] : NULL;

    if (w)
        snprintf(out, 81, "%.*s", (int)strcspn(w->key, "+") > 80 ? 80 : (int)strcspn(w->key, "+"),
                 w->key);
    else
        snprintf(out, 81, "syslog %.70s", s->config.syslog_name);
}

static bool used(const struct supervisor *s, size_t number)
{
    return number ? number <= s->config.witnesses.count : s->config.syslog_address.port != 0;
}

/* --- the start */

static int open_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return err_errno(e, "%s", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return fd;
    close(fd);
    return err_set(e, ERR_DENIED, "%s: expected a plain file of root's that nobody else may write",
                   path);
}

static int start_syslog(struct program *p, struct err *e)
{
    const struct config *c = &p->s->config;
    const struct courier_client client = {0};
    struct courier_syslog m;
    int fds[2], rc;

    snprintf(m.name, sizeof m.name, "%s", c->syslog_name);
    snprintf(m.host, sizeof m.host, "%s", c->gateway);
    fds[0] = open_file(c->syslog_ca, e);
    if (fds[0] < 0)
        return ERR_SYSTEM;
    rc = courier_syslog_send(p->link, &m, fds, e);
    close(fds[0]);
    if (rc < 0 || !c->syslog_certificate[0])
        return rc;
    fds[0] = open_file(c->syslog_certificate, e);
    if (fds[0] < 0)
        return ERR_SYSTEM;
    fds[1] = open_file(c->syslog_key, e);
    if (fds[1] >= 0) {
        rc = courier_client_send(p->link, &client, fds, e);
        close(fds[1]);
    } else {
        rc = ERR_SYSTEM;
    }
    close(fds[0]);
    return rc;
}

int start_courier(struct program *p, struct err *e)
{
    const struct config *c = &p->s->config;
    struct courier_start start;
    int rc = 0;

    for (size_t i = 0; i < COURIER_DESTINATIONS_MAX; i++) {
        struct carry *k = &carries[i];
        if (k->event)
            event_free(k->event);
        if (k->s && k->fd >= 0)
            close(k->fd);
        k->event = NULL;
        k->fd = -1;
        k->s = p->s;
        k->number = (uint8_t)i;
    }
    if (c->syslog_address.port)
        rc = start_syslog(p, e);
    for (size_t i = 0; rc == 0 && i < c->witnesses.count; i++) {
        const struct config_witness *w = &c->witnesses.at[i];
        struct courier_witness m = {.destination = (uint8_t)(i + 1)};
        char text[ADDRESS_TEXT];

        snprintf(m.host, sizeof m.host, w->at.address.family == 6 ? "[%s]:%u" : "%s:%u",
                 address_text(&w->at.address, text), w->at.port);
        snprintf(m.path, sizeof m.path, "%s", w->path);
        rc = courier_witness_send(p->link, &m, NULL, e);
    }
    if (rc < 0)
        return rc;
    rc = read_origin(p->s, start.origin, sizeof start.origin, e);
    return rc < 0 ? rc : courier_start_send(p->link, &start, NULL, e);
}

/* A fresh auditd learns what there is. */
static void tell_auditd(struct supervisor *s, struct program *auditd)
{
    const struct auditd_elsewhere m = {.alarm_ms = s->config.elsewhere_alarm_ms,
                                       .stop_ms = s->config.elsewhere_stop_ms};
    struct err e = ERR_INIT;

    program_sent(auditd, auditd_elsewhere_send(auditd->link, &m, NULL, &e), &e);
    for (size_t i = 0; i < COURIER_DESTINATIONS_MAX; i++) {
        struct auditd_destination d = {.number = (uint8_t)i};

        if (!used(s, i))
            continue;
        label(s, i, d.label);
        snprintf(d.key, sizeof d.key, "%s", i ? s->config.witnesses.at[i - 1].key : "");
        program_sent(auditd, auditd_destination_send(auditd->link, &d, NULL, &e), &e);
    }
}

void courier_introduce(struct supervisor *s)
{
    struct program *auditd = program_of(s, PROGRAM_AUDITD),
                   *courier = program_of(s, PROGRAM_COURIER);
    const struct auditd_courier to_auditd = {0};
    const struct courier_recorder to_courier = {0};
    struct err e = ERR_INIT;
    int pair[2];

    if (!courier_wanted(s) || !auditd)
        return;
    if (s->courier_told != auditd->generation) {
        s->courier_told = auditd->generation;
        s->courier_met = 0;
        tell_auditd(s, auditd);
    }
    if (!courier || s->courier_met == courier->generation)
        return;
    s->courier_met = courier->generation;
    if (link_pair(pair, LINK_SNDBUF, &e) < 0) {
        log_error("courier-link", "error=\"%s\"", e.text);
        return;
    }
    program_sent(auditd, auditd_courier_send(auditd->link, &to_auditd, &pair[0], &e), &e);
    program_sent(courier, courier_recorder_send(courier->link, &to_courier, &pair[1], &e), &e);
    close(pair[0]);
    close(pair[1]);
}

/* --- connecting */

static void answer(struct carry *k, const char *failure)
{
    struct program *courier = program_of(k->s, PROGRAM_COURIER);
    const struct courier_connected connected = {.destination = k->number};
    struct courier_failed failed = {.destination = k->number};
    struct err e = ERR_INIT;

    if (k->event)
        event_free(k->event);
    k->event = NULL;
    if (courier && failure) {
        snprintf(failed.text, sizeof failed.text, "%s", failure);
        program_sent(courier, courier_failed_send(courier->link, &failed, NULL, &e), &e);
    } else if (courier) {
        program_sent(courier, courier_connected_send(courier->link, &connected, &k->fd, &e), &e);
    }
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (what & EV_TIMEOUT) {
        answer(arg, "no answer to the connection in 10 s");
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    answer(arg, error ? strerror(error) : NULL);
}

static void begin_connect(struct supervisor *s, struct carry *k)
{
    const struct config_endpoint *at =
        k->number ? &s->config.witnesses.at[k->number - 1].at : &s->config.syslog_address;
    const struct timeval deadline = {.tv_sec = CONNECT_S};
    struct sockaddr_storage to;
    const socklen_t len = address_to_sockaddr(&at->address, at->port, &to);

    k->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->fd < 0 ||
        (connect(k->fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)) {
        answer(k, strerror(errno));
        return;
    }
    k->event = event_new(s->base, k->fd, EV_WRITE, on_connected, k);
    if (!k->event || event_add(k->event, &deadline) < 0)
        answer(k, "out of memory");
}

int on_courier(struct program *p, struct frame *f, struct err *e)
{
    int rc;

    switch (f->spec->number) {
    case courier_started_NUMBER: {
        struct courier_started m;
        rc = courier_started_decode(f, &m, e);
        if (rc == 0)
            program_running(p);
        return rc;
    }
    case courier_connect_NUMBER: {
        struct courier_connect m;
        rc = courier_connect_decode(f, &m, e);
        if (rc < 0)
            return rc;
        if (m.destination >= COURIER_DESTINATIONS_MAX || !used(p->s, m.destination) ||
            carries[m.destination].event)
            return err_set(e, ERR_PROTOCOL, "a connection to destination %u", m.destination);
        begin_connect(p->s, &carries[m.destination]);
        return 0;
    }
    case courier_state_NUMBER: {
        struct courier_state m;
        struct carry *k;
        rc = courier_state_decode(f, &m, e);
        if (rc < 0)
            return rc;
        if (m.destination >= COURIER_DESTINATIONS_MAX || !used(p->s, m.destination))
            return err_set(e, ERR_PROTOCOL, "the state of destination %u", m.destination);
        k = &carries[m.destination];
        if (m.size >= k->size)
            k->size = m.size;
        if (m.taken_ns)
            k->taken_ns = m.taken_ns;
        memcpy(k->error, m.error, sizeof k->error);
        return 0;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

void courier_stats(const struct supervisor *s, struct json_out *j)
{
    char text[81], iso[CLOCK_TEXT];

    if (!courier_wanted(s))
        return;
    json_open_array(j, "elsewhere");
    for (size_t i = 0; i < COURIER_DESTINATIONS_MAX; i++) {
        const struct carry *k = &carries[i];

        if (!used(s, i))
            continue;
        label(s, i, text);
        json_open_object(j, NULL);
        json_str(j, "kind", i ? "witness" : "syslog");
        json_str(j, "destination", text);
        json_u64(j, "size", k->size);
        if (k->taken_ns)
            json_str(j, "taken", clock_iso_seconds(iso, k->taken_ns));
        if (k->error[0])
            json_bytes(j, "error", k->error, strlen(k->error));
        json_close(j);
    }
    json_close(j);
}
