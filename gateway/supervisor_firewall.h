/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocked sources in the kernel's packet filter. Here: none. */
#ifndef SALLYPORT_GATEWAY_SUPERVISOR_FIREWALL_H
#define SALLYPORT_GATEWAY_SUPERVISOR_FIREWALL_H

#include <stdint.h>

#include "policy/address.h"

struct supervisor;

void firewall_block(struct supervisor *s, const struct address *base, uint8_t bits,
                    uint32_t seconds);
void firewall_unblock(struct supervisor *s, const struct address *base, uint8_t bits);

#endif
