/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/watch.h. */
#include "auth/watch.h"

#include <stdlib.h>
#include <unistd.h>

/* Frames taken from one link before the others get their turn. */
#define FRAMES_PER_TURN 16

struct watch {
    struct link *link;
    struct event *readable, *writable;
    struct watch_handler handler;
    void *arg;
    bool held, over;
    bool *freed; /* set while a handler runs: tells that it freed us */
    struct err failure;
};

static void end(struct watch *w, int code, const struct err *e)
{
    if (w->over)
        return;
    w->over = true;
    event_del(w->readable);
    event_del(w->writable);
    w->handler.ended(w->arg, code, e);
}

static void read_some(struct watch *w)
{
    bool freed = false;
    for (int i = 0; i < FRAMES_PER_TURN && !w->held; i++) {
        struct frame f;
        struct err e = ERR_INIT;
        int rc = link_recv(w->link, &f, &e);
        if (rc == 0)
            return;
        if (rc > 0) {
            w->freed = &freed;
            rc = w->handler.frame(w->arg, &f, &e);
            if (freed)
                return;
            w->freed = NULL;
        }
        if (rc < 0) {
            end(w, rc, &e);
            return;
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    (void)fd;
    if (w->failure.code)
        end(w, w->failure.code, &w->failure);
    else if (what & EV_READ)
        read_some(w);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    struct err e = ERR_INIT;
    (void)fd, (void)what;
    int rc = link_flush(w->link, &e);
    if (rc < 0)
        end(w, rc, &e);
    else if (link_pending(w->link) == 0)
        event_del(w->writable);
}

struct watch *watch_new(struct event_base *base, int fd, const struct link_spec *spec,
                        enum link_side side, size_t queue_max, const struct watch_handler *h,
                        void *arg)
{
    struct watch *w = calloc(1, sizeof *w);
    struct link *l = w ? link_new(fd, spec, side, queue_max) : NULL;
    if (!l) {
        close(fd);
        free(w);
        return NULL;
    }
    w->link = l;
    w->handler = *h;
    w->arg = arg;
    w->readable = event_new(base, link_fd(l), EV_READ | EV_PERSIST, on_readable, w);
    w->writable = event_new(base, link_fd(l), EV_WRITE | EV_PERSIST, on_writable, w);
    if (!w->readable || !w->writable || event_add(w->readable, NULL) < 0) {
        watch_free(w);
        return NULL;
    }
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->freed)
        *w->freed = true;
    if (w->readable)
        event_free(w->readable);
    if (w->writable)
        event_free(w->writable);
    link_free(w->link);
    free(w);
}

struct link *watch_link(struct watch *w)
{
    return w->link;
}

void watch_hold(struct watch *w, bool hold)
{
    if (w->held == hold || w->over)
        return;
    w->held = hold;
    if (hold)
        event_del(w->readable);
    else if (event_add(w->readable, NULL) < 0)
        watch_sent(w, ERR_MEMORY, NULL);
}

void watch_sent(struct watch *w, int rc, const struct err *e)
{
    if (w->over || w->failure.code)
        return;
    if (rc == 0 && link_pending(w->link) > 0 && event_add(w->writable, NULL) < 0)
        rc = ERR_MEMORY;
    if (rc == 0)
        return;
    if (e && e->code)
        w->failure = *e;
    else
        err_set(&w->failure, (enum err_code)rc, "sending");
    event_active(w->readable, EV_TIMEOUT, 0);
}
