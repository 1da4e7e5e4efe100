/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder: takes typed records from the other processes and writes them to the trail. It knows
 * a producer and its session by the descriptor that a record came on, never by what is in it, and
 * trusts the supervisor alone. */
#ifndef SALLYPORT_AUDIT_AUDITD_H
#define SALLYPORT_AUDIT_AUDITD_H

#include <stdint.h>

#include "base/err.h"

struct auditd_options {
    int link_fd; /* link `auditd` to the supervisor */
    int dir;     /* the trail's directory */
    /* Called when the configuration is there and before a producer's byte is read; NULL in tests.
     */
    int (*seal)(struct err *e);
    uint64_t segment_max; /* 0: the default */
};

/* Runs until the supervisor says shutdown or goes away. Returns the exit status: 0 after an orderly
 * shutdown. */
int auditd_run(const struct auditd_options *o);

#endif
