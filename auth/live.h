/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy in force holds for sessions that run: when the set changes, and when a time window
 * begins or ends, each session is decided again (auth/again.h). What is denied now is ended, what
 * has less is narrowed; both are recorded before, and the operator is told. Ends that windows will
 * bring are told five minutes ahead. authd's loop; the only state of a session that this changes is
 * its struct live. */
#ifndef SALLYPORT_AUTH_LIVE_H
#define SALLYPORT_AUTH_LIVE_H

#include "auth/again.h"
#include "auth/connection.h"

/* Of a session. */
struct live {
    bool known; /* who is set: it is decided again */
    struct again_session who;
    uint64_t began_s, began_ms; /* see again_clock_s */
    uint64_t until_s, ends_s;   /* by the clock alone; 0: never */
    bool told;                  /* that it ends then */
    char ends_text[AGAIN_WHY];  /* why */
    bool due;                   /* the set in force has not decided about it yet */
    bool late;                  /* the same of a session whose backend was not there */
    bool back_told;             /* inherited: its backend may open channels again */
    struct again *next;         /* decided, waits for its record */
    unsigned records;           /* not durable yet */
    uint64_t effect_ms;         /* then without waiting any longer */
};

struct live_work;

struct live_work *live_new(struct authd *a);
void live_free(struct live_work *work);

/* The decision is made, and allows a session. */
void live_begin(struct connection *c);
/* From before authd's start. ERR_PROTOCOL: what the supervisor kept is none of ours. */
MUST_CHECK int live_inherit(struct connection *c, struct bytes encoded, struct err *e);
/* Its backend is there, and is given the grant next. What the set in force denies has ended then.
 */
void live_before_grant(struct connection *c);
/* Its backend has the grant, and hears what is less since, before its operator can ask for
 * anything. */
void live_granted(struct connection *c);
void live_clear(struct live *l);
/* True while a record of it is waited for. */
bool live_tick(struct connection *c, uint64_t now_ms);

struct live_counts {
    unsigned sessions, ended, narrowed;
};
/* All sessions, by the set in force; done is called once, perhaps from within. A call before that
 * begins anew, and the first one's done is not called. */
void live_reload(struct authd *a, void (*done)(struct authd *a, const struct live_counts *counts));

#endif
