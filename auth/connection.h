/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection as authd sees it, from the supervisor's `connection` to its `gone`: the link to
 * its frontend, its login, and then its session or its commands to the gateway. Looked up by
 * number, since records become durable after connections may have gone. */
#ifndef SALLYPORT_AUTH_CONNECTION_H
#define SALLYPORT_AUTH_CONNECTION_H

#include "auth/authd_state.h"

struct session;
struct gateway;

struct connection {
    struct connection *next; /* in its bucket */
    struct authd *a;
    uint64_t conn;
    struct watch *frontend; /* NULL: closed, or a session from before authd's start */
    uint64_t deadline_ms;   /* 0: none */
    bool ended;             /* by us: whatever came of it is not its source's fault */
    bool failure_told;      /* one failure a connection, but each wrong password is one */
    bool checking;          /* its password is being hashed; its frontend is not read */
    struct login login;
    struct login_reply reply; /* waits for its record */
    struct session *session;  /* from `open` on */
    struct gateway *gateway;  /* the target is the gateway */
};

/* Takes the frontend's descriptor. What cannot be kept is ended through the supervisor. */
void connection_begin(struct authd *a, const struct authd_connection *m, int fd);
/* A session that lives on from before authd's start: all authd can do is decide again, and end it.
 */
void connection_live(struct authd *a, const struct authd_live *m, int fd);
/* NULL: gone. */
struct connection *connection_find(struct authd *a, uint64_t conn);
/* The supervisor says that it is gone, before its frontend's end was seen perhaps. */
void connection_gone(struct connection *c);
/* Frees it with all that belongs to it. */
void connection_forget(struct connection *c);
/* each may forget the connection it is called with. */
void connection_each(struct authd *a, void (*each)(struct connection *c, void *arg), void *arg);
/* Deadlines. True while there is one to come. */
bool connection_tick_all(struct authd *a, uint64_t now_ms);
/* Of auth/hasher.h: the hash of the password that this connection's login brought; or that the
 * child ended over it. */
void connection_password_hashed(void *authd, uint64_t conn, const char *hash);
void connection_hasher_died(void *authd, uint64_t conn, const char *text);
/* What a frontend may do now (a bit of link `login`'s states, 0: nothing). */
void connection_enter(struct connection *c, uint32_t state);
/* The frontend disconnects with this text. */
void connection_end_login(struct connection *c, const char *text);
/* Its peer (a frontend, a backend) broke the protocol: ALARM, and the processes are ended. */
void connection_breach(struct connection *c, const char *who, const char *text);

#endif
