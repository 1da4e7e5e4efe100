/* SPDX-License-Identifier: Apache-2.0
 *
 * Who had payloads of a session destroyed: the orders in the gateway's own records, for the tools
 * that show what is left. They are read when the first payload is missed, and only then. Runs in
 * `sallyport audit`, as the reader; proves nothing (`audit verify` compares the numbers). */
#ifndef SALLYPORT_AUDIT_PRUNED_BY_H
#define SALLYPORT_AUDIT_PRUNED_BY_H

#include "audit/record_source.h"

struct pruned_by;

/* Opens a source of the gateway's own records (SOURCE_GATEWAY). */
typedef int pruned_by_open(void *arg, struct record_source **out, struct err *e);

#define PRUNED_BY_TEXT 500

/* open is called once at most. NULL: no memory. */
struct pruned_by *pruned_by_new(pruned_by_open *open, void *arg);
/* "pruned on TIME by order HASH (signed by A, B)" for a record whose payload was destroyed. A key
 * record may have several orders that come into question: all are named. Always of one session. */
const char *pruned_by_words(struct pruned_by *p, const struct source_record *v,
                            char out[PRUNED_BY_TEXT]);
void pruned_by_free(struct pruned_by *p); /* NULL-safe */

#endif
