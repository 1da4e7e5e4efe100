/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's table in nftables, as text: made from typed values alone, so that nothing a peer
 * says can be a command. Pure; used by the firewall and the tests. nft(8) is the format's source.
 *
 * table inet sallyport, hook input, ten before `filter`. A `drop` is final; an `accept` only ends
 * this table: what an administrator's own tables drop stays dropped.
 *
 *   proxies, then (of sources not in `blocked`, which begin no connection) `allow` reach the ports
 * of the gateway; nobody else does close: nothing else comes in but answers, ICMP, neighbour
 * discovery, DHCPv6, and `also`
 *
 * A connection that stands is not cut when its source is blocked: sources are shared, and whoever
 * fails there on purpose could end the sessions of others. Packets of the loopback interface pass:
 * the supervisor judges those connections as all others. */
#ifndef SALLYPORT_GATEWAY_FIREWALL_RULES_H
#define SALLYPORT_GATEWAY_FIREWALL_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "gateway/config.h"
#include "policy/address.h"

#define FIREWALL_TABLE "inet sallyport"
/* The supervisor forgets the source whose time is over first. The kernel removes an element up to
 * seconds after its time: its sets have room for as many again. */
#define FIREWALL_BLOCKED_MAX 16384u
/* Of a block: 30 days; nft takes no more than 2^32 ms. */
#define FIREWALL_SECONDS_MAX 2592000u
#define FIREWALL_ALSO_MAX    (CONFIG_OPENINGS_MAX * CONFIG_OPENING_FROM_MAX)
/* A blocked source is a line of 80 bytes at most, a prefix or an opening one of 130. */
#define FIREWALL_TEXT_MAX (2u * 1024 * 1024)

struct firewall_prefixes {
    size_t count;
    struct prefix at[CONFIG_PREFIXES_MAX];
};

struct firewall_opening {
    bool udp;
    uint16_t port;
    struct prefix from;
};

struct firewall_source {
    struct prefix source;
    uint32_t seconds;
};

struct firewall_rules {
    size_t listen_count;
    struct config_endpoint listen[CONFIG_LISTEN_MAX];
    struct firewall_prefixes allow, proxies;
    size_t also_count;
    struct firewall_opening also[FIREWALL_ALSO_MAX];
    size_t blocked_count;
    struct firewall_source blocked[FIREWALL_BLOCKED_MAX];
    bool close;
};

/* Packets; `admitted` and `blocked` count the first of each connection. */
struct firewall_counters {
    uint64_t admitted, blocked, refused, closed;
};

/* An IPv4 address or an IPv6 /64: what blocked sources are. */
bool firewall_is_source(const struct prefix *p);

/* The whole table, made anew in one transaction. ERR_FULL. */
MUST_CHECK int firewall_write_table(struct buf *out, const struct firewall_rules *r);
/* Blocks one source from now on for so long, whether it was blocked before or not. */
MUST_CHECK int firewall_write_block(struct buf *out, const struct firewall_source *b);
/* The contrary; also where it is not blocked. */
MUST_CHECK int firewall_write_unblock(struct buf *out, const struct prefix *source);
MUST_CHECK int firewall_write_flush(struct buf *out);

/* Reads what `list counters table` prints. ERR_SYNTAX: one is missing, or the text is another. */
MUST_CHECK int firewall_read_counters(const char *text, struct firewall_counters *out);

#endif
