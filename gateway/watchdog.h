/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends a process whose loop does not come round: a peer can make libssh loop (a maximum packet of
 * ten bytes makes a write loop over one-byte packets until memory ends). A timer of the process's
 * own CPU time looks whether the turn it saw last is still the same; waiting costs no CPU time, so
 * that an idle or slow session is never hit. Exit status 70 is a crash to the supervisor, which
 * penalises the source. Runs in the frontend and the backend; nothing that a peer sends reaches
 * it. */
#ifndef SALLYPORT_GATEWAY_WATCHDOG_H
#define SALLYPORT_GATEWAY_WATCHDOG_H

#include "base/err.h"

/* Takes SIGPROF and the process's CPU timer. ERR_SYSTEM. */
MUST_CHECK int watchdog_start(struct err *e);
/* The loop goes round. */
void watchdog_turn(void);

#endif
