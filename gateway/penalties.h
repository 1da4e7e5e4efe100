/* SPDX-License-Identifier: Apache-2.0
 *
 * Which sources behave badly: failures are counted per IPv4 address and IPv6 /64, and, with eight
 * times the thresholds, per IPv6 /48, as what a stranger with a network of his own really is. A
 * source with `penalty.slow-after` failures within `penalty.within` is slowed, with
 * `penalty.block-after` blocked, each time twice as long. Proxies (`proxy.from`) are never counted,
 * and addresses of `limits.reserve-from` are slowed and not blocked. Run by the supervisor. Pure:
 * the time and the seed are arguments.
 *
 * The table has a fixed size: SETS places of WAYS entries each, chosen by a keyed hash. When a
 * place is full the entry of least weight goes: blocked ones last (of these the one that ends
 * first), then by failures, then by age. So
 * - nobody gets rid of a block by failing from other addresses: it takes as many blocked ones;
 * - nobody can have another source blocked or slowed: only a source's own failures count for it, on
 *   connections that TCP (or a configured proxy) vouches for. Who shares a /48 (or an address, by
 *   translation) with a stranger shares his penalty: `limits.reserve-from` is for those;
 * - who has more addresses than the table has entries makes it forget sources with few failures.
 *   He has as many sources to fail from anyway: the caps on connections are what holds then. */
#ifndef SALLYPORT_GATEWAY_PENALTIES_H
#define SALLYPORT_GATEWAY_PENALTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/config.h"

#define PENALTY_SETS 1024u
#define PENALTY_WAYS 16u
#define PENALTY_WIDE 8u /* a /48 may fail so much more often than a /64 */

/* What happened, in the order of enum failure_kind (gateway/messages.h) and then what the
 * supervisor knows itself. */
enum penalty_cause {
    PENALTY_SILENT = 1,     /* it closed before it said a byte: monitors do that */
    PENALTY_TLS,            /* no TLS handshake */
    PENALTY_REQUEST,        /* no CONNECT line */
    PENALTY_DEADLINE,       /* neither in time */
    PENALTY_NO_LOGIN,       /* it spoke SSH and left without trying to log in */
    PENALTY_FIRST_FACTOR,   /* none of its keys may log in */
    PENALTY_LOGIN_DEADLINE, /* it did not log in in time */
    PENALTY_BREACH,         /* its frontend broke the protocol between the processes */
    PENALTY_CRASH,          /* its frontend or backend died */
    PENALTY_CAUSES
};
/* The token that records carry. */
const char *penalty_cause_token(enum penalty_cause cause);

/* A source as the outside sees it. */
struct penalty_source {
    struct prefix what;
    enum penalty_cause cause; /* of the last failure */
    unsigned failures;        /* within `penalty.within`, rounded down */
    unsigned blocks;          /* since it was last quiet */
    uint64_t blocked_ms;      /* how long the present or last block is in all */
    uint64_t left_ms;         /* of it; 0: it is slowed, not blocked */
    uint64_t refused;         /* connections closed since it was blocked */
    bool wire;                /* its packets may be dropped: see penalties_fail */
};

struct penalties; /* opaque */

/* Keeps a pointer to config. seed: unknown outside. NULL when memory is out. */
struct penalties *penalties_new(const struct config *config, uint64_t seed);
void penalties_free(struct penalties *p);

enum penalty_state { PENALTY_FREE, PENALTY_SLOWED, PENALTY_BLOCKED };
/* A connection of this address is there. Counts it when the answer is BLOCKED. */
enum penalty_state penalties_ask(struct penalties *p, const struct address *a, uint64_t now_ms);

/* Counts a failure; returns how many blocks began by it (0 to 2) and describes them. direct: the
 * address is that of a TCP connection, not a proxy's word: only such sources are worth dropping in
 * the kernel, and none that an address of `proxy.from` or `limits.reserve-from` shares. */
size_t penalties_fail(struct penalties *p, const struct address *a, enum penalty_cause cause,
                      bool direct, uint64_t now_ms, struct penalty_source began[2]);
/* A process that served this address died: counts as five failures, and the source is blocked at
 * once for 10 s times its crashes, at most 10 minutes; addresses of `limits.reserve-from` too,
 * since this is what bounds guessing by crashes. Returns that time in ms, 0: none. */
uint64_t penalties_crash(struct penalties *p, const struct address *a, bool direct, uint64_t now_ms,
                         struct penalty_source began[2], size_t *began_count);

/* Blocks that are over: ended is called for each, once. */
void penalties_expire(struct penalties *p, uint64_t now_ms,
                      void (*ended)(void *arg, const struct penalty_source *source), void *arg);
/* Forgets everything about this address and the /48 around it; returns how many blocks ended. */
size_t penalties_lift(struct penalties *p, const struct address *a, uint64_t now_ms,
                      struct penalty_source ended[2]);

struct penalty_counts {
    size_t blocked, slowed, known;
    uint64_t blocks, refused; /* since the start */
};
void penalties_count(struct penalties *p, uint64_t now_ms, struct penalty_counts *out);
/* The blocked ones first, those that last longest before others, then the slowed ones by failures.
 * Returns how many of cap. */
size_t penalties_list(struct penalties *p, uint64_t now_ms, struct penalty_source *out, size_t cap);

#endif
