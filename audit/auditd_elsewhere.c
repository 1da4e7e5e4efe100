/* SPDX-License-Identifier: Apache-2.0
 *
 * audit/auditd_elsewhere.h. Runs in auditd. What the courier says is a remote peer's word: sizes
 * without a signature start no more than another question; a cosignature is verified with the
 * witness's key, and another history only with this log's own signature under it, so that neither a
 * witness nor the wire between can close the gateway by a lie. */
#include "audit/auditd_elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cosignature.h"
#include "audit/elsewhere_state.h"
#include "audit/witnessed_file.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

#define QUEUE_MAX  (256u * 1024u)
#define FRAMES_MAX 32u /* of the courier, before producers get their turn */
#define TICK_S     1
/* The checkpoint of the shutdown: a few round trips; whoever waits for the gateway's end waits for
 * this too. */
#define FAREWELL_MS 3000u

/* --- telling */

void elsewhere_alarm(struct elsewhere *x, const char *what, const struct destination *d,
                     const char *text, uint64_t size)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct err e = ERR_INIT;
    struct json_out j;
    struct buf json;
    int r;

    log_warn(what, "destination=%s size=%" PRIu64 " text=\"%s\"", d ? d->label : "-", size, text);
    if (x->ending) /* the next start finds the same */
        return;
    buf_init(&json, 8192);
    json_begin(&j, &json);
    json_str(&j, "alarm", what);
    json_str(&j, "text", text);
    if (d)
        json_str(&j, "destination", d->label);
    json_u64(&j, "size", size);
    json_open_array(&j, "known");
    for (size_t i = 0; i < ELSEWHERE_MAX; i++) {
        if (!x->to[i].used)
            continue;
        json_open_object(&j, NULL);
        json_str(&j, "destination", x->to[i].label);
        json_u64(&j, "size", x->to[i].taken);
        json_close(&j);
    }
    json_close(&j);
    r = json_end(&j);
    if (r == 0)
        r = trail_append(x->a->trail, RECORD_ALARM, gateway, 0, buf_head(&json), buf_len(&json),
                         &e);
    buf_clear(&json);
    if (r < 0 && !x->a->failing)
        auditd_fail(x->a, &e);
}

static void admission(struct elsewhere *x, bool open, const char *text)
{
    struct auditd_admission m = {.reason = ADMISSION_CHECKPOINTS, .open = open};
    struct err e = ERR_INIT;

    if (x->ending)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    if (auditd_admission_send(x->a->supervisor, &m, NULL, &e) < 0)
        log_error("admission-not-sent", "error=\"%s\"", e.text);
}

/* --- the link */

static void hang_up(struct elsewhere *x)
{
    if (x->readable)
        event_free(x->readable);
    if (x->writable)
        event_free(x->writable);
    x->readable = x->writable = NULL;
    link_free(x->link);
    x->link = NULL;
}

void elsewhere_sent(struct elsewhere *x, int r, const struct err *e)
{
    if (r < 0) {
        log_warn("courier-link", "error=\"%s\"", e->text);
        hang_up(x);
    } else if (link_pending(x->link) > 0) {
        event_add(x->writable, NULL);
    }
}

const struct published *elsewhere_newest(const struct elsewhere *x)
{
    return x->published ? &x->ring[(x->published - 1) % PUBLISHED_MAX] : NULL;
}

static void send_newest(struct elsewhere *x)
{
    const struct published *p = elsewhere_newest(x);
    struct elsewhere_checkpoint m;
    struct err e = ERR_INIT;

    if (!x->link || !p)
        return;
    m.size = p->size;
    m.note = (struct bytes){buf_head(&p->note), buf_len(&p->note)};
    elsewhere_sent(x, elsewhere_checkpoint_send(x->link, &m, NULL, &e), &e);
}

/* --- what is known where */

const struct published *elsewhere_find(const struct elsewhere *x, uint64_t size)
{
    for (size_t i = 0; i < PUBLISHED_MAX && i < x->published; i++)
        if (x->ring[i].size == size)
            return &x->ring[i];
    return NULL;
}

/* Since when the destination lacks a checkpoint: the oldest one larger than what it has. */
static void reckon(struct elsewhere *x, struct destination *d)
{
    uint64_t since = 0;

    for (size_t i = 0; i < PUBLISHED_MAX && i < x->published; i++)
        if (x->ring[i].size > d->taken && (since == 0 || x->ring[i].at_ms < since))
            since = x->ring[i].at_ms;
    if (since == 0)
        d->behind_since = 0;
    else if (d->behind_since == 0) /* else: it lacks older ones, that the ring forgot */
        d->behind_since = since;
}

void elsewhere_taken(struct elsewhere *x, struct destination *d, uint64_t size)
{
    if (size <= d->taken)
        return;
    d->taken = size;
    d->behind_since = 0;
    reckon(x, d);
    if (d->alarmed && d->behind_since == 0) {
        d->alarmed = false;
        log_info("checkpoint-known-again", "destination=%s size=%" PRIu64, d->label, size);
    }
}

/* A checkpoint counts as known elsewhere when one destination has it. */
static void judge(struct elsewhere *x)
{
    const uint64_t now_ms = clock_boot_ns() / 1000000u;
    uint64_t unknown_since = 0, known = 0;
    char text[400];
    bool stop;

    for (size_t i = 0; i < ELSEWHERE_MAX; i++) {
        struct destination *d = &x->to[i];
        const uint64_t since = d->behind_since;

        if (!d->used)
            continue;
        if (d->taken > known)
            known = d->taken;
        if (since && x->alarm_ms && now_ms - since >= x->alarm_ms && !d->alarmed) {
            d->alarmed = true;
            snprintf(text, sizeof text,
                     "%s has not taken a checkpoint for %" PRIu64 " s: it knows the first %" PRIu64
                     " records",
                     d->label, (now_ms - since) / 1000, d->taken);
            elsewhere_alarm(x, "checkpoint-not-taken", d, text, elsewhere_newest(x)->size);
        }
    }
    /* The one that is least behind decides. */
    for (size_t i = 0; i < ELSEWHERE_MAX; i++) {
        if (!x->to[i].used)
            continue;
        if (x->to[i].behind_since == 0) {
            unknown_since = 0;
            break;
        }
        if (x->to[i].behind_since > unknown_since)
            unknown_since = x->to[i].behind_since;
    }
    stop = x->stop_ms && unknown_since && now_ms - unknown_since >= x->stop_ms;
    if (x->other_history || stop == x->stopped)
        return;
    x->stopped = stop;
    snprintf(text, sizeof text,
             "The gateway takes no new sessions: its checkpoints have not been known elsewhere for "
             "%" PRIu64 " s.",
             stop ? (now_ms - unknown_since) / 1000 : 0);
    if (stop)
        elsewhere_alarm(x, "checkpoints-known-nowhere", NULL, text, known);
    admission(x, !stop, stop ? text : "");
}

/* Somebody has this log's signature under another history: the log was cut, restored or
 * rewritten. */
void elsewhere_other_history(struct elsewhere *x, struct destination *d, const char *kind,
                             uint64_t size)
{
    char text[480];

    snprintf(
        text, sizeof text,
        "The gateway takes no new sessions: %s knows %" PRIu64
        " records of this log, and %s. If a backup was restored, an administrator begins a new "
        "log with `sallyport audit new-log --reason`.",
        d->label, size, kind);
    if (!d->broken)
        elsewhere_alarm(x, "other-history", d, text, size);
    d->broken = true;
    if (!x->other_history)
        admission(x, false, text);
    x->other_history = true;
}

/* --- the kept file */

int elsewhere_keep(struct elsewhere *x, const struct published *p, size_t number, const char *line,
                   size_t line_len, struct err *e)
{
    const struct vkey *others[ELSEWHERE_MAX];
    size_t count = 0;

    for (size_t i = 1; i < ELSEWHERE_MAX; i++)
        if (x->to[i].used && i != number)
            others[count++] = &x->to[i].key;
    return witnessed_file_add(x->a->trail_dir, &x->log, others, count, p->size, &p->note, line,
                              line_len, e);
}

/* What was cosigned before this start. */
static void read_kept(struct elsewhere *x, size_t number)
{
    struct destination *d = &x->to[number];
    struct checkpoint c;
    struct err e = ERR_INIT;
    struct buf text;
    uint64_t time_s;

    buf_init(&text, NOTE_MAX);
    if (note_file_read(x->a->trail_dir, CHECKPOINT_WITNESSED_FILE, &text, &e) == 0 &&
        checkpoint_open(&c, (const char *)buf_head(&text), buf_len(&text), &x->log, &e) == 0 &&
        cosigned_note_verify((const char *)buf_head(&text), buf_len(&text), &d->key, &time_s, &e) ==
            0) {
        d->taken = c.size;
        if (c.size > trail_size(x->a->trail))
            elsewhere_other_history(x, d, "this log is shorter", c.size);
    }
    buf_clear(&text);
}

/* --- the link's events */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct elsewhere *x = arg;
    struct err e = ERR_INIT;
    int r = 1;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < FRAMES_MAX && x->link && r > 0; i++) {
        struct frame f;

        r = link_recv(x->link, &f, &e);
        if (r > 0 && elsewhere_message(x, &f, &e) < 0)
            r = ERR_PROTOCOL;
    }
    if (r < 0 && x->link) {
        if (r != ERR_CLOSED)
            log_error("courier-link", "error=\"%s\"", e.text);
        hang_up(x);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct elsewhere *x = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    elsewhere_sent(x, link_flush(x->link, &e), &e);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct elsewhere *x = arg;

    (void)fd;
    (void)what;
    if (!x->a->failing && x->published)
        judge(x);
}

/* --- the recorder's calls */

int elsewhere_begin(struct auditd *a, const struct auditd_elsewhere *m, struct err *e)
{
    const struct timeval tick = {.tv_sec = TICK_S};
    struct elsewhere *x = calloc(1, sizeof *x);

    if (!x)
        return err_set(e, ERR_MEMORY, "checkpoints elsewhere");
    x->a = a;
    x->alarm_ms = m->alarm_ms;
    x->stop_ms = m->stop_ms;
    for (size_t i = 0; i < PUBLISHED_MAX; i++)
        buf_init(&x->ring[i].note, 4096);
    a->elsewhere = x;
    x->tick = event_new(a->base, -1, EV_PERSIST, on_tick, x);
    if (!x->tick || event_add(x->tick, &tick) < 0)
        return err_set(e, ERR_MEMORY, "checkpoints elsewhere");
    return vkey_from_private(&x->log, a->origin, a->log_key, e);
}

int elsewhere_destination(struct auditd *a, const struct auditd_destination *m, struct err *e)
{
    struct elsewhere *x = a->elsewhere;
    struct destination *d;
    int r = 0;

    if (!x || m->number >= ELSEWHERE_MAX || x->to[m->number].used)
        return err_set(e, ERR_PROTOCOL, "destination %u", m->number);
    d = &x->to[m->number];
    memcpy(d->label, m->label, sizeof d->label);
    if (m->number > 0)
        r = witness_key_parse(&d->key, m->key, e);
    d->used = r == 0;
    if (r == 0 && m->number > 0)
        read_kept(x, m->number);
    return r;
}

int elsewhere_courier(struct auditd *a, int fd, struct err *e)
{
    struct elsewhere *x = a->elsewhere;

    if (!x) {
        close(fd);
        return err_set(e, ERR_PROTOCOL, "a courier, and nothing to carry");
    }
    hang_up(x);
    x->link = link_new(fd, &link_elsewhere, LINK_FIRST, QUEUE_MAX);
    if (!x->link)
        return err_set(e, ERR_MEMORY, "courier");
    link_enter(x->link, elsewhere_STATE_ALWAYS);
    x->readable = event_new(a->base, fd, EV_READ | EV_PERSIST, on_readable, x);
    x->writable = event_new(a->base, fd, EV_WRITE, on_writable, x);
    if (!x->readable || !x->writable || event_add(x->readable, NULL) < 0) {
        hang_up(x);
        return err_set(e, ERR_MEMORY, "courier");
    }
    for (size_t i = 0; i < ELSEWHERE_MAX && x->link; i++)
        if (x->to[i].used)
            elsewhere_send_verdict(x, i, true, "");
    elsewhere_settled(a);
    send_newest(x);
    return 0;
}

void elsewhere_settled(struct auditd *a)
{
    struct elsewhere *x = a->elsewhere;
    const uint64_t size = trail_checkpointed(a->trail), now_ms = clock_boot_ns() / 1000000u;
    const struct published *last = x ? elsewhere_newest(x) : NULL;
    struct published *p;
    struct checkpoint c;
    struct err e = ERR_INIT;

    if (!x || size == 0 || (last && last->size >= size))
        return;
    p = &x->ring[x->published % PUBLISHED_MAX];
    buf_clear(&p->note);
    p->size = 0;
    if (note_file_read(a->trail_dir, CHECKPOINT_FILE, &p->note, &e) < 0 ||
        checkpoint_open(&c, (const char *)buf_head(&p->note), buf_len(&p->note), &x->log, &e) < 0) {
        log_error("checkpoint-unreadable", "error=\"%s\"", e.text);
        return;
    }
    p->size = c.size;
    p->at_ms = now_ms;
    x->published++;
    for (size_t i = 0; i < ELSEWHERE_MAX; i++)
        if (x->to[i].used)
            reckon(x, &x->to[i]);
    send_newest(x);
}

/* A destination that is in alarm already, or that refuses for good, is not waited for. */
static bool awaited(const struct elsewhere *x)
{
    for (size_t i = 0; i < ELSEWHERE_MAX; i++) {
        const struct destination *d = &x->to[i];

        if (d->used && !d->alarmed && !d->broken && d->taken < elsewhere_newest(x)->size)
            return true;
    }
    return false;
}

void elsewhere_farewell(struct auditd *a)
{
    struct elsewhere *x = a->elsewhere;
    const uint64_t until_ms = clock_mono_ms() + FAREWELL_MS;

    if (!x)
        return;
    x->ending = true;
    elsewhere_settled(a);
    while (x->link && elsewhere_newest(x) && awaited(x)) {
        const uint64_t now_ms = clock_mono_ms();
        struct pollfd p = {.fd = link_fd(x->link), .events = POLLIN};

        if (now_ms >= until_ms) {
            log_warn("shutdown-not-known-elsewhere", "size=%" PRIu64, elsewhere_newest(x)->size);
            return;
        }
        if (link_pending(x->link) > 0)
            p.events |= POLLOUT;
        (void)poll(&p, 1, (int)(until_ms - now_ms));
        if (p.revents & POLLOUT)
            on_writable(-1, 0, x);
        if (x->link && p.revents & ~POLLOUT)
            on_readable(-1, 0, x);
    }
}

void elsewhere_end(struct auditd *a)
{
    struct elsewhere *x = a->elsewhere;

    if (!x)
        return;
    hang_up(x);
    if (x->tick)
        event_free(x->tick);
    for (size_t i = 0; i < PUBLISHED_MAX; i++)
        buf_clear(&x->ring[i].note);
    free(x);
    a->elsewhere = NULL;
}
