/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of blocks that nobody uses, beside the store, for the day when its disk is full: then its
 * blocks are let go, so that counters of wrong codes, used TOTP steps and locks can still be
 * written. Filled again when there is room. Without it a full disk would make codes usable twice or
 * nobody able to log in. Runs in authd. */
#ifndef SALLYPORT_AUTH_STORE_RESERVE_H
#define SALLYPORT_AUTH_STORE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_RESERVE_SUFFIX ".reserve"
/* Some 300 logins of a few pages of 4 KiB each, and again as many after each checkpoint. */
#define STORE_RESERVE_BYTES (4u * 1024 * 1024)

struct store_reserve {
    int fd;
    bool full; /* it has its blocks */
    uint64_t again_ms;
};

/* PATH.reserve. That it cannot be made is logged, and no error. */
void store_reserve_open(struct store_reserve *r, const char *store_path);
void store_reserve_close(struct store_reserve *r);
/* So little is free that a transaction may not fit, and there are blocks to let go. */
bool store_reserve_is_needed(const struct store_reserve *r);
/* Lets the blocks go; false: there are none. */
bool store_reserve_give(struct store_reserve *r);
/* Now and then, when a write succeeded: takes them again. */
void store_reserve_refill(struct store_reserve *r);

#endif
