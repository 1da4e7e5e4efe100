/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of the target `gateway`: what an operator, logged in with both factors, may ask the
 * gateway itself. whoami, hosts, forget, help here; login and the enrolment in
 * auth/gateway_login.c. Channel numbers and bytes come from the frontend; all is bounded. */
#ifndef SALLYPORT_AUTH_GATEWAY_COMMANDS_H
#define SALLYPORT_AUTH_GATEWAY_COMMANDS_H

#include "auth/connection.h"

#define GATEWAY_CHANNELS_MAX 10
#define EXIT_GATEWAY_USAGE   64 /* EX_USAGE */
#define EXIT_GATEWAY_DATA    65 /* EX_DATAERR */

struct gateway;
struct gateway_login;

/* One running command. */
struct gateway_channel {
    bool used;
    uint32_t number;
    struct gateway *g;
    struct gateway_login *login; /* `login` collects its input here */
};

struct gateway {
    struct connection *c;
    struct gateway_channel channel[GATEWAY_CHANNELS_MAX];
    struct gateway_channel *waiting; /* for its record; the link is not read meanwhile */
};

struct gateway *gateway_new(struct connection *c);
void gateway_free(struct gateway *g);
/* A frame in state GATEWAY. */
MUST_CHECK int gateway_frame(struct gateway *g, const struct frame *f, struct err *e);

/* For commands: bytes on stdout (0) or stderr (1), and the end of the command. */
void gateway_output(struct gateway_channel *ch, uint8_t stream, const void *bytes, size_t len);
void gateway_print(struct gateway_channel *ch, uint8_t stream, const char *format, ...)
    PRINTF_LIKE(3, 4);
void gateway_exit(struct gateway_channel *ch, uint8_t status);
/* Records the payload (cleared), and holds the frontend until done is called. done gets the
 * connection's number; it finds the channel in g->waiting, and calls gateway_resume. False: ended
 * already. */
bool gateway_record(struct gateway_channel *ch, enum record_type type, struct buf *payload,
                    trail_done done);
/* The channel that waited, NULL when it is gone; with rc < 0 it was told and ended, too. */
struct gateway_channel *gateway_resume(struct authd *a, uint64_t conn, int rc);

#endif
