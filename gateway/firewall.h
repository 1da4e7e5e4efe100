/* SPDX-License-Identifier: Apache-2.0
 *
 * What the firewall's files share. `sallyport-firewall` keeps one table of nftables and does
 * nothing else. It is the one program with a capability, CAP_NET_ADMIN, which is why it is one: it
 * hears the supervisor alone, in typed messages, has no file, no network, and sockets to nf_tables
 * only. When it ends, however it does, the kernel keeps the table.
 *
 * firewall.c         start, the link, the loop
 * firewall_table.c   the kernel's side, by libnftables
 * firewall_rules.c   the text of the table (pure) */
#ifndef SALLYPORT_GATEWAY_FIREWALL_H
#define SALLYPORT_GATEWAY_FIREWALL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "gateway/firewall_rules.h"

struct nft_ctx;

struct firewall_table {
    struct nft_ctx *nft;
    int events; /* nf_tables tells here that somebody changed something */
    char *made; /* how the kernel shows the table, without what changes by itself */
};

/* firewall_table.c */
/* Opens the sockets; before the program is sealed. ERR_SYSTEM: no such kernel, no right. */
MUST_CHECK int table_open(struct firewall_table *t, struct err *e);
void table_close(struct firewall_table *t);
/* All of the commands, or none: what the kernel says is in e. */
MUST_CHECK int table_run(struct firewall_table *t, const struct buf *commands, struct err *e);
/* Remembers the table as it is now, as the one that has to be there. */
MUST_CHECK int table_remember(struct firewall_table *t, struct err *e);
/* Takes what `events` says. True: something happened in nf_tables, of ours or not. */
bool table_stirred(struct firewall_table *t);
/* Whether that table is there unchanged; and its counters. ERR_DENIED: it is not. */
MUST_CHECK int table_check(struct firewall_table *t, struct firewall_counters *out, struct err *e);

/* firewall.c */
int firewall_run(int argc, char **argv);

#endif
