/* SPDX-License-Identifier: Apache-2.0
 *
 * What audit/auditd_elsewhere.c and audit/auditd_courier.c share: the destinations, and the
 * checkpoints that the courier was given. */
#ifndef SALLYPORT_AUDIT_ELSEWHERE_STATE_H
#define SALLYPORT_AUDIT_ELSEWHERE_STATE_H

#include "audit/auditd_elsewhere.h"
#include "audit/auditd_state.h"

/* Checkpoints that are remembered: ten minutes of them. A destination that is further behind has
 * been behind since the oldest. */
#define PUBLISHED_MAX 64u

struct published {
    uint64_t size, at_ms;
    struct buf note;
};

struct destination {
    bool used, alarmed;
    bool broken; /* another history is known there: told once */
    char label[81];
    struct vkey key;       /* witnesses */
    uint64_t taken;        /* the newest size known there */
    uint64_t behind_since; /* ms; 0: it knows the newest */
};

struct elsewhere {
    struct auditd *a;
    uint64_t alarm_ms, stop_ms;
    struct destination to[ELSEWHERE_MAX];
    struct published ring[PUBLISHED_MAX]; /* at [n % PUBLISHED_MAX] */
    uint64_t published;                   /* n of the next */
    struct link *link;                    /* NULL: no courier now */
    struct event *readable, *writable, *tick;
    bool stopped, other_history;
    bool ending; /* the log has its last seal: nothing is recorded any more */
    struct vkey log;
};

/* What the courier said; ERR_PROTOCOL when it does not keep to the protocol. */
MUST_CHECK int elsewhere_message(struct elsewhere *x, struct frame *f, struct err *e);

/* Tells the courier what became of its word. */
void elsewhere_send_verdict(struct elsewhere *x, size_t number, bool good, const char *text);

/* NULL: not remembered. */
const struct published *elsewhere_newest(const struct elsewhere *x);
const struct published *elsewhere_find(const struct elsewhere *x, uint64_t size);
/* The destination has the checkpoint of this size: by its signature, or by the syslog server's
 * taking it. */
void elsewhere_taken(struct elsewhere *x, struct destination *d, uint64_t size);
/* Keeps a cosigned checkpoint beside the trail. */
MUST_CHECK int elsewhere_keep(struct elsewhere *x, const struct published *p, size_t number,
                              const char *line, size_t line_len, struct err *e);
/* Somebody has this log's signature under another history: no new session from here on. */
void elsewhere_other_history(struct elsewhere *x, struct destination *d, const char *kind,
                             uint64_t size);
/* An ALARM record; d may be NULL. */
void elsewhere_alarm(struct elsewhere *x, const char *what, const struct destination *d,
                     const char *text, uint64_t size);
/* Of a message to the courier: a link that failed is closed. */
void elsewhere_sent(struct elsewhere *x, int r, const struct err *e);

#endif
