/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor does for the firewall: tells a new one what the table is to be, remembers the
 * blocked sources, and hands changes on, some at a time, so that no queue grows: the table of
 * sources is the queue. The kernel ends a block by itself; here it is only forgotten. Run by the
 * supervisor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/firewall_rules.h"
#include "gateway/supervisor.h"
#include "gateway/supervisor_firewall.h"

#define BUCKETS 4096u
/* Told and not yet in force: what the firewall takes as one transaction. */
#define UNDER_WAY_MAX 64u
#define FORGET_MS     2000u
/* It speaks every 5 s; one that hangs is ended, and one that does not come up is no firewall. */
#define SILENT_MS 60000u
#define FULL_MS   1000u

/* 100 bytes each, FIREWALL_BLOCKED_MAX of them at most. */
struct blocked {
    struct blocked *next; /* of its bucket */
    TAILQ_ENTRY(blocked) entry, waiting;
    struct prefix source;
    uint64_t until_ms;
    bool waits;  /* it is to be told */
    bool lifted; /* told as unblocked, and then forgotten */
};

static struct {
    TAILQ_HEAD(, blocked) all, waiting; /* all: the last blocked is the last */
    struct blocked *buckets[BUCKETS];
    size_t count;
    uint32_t under_way;
    uint64_t forgotten_ms, heard_ms;
    bool in_force; /* a table is in the kernel, and nothing else was heard since */
    uint64_t since_ns;
    char error[501];
    struct firewall_counters now, before; /* of this table; of those before it */
} wall = {.all = TAILQ_HEAD_INITIALIZER(wall.all), .waiting = TAILQ_HEAD_INITIALIZER(wall.waiting)};

bool firewall_in_force(const struct supervisor *s)
{
    return !s->config.firewall || wall.in_force;
}

/* --- the sources */

static struct blocked **find(const struct prefix *source)
{
    uint32_t h = 2166136261u; /* FNV-1a, as supervisor_accept.c */
    struct blocked **at;

    for (size_t i = 0; i < sizeof source->base.bytes; i++)
        h = (h ^ source->base.bytes[i]) * 16777619u;
    at = &wall.buckets[(h ^ h >> 16) % BUCKETS];
    while (*at && ((*at)->source.base.family != source->base.family ||
                   memcmp((*at)->source.base.bytes, source->base.bytes, 16) != 0))
        at = &(*at)->next;
    return at;
}

static void forget(struct blocked *b)
{
    struct blocked **at = find(&b->source);

    INVARIANT(*at == b);
    *at = b->next;
    if (b->waits)
        TAILQ_REMOVE(&wall.waiting, b, waiting);
    TAILQ_REMOVE(&wall.all, b, entry);
    wall.count--;
    free(b);
}

static void forget_ended(uint64_t now_ms)
{
    struct blocked *b, *next;

    for (b = TAILQ_FIRST(&wall.all); b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (b->until_ms <= now_ms)
            forget(b);
    }
}

static void tell(struct blocked *b)
{
    if (b->waits)
        return;
    b->waits = true;
    TAILQ_INSERT_TAIL(&wall.waiting, b, waiting);
}

/* Whether one more may be remembered. Where not, the kernel lets it through, and the supervisor
 * itself still judges its connections. */
static bool has_room(uint64_t now_ms)
{
    if (wall.count < FIREWALL_BLOCKED_MAX)
        return true;
    if (now_ms - wall.forgotten_ms < FULL_MS) /* all are looked at then, so not for each */
        return false;
    wall.forgotten_ms = now_ms;
    forget_ended(now_ms);
    if (wall.count < FIREWALL_BLOCKED_MAX)
        return true;
    log_warn("firewall-full", "sources=%zu", wall.count);
    return false;
}

static uint32_t seconds_left(const struct blocked *b, uint64_t now_ms)
{
    const uint64_t ms = b->until_ms > now_ms ? b->until_ms - now_ms : 1;

    return (uint32_t)((ms + 999) / 1000);
}

static int send_block(struct program *p, const struct blocked *b, uint64_t now_ms, struct err *e)
{
    struct firewall_block m = {.family = b->source.base.family,
                               .bits = b->source.bits,
                               .seconds = seconds_left(b, now_ms)};

    memcpy(m.address, b->source.base.bytes, sizeof m.address);
    return firewall_block_send(p->link, &m, NULL, e);
}

static int send_unblock(struct program *p, const struct blocked *b, struct err *e)
{
    struct firewall_unblock m = {.family = b->source.base.family, .bits = b->source.bits};

    memcpy(m.address, b->source.base.bytes, sizeof m.address);
    return firewall_unblock_send(p->link, &m, NULL, e);
}

/* As many of the changes that wait as may be under way. */
static void hand_on(struct supervisor *s)
{
    struct program *p = program_of(s, PROGRAM_FIREWALL);
    const uint64_t now_ms = clock_mono_ms();
    struct err e = ERR_INIT;
    struct blocked *b;

    while (p && wall.under_way < UNDER_WAY_MAX && (b = TAILQ_FIRST(&wall.waiting))) {
        int rc = b->lifted ? send_unblock(p, b, &e) : send_block(p, b, now_ms, &e);
        if (program_sent(p, rc, &e) < 0)
            return; /* it is gone: the next one is told everything */
        wall.under_way++;
        TAILQ_REMOVE(&wall.waiting, b, waiting);
        b->waits = false;
        if (b->lifted)
            forget(b);
    }
}

static bool good(const char *what, const struct prefix *source)
{
    char text[ADDRESS_TEXT];

    if (firewall_is_source(source))
        return true;
    log_error("firewall", "what=%s source=%s/%u error=\"no source: an address or a /64\"", what,
              address_text(&source->base, text), source->bits);
    return false;
}

void firewall_block(struct supervisor *s, const struct address *base, uint8_t bits,
                    uint32_t seconds)
{
    const struct prefix source = {.base = *base, .bits = bits};
    const uint64_t now_ms = clock_mono_ms();
    struct blocked **at, *b;

    if (!s->config.firewall || !good("block", &source))
        return;
    b = *find(&source);
    if (!b && !has_room(now_ms))
        return;
    if (!b) {
        at = find(&source);
        b = *at = calloc(1, sizeof *b);
        if (!b) {
            log_error("firewall", "error=\"out of memory\"");
            return;
        }
        b->source = source;
        wall.count++;
    } else {
        TAILQ_REMOVE(&wall.all, b, entry);
    }
    TAILQ_INSERT_TAIL(&wall.all, b, entry);
    if (seconds == 0 || seconds > FIREWALL_SECONDS_MAX)
        seconds = seconds ? FIREWALL_SECONDS_MAX : 1;
    b->until_ms = now_ms + (uint64_t)seconds * 1000;
    b->lifted = false;
    tell(b);
    hand_on(s);
}

bool firewall_unblock(struct supervisor *s, const struct address *base, uint8_t bits)
{
    const struct prefix source = {.base = *base, .bits = bits};
    struct blocked *b;

    if (!s->config.firewall || !good("unblock", &source) || !(b = *find(&source)) || b->lifted)
        return false;
    b->lifted = true;
    tell(b);
    hand_on(s); /* b may be gone */
    return true;
}

void firewall_tick(struct supervisor *s, uint64_t now_ms)
{
    struct program *p = program_of(s, PROGRAM_FIREWALL);

    if (!s->config.firewall)
        return;
    if (p && now_ms - wall.heard_ms > SILENT_MS) {
        program_violated(p, "it said nothing for 60 s");
    } else if (wall.in_force && now_ms - wall.heard_ms > 2 * (uint64_t)SILENT_MS) {
        wall.in_force = false;
        snprintf(wall.error, sizeof wall.error, "it does not start any more");
        supervisor_progress(s);
    }
    if (now_ms - wall.forgotten_ms < FORGET_MS)
        return;
    wall.forgotten_ms = now_ms;
    forget_ended(now_ms);
}

/* --- the start */

static int start_prefixes(struct program *p, const struct config_prefixes *list, bool proxies,
                          struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const struct prefix *at = &list->at[i];
        struct firewall_allow allow = {.family = at->base.family, .bits = at->bits};
        struct firewall_proxy proxy = {.family = at->base.family, .bits = at->bits};

        memcpy(allow.address, at->base.bytes, sizeof allow.address);
        memcpy(proxy.address, at->base.bytes, sizeof proxy.address);
        rc = proxies ? firewall_proxy_send(p->link, &proxy, NULL, e)
                     : firewall_allow_send(p->link, &allow, NULL, e);
    }
    return rc;
}

static int start_listen(struct program *p, struct err *e)
{
    const struct config *c = &p->s->config;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->listen.count; i++) {
        struct firewall_listen m = {.family = c->listen.at[i].address.family,
                                    .port = c->listen.at[i].port};
        memcpy(m.address, c->listen.at[i].address.bytes, sizeof m.address);
        rc = firewall_listen_send(p->link, &m, NULL, e);
    }
    return rc < 0 ? rc : start_prefixes(p, &c->from, false, e);
}

static int start_also(struct program *p, struct err *e)
{
    const struct config *c = &p->s->config;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->firewall_also.count; i++) {
        const struct config_opening *o = &c->firewall_also.at[i];
        for (size_t k = 0; rc == 0 && k < o->count; k++) {
            struct firewall_also m = {.udp = o->udp,
                                      .port = o->port,
                                      .family = o->from[k].base.family,
                                      .bits = o->from[k].bits};
            memcpy(m.address, o->from[k].base.bytes, sizeof m.address);
            rc = firewall_also_send(p->link, &m, NULL, e);
        }
    }
    return rc;
}

static void add_counters(struct firewall_counters *to, const struct firewall_counters *more)
{
    to->admitted += more->admitted;
    to->blocked += more->blocked;
    to->refused += more->refused;
    to->closed += more->closed;
}

int start_firewall(struct program *p, struct err *e)
{
    const struct firewall_start start = {.close = p->s->config.firewall_close};
    const uint64_t now_ms = clock_mono_ms();
    struct blocked *b, *next;
    int rc = start_listen(p, e);

    if (rc == 0)
        rc = start_prefixes(p, &p->s->config.proxy_from, true, e);
    /* Everything is told now; a new table counts from zero. */
    wall.under_way = 0;
    add_counters(&wall.before, &wall.now);
    wall.now = (struct firewall_counters){0};
    forget_ended(now_ms);
    if (rc == 0)
        rc = start_also(p, e);
    for (b = TAILQ_FIRST(&wall.all); rc == 0 && b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (b->lifted) {
            forget(b);
            continue;
        }
        rc = send_block(p, b, now_ms, e);
        if (b->waits)
            TAILQ_REMOVE(&wall.waiting, b, waiting);
        b->waits = false;
    }
    return rc < 0 ? rc : firewall_start_send(p->link, &start, NULL, e);
}

/* --- what it says */

static void on_started(struct program *p)
{
    struct supervisor *s = p->s;
    struct json_out *j;

    wall.in_force = true;
    wall.since_ns = clock_real_ns();
    wall.error[0] = '\0';
    log_info("firewall", "blocked=%zu close=%d", wall.count, s->config.firewall_close);
    program_running(p);
    j = records_begin(s, "firewall-table");
    json_u64(j, "generation", p->generation);
    json_u64(j, "blocked", wall.count);
    json_bool(j, "close", s->config.firewall_close);
    records_end(s, RECORD_ACCESS);
    hand_on(s);
}

/* It ends by itself then, and its slot is filled again. Until a table is in force nobody new is
 * accepted: what the kernel does meanwhile is not known. */
static void on_failed(struct program *p, const char *text)
{
    struct supervisor *s = p->s;
    struct json_out *j = records_begin(s, "firewall-failed");

    json_i64(j, "pid", p->pid);
    json_bytes(j, "error", text, strlen(text));
    records_end(s, RECORD_ALARM);
    wall.in_force = false;
    snprintf(wall.error, sizeof wall.error, "%s", text);
    supervisor_fatal(s, "the firewall", text);
    supervisor_progress(s);
}

int on_firewall(struct program *p, struct frame *f, struct err *e)
{
    int rc;

    wall.heard_ms = clock_mono_ms();
    switch (f->spec->number) {
    case firewall_started_NUMBER: {
        struct firewall_started m;
        rc = firewall_started_decode(f, &m, e);
        if (rc == 0)
            on_started(p);
        return rc;
    }
    case firewall_failed_NUMBER: {
        struct firewall_failed m;
        rc = firewall_failed_decode(f, &m, e);
        if (rc == 0)
            on_failed(p, m.text);
        return rc;
    }
    case firewall_applied_NUMBER: {
        struct firewall_applied m;
        rc = firewall_applied_decode(f, &m, e);
        if (rc < 0)
            return rc;
        if (m.count > wall.under_way)
            return err_set(e, ERR_PROTOCOL, "%u applied of %u", m.count, wall.under_way);
        wall.under_way -= m.count;
        hand_on(p->s);
        return 0;
    }
    case firewall_state_NUMBER: {
        struct firewall_state m;
        rc = firewall_state_decode(f, &m, e);
        if (rc == 0)
            wall.now = (struct firewall_counters){.admitted = m.admitted,
                                                  .blocked = m.blocked,
                                                  .refused = m.refused,
                                                  .closed = m.closed};
        return rc;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

void firewall_stats(const struct supervisor *s, struct json_out *j)
{
    struct firewall_counters sum = wall.before;
    char iso[CLOCK_TEXT];

    if (!s->config.firewall)
        return;
    add_counters(&sum, &wall.now);
    json_open_object(j, "firewall");
    json_str(j, "table", wall.in_force ? "in-force" : "missing");
    json_bool(j, "close", s->config.firewall_close);
    if (wall.since_ns)
        json_str(j, "since", clock_iso_seconds(iso, wall.since_ns));
    json_u64(j, "sources_blocked", wall.count);
    json_u64(j, "admitted", sum.admitted);
    json_u64(j, "blocked", sum.blocked);
    json_u64(j, "refused", sum.refused);
    json_u64(j, "closed", sum.closed);
    if (wall.error[0])
        json_bytes(j, "error", wall.error, strlen(wall.error));
    json_close(j);
}
