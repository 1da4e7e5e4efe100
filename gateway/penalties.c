/* SPDX-License-Identifier: Apache-2.0
 *
 * See gateway/penalties.h. Failures are counted in quarters, in eight slices of `penalty.within`
 * that pass away one after another. Run by the supervisor; pure. */
#include "gateway/penalties.h"

#include <stdlib.h>
#include <string.h>

#define SLICES  8u
#define QUARTER 4u /* points of a whole failure */
/* Crashes: see penalties_crash. */
#define CRASH_MS        10000u
#define CRASH_MAX_MS    600000u
#define CRASH_FORGET_MS 600000u

struct entry {
    struct prefix what;
    uint8_t cause; /* 0: the entry is free */
    bool blocked;  /* until blocked_until_ms, and its end is not told yet */
    bool wire, crash_block;
    uint16_t slice[SLICES]; /* the newest first */
    uint64_t slice_ms;      /* when the newest began */
    uint64_t last_ms;
    uint64_t blocked_until_ms, blocked_ms;
    uint64_t refused;
    unsigned blocks, crashes;
    unsigned failed; /* what it was blocked for, as the counting begins anew then */
};

struct penalties {
    const struct config *config;
    uint64_t seed;
    size_t blocked; /* entries */
    uint64_t blocks, refused;
    struct entry entries[PENALTY_SETS][PENALTY_WAYS];
};

/* Points of each cause. */
static const uint8_t weights[PENALTY_CAUSES] = {
    [PENALTY_SILENT] = 1,
    [PENALTY_TLS] = QUARTER,
    [PENALTY_REQUEST] = QUARTER,
    [PENALTY_DEADLINE] = QUARTER,
    [PENALTY_NO_LOGIN] = 2,
    [PENALTY_FIRST_FACTOR] = QUARTER,
    [PENALTY_LOGIN_DEADLINE] = QUARTER,
    [PENALTY_BREACH] = 5 * QUARTER,
    [PENALTY_CRASH] = 5 * QUARTER,
};

const char *penalty_cause_token(enum penalty_cause cause)
{
    static const char *const tokens[PENALTY_CAUSES] = {
        [PENALTY_SILENT] = "silent",
        [PENALTY_TLS] = "tls",
        [PENALTY_REQUEST] = "request",
        [PENALTY_DEADLINE] = "handshake-deadline",
        [PENALTY_NO_LOGIN] = "no-login",
        [PENALTY_FIRST_FACTOR] = "first-factor",
        [PENALTY_LOGIN_DEADLINE] = "login-deadline",
        [PENALTY_BREACH] = "protocol-broken",
        [PENALTY_CRASH] = "crash",
    };

    return cause > 0 && cause < PENALTY_CAUSES ? tokens[cause] : "unknown";
}

struct penalties *penalties_new(const struct config *config, uint64_t seed)
{
    struct penalties *p = calloc(1, sizeof *p);

    if (p) {
        p->config = config;
        p->seed = seed;
    }
    return p;
}

void penalties_free(struct penalties *p)
{
    free(p);
}

/* --- the table */

/* The /64 or the address itself, or the /48 around it. */
static struct prefix prefix_of(const struct address *a, bool wide)
{
    struct prefix what = {.base = address_quota_key(a), .bits = a->family == 4 ? 32 : 64};

    if (wide) {
        memset(what.base.bytes + 6, 0, 2);
        what.bits = 48;
    }
    return what;
}

/* splitmix64's last steps over the bytes and the seed, which nobody outside knows. */
static uint64_t mix(uint64_t h, uint64_t more)
{
    h ^= more;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 27) * 0x94d049bb133111ebull;
    return h ^ h >> 31;
}

static struct entry *set_of(struct penalties *p, const struct prefix *what)
{
    uint64_t halves[2], h = p->seed;

    memcpy(halves, what->base.bytes, sizeof halves);
    h = mix(h, halves[0]);
    h = mix(h + p->seed, halves[1]);
    h = mix(h, (uint64_t)what->bits << 8 | what->base.family);
    return p->entries[h % PENALTY_SETS];
}

static struct entry *find(struct penalties *p, const struct prefix *what)
{
    struct entry *set = set_of(p, what);

    for (size_t i = 0; i < PENALTY_WAYS; i++) {
        if (set[i].cause && set[i].what.bits == what->bits &&
            set[i].what.base.family == what->base.family &&
            memcmp(set[i].what.base.bytes, what->base.bytes, sizeof what->base.bytes) == 0)
            return &set[i];
    }
    return NULL;
}

/* Slices that are over go. */
static void advance(const struct penalties *p, struct entry *e, uint64_t now_ms)
{
    const uint64_t slice_ms = p->config->penalty_within_ms / SLICES;
    uint64_t passed = now_ms > e->slice_ms ? (now_ms - e->slice_ms) / slice_ms : 0;

    if (passed == 0)
        return;
    e->slice_ms += passed * slice_ms;
    if (passed > SLICES)
        passed = SLICES;
    memmove(e->slice + passed, e->slice, (SLICES - passed) * sizeof *e->slice);
    memset(e->slice, 0, passed * sizeof *e->slice);
}

static unsigned points(const struct entry *e)
{
    unsigned sum = 0;

    for (size_t i = 0; i < SLICES; i++)
        sum += e->slice[i];
    return sum;
}

static bool holds(const struct entry *e, uint64_t now_ms)
{
    return e->blocked && now_ms < e->blocked_until_ms;
}

/* How long a source is remembered that was blocked before. */
static bool remembered(const struct entry *e, uint64_t now_ms)
{
    return (e->blocks > 0 && now_ms < e->blocked_until_ms + 2 * e->blocked_ms) ||
           (e->crashes > 0 && now_ms < e->blocked_until_ms + CRASH_FORGET_MS);
}

/* Who was blocked lately weighs more than any number of failures. */
static unsigned weight(const struct entry *e, uint64_t now_ms)
{
    return points(e) + (remembered(e, now_ms) ? 1u << 24 : 0);
}

/* Is a less worth keeping than b? */
static bool lighter(const struct entry *a, const struct entry *b, uint64_t now_ms)
{
    const bool a_holds = holds(a, now_ms), b_holds = holds(b, now_ms);
    const unsigned a_points = weight(a, now_ms), b_points = weight(b, now_ms);

    if (a_holds != b_holds)
        return b_holds;
    if (a_holds)
        return a->blocked_until_ms < b->blocked_until_ms;
    if (a_points != b_points)
        return a_points < b_points;
    return a->last_ms < b->last_ms;
}

static void forget(struct penalties *p, struct entry *e)
{
    if (e->blocked)
        p->blocked--;
    memset(e, 0, sizeof *e);
}

static struct entry *find_or_add(struct penalties *p, const struct prefix *what, uint64_t now_ms)
{
    struct entry *set = set_of(p, what), *e = find(p, what);

    if (e)
        return e;
    e = set;
    for (size_t i = 0; i < PENALTY_WAYS && e->cause; i++) {
        advance(p, &set[i], now_ms);
        if (!set[i].cause || lighter(&set[i], e, now_ms))
            e = &set[i];
    }
    forget(p, e);
    e->what = *what;
    e->slice_ms = now_ms;
    return e;
}

/* --- judgement */

/* Thresholds in points; 0: never. */
static uint64_t threshold(uint64_t failures, const struct entry *e)
{
    return failures * QUARTER * (e->what.bits == 48 ? PENALTY_WIDE : 1);
}

static enum penalty_state state_of(const struct penalties *p, struct entry *e, uint64_t now_ms)
{
    const uint64_t slow = threshold(p->config->penalty_slow, e);

    if (holds(e, now_ms))
        return PENALTY_BLOCKED;
    advance(p, e, now_ms);
    return slow && points(e) >= slow ? PENALTY_SLOWED : PENALTY_FREE;
}

enum penalty_state penalties_ask(struct penalties *p, const struct address *a, uint64_t now_ms)
{
    const bool reserved = config_prefixes_contain(&p->config->reserve_from, a);
    enum penalty_state worst = PENALTY_FREE;

    if (config_prefixes_contain(&p->config->proxy_from, a))
        return PENALTY_FREE;
    for (unsigned wide = 0; wide <= (a->family == 6); wide++) {
        const struct prefix what = prefix_of(a, wide);
        struct entry *e = find(p, &what);
        enum penalty_state state = e ? state_of(p, e, now_ms) : PENALTY_FREE;

        /* A neighbour's block is none of its own; what it crashed itself is. */
        if (state == PENALTY_BLOCKED && reserved && !e->crash_block)
            state = PENALTY_SLOWED;
        if (state == PENALTY_BLOCKED)
            e->refused++;
        if (state > worst)
            worst = state;
    }
    p->refused += worst == PENALTY_BLOCKED;
    return worst;
}

/* Does a prefix of the list and this one have an address in common? */
static bool meets(const struct config_prefixes *list, const struct prefix *what)
{
    for (size_t i = 0; i < list->count; i++) {
        if (prefix_contains(what, &list->at[i].base) || prefix_contains(&list->at[i], &what->base))
            return true;
    }
    return false;
}

static void describe(const struct entry *e, uint64_t now_ms, struct penalty_source *out)
{
    *out = (struct penalty_source){.what = e->what,
                                   .cause = (enum penalty_cause)e->cause,
                                   .failures = holds(e, now_ms) ? e->failed : points(e) / QUARTER,
                                   .blocks = e->blocks,
                                   .blocked_ms = e->blocked_ms,
                                   .left_ms = holds(e, now_ms) ? e->blocked_until_ms - now_ms : 0,
                                   .refused = e->refused,
                                   .wire = e->wire};
}

static void block(struct penalties *p, struct entry *e, uint64_t ms, bool direct, uint64_t now_ms)
{
    const bool went_on = holds(e, now_ms);

    e->failed = points(e) / QUARTER;
    if (!e->blocked)
        p->blocked++;
    if (!went_on)
        e->refused = 0;
    p->blocks++;
    e->blocked = true;
    e->blocked_ms = ms;
    e->blocked_until_ms = now_ms + ms;
    e->wire = direct && !meets(&p->config->proxy_from, &e->what) &&
              !meets(&p->config->reserve_from, &e->what);
}

/* Enough failures: the first time for `block`, then twice as long each time. */
static bool block_by_points(struct penalties *p, struct entry *e, bool direct, uint64_t now_ms,
                            struct penalty_source *began)
{
    const struct config *c = p->config;
    const uint64_t needed = threshold(c->penalty_block, e);
    uint64_t ms = c->penalty_block_ms;

    if (!needed || points(e) < needed || (holds(e, now_ms) && !e->crash_block))
        return false;
    for (unsigned i = 0; i < e->blocks && ms < c->penalty_block_max_ms; i++)
        ms *= 2;
    if (ms > c->penalty_block_max_ms)
        ms = c->penalty_block_max_ms;
    e->blocks++;
    if (holds(e, now_ms) && e->blocked_until_ms > now_ms + ms)
        ms = e->blocked_until_ms - now_ms; /* of a crash, and longer */
    block(p, e, ms, direct, now_ms);
    e->crash_block = false;
    describe(e, now_ms, began);
    memset(e->slice, 0, sizeof e->slice); /* afterwards it begins anew */
    return true;
}

static struct entry *count(struct penalties *p, const struct prefix *what, enum penalty_cause cause,
                           uint64_t now_ms)
{
    struct entry *e = find_or_add(p, what, now_ms);
    const unsigned more = weights[cause];

    advance(p, e, now_ms);
    if (!holds(e, now_ms) && !remembered(e, now_ms))
        e->blocks = e->crashes = 0;
    e->cause = (uint8_t)cause;
    e->last_ms = now_ms;
    if (holds(e, now_ms) && !e->crash_block)
        return e; /* connections from before its block: they are paid for */
    e->slice[0] = (uint16_t)(e->slice[0] + more > UINT16_MAX ? UINT16_MAX : e->slice[0] + more);
    return e;
}

size_t penalties_fail(struct penalties *p, const struct address *a, enum penalty_cause cause,
                      bool direct, uint64_t now_ms, struct penalty_source began[2])
{
    const bool reserved = config_prefixes_contain(&p->config->reserve_from, a);
    size_t blocks = 0;

    if (config_prefixes_contain(&p->config->proxy_from, a))
        return 0;
    for (unsigned wide = 0; wide <= (a->family == 6); wide++) {
        const struct prefix what = prefix_of(a, wide);
        struct entry *e = count(p, &what, cause, now_ms);

        if (!reserved && block_by_points(p, e, direct, now_ms, &began[blocks]))
            blocks++;
    }
    return blocks;
}

uint64_t penalties_crash(struct penalties *p, const struct address *a, bool direct, uint64_t now_ms,
                         struct penalty_source began[2], size_t *began_count)
{
    const struct prefix what = prefix_of(a, false);
    struct entry *e;
    uint64_t ms;

    *began_count = penalties_fail(p, a, PENALTY_CRASH, direct, now_ms, began);
    e = find(p, &what);
    if (!e)
        return 0; /* a proxy */
    e->crashes++;
    ms = (uint64_t)e->crashes * CRASH_MS;
    if (e->crashes > CRASH_MAX_MS / CRASH_MS)
        ms = CRASH_MAX_MS;
    if (!holds(e, now_ms) || e->blocked_until_ms < now_ms + ms) {
        block(p, e, ms, direct, now_ms);
        e->crash_block = true;
    }
    return ms;
}

/* --- ends, and what is told of it */

void penalties_expire(struct penalties *p, uint64_t now_ms,
                      void (*ended)(void *arg, const struct penalty_source *source), void *arg)
{
    struct penalty_source source;

    for (size_t i = 0; p->blocked > 0 && i < PENALTY_SETS * PENALTY_WAYS; i++) {
        struct entry *e = &p->entries[i / PENALTY_WAYS][i % PENALTY_WAYS];
        if (!e->blocked || now_ms < e->blocked_until_ms)
            continue;
        describe(e, now_ms, &source);
        e->blocked = e->crash_block = false;
        p->blocked--;
        ended(arg, &source);
    }
}

size_t penalties_lift(struct penalties *p, const struct address *a, uint64_t now_ms,
                      struct penalty_source ended[2])
{
    size_t count = 0;

    for (unsigned wide = 0; wide <= (a->family == 6); wide++) {
        const struct prefix what = prefix_of(a, wide);
        struct entry *e = find(p, &what);

        if (!e)
            continue;
        if (e->blocked)
            describe(e, now_ms, &ended[count++]);
        forget(p, e);
    }
    return count;
}

void penalties_count(struct penalties *p, uint64_t now_ms, struct penalty_counts *out)
{
    *out = (struct penalty_counts){.blocks = p->blocks, .refused = p->refused};
    for (size_t i = 0; i < PENALTY_SETS * PENALTY_WAYS; i++) {
        struct entry *e = &p->entries[i / PENALTY_WAYS][i % PENALTY_WAYS];
        if (!e->cause)
            continue;
        const enum penalty_state state = state_of(p, e, now_ms);
        if (state == PENALTY_FREE && points(e) == 0 && !remembered(e, now_ms))
            continue;
        out->known++;
        out->blocked += state == PENALTY_BLOCKED;
        out->slowed += state == PENALTY_SLOWED;
    }
}

/* Does a come before b in the list? */
static bool before(const struct penalty_source *a, const struct penalty_source *b)
{
    return a->left_ms != b->left_ms ? a->left_ms > b->left_ms : a->failures > b->failures;
}

size_t penalties_list(struct penalties *p, uint64_t now_ms, struct penalty_source *out, size_t cap)
{
    size_t count = 0;

    for (size_t i = 0; i < PENALTY_SETS * PENALTY_WAYS; i++) {
        struct entry *e = &p->entries[i / PENALTY_WAYS][i % PENALTY_WAYS];
        struct penalty_source source;
        size_t at;

        if (!e->cause || state_of(p, e, now_ms) == PENALTY_FREE)
            continue;
        describe(e, now_ms, &source);
        for (at = count; at > 0 && before(&source, &out[at - 1]); at--)
            if (at < cap)
                out[at] = out[at - 1];
        if (at < cap)
            out[at] = source;
        if (count < cap)
            count++;
    }
    return count;
}
