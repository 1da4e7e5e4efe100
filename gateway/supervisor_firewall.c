/* SPDX-License-Identifier: Apache-2.0
 *
 * See gateway/supervisor_firewall.h. */
#include "gateway/supervisor_firewall.h"

void firewall_block(struct supervisor *s, const struct address *base, uint8_t bits,
                    uint32_t seconds)
{
    (void)s, (void)base, (void)bits, (void)seconds;
}

void firewall_unblock(struct supervisor *s, const struct address *base, uint8_t bits)
{
    (void)s, (void)base, (void)bits;
}
