/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a connection may come in: the global address list, the caps in all and per source, the
 * reserve, and the penalty of sources that crashed a process of ours. Run by the supervisor on the
 * address that accept() gave. Pure: the time is an argument, there is no I/O. */
#ifndef SALLYPORT_GATEWAY_SUPERVISOR_ACCEPT_H
#define SALLYPORT_GATEWAY_SUPERVISOR_ACCEPT_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/config.h"

enum acceptance_verdict {
    ACCEPT_OK,
    ACCEPT_NOT_ALLOWED, /* not in `from` */
    ACCEPT_PENALTY,     /* its connections crashed a process lately */
    ACCEPT_SOURCE_FULL, /* limits.per-source */
    ACCEPT_FULL,        /* limits.connections, less the reserve for those it is not for */
    ACCEPT_MEMORY,
};

struct acceptance; /* opaque */

/* Keeps a pointer to config. NULL when memory is out. */
struct acceptance *acceptance_new(const struct config *config);
void acceptance_free(struct acceptance *a);

/* Judges, and on ACCEPT_OK counts the connection until acceptance_release. */
enum acceptance_verdict acceptance_ask(struct acceptance *a, const struct address *address,
                                       uint64_t now_ms);
void acceptance_release(struct acceptance *a, const struct address *address);

/* A process that served this address died by a signal: the source is refused for 10 s times its
 * crashes, at most 10 minutes. Crashes are forgotten 10 minutes after the penalty's end. Returns
 * the penalty in ms. */
uint64_t acceptance_crash(struct acceptance *a, const struct address *address, uint64_t now_ms);
/* Forgets what is over; call it now and then. */
void acceptance_expire(struct acceptance *a, uint64_t now_ms);

size_t acceptance_connections(const struct acceptance *a);
size_t acceptance_sources(const struct acceptance *a);
/* The token that records carry. */
const char *acceptance_token(enum acceptance_verdict verdict);

#endif
