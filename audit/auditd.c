/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder's start, its loop, and its end. Trusts the supervisor. Invariant: once the trail
 * failed, nothing is appended any more, and everybody who might forward something was told. */
#include "audit/auditd_state.h"

#include <errno.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/trail_end.h"
#include "base/log.h"
#include "base/secret.h"

/* How often the epoch's age and the real clock are looked at. */
#define TICK_S 1
/* failing, started: small messages, and the supervisor reads. */
#define SUPERVISOR_QUEUE 65536u
/* An Ed25519 key in PEM has 119 bytes. */
#define LOG_KEY_MAX 4096u

void auditd_fail(struct auditd *a, const struct err *e)
{
    struct auditd_failing m;
    struct err ignored = ERR_INIT;
    struct producer *p, *next;

    if (a->failing)
        return;
    a->failing = true;
    snprintf(a->failure, sizeof a->failure, "%.*s", (int)sizeof a->failure - 1, e->text);
    log_error("trail-failed", "error=\"%s\"", a->failure);
    for (p = TAILQ_FIRST(&a->producers); p; p = next) {
        next = TAILQ_NEXT(p, all);
        producer_stop(p, a->failure);
    }
    memset(&m, 0, sizeof m);
    memcpy(m.text, a->failure, sizeof m.text);
    if (auditd_failing_send(a->supervisor, &m, NULL, &ignored) < 0)
        log_error("failing-not-sent", "error=\"%s\"", ignored.text);
}

static void finish(struct auditd *a, int status)
{
    a->done = true;
    a->status = status;
}

/* Everything that was sent, then the shutdown record and the checkpoint over it. */
static void shut_down(struct auditd *a, const char *reason, int status)
{
    struct err e = ERR_INIT;
    int r;

    producers_drain(a);
    if (a->failing) {
        finish(a, EXIT_FAILURE);
        return;
    }
    r = trail_append_shutdown(a->trail, reason, &e);
    while (r == 0 && trail_sync_busy(a->trail)) {
        struct pollfd p = {.fd = trail_sync_fd(a->trail), .events = POLLIN};

        (void)poll(&p, 1, -1);
        r = trail_sync_end(a->trail, &e);
    }
    if (r == 0)
        r = trail_want_checkpoint(a->trail, &e);
    if (r == 0)
        r = trail_sync_now(a->trail, &e);
    if (r < 0)
        auditd_fail(a, &e);
    else
        log_info("shutdown", "reason=%s records=%llu", reason,
                 (unsigned long long)trail_size(a->trail));
    if (r == 0)
        elsewhere_farewell(a);
    finish(a, r < 0 ? EXIT_FAILURE : status);
}

/* A list that is not right changes nothing: the supervisor checked it, so this is our own mistake,
 * and the one in force still has somebody to seal for. */
static int on_reviewers(struct auditd *a, const struct frame *f, struct err *e)
{
    struct auditd_reviewers m;
    struct reviewers list;
    int r = auditd_reviewers_decode(f, &m, e);

    if (r < 0)
        return r;
    if (auditd_parse_reviewers(&list, m.reviewers, e) < 0)
        log_error("reviewers-refused", "error=\"%s\"", e->text);
    else if (!a->failing && auditd_take_reviewers(a, &list, e) < 0)
        auditd_fail(a, e);
    return 0;
}

static int on_message(struct auditd *a, struct frame *f, struct err *e)
{
    struct auditd_producer producer;
    struct auditd_bind bind;
    struct auditd_elsewhere elsewhere;
    struct auditd_destination destination;
    struct auditd_courier courier;
    int r;

    switch (f->spec->number) {
    case auditd_producer_NUMBER:
        r = auditd_producer_decode(f, &producer, e);
        return r < 0 ? r : producer_add(a, frame_take_fd(f, 0), &producer, e);
    case auditd_bind_NUMBER:
        r = auditd_bind_decode(f, &bind, e);
        return r < 0 ? r : producer_bind(a, &bind, e);
    case auditd_limit_NUMBER:
        return producer_limit(a, f, e);
    case auditd_reviewers_NUMBER:
        return on_reviewers(a, f, e);
    case auditd_elsewhere_NUMBER:
        r = auditd_elsewhere_decode(f, &elsewhere, e);
        return r < 0 ? r : elsewhere_begin(a, &elsewhere, e);
    case auditd_destination_NUMBER:
        r = auditd_destination_decode(f, &destination, e);
        return r < 0 ? r : elsewhere_destination(a, &destination, e);
    case auditd_courier_NUMBER:
        r = auditd_courier_decode(f, &courier, e);
        return r < 0 ? r : elsewhere_courier(a, frame_take_fd(f, 0), e);
    case auditd_prune_NUMBER:
        return retention_order(a, f, e);
    case auditd_shutdown_NUMBER:
        shut_down(a, "shutdown", EXIT_SUCCESS);
        return 0;
    default:
        return err_set(e, ERR_PROTOCOL, "message %s is not for a running recorder", f->spec->name);
    }
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;

    (void)fd;
    (void)what;
    while (!a->done) {
        struct err e = ERR_INIT;
        struct frame f;
        int r = link_recv(a->supervisor, &f, &e);

        if (r == 0)
            break;
        if (r == 1) {
            r = on_message(a, &f, &e);
            /* One connection that cannot be recorded does not end the others. */
            if (r == ERR_BUSY || r == ERR_MEMORY) {
                log_error("producer-refused", "error=\"%s\"", e.text);
                r = 0;
            }
        }
        if (r < 0) {
            log_error("supervisor-gone", "error=\"%s\"", e.text);
            shut_down(a, "supervisor-gone", EXIT_FAILURE);
        }
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    if (!a->failing && trail_tick(a->trail, clock_real_ns(), clock_boot_ns(), &e) < 0)
        auditd_fail(a, &e);
}

static int await_message(struct auditd *a, struct frame *f, struct err *e)
{
    struct pollfd p = {.fd = link_fd(a->supervisor), .events = POLLIN};
    int r;

    while ((r = link_recv(a->supervisor, f, e)) == 0)
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(e, "poll");
    return r;
}

/* Waits for the messages that may come first: the file of the high mark, the start. */
static int await_start(struct auditd *a, struct auditd_start *start, struct reviewers *reviewers,
                       int *key_fd, struct err *e)
{
    struct frame f;
    int r = await_message(a, &f, e);

    if (r == 1 && f.spec->number == auditd_mark_NUMBER) {
        a->high_mark = frame_take_fd(&f, 0);
        r = await_message(a, &f, e);
    }
    if (r < 0)
        return r;
    r = auditd_start_decode(&f, start, e);
    if (r == 0)
        r = auditd_parse_reviewers(reviewers, start->reviewers, e);
    if (r == 0)
        *key_fd = frame_take_fd(&f, 0);
    return r;
}

static EVP_PKEY *read_key(int fd, struct err *e)
{
    struct secret *pem = secret_read(fd, LOG_KEY_MAX, e);
    EVP_PKEY *key = NULL;
    BIO *bio = NULL;

    if (!pem)
        return NULL;
    bio = BIO_new_mem_buf(secret_view(pem), (int)secret_len(pem));
    if (bio)
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (!key)
        err_set(e, ERR_INPUT, "the log key is not a private key in PEM");
    BIO_free(bio);
    secret_free(pem);
    return key;
}

static int make_events(struct auditd *a, struct err *e)
{
    static const struct timeval every = {TICK_S, 0};

    a->base = event_base_new();
    if (!a->base)
        return err_set(e, ERR_MEMORY, "no event loop");
    a->supervisor_readable =
        event_new(a->base, link_fd(a->supervisor), EV_READ | EV_PERSIST, on_supervisor, a);
    a->sync_ended =
        event_new(a->base, trail_sync_fd(a->trail), EV_READ | EV_PERSIST, auditd_sync_ended, a);
    a->soon = evtimer_new(a->base, auditd_soon, a);
    a->ticks = event_new(a->base, -1, EV_PERSIST, on_tick, a);
    if (!a->supervisor_readable || !a->sync_ended || !a->soon || !a->ticks ||
        event_add(a->supervisor_readable, NULL) < 0 || event_add(a->sync_ended, NULL) < 0 ||
        event_add(a->ticks, &every) < 0)
        return err_set(e, ERR_MEMORY, "no memory for events");
    return 0;
}

static void free_events(struct auditd *a)
{
    struct event *events[] = {a->supervisor_readable, a->sync_ended, a->soon, a->ticks};

    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    if (a->base)
        event_base_free(a->base);
}

static int open_trail(struct auditd *a, const struct auditd_options *o, const char *origin,
                      EVP_PKEY *key, struct err *e)
{
    struct trail_options options = {o->dir, origin, key, o->segment_max, a->high_mark, 0};
    struct trail_report report;
    int r = trail_open(&a->trail, &options, &report, e);

    if (r < 0)
        return r;
    if (!report.clean)
        log_warn("recovered",
                 "records=%llu checkpoint=%llu torn_bytes=%llu kept=%s sessions_ended=%u",
                 (unsigned long long)report.size, (unsigned long long)report.checkpoint,
                 (unsigned long long)report.torn_bytes, report.torn_bytes ? report.torn_file : "-",
                 report.orphans);
    return 0;
}

static void refuse(struct auditd *a, const struct err *e)
{
    struct auditd_refused m;
    struct err ignored = ERR_INIT;

    log_error("refused", "error=\"%s\"", e->text);
    memset(&m, 0, sizeof m);
    memcpy(m.text, e->text, sizeof m.text - 1);
    if (auditd_refused_send(a->supervisor, &m, NULL, &ignored) < 0)
        log_error("refused-not-sent", "error=\"%s\"", ignored.text);
}

static int start(struct auditd *a, const struct auditd_options *o, EVP_PKEY **key, struct err *e)
{
    struct auditd_started started;
    struct reviewers reviewers;
    struct auditd_start m;
    int key_fd = -1;
    int r = await_start(a, &m, &reviewers, &key_fd, e);

    if (r < 0)
        return r;
    *key = read_key(key_fd, e);
    close(key_fd);
    if (!*key)
        return e->code < 0 ? e->code : ERR_INPUT;
    if (o->seal) {
        r = o->seal(e);
        if (r < 0)
            return r;
    }
    a->trail_dir = o->dir;
    disk_configure(&a->disk, &m);
    a->log_key = *key;
    memcpy(a->origin, m.origin, sizeof m.origin);
    r = open_trail(a, o, m.origin, *key, e);
    if (r == 0)
        r = auditd_take_reviewers(a, &reviewers, e);
    if (r == 0)
        r = make_events(a, e);
    if (r == 0)
        r = disk_start(a, e);
    if (r < 0)
        return r;
    retention_resume(a, o->dir);
    link_enter(a->supervisor, auditd_STATE_RUNNING);
    started.size = trail_size(a->trail);
    r = auditd_started_send(a->supervisor, &started, NULL, e);
    if (r == 0)
        disk_begin(a);
    return r;
}

int auditd_run(const struct auditd_options *o)
{
    struct auditd a = {.status = EXIT_FAILURE};
    struct err e = ERR_INIT;
    EVP_PKEY *key = NULL;
    struct producer *p;

    /* The supervisor alone ends this process, by message; a full file is an error of write(2). */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    TAILQ_INIT(&a.producers);
    TAILQ_INIT(&a.active);
    TAILQ_INIT(&a.disk.operators);
    a.supervisor = link_new(o->link_fd, &link_auditd, LINK_SECOND, SUPERVISOR_QUEUE);
    if (!a.supervisor) {
        log_error("start", "error=\"no link to the supervisor\"");
        return EXIT_FAILURE;
    }
    link_enter(a.supervisor, auditd_STATE_STARTING);
    if (start(&a, o, &key, &e) < 0) {
        refuse(&a, &e);
        goto out;
    }
    while (!a.done) {
        if (event_base_loop(a.base, EVLOOP_ONCE) < 0) {
            log_error("loop", "errno=%d", errno);
            break;
        }
        auditd_settle(&a);
    }
out:
    while ((p = TAILQ_FIRST(&a.producers)))
        producer_end(p, "recorder-died", "the recorder ended");
    disk_stop(&a);
    elsewhere_end(&a);
    retention_free(&a);
    free_events(&a);
    trail_close(a.trail);
    if (a.high_mark)
        close(a.high_mark);
    EVP_PKEY_free(key);
    link_free(a.supervisor);
    return a.status;
}
