/* SPDX-License-Identifier: Apache-2.0
 *
 * A link on authd's event loop: delivers frames, writes what is queued, tells the end exactly once.
 * Logic above it never polls. Used by authd alone. */
#ifndef SALLYPORT_AUTH_WATCH_H
#define SALLYPORT_AUTH_WATCH_H

#include <event2/event.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/link.h"

struct watch;

struct watch_handler {
    /* A frame. Negative: the peer broke the protocol; `ended` follows. May free the watch. */
    int (*frame)(void *arg, struct frame *f, struct err *e);
    /* The link is of no more use: ERR_CLOSED, ERR_PROTOCOL, ERR_FULL, ERR_SYSTEM. Called once,
     * never from within watch_sent; usually frees the watch. */
    void (*ended)(void *arg, int code, const struct err *e);
};

/* Takes the descriptor (also on failure). NULL when it is no socket or memory is out. */
struct watch *watch_new(struct event_base *base, int fd, const struct link_spec *spec,
                        enum link_side side, size_t queue_max, const struct watch_handler *h,
                        void *arg);
/* With its link; NULL-safe; permitted inside the handlers. */
void watch_free(struct watch *w);
struct link *watch_link(struct watch *w);
/* Read nothing while hold: the peer's next message waits until the answer to its last is out. */
void watch_hold(struct watch *w, bool hold);
/* After each send, with its result: arranges writing or, when the send failed, the end. */
void watch_sent(struct watch *w, int rc, const struct err *e);

#endif
