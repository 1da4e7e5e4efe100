/* SPDX-License-Identifier: Apache-2.0
 *
 * What the recorder does about its disk (auditd_disk.c) and about producers that fill it
 * (auditd_shares.c). Part of the inside of auditd; everything runs in its one loop. */
#ifndef SALLYPORT_AUDIT_AUDITD_DISK_H
#define SALLYPORT_AUDIT_AUDITD_DISK_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "audit/trail_space.h"
#include "gateway/messages.h"

struct auditd;
struct producer;

/* A mark or share of configuration `disk`. */
struct disk_amount {
    bool percent;
    uint64_t value; /* percent, or bytes; 0: none */
};

/* What one operator's sessions have put into the trail, ended ones too. Counted in halves of a day,
 * so that it is forgotten in time. */
struct operator_use {
    TAILQ_ENTRY(operator_use) entry;
    char name[65];
    uint64_t now, before; /* bytes in this half, and in the one before */
    unsigned holders;     /* sessions that live */
};

/* The reserve for break-glass sessions (auditd_glass.c). */
struct glass {
    struct disk_amount reserve; /* 0: none */
    enum glass_state state;
    int fd;        /* READY: its file */
    bool was_used; /* since it was made last */
};

struct disk_watch {
    struct glass glass;
    struct disk_amount soft, hard, share;
    uint64_t slow_ms;
    struct event *look; /* every second */
    struct space_free free;
    enum disk_level level;
    uint64_t waiting_ms; /* since when the synchronisation that follows this is under way */
    uint64_t waiting_for;
    uint64_t slow_durable; /* what was durable when the slow disk was noticed last */
    uint64_t slow_alarm_ms;
    uint64_t half_ms; /* when this half of the day began */
    TAILQ_HEAD(, operator_use) operators;
    unsigned operator_count;
};

/* auditd_disk.c */
void disk_configure(struct disk_watch *d, const struct auditd_start *m);
MUST_CHECK int disk_start(struct auditd *a, struct err *e);
/* Once the supervisor knows that we run: tells it what the disk is like. */
void disk_begin(struct auditd *a);
void disk_stop(struct auditd *a);
/* Before a frame of this producer is taken: whether there is room for it. If not, and it is a
 * session's, all sessions are ended; another producer is not read until there is room again. */
bool disk_admits(struct producer *p);
/* After a synchronisation: whether the disk was slow. */
void disk_synced(struct auditd *a);
/* An ALARM record of auditd's own. text is a sentence. */
void disk_alarm(struct auditd *a, const uint8_t *session, const char *alarm, const char *text);
/* The session's end record, and the word to its process; what it still sends is dropped. */
void disk_end_session(struct producer *p, const char *reason, const char *text);

/* How much this mark is. */
uint64_t disk_bytes(const struct disk_watch *d, const struct disk_amount *mark);
void disk_tell_supervisor(struct auditd *a);

/* auditd_glass.c */
void glass_start(struct auditd *a);
void glass_stop(struct glass *g);
/* Once a second: makes it again when there is room. */
void glass_look(struct auditd *a);
/* A break-glass session found no room: true when the reserve gave it some. If not, the session was
 * ended, and all others of its kind. */
bool glass_admits(struct producer *p);
/* Such sessions may start. */
bool glass_opens(const struct auditd *a);
/* To leave exhaustion so much more must be free: what the segment before gave back is no room. */
uint64_t glass_margin(const struct disk_watch *d);

/* auditd_shares.c */
MUST_CHECK int shares_hold(struct producer *p, const struct auditd_producer *m, struct err *e);
void shares_release(struct producer *p);
/* A record of so many bytes was taken. */
void shares_count(struct producer *p, uint64_t bytes);
/* A paused producer, once a second. */
void shares_look(struct producer *p, uint64_t now_ms);
void shares_tick(struct disk_watch *d, uint64_t now_ms);
void shares_clear(struct disk_watch *d);

#endif
