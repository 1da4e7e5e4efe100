/* SPDX-License-Identifier: Apache-2.0
 *
 * The judgement over a new connection (gateway/supervisor_accept.h). Sources are kept in a hash
 * table as long as they have a connection or a penalty, so its size is bounded by the cap on
 * connections and by PENALTIES_MAX. Run by the supervisor; pure. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/supervisor_accept.h"

#define BUCKETS        1024u /* twice the default cap on connections */
#define PENALTY_MS     10000u
#define PENALTY_MAX_MS 600000u
#define FORGET_MS      600000u
/* Every entry needs a crash of its own, each of which costs the stranger a connection; 4096 entries
 * of 64 bytes are 256 KiB. */
#define PENALTIES_MAX 4096u

struct source {
    struct source *next;
    struct address key;
    size_t connections;
    unsigned crashes;
    uint64_t refused_until_ms;
};

struct acceptance {
    const struct config *config;
    size_t connections, sources, penalties;
    struct source *buckets[BUCKETS];
};

struct acceptance *acceptance_new(const struct config *config)
{
    struct acceptance *a = calloc(1, sizeof *a);

    if (a)
        a->config = config;
    return a;
}

void acceptance_free(struct acceptance *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct source *s = a->buckets[i], *next; s; s = next) {
            next = s->next;
            free(s);
        }
    }
    free(a);
}

/* FNV-1a. A stranger who picks colliding addresses needs as many addresses as the caps let in, and
 * gains a walk over a list of that length. */
static size_t bucket_of(const struct address *key)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < sizeof key->bytes; i++)
        h = (h ^ key->bytes[i]) * 16777619u;
    return (h ^ h >> 16) % BUCKETS;
}

static bool same(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct source **find(struct acceptance *a, const struct address *key)
{
    struct source **at = &a->buckets[bucket_of(key)];

    while (*at && !same(&(*at)->key, key))
        at = &(*at)->next;
    return at;
}

static struct source *find_or_add(struct acceptance *a, const struct address *key)
{
    struct source **at = find(a, key);

    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (*at) {
            (*at)->key = *key;
            a->sources++;
        }
    }
    return *at;
}

static bool drop_if_idle(struct acceptance *a, struct source **at)
{
    struct source *s = *at;

    if (s->connections > 0 || s->crashes > 0)
        return false;
    *at = s->next;
    a->sources--;
    free(s);
    return true;
}

static bool contains(const struct config_prefixes *list, const struct address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (prefix_contains(&list->at[i], address))
            return true;
    }
    return false;
}

enum acceptance_verdict acceptance_ask(struct acceptance *a, const struct address *address,
                                       uint64_t now_ms)
{
    const struct address key = address_quota_key(address);
    const struct config *c = a->config;
    const struct source *known;
    struct source *s;
    uint64_t cap = c->connections;

    if (!contains(&c->from, address))
        return ACCEPT_NOT_ALLOWED;
    known = *find(a, &key);
    if (known && now_ms < known->refused_until_ms)
        return ACCEPT_PENALTY;
    if (known && known->connections >= c->per_source)
        return ACCEPT_SOURCE_FULL;
    if (!contains(&c->reserve_from, address))
        cap -= c->reserve;
    if (a->connections >= cap)
        return ACCEPT_FULL;
    s = find_or_add(a, &key);
    if (!s)
        return ACCEPT_MEMORY;
    s->connections++;
    a->connections++;
    return ACCEPT_OK;
}

void acceptance_release(struct acceptance *a, const struct address *address)
{
    const struct address key = address_quota_key(address);
    struct source **at = find(a, &key);

    INVARIANT(*at && (*at)->connections > 0 && a->connections > 0);
    (*at)->connections--;
    a->connections--;
    drop_if_idle(a, at);
}

uint64_t acceptance_crash(struct acceptance *a, const struct address *address, uint64_t now_ms)
{
    const struct address key = address_quota_key(address);
    struct source *s = *find(a, &key);
    uint64_t penalty_ms;

    if ((!s || s->crashes == 0) && a->penalties >= PENALTIES_MAX)
        return 0;
    s = find_or_add(a, &key);
    if (!s)
        return 0;
    if (s->crashes++ == 0)
        a->penalties++;
    penalty_ms = (uint64_t)s->crashes * PENALTY_MS;
    if (penalty_ms > PENALTY_MAX_MS)
        penalty_ms = PENALTY_MAX_MS;
    s->refused_until_ms = now_ms + penalty_ms;
    return penalty_ms;
}

void acceptance_expire(struct acceptance *a, uint64_t now_ms)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct source **at = &a->buckets[i], *s; (s = *at);) {
            if (s->crashes > 0 && now_ms >= s->refused_until_ms + FORGET_MS) {
                s->crashes = 0;
                a->penalties--;
            }
            if (!drop_if_idle(a, at))
                at = &s->next;
        }
    }
}

size_t acceptance_connections(const struct acceptance *a)
{
    return a->connections;
}

size_t acceptance_sources(const struct acceptance *a)
{
    return a->sources;
}

const char *acceptance_token(enum acceptance_verdict verdict)
{
    switch (verdict) {
    case ACCEPT_OK:
        return "accepted";
    case ACCEPT_NOT_ALLOWED:
        return "address-not-allowed";
    case ACCEPT_PENALTY:
        return "penalty";
    case ACCEPT_SOURCE_FULL:
        return "too-many-of-source";
    case ACCEPT_FULL:
        return "too-many";
    case ACCEPT_MEMORY:
        return "memory";
    }
    return "unknown";
}
