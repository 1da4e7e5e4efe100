/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a connection may come in: the global address list, the penalties, the caps in all and per
 * source, the reserve. Run by the supervisor on the address that accept() gave, and on the one that
 * a configured proxy named (by way of the listener, who parsed it). Pure: the time is an argument,
 * there is no I/O. */
#ifndef SALLYPORT_GATEWAY_SUPERVISOR_ACCEPT_H
#define SALLYPORT_GATEWAY_SUPERVISOR_ACCEPT_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/config.h"
#include "gateway/penalties.h"

enum acceptance_verdict {
    ACCEPT_OK,
    ACCEPT_SLOWED,      /* it may, but not at once */
    ACCEPT_NOT_ALLOWED, /* not in `from` */
    ACCEPT_BLOCKED,     /* by its penalty */
    ACCEPT_SOURCE_FULL, /* limits.per-source */
    ACCEPT_FULL,        /* limits.connections, less the reserve for those it is not for */
    ACCEPT_MEMORY,
};

struct acceptance; /* opaque */

/* Keeps pointers to both. NULL when memory is out. */
struct acceptance *acceptance_new(const struct config *config, struct penalties *penalties);
void acceptance_free(struct acceptance *a);

/* Judges, and on ACCEPT_OK or ACCEPT_SLOWED counts the connection until acceptance_release. */
enum acceptance_verdict acceptance_ask(struct acceptance *a, const struct address *address,
                                       uint64_t now_ms);
/* A proxy connects: only the cap in all holds, and it counts for no source. */
enum acceptance_verdict acceptance_ask_proxy(struct acceptance *a);
/* It named whom it connects for: judged as in acceptance_ask, and counted for that source. What is
 * refused stays counted as a proxy's until it is released. */
enum acceptance_verdict acceptance_name(struct acceptance *a, const struct address *address,
                                        uint64_t now_ms);
/* address NULL: a proxy's that was not named, or not let in by that name. */
void acceptance_release(struct acceptance *a, const struct address *address);

size_t acceptance_connections(const struct acceptance *a);
size_t acceptance_sources(const struct acceptance *a);
/* The token that records carry. */
const char *acceptance_token(enum acceptance_verdict verdict);

#endif
