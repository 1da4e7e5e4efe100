/* SPDX-License-Identifier: Apache-2.0
 *
 * The hashes of passwords that logins bring, one after another, in a child process: authd has one
 * thread, and a hash takes longer than all else that it does for a login. The child is confined to
 * memory and one link; it is there while it is needed and for a minute after, so that a gateway
 * without passwords has none, and a policy set that was replaced is not kept by it. Used by authd's
 * loop.
 *
 * Strangers make work here, so it is bounded: so many wait, and of one source so many. Keys and
 * codes never wait for it. */
#ifndef SALLYPORT_AUTH_HASHER_H
#define SALLYPORT_AUTH_HASHER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"
#include "policy/address.h"

/* With 18 ms each the last of them waits 0.6 s. */
#define HASHER_WAITING_MAX 32
#define HASHER_SOURCE_MAX  4
#define HASHER_IDLE_S      60
/* A child that takes longer than this for one hash is ended. */
#define HASHER_HASH_S 20

struct hasher;

struct hasher_handler {
    /* hash NULL: none could be made. */
    void (*done)(void *arg, uint64_t id, const char *hash);
    /* The child ended unasked, or said what it may not, or was ended: it took too long. id: whose
     * password it had, perhaps one that was forgotten; 0: none. done follows for who waits. */
    void (*died)(void *arg, uint64_t id, const char *text);
    /* Called in the child, first thing: what is in its copy of the memory and not in pages that a
     * fork wipes (base/secret.h) is to be forgotten here. */
    void (*forked)(void *arg);
};

/* sealed: the child confines itself; authd is not sealed yet. handler: static. NULL on error. */
struct hasher *hasher_new(struct event_base *base, bool sealed,
                          const struct hasher_handler *handler, void *arg, struct err *e);
void hasher_free(struct hasher *h);
/* id: of a connection, which asks one at a time. source: as quotas see it (address_quota_key).
 * password: NUL-terminated; taken, also on failure. 0: done is called later, never from within.
 * ERR_FULL, ERR_SYSTEM. */
MUST_CHECK int hasher_ask(struct hasher *h, uint64_t id, const struct address *source,
                          const char *setting, struct secret *password, struct err *e);
/* Nobody waits for it any more. */
void hasher_forget(struct hasher *h, uint64_t id);

struct hasher_counts {
    uint64_t made, refused; /* since authd's start; refused: too many waited */
    unsigned waiting;
};
void hasher_count(const struct hasher *h, struct hasher_counts *out);

#endif
