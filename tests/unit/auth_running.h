/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions as authd has them (tests/unit/auth_world.h), with this process as their frontend and
 * backend. */
#ifndef SALLYPORT_TESTS_AUTH_RUNNING_H
#define SALLYPORT_TESTS_AUTH_RUNNING_H

#include "auth/vault.h"
#include "tests/unit/auth_world.h"

/* A session as the supervisor and the backend have it. */
struct running {
    struct link *frontend, *backend;
    int agent;
    struct grant_grant grant;
    uint8_t identity[VAULT_PUBLIC_BYTES];
    uint8_t again[1024]; /* what the supervisor keeps of it */
    size_t again_len;
};

/* The world, alice with a second factor and a remembered device, a vault key for root@hv1. */
void prepare(struct auth_world *w, struct secret **totp, struct bytes *der);
void finish(struct auth_world *w, struct secret *totp, struct bytes *der);
/* alice on hv1, remembered. */
void begin_session(struct auth_world *w, struct running *s, uint64_t conn, const struct bytes *der);
/* The same as far as the wish for a backend. */
void ask_session(struct auth_world *w, struct running *s, uint64_t conn, const struct bytes *der);
/* The backend of a session whose frontend is there. */
void give_backend(struct auth_world *w, struct running *s, uint64_t conn);
void end_running(struct running *s);
void open_message(struct link *l);
/* A request on the control socket that is to succeed. */
void control_ok(struct auth_world *w, const char *request);

#endif
