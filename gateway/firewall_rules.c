/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of the table (gateway/firewall_rules.h). Pure. */
#include "gateway/firewall_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SET_SIZE (2 * FIREWALL_BLOCKED_MAX)
/* Of a connection's packets the first, with whatever other flags. */
#define FIRST "tcp flags & (syn | ack) == syn "

bool firewall_is_source(const struct prefix *p)
{
    return p->bits == (p->base.family == 4 ? 32 : 64);
}

/* nftables wants no element of a set inside of another. */
static bool covered(const struct firewall_prefixes *list, size_t i)
{
    for (size_t j = 0; j < list->count; j++) {
        const struct prefix *wide = &list->at[j], *p = &list->at[i];
        if (j == i || wide->base.family != p->base.family || !prefix_contains(wide, &p->base))
            continue;
        if (wide->bits < p->bits || (wide->bits == p->bits && j < i))
            return true;
    }
    return false;
}

static int put_prefix_set(struct buf *out, const char *name, const struct firewall_prefixes *list,
                          uint8_t family)
{
    char text[ADDRESS_TEXT];
    bool first = true;
    int rc = buf_printf(out, "\tset %s%u {\n\t\ttype ipv%u_addr\n\t\tflags interval\n", name,
                        family, family);

    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const struct prefix *p = &list->at[i];
        if (p->base.family != family || covered(list, i))
            continue;
        rc = buf_printf(out, "%s%s/%u", first ? "\t\telements = { " : ",\n\t\t\t",
                        address_text(&p->base, text), p->bits);
        first = false;
    }
    return rc < 0 ? rc : buf_printf(out, "%s\t}\n", first ? "" : " }\n");
}

static int put_blocked_set(struct buf *out, const struct firewall_rules *r, uint8_t family)
{
    char text[ADDRESS_TEXT];
    bool first = true;
    int rc =
        buf_printf(out, "\tset blocked%u {\n\t\ttype ipv%u_addr\n\t\tflags timeout\n\t\tsize %u\n",
                   family, family, SET_SIZE);

    for (size_t i = 0; rc == 0 && i < r->blocked_count; i++) {
        const struct firewall_source *b = &r->blocked[i];
        if (b->source.base.family != family)
            continue;
        rc = buf_printf(out, "%s%s timeout %" PRIu32 "s", first ? "\t\telements = { " : ",\n\t\t\t",
                        address_text(&b->source.base, text), b->seconds);
        first = false;
    }
    return rc < 0 ? rc : buf_printf(out, "%s\t}\n", first ? "" : " }\n");
}

static const char gateway_chain[] =
    "\tchain gateway {\n"
    "\t\tip saddr @proxy4 goto admit\n"
    "\t\tip6 saddr @proxy6 goto admit\n"
    "\t\t" FIRST "ip saddr @blocked4 counter name blocked drop\n"
    "\t\t" FIRST "ip6 saddr & ffff:ffff:ffff:ffff:: == @blocked6 counter name blocked drop\n"
    "\t\tip saddr @allow4 goto admit\n"
    "\t\tip6 saddr @allow6 goto admit\n"
    "\t\tcounter name refused drop\n"
    "\t}\n"
    "\tchain admit {\n"
    "\t\t" FIRST "counter name admitted\n"
    "\t\taccept\n"
    "\t}\n";

/* RFC 4890 for IPv6; without neighbour discovery and packet-too-big nothing arrives at all. */
static const char close_head[] =
    "\t\tct state established,related accept\n"
    "\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } "
    "accept\n"
    "\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, "
    "echo-request } accept\n"
    "\t\tip6 hoplimit 255 icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert "
    "} "
    "accept\n"
    "\t\tip6 saddr fe80::/10 icmpv6 type { mld-listener-query, mld-listener-report, "
    "mld-listener-done, "
    "mld2-listener-report } accept\n"
    "\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n";

static bool any(const struct address *a)
{
    static const uint8_t zero[16];

    return memcmp(a->bytes, zero, sizeof zero) == 0;
}

static int put_input_chain(struct buf *out, const struct firewall_rules *r)
{
    char text[ADDRESS_TEXT];
    int rc = buf_printf(out, "\tchain input {\n"
                             "\t\ttype filter hook input priority filter - 10; policy accept;\n"
                             "\t\tmeta iiftype loopback accept\n");

    for (size_t i = 0; rc == 0 && i < r->listen_count; i++) {
        const struct config_endpoint *at = &r->listen[i];
        if (any(&at->address))
            rc = buf_printf(out, "\t\tmeta nfproto ipv%u tcp dport %u jump gateway\n",
                            at->address.family, at->port);
        else
            rc = buf_printf(out, "\t\t%s daddr %s tcp dport %u jump gateway\n",
                            at->address.family == 4 ? "ip" : "ip6",
                            address_text(&at->address, text), at->port);
    }
    if (rc == 0 && r->close)
        rc = buf_printf(out, "%s", close_head);
    for (size_t i = 0; rc == 0 && r->close && i < r->also_count; i++) {
        const struct firewall_opening *a = &r->also[i];
        rc = buf_printf(out, "\t\t%s saddr %s/%u %s dport %u accept\n",
                        a->from.base.family == 4 ? "ip" : "ip6", address_text(&a->from.base, text),
                        a->from.bits, a->udp ? "udp" : "tcp", a->port);
    }
    if (rc == 0 && r->close)
        rc = buf_printf(out, "\t\tcounter name closed drop\n");
    return rc < 0 ? rc : buf_printf(out, "\t}\n");
}

int firewall_write_table(struct buf *out, const struct firewall_rules *r)
{
    /* What was there, or nothing, is gone when the new one is: never a moment without. */
    int rc = buf_printf(out, "table " FIREWALL_TABLE "\ndelete table " FIREWALL_TABLE "\n"
                             "table " FIREWALL_TABLE " {\n"
                             "\tcounter admitted {\n\t}\n\tcounter blocked {\n\t}\n"
                             "\tcounter refused {\n\t}\n\tcounter closed {\n\t}\n");

    for (uint8_t family = 4; rc == 0 && family <= 6; family += 2) {
        rc = put_prefix_set(out, "allow", &r->allow, family);
        if (rc == 0)
            rc = put_prefix_set(out, "proxy", &r->proxies, family);
        if (rc == 0)
            rc = put_blocked_set(out, r, family);
    }
    if (rc == 0)
        rc = buf_printf(out, "%s", gateway_chain);
    if (rc == 0)
        rc = put_input_chain(out, r);
    return rc < 0 ? rc : buf_printf(out, "}\n");
}

static int put_element(struct buf *out, const char *verb, const struct prefix *p, const char *more)
{
    char text[ADDRESS_TEXT];

    return buf_printf(out, "%s element " FIREWALL_TABLE " blocked%u { %s%s }\n", verb,
                      p->base.family, address_text(&p->base, text), more);
}

/* An element that is there would keep its old time; one that is not cannot be deleted. */
int firewall_write_unblock(struct buf *out, const struct prefix *source)
{
    int rc = put_element(out, "add", source, " timeout 1s");

    return rc < 0 ? rc : put_element(out, "delete", source, "");
}

int firewall_write_block(struct buf *out, const struct firewall_source *b)
{
    char more[32];
    int rc = firewall_write_unblock(out, &b->source);

    snprintf(more, sizeof more, " timeout %" PRIu32 "s", b->seconds);
    return rc < 0 ? rc : put_element(out, "add", &b->source, more);
}

int firewall_write_flush(struct buf *out)
{
    return buf_printf(out, "flush set " FIREWALL_TABLE " blocked4\n"
                           "flush set " FIREWALL_TABLE " blocked6\n");
}

int firewall_read_counters(const char *text, struct firewall_counters *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } names[] = {{"admitted", offsetof(struct firewall_counters, admitted)},
                 {"blocked", offsetof(struct firewall_counters, blocked)},
                 {"refused", offsetof(struct firewall_counters, refused)},
                 {"closed", offsetof(struct firewall_counters, closed)}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char head[64];
        const char *at;
        uint64_t packets, bytes;

        snprintf(head, sizeof head, "\tcounter %s {", names[i].name);
        at = strstr(text, head);
        if (!at ||
            sscanf(at + strlen(head), " packets %" SCNu64 " bytes %" SCNu64, &packets, &bytes) != 2)
            return ERR_SYNTAX;
        memcpy((char *)out + names[i].offset, &packets, sizeof packets);
    }
    return 0;
}
