/* SPDX-License-Identifier: Apache-2.0
 *
 * From `open` to the end of a session: decision, its record, the supervisor's backend, the grant
 * straight to it, its agent stream; and ending it, with a watchdog for backends that do not obey.
 *
 *     DECIDING --record durable--> CONNECTING --authd.backend--> LIVE --its link closed--> OVER
 *         +--refused, or the gateway itself---------------------------------------------^ */
#ifndef SALLYPORT_AUTH_SESSION_H
#define SALLYPORT_AUTH_SESSION_H

#include "auth/connection.h"
#include "auth/decision.h"
#include "auth/live.h"

enum session_phase { SESSION_DECIDING, SESSION_CONNECTING, SESSION_LIVE, SESSION_OVER };

struct agent_stream;

struct session {
    struct connection *c;
    enum session_phase phase;
    uint8_t id[16];
    uint64_t generation, started_s;
    struct decision decision;
    struct live live;
    struct watch *backend; /* link `grant` */
    struct agent_stream *agent;
    uint8_t backend_state; /* enum backend_state, 0: not yet known */
    bool inherited;        /* from before authd's start: no frontend, no agent stream */
    bool ending;
    uint64_t end_deadline_ms; /* ending: then the supervisor ends it; 0: it was asked to */
    char end_text[1001], end_token[32];
};

/* The frontend's `open`. */
MUST_CHECK int session_open(struct connection *c, const struct frame *f, struct err *e);
/* The supervisor's answers to start_backend. fds: link grant, agent stream, frontend's relay;
 * taken. */
void session_backend(struct connection *c, const int fds[3]);
void session_backend_failed(struct connection *c, const char *reason);
/* From before authd's start. fd: link grant; taken. */
MUST_CHECK int session_inherit(struct connection *c, const struct authd_live *m, int fd,
                               struct err *e);
void session_free(struct session *s);

bool session_has_backend(const struct session *s);
/* Tells the backend (text for the operator, token for the session's end record); what does not end
 * by itself is ended by the supervisor. Also before the backend is there. */
void session_end(struct connection *c, const char *text, const char *token);
/* True while a deadline is to come. */
bool session_tick(struct connection *c, uint64_t now_ms);

#endif
