/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyportd as it is, but for one thing: once a second it takes orders to block and unblock
 * sources from the file CONFDIR/orders, a line each, "block ADDRESS BITS SECONDS" or "unblock
 * ADDRESS BITS", and removes the file. tests/session/test_firewall.py writes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/supervisor.h"
#include "gateway/supervisor_firewall.h"

void __real_firewall_tick(struct supervisor *s, uint64_t now_ms);
void __wrap_firewall_tick(struct supervisor *s, uint64_t now_ms);

void __wrap_firewall_tick(struct supervisor *s, uint64_t now_ms)
{
    char path[512], line[128], verb[16], text[ADDRESS_TEXT];
    unsigned bits, seconds = 0;
    struct address base;
    FILE *f;

    __real_firewall_tick(s, now_ms);
    snprintf(path, sizeof path, "%.480s/orders", s->confdir);
    f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%15s %63s %u %u", verb, text, &bits, &seconds) < 3 ||
            address_parse(text, &base, NULL) < 0)
            abort();
        if (strcmp(verb, "block") == 0)
            firewall_block(s, &base, (uint8_t)bits, seconds);
        else
            firewall_unblock(s, &base, (uint8_t)bits);
    }
    fclose(f);
    unlink(path);
    log_info("orders", "done=1");
}
