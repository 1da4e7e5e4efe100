/* SPDX-License-Identifier: Apache-2.0
 *
 * authd as a producer of records: hands them to auditd and tells when each is durable. Record
 * before effect: whoever asks does what he wants to do in the callback. Without a link to auditd
 * nothing is recorded, so nothing is granted. Bounded. */
#ifndef SALLYPORT_AUTH_TRAIL_CLIENT_H
#define SALLYPORT_AUTH_TRAIL_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/buf.h"
#include "base/err.h"

#define TRAIL_PAYLOAD_MAX 65536

struct trail_client;

/* rc 0: the record is durable. ERR_TRAIL: it may not be; do not go on. id: as given, usually a
 * connection's number, since the connection may be gone by then. */
typedef void (*trail_done)(void *arg, uint64_t id, int rc);

struct trail_client *trail_client_new(struct event_base *base);
void trail_client_free(struct trail_client *t);
/* Takes the descriptor of a (new) link `trail`. Records pending on the old one fail. */
MUST_CHECK int trail_client_attach(struct trail_client *t, int fd, struct err *e);
bool trail_client_open(const struct trail_client *t);
/* Records that somebody waits for. */
size_t trail_client_pending(const struct trail_client *t);

/* payload: JSON. done may be NULL; else it is called exactly once, later, never from within this
 * call, if this returns 0. ERR_TRAIL: no link, or too many pending. */
MUST_CHECK int trail_client_record(struct trail_client *t, enum record_type type,
                                   const struct buf *payload, trail_done done, void *arg,
                                   uint64_t id);

#endif
