/* SPDX-License-Identifier: Apache-2.0
 *
 * When an operator is locked for wrong second factors. Counted per operator over all connections
 * and restarts (the store keeps the numbers); only somebody with the operator's key gets as far as
 * counting here. Pure; the time is passed in. */
#ifndef SALLYPORT_AUTH_LOCKOUT_H
#define SALLYPORT_AUTH_LOCKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lockout_rule {
    uint32_t failures; /* so many wrong codes in a row lock, at least 1 */
    uint32_t lock_s;
};

struct lockout {
    uint64_t failures;       /* in a row, since the last success or lock */
    uint64_t locked_until_s; /* 0: not */
};

bool lockout_holds(const struct lockout *l, uint64_t now_s);
/* A wrong code. Also counted during a lock, which goes on from then when the number is reached
 * again. True when it began or prolonged a lock. */
bool lockout_fail(struct lockout *l, const struct lockout_rule *rule, uint64_t now_s);
/* A right code: counting begins anew; a lock that holds is kept. */
void lockout_succeed(struct lockout *l, uint64_t now_s);

/* "14:05 UTC", or with the date when it is more than 20 hours away. */
#define LOCKOUT_TIME_TEXT 40
const char *lockout_time_text(uint64_t when_s, uint64_t now_s, char out[LOCKOUT_TIME_TEXT]);

#endif
