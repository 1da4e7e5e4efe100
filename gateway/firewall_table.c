/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel's side of the firewall (gateway/firewall.h), by libnftables. The library ends the
 * process when it has no memory or its socket is broken: the kernel keeps the table then, and the
 * next firewall makes it anew. */
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/firewall.h"

/* Two views of the table: its definition, without the elements that come and go; and the fixed
 * sets. */
static const char list_definition[] = "list table " FIREWALL_TABLE;
static const char *const fixed_sets[] = {
    "list set " FIREWALL_TABLE " allow4", "list set " FIREWALL_TABLE " allow6",
    "list set " FIREWALL_TABLE " proxy4", "list set " FIREWALL_TABLE " proxy6"};
static const char list_counters[] = "list counters table " FIREWALL_TABLE;

/* Numbers, because names stand in files that this program has not. */
#define COUNTERS   NFT_CTX_OUTPUT_NUMERIC_ALL
#define WHOLE      (NFT_CTX_OUTPUT_NUMERIC_ALL | NFT_CTX_OUTPUT_STATELESS)
#define DEFINITION (WHOLE | NFT_CTX_OUTPUT_TERSE)

static int open_events(struct err *e)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = 1u << (NFNLGRP_NFTABLES - 1)};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

    if (fd < 0)
        return err_errno(e, "the kernel has no netfilter netlink");
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        err_errno(e, "listening to nf_tables");
        close(fd);
        return ERR_SYSTEM;
    }
    return fd;
}

int table_open(struct firewall_table *t, struct err *e)
{
    *t = (struct firewall_table){.events = -1};
    /* First: where there is no such socket libnftables would end the process without a word of
     * ours. */
    t->events = open_events(e);
    if (t->events < 0)
        return ERR_SYSTEM;
    t->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!t->nft || nft_ctx_buffer_output(t->nft) != 0 || nft_ctx_buffer_error(t->nft) != 0)
        return err_set(e, ERR_MEMORY, "libnftables");
    return 0;
}

void table_close(struct firewall_table *t)
{
    if (t->nft)
        nft_ctx_free(t->nft);
    if (t->events >= 0)
        close(t->events);
    free(t->made);
    *t = (struct firewall_table){.events = -1};
}

static int run(struct firewall_table *t, const char *commands, unsigned flags, struct err *e)
{
    const char *said;
    int length;

    nft_ctx_output_set_flags(t->nft, flags);
    errno = 0;
    if (nft_run_cmd_from_buffer(t->nft, commands) == 0)
        return 0;
    /* The first line says why, the next ones show the command. */
    said = nft_ctx_get_error_buffer(t->nft);
    length = said ? (int)strcspn(said, "\n") : 0;
    if (length == 0)
        return err_set(e, ERR_SYSTEM, "nftables: no reason is told");
    return err_set(e, ERR_SYSTEM, "nftables: %.*s", length > 400 ? 400 : length, said);
}

int table_run(struct firewall_table *t, const struct buf *commands, struct err *e)
{
    char *text = buf_string(commands);
    int rc = text ? run(t, text, WHOLE, e) : err_set(e, ERR_MEMORY, "commands");

    free(text);
    return rc;
}

static int look(struct firewall_table *t, struct buf *out, struct err *e)
{
    int rc = run(t, list_definition, DEFINITION, e);

    if (rc == 0)
        rc = buf_printf(out, "%s", nft_ctx_get_output_buffer(t->nft));
    for (size_t i = 0; rc == 0 && i < sizeof fixed_sets / sizeof *fixed_sets; i++) {
        rc = run(t, fixed_sets[i], WHOLE, e);
        if (rc == 0)
            rc = buf_printf(out, "%s", nft_ctx_get_output_buffer(t->nft));
    }
    return rc;
}

int table_remember(struct firewall_table *t, struct err *e)
{
    struct buf now;
    int rc;

    buf_init(&now, FIREWALL_TEXT_MAX);
    rc = look(t, &now, e);
    free(t->made);
    t->made = rc == 0 ? buf_string(&now) : NULL;
    buf_clear(&now);
    if (rc == 0 && !t->made)
        rc = err_set(e, ERR_MEMORY, "the table");
    return rc;
}

bool table_stirred(struct firewall_table *t)
{
    uint8_t message[8192];
    bool stirred = false;
    ssize_t n;

    /* What it says is not read: it may have been lost (ENOBUFS), and the table says it better. */
    for (unsigned i = 0; i < 1024; i++) {
        n = recv(t->events, message, sizeof message, MSG_DONTWAIT);
        if (n < 0 && errno != ENOBUFS && errno != EINTR)
            break;
        stirred = true;
    }
    return stirred;
}

int table_check(struct firewall_table *t, struct firewall_counters *out, struct err *e)
{
    struct err why = ERR_INIT;
    struct buf now;
    char *text;
    int rc;

    buf_init(&now, FIREWALL_TEXT_MAX);
    rc = look(t, &now, &why);
    text = rc == 0 ? buf_string(&now) : NULL;
    if (rc == 0 && text && strcmp(text, t->made) != 0)
        rc = err_set(e, ERR_DENIED, "somebody changed the table " FIREWALL_TABLE);
    free(text);
    buf_clear(&now);
    if (rc == 0)
        rc = run(t, list_counters, COUNTERS, &why);
    if (rc < 0 && !e->code)
        rc = err_set(e, ERR_DENIED,
                     "the table " FIREWALL_TABLE " cannot be read (%s): was it deleted?", why.text);
    if (rc == 0 && firewall_read_counters(nft_ctx_get_output_buffer(t->nft), out) < 0)
        rc = err_set(e, ERR_SYNTAX, "the table's counters are not what was made");
    return rc;
}
