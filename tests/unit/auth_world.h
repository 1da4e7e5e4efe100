/* SPDX-License-Identifier: Apache-2.0
 *
 * authd running in a child process without its sandbox, with this process as its supervisor, its
 * frontends and backends, its auditd and its administrators. */
#ifndef SALLYPORT_TESTS_AUTH_WORLD_H
#define SALLYPORT_TESTS_AUTH_WORLD_H

#include <sys/types.h>

#include "tests/unit/auth_lab.h"

struct auth_world {
    struct auth_lab lab;
    pid_t pid;
    uint64_t *clock_s; /* shared with authd */
    uint32_t login_ms; /* before world_start; 0: a minute */
    struct link *supervisor;
    struct link *trail; /* NULL: auditd is gone */
    uint64_t records;   /* received on it */
    bool hold;          /* do not acknowledge */
    char log[1 << 20];  /* "TYPE payload\n" of all records */
    size_t log_len;
    uint64_t generation;
    unsigned failures; /* authd.failure: so many came; the last one */
    uint8_t failure_kind, failure_proxied;
    char failure_address[65];
};

/* The files, then authd itself with a recorder and the lab's policy set. */
void world_set_up(struct auth_world *w);
void world_tear_down(struct auth_world *w);
void world_start(struct auth_world *w);
/* kill -9, and wait. */
void world_kill(struct auth_world *w);
void world_attach_trail(struct auth_world *w);
/* Sends a set with these operators; true: loaded, false: refused, with the text in *text if not
 * NULL. */
bool world_load(struct auth_world *w, const char *operators, char text[2000]);
/* With these roles instead of the lab's. */
bool world_load_roles(struct auth_world *w, const char *operators, const char *const *roles,
                      size_t count, char text[2000]);

/* The next message of a link, while records are acknowledged. False: it closed. */
bool world_await(struct auth_world *w, struct link *l, struct frame *f);
/* Nothing comes on the link when authd has done what it had to, nor for 200 ms more. On the
 * supervisor's, authd.failure is no news: here and in world_await it is noted and passed over. */
bool world_quiet(struct auth_world *w, struct link *l);
/* The next message, which must be this one. */
#define world_expect(w, l, f, message) world_expect_number(w, l, f, message##_NUMBER, #message)
void world_expect_number(struct auth_world *w, struct link *l, struct frame *f, unsigned number,
                         const char *name);

/* A frontend. */
struct link *world_connect(struct auth_world *w, uint64_t conn, const char *target,
                           const struct bytes *certificate_der);
/* Each awaits the answer and returns its verdict; text may be NULL. */
int world_claim(struct auth_world *w, struct link *l, const char *who, char text[501]);
int world_code(struct auth_world *w, struct link *l, const char *code, char text[501]);
/* The code of a step relative to now. */
const char *world_totp(struct auth_world *w, const struct secret *totp, int steps, char out[8]);

/* One request on the control socket, and the reply's line; free it. */
char *world_control(struct auth_world *w, const char *request);
/* A token for the operator. */
void world_token(struct auth_world *w, const char *who, char token[40]);
/* A login to the gateway itself with this code. With a token and totp not NULL also its command
 * `login`, as far as the secret that is offered. */
struct link *world_login_command(struct auth_world *w, const char *who, uint64_t conn,
                                 const char *code, struct secret **totp);
/* Input of the command on channel 1; and its output until it ends (its exit status) or asks on
 * (-1). */
void world_input(struct link *l, const char *text);
int world_output(struct auth_world *w, struct link *l, char *out, size_t cap);
/* The TOTP secret of an otpauth:// address. */
struct secret *world_secret(const char *uri);
/* Enrols an operator the way they do it. Returns the TOTP secret; der, if not NULL, gets the
 * device's certificate (free it). Uses connection number conn. */
struct secret *world_enrol(struct auth_world *w, const char *who, uint64_t conn, struct bytes *der);

#endif
