/* SPDX-License-Identifier: Apache-2.0
 *
 * The firewall's start and loop (gateway/firewall.h). Runs as its own uid with CAP_NET_ADMIN in an
 * empty root, sealed before it reads its first message. It trusts the supervisor to know what is to
 * be blocked, and checks every value all the same: what it makes of them goes to the kernel. There
 * is one way to recover: whatever fails is told, the program ends, and the next one makes the table
 * anew from what the supervisor knows. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/firewall.h"
#include "gateway/messages.h"

#define QUEUE_MAX      65536u /* its messages are short, and the supervisor reads */
#define FRAMES_AT_ONCE 64u
#define COMMANDS_MAX   (FRAMES_AT_ONCE * 512u) /* three lines of 120 bytes each */
/* The counters are read, and the table compared, so often; after somebody changed something in
 * nf_tables soon, but not once for each of a thousand changes. */
#define CHECK_MS   5000u
#define STIRRED_MS 500u

struct firewall {
    struct link *link;
    struct firewall_table table;
    struct firewall_rules rules;
    struct buf commands;
    uint32_t gathered; /* messages that `commands` is made of */
    uint64_t checked_ms;
    bool started, stirred;
};

/* --- values */

static int take_prefix(uint8_t family, const uint8_t bytes[16], uint8_t bits, struct prefix *out,
                       struct err *e)
{
    static const uint8_t zero[16];
    const unsigned width = family == 4 ? 32 : 128;

    if ((family != 4 && family != 6) || bits > width ||
        (family == 4 && memcmp(bytes + 4, zero, 12) != 0))
        return err_set(e, ERR_PROTOCOL, "an address of family %u with %u bits", family, bits);
    for (unsigned i = bits; i < width; i++)
        if (bytes[i / 8] & 0x80u >> i % 8)
            return err_set(e, ERR_PROTOCOL, "a prefix of %u bits with host bits", bits);
    *out = (struct prefix){.base = {.family = family}, .bits = bits};
    memcpy(out->base.bytes, bytes, 16);
    return 0;
}

static int take_source(uint8_t family, const uint8_t bytes[16], uint8_t bits, struct prefix *out,
                       struct err *e)
{
    int rc = take_prefix(family, bytes, bits, out, e);

    if (rc == 0 && !firewall_is_source(out))
        rc = err_set(e, ERR_PROTOCOL, "a source of %u bits in family %u", bits, family);
    return rc;
}

static int add_prefix(struct firewall_prefixes *list, uint8_t family, const uint8_t bytes[16],
                      uint8_t bits, struct err *e)
{
    if (list->count == CONFIG_PREFIXES_MAX)
        return err_set(e, ERR_PROTOCOL, "more than %d prefixes", CONFIG_PREFIXES_MAX);
    int rc = take_prefix(family, bytes, bits, &list->at[list->count], e);
    list->count += rc == 0;
    return rc;
}

/* --- before the start: the table is gathered */

static int on_listen(struct firewall *w, const struct frame *f, struct err *e)
{
    struct firewall_rules *r = &w->rules;
    struct firewall_listen m;
    struct prefix whole;
    int rc = firewall_listen_decode(f, &m, e);

    if (rc == 0 && (r->listen_count == CONFIG_LISTEN_MAX || m.port == 0))
        rc = err_set(e, ERR_PROTOCOL, "port %u, the %zuth", m.port, r->listen_count + 1);
    if (rc == 0)
        rc = take_prefix(m.family, m.address, m.family == 4 ? 32 : 128, &whole, e);
    if (rc == 0)
        r->listen[r->listen_count++] =
            (struct config_endpoint){.address = whole.base, .port = m.port};
    return rc;
}

static int on_also(struct firewall *w, const struct frame *f, struct err *e)
{
    struct firewall_rules *r = &w->rules;
    struct firewall_opening *o = &r->also[r->also_count];
    struct firewall_also m;
    int rc = firewall_also_decode(f, &m, e);

    if (rc == 0 && (r->also_count == FIREWALL_ALSO_MAX || m.port == 0 || m.udp > 1))
        rc = err_set(e, ERR_PROTOCOL, "opening %zu: port %u, protocol %u", r->also_count, m.port,
                     m.udp);
    if (rc == 0)
        rc = take_prefix(m.family, m.address, m.bits, &o->from, e);
    if (rc < 0)
        return rc;
    o->udp = m.udp == 1;
    o->port = m.port;
    r->also_count++;
    return 0;
}

static int on_first_block(struct firewall *w, const struct firewall_source *source, struct err *e)
{
    if (w->rules.blocked_count == FIREWALL_BLOCKED_MAX)
        return err_set(e, ERR_PROTOCOL, "more than %u sources", FIREWALL_BLOCKED_MAX);
    w->rules.blocked[w->rules.blocked_count++] = *source;
    return 0;
}

static int make_table(struct firewall *w, struct err *e)
{
    const struct firewall_started started = {0};
    struct buf text;
    int rc;

    if (w->rules.listen_count == 0)
        return err_set(e, ERR_PROTOCOL, "a start without a port");
    buf_init(&text, FIREWALL_TEXT_MAX);
    rc = firewall_write_table(&text, &w->rules);
    if (rc < 0)
        err_set(e, (enum err_code)rc, "the table: %s", err_text((enum err_code)rc));
    else
        rc = table_run(&w->table, &text, e);
    buf_clear(&text);
    if (rc == 0)
        rc = table_remember(&w->table, e);
    if (rc < 0)
        return rc;
    w->started = true;
    w->checked_ms = clock_mono_ms();
    rc = firewall_started_send(w->link, &started, NULL, e);
    link_enter(w->link, firewall_STATE_RUNNING);
    return rc;
}

/* --- messages */

static int on_block(struct firewall *w, const struct frame *f, struct err *e)
{
    struct firewall_source source;
    struct firewall_block m;
    int rc = firewall_block_decode(f, &m, e);

    if (rc == 0)
        rc = take_source(m.family, m.address, m.bits, &source.source, e);
    if (rc == 0 && (m.seconds == 0 || m.seconds > FIREWALL_SECONDS_MAX))
        rc = err_set(e, ERR_PROTOCOL, "a block of %u s", m.seconds);
    if (rc < 0)
        return rc;
    source.seconds = m.seconds;
    if (!w->started)
        return on_first_block(w, &source, e);
    w->gathered++;
    return firewall_write_block(&w->commands, &source);
}

static int on_unblock(struct firewall *w, const struct frame *f, struct err *e)
{
    struct firewall_unblock m;
    struct prefix source;
    int rc = firewall_unblock_decode(f, &m, e);

    if (rc == 0)
        rc = take_source(m.family, m.address, m.bits, &source, e);
    if (rc < 0)
        return rc;
    w->gathered++;
    return firewall_write_unblock(&w->commands, &source);
}

static int on_message(struct firewall *w, const struct frame *f, struct err *e)
{
    int rc;

    switch (f->spec->number) {
    case firewall_listen_NUMBER:
        return on_listen(w, f, e);
    case firewall_allow_NUMBER: {
        struct firewall_allow m;
        rc = firewall_allow_decode(f, &m, e);
        return rc < 0 ? rc : add_prefix(&w->rules.allow, m.family, m.address, m.bits, e);
    }
    case firewall_proxy_NUMBER: {
        struct firewall_proxy m;
        rc = firewall_proxy_decode(f, &m, e);
        return rc < 0 ? rc : add_prefix(&w->rules.proxies, m.family, m.address, m.bits, e);
    }
    case firewall_also_NUMBER:
        return on_also(w, f, e);
    case firewall_block_NUMBER:
        return on_block(w, f, e);
    case firewall_unblock_NUMBER:
        return on_unblock(w, f, e);
    case firewall_flush_NUMBER: {
        struct firewall_flush m;
        rc = firewall_flush_decode(f, &m, e);
        w->gathered++;
        return rc < 0 ? rc : firewall_write_flush(&w->commands);
    }
    case firewall_start_NUMBER: {
        struct firewall_start m;
        rc = firewall_start_decode(f, &m, e);
        w->rules.close = m.close != 0;
        return rc < 0 ? rc : make_table(w, e);
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

/* --- the loop */

/* What was gathered comes into force together: one transaction for a burst. */
static int apply(struct firewall *w, struct err *e)
{
    const struct firewall_applied m = {.count = w->gathered};
    int rc;

    if (w->gathered == 0)
        return 0;
    rc = table_run(&w->table, &w->commands, e);
    buf_clear(&w->commands);
    w->gathered = 0;
    return rc < 0 ? err_wrap(e, "changing the table " FIREWALL_TABLE)
                  : firewall_applied_send(w->link, &m, NULL, e);
}

static int on_readable(struct firewall *w, struct err *e)
{
    int rc = 1;

    for (unsigned i = 0; i < FRAMES_AT_ONCE && rc > 0; i++) {
        struct frame f;

        rc = link_recv(w->link, &f, e);
        if (rc > 0) {
            int failed = on_message(w, &f, e);
            if (failed < 0)
                return failed;
        }
    }
    return rc < 0 ? rc : apply(w, e);
}

static int check(struct firewall *w, uint64_t now_ms, struct err *e)
{
    struct firewall_counters now;
    struct firewall_state m;
    int rc = table_check(&w->table, &now, e);

    w->checked_ms = now_ms;
    w->stirred = false;
    if (rc < 0)
        return rc;
    m = (struct firewall_state){.admitted = now.admitted,
                                .blocked = now.blocked,
                                .refused = now.refused,
                                .closed = now.closed};
    return firewall_state_send(w->link, &m, NULL, e);
}

/* Until an error, or the supervisor closes the link (ERR_CLOSED). */
static int loop(struct firewall *w, struct err *e)
{
    int rc = 0;

    while (rc == 0) {
        struct pollfd p[] = {{.fd = link_fd(w->link), .events = POLLIN},
                             {.fd = w->table.events, .events = POLLIN}};
        const uint64_t due = w->checked_ms + (w->stirred ? STIRRED_MS : CHECK_MS);
        uint64_t now = clock_mono_ms();
        const int wait = !w->started ? -1 : due > now ? (int)(due - now) : 0;

        if (link_pending(w->link) > 0)
            p[0].events |= POLLOUT;
        if (poll(p, 2, wait) < 0 && errno != EINTR)
            return err_errno(e, "poll");
        if (p[0].revents & POLLOUT)
            rc = link_flush(w->link, e);
        if (rc == 0 && p[0].revents & ~POLLOUT)
            rc = on_readable(w, e);
        if (p[1].revents && table_stirred(&w->table))
            w->stirred = true;
        now = clock_mono_ms();
        if (rc == 0 && w->started && now >= w->checked_ms + (w->stirred ? STIRRED_MS : CHECK_MS))
            rc = check(w, now, e);
    }
    return rc;
}

int firewall_run(int argc, char **argv)
{
    static struct firewall firewall;
    struct firewall *w = &firewall;
    struct firewall_failed last;
    struct err e = ERR_INIT, ignored = ERR_INIT;
    int rc;

    log_init("sallyport-firewall");
    rc = sandbox_enter(SANDBOX_FIREWALL, argc, argv, &e);
    if (rc < 0) {
        log_error("start", "error=\"%s\"", e.text);
        return EXIT_FAILURE;
    }
    buf_init(&w->commands, COMMANDS_MAX);
    w->link = link_new(SANDBOX_LINK_FD, &link_firewall, LINK_SECOND, QUEUE_MAX);
    rc = w->link ? 0 : err_set(&e, ERR_MEMORY, "link");
    if (rc == 0)
        link_enter(w->link, firewall_STATE_STARTING);
    if (rc == 0)
        rc = table_open(&w->table, &e);
    if (rc == 0)
        rc = sandbox_seal(SANDBOX_FIREWALL, &e);
    if (rc == 0)
        rc = loop(w, &e);
    if (rc == ERR_CLOSED) {
        rc = 0; /* the table stays */
    } else {
        log_error("firewall", "error=\"%s\"", e.text);
        snprintf(last.text, sizeof last.text, "%.500s", e.text);
        if (w->link && firewall_failed_send(w->link, &last, NULL, &ignored) < 0)
            log_error("link", "error=\"%s\"", ignored.text);
    }
    table_close(&w->table);
    buf_clear(&w->commands);
    link_free(w->link);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
