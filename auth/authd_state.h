/* SPDX-License-Identifier: Apache-2.0
 *
 * What the modules of authd's loop share: the process's state. Only files that touch descriptors
 * include this; what decides (login, decision, second_factor, agent ...) does not. */
#ifndef SALLYPORT_AUTH_AUTHD_STATE_H
#define SALLYPORT_AUTH_AUTHD_STATE_H

#include <event2/event.h>

#include "auth/login.h"
#include "auth/refusals.h"
#include "auth/trail_client.h"
#include "auth/watch.h"

struct connection;
struct control;
struct hasher;
struct live_work;
struct policy_set;

/* Far above the supervisor's `connections` limit; reached only if the supervisor is broken. */
#define AUTHD_CONNECTIONS_MAX 65536
#define AUTHD_BUCKETS         4096
#define AUTHD_TICK_MS         250

struct authd {
    struct event_base *base;
    struct event *ticker;
    bool ticking, sealed, stopping;
    char stop_reason[201];
    char no_sessions[501];  /* why no new session starts; empty: they may */
    char break_glass[1101]; /* who may then all the same, see auth/break_glass.h */
    int result;             /* of authd_run */
    uint64_t (*real_ns)(void);

    struct watch *supervisor;
    struct trail_client *trail;
    struct login_world world; /* policy follows policy_set */
    struct policy_set *policies;
    struct refusals *refusals;
    struct hasher *hasher;
    struct live_work *live;
    struct control *control;

    char gateway[256], gateway_from[201];
    uint32_t login_ms, enrol_s;

    struct connection *bucket[AUTHD_BUCKETS]; /* by number */
    size_t connections;
};

uint64_t authd_now_s(const struct authd *a);
/* Deadlines are looked at every AUTHD_TICK_MS from now on, until there is none left. */
void authd_tick_soon(struct authd *a);
/* The supervisor shall end this connection's processes now. */
void authd_end_connection(struct authd *a, uint64_t conn, const char *reason);
/* A structured record; payload is cleared. ERR_TRAIL, see trail_client_record. */
MUST_CHECK int authd_record(struct authd *a, enum record_type type, struct buf *payload,
                            trail_done done, uint64_t id);
/* An ALARM: something that should not happen; nobody waits for it. operator_name may be NULL. */
void authd_alarm(struct authd *a, uint64_t conn, const char *operator_name, const char *event,
                 const char *text);
/* Leaves the loop with this result. */
void authd_stop(struct authd *a, int result);

/* auth/authd_supervisor.c: link `authd`. */
extern const struct watch_handler authd_supervisor_handler;

#endif
