/* SPDX-License-Identifier: Apache-2.0
 *
 * Which sources are blocked, for those files of the supervisor that judge them. What is told here
 * is remembered until its time is over, and told again to a firewall that was started again.
 * Without `firewall.enabled` nothing happens. */
#ifndef SALLYPORT_GATEWAY_SUPERVISOR_FIREWALL_H
#define SALLYPORT_GATEWAY_SUPERVISOR_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/address.h"

struct supervisor;

/* No connection is begun from there for so many seconds from now on, 1 to 30 days; a block that is
 * there gets the new time. An IPv4 address has 32 bits, IPv6 is blocked by its /64: base is what
 * address_quota_key returns. Anything else is a mistake of the caller's: logged, and not done. */
void firewall_block(struct supervisor *s, const struct address *base, uint8_t bits,
                    uint32_t seconds);
/* Whether it was blocked. */
bool firewall_unblock(struct supervisor *s, const struct address *base, uint8_t bits);

#endif
