/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets of sallyport-witness: bounded requests of strangers, one answer each, deadlines that
 * slow clients cannot stretch, and a place for a new client when all are taken. */
#ifndef SALLYPORT_AUDIT_WITNESS_SERVER_H
#define SALLYPORT_AUDIT_WITNESS_SERVER_H

#include "audit/witness.h"

/* Serves until SIGTERM or SIGINT; listen_fd is bound and listening. before_request is called ahead
 * of each (the list of logs may have changed). Returns the exit status. */
int witness_serve(struct witness *w, int listen_fd, void (*before_request)(void *), void *arg,
                  int (*seal)(const struct witness *w, struct err *e));

#endif
