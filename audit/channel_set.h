/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of channels that are done with, in bounded memory: channels are numbered in order, so
 * that those which are over make a few ranges. Used by auditd; does no I/O. */
#ifndef SALLYPORT_AUDIT_CHANNEL_SET_H
#define SALLYPORT_AUDIT_CHANNEL_SET_H

#include <stdbool.h>
#include <stdint.h>

/* A gap for each channel that is open, three times what the relay permits, and as many more. */
#define CHANNEL_SET_RANGES 64u

/* All zero: empty. */
struct channel_set {
    struct channel_range {
        uint32_t first, last;
    } ranges[CHANNEL_SET_RANGES];
    unsigned count;
};

bool channel_set_has(const struct channel_set *s, uint32_t number);
/* Of a number that is not in it. One for which there is no room is left out. */
void channel_set_add(struct channel_set *s, uint32_t number);

#endif
