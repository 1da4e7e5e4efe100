/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/trail_client.h. */
#include "auth/trail_client.h"

#include <stdlib.h>
#include <string.h>

#include "auth/watch.h"
#include "base/log.h"
#include "gateway/messages.h"

/* One a connection or control client at most waits, and alarms; far above what a busy gateway has.
 */
#define PENDING_MAX 8192
#define QUEUE_MAX   (4u * 1024 * 1024)

struct pending {
    struct pending *next;
    uint64_t count; /* of its link's records */
    trail_done done;
    void *arg;
    uint64_t id;
};

struct trail_client {
    struct event_base *base;
    struct watch *link;
    uint64_t sent, durable;
    struct pending *first, **last;
    size_t pending;
};

struct trail_client *trail_client_new(struct event_base *base)
{
    struct trail_client *t = calloc(1, sizeof *t);
    if (t) {
        t->base = base;
        t->last = &t->first;
    }
    return t;
}

static struct pending *take_first(struct trail_client *t)
{
    struct pending *p = t->first;
    t->first = p->next;
    if (!t->first)
        t->last = &t->first;
    t->pending--;
    return p;
}

void trail_client_free(struct trail_client *t)
{
    if (!t)
        return;
    while (t->first)
        free(take_first(t));
    watch_free(t->link);
    free(t);
}

/* Closes the link and fails what was pending on it. The callbacks may record anew: without a link
 * that fails at once, so this ends. */
static void close_link(struct trail_client *t)
{
    watch_free(t->link);
    t->link = NULL;
    t->sent = t->durable = 0;
    while (t->first) {
        struct pending p = *t->first;
        free(take_first(t));
        p.done(p.arg, p.id, ERR_TRAIL);
    }
}

static int acknowledge(struct trail_client *t, uint64_t durable, struct err *e)
{
    if (durable > t->sent || durable < t->durable)
        return err_set(e, ERR_PROTOCOL, "auditd acknowledged records that were never sent");
    t->durable = durable;
    while (t->first && t->first->count <= t->durable) {
        struct pending p = *t->first;
        free(take_first(t));
        p.done(p.arg, p.id, 0);
    }
    return 0;
}

static int on_frame(void *arg, struct frame *f, struct err *e)
{
    struct trail_client *t = arg;
    struct trail_ack ack;
    struct trail_stop stop;
    char text[600];
    int rc;

    if (f->spec->number == trail_ack_NUMBER) {
        if ((rc = trail_ack_decode(f, &ack, e)) < 0)
            return rc;
        return acknowledge(t, ack.durable, e);
    }
    if ((rc = trail_stop_decode(f, &stop, e)) < 0)
        return rc;
    log_error("recorder-stopped", "text=\"%s\"",
              escape_text(text, sizeof text, stop.text, strlen(stop.text)));
    close_link(t);
    return 0;
}

static void on_ended(void *arg, int code, const struct err *e)
{
    struct trail_client *t = arg;
    log_warn("recorder-lost", "code=%s text=\"%s\"", err_token((enum err_code)code), e->text);
    close_link(t);
}

int trail_client_attach(struct trail_client *t, int fd, struct err *e)
{
    static const struct watch_handler handler = {on_frame, on_ended};
    close_link(t);
    t->link = watch_new(t->base, fd, &link_trail, LINK_FIRST, QUEUE_MAX, &handler, t);
    if (!t->link)
        return err_set(e, ERR_MEMORY, "link to auditd");
    link_enter(watch_link(t->link), trail_STATE_OPEN);
    return 0;
}

bool trail_client_open(const struct trail_client *t)
{
    return t->link != NULL;
}

size_t trail_client_pending(const struct trail_client *t)
{
    return t->pending;
}

int trail_client_record(struct trail_client *t, enum record_type type, const struct buf *payload,
                        trail_done done, void *arg, uint64_t id)
{
    struct err e = ERR_INIT;
    struct pending *p = NULL;

    if (!t->link || t->pending >= PENDING_MAX)
        return ERR_TRAIL;
    if (done && !(p = calloc(1, sizeof *p)))
        return ERR_TRAIL;
    struct trail_record m = {.type = (uint8_t)type,
                             .want = WANT_DURABLE,
                             .payload = {buf_head(payload), buf_len(payload)}};
    int rc = trail_record_send(watch_link(t->link), &m, NULL, &e);
    watch_sent(t->link, rc, &e);
    if (rc < 0) {
        log_error("record-not-sent", "type=%u text=\"%s\"", (unsigned)type, e.text);
        free(p);
        return ERR_TRAIL;
    }
    t->sent++;
    if (p) {
        *p = (struct pending){NULL, t->sent, done, arg, id};
        *t->last = p;
        t->last = &p->next;
        t->pending++;
    }
    return 0;
}
