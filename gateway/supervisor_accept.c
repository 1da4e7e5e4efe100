/* SPDX-License-Identifier: Apache-2.0
 *
 * The judgement over a new connection (gateway/supervisor_accept.h). Sources are kept in a hash
 * table as long as they have a connection, so its size is bounded by the cap on connections. Run by
 * the supervisor; pure. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/supervisor_accept.h"

#define BUCKETS 1024u /* twice the default cap on connections */

struct source {
    struct source *next;
    struct address key;
    size_t connections;
};

struct acceptance {
    const struct config *config;
    struct penalties *penalties;
    size_t connections, sources;
    struct source *buckets[BUCKETS];
};

struct acceptance *acceptance_new(const struct config *config, struct penalties *penalties)
{
    struct acceptance *a = calloc(1, sizeof *a);

    if (a) {
        a->config = config;
        a->penalties = penalties;
    }
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

/* others: connections besides this one. */
static enum acceptance_verdict judge(struct acceptance *a, const struct address *address,
                                     size_t others, uint64_t now_ms)
{
    const struct address key = address_quota_key(address);
    const struct config *c = a->config;
    enum penalty_state state;
    struct source *s = *find(a, &key);
    uint64_t cap = c->connections;

    if (!config_prefixes_contain(&c->from, address))
        return ACCEPT_NOT_ALLOWED;
    state = penalties_ask(a->penalties, address, now_ms);
    if (state == PENALTY_BLOCKED)
        return ACCEPT_BLOCKED;
    if (s && s->connections >= c->per_source)
        return ACCEPT_SOURCE_FULL;
    if (!config_prefixes_contain(&c->reserve_from, address))
        cap -= c->reserve;
    if (others >= cap)
        return ACCEPT_FULL;
    s = find_or_add(a, &key);
    if (!s)
        return ACCEPT_MEMORY;
    s->connections++;
    return state == PENALTY_SLOWED ? ACCEPT_SLOWED : ACCEPT_OK;
}

enum acceptance_verdict acceptance_ask(struct acceptance *a, const struct address *address,
                                       uint64_t now_ms)
{
    enum acceptance_verdict verdict = judge(a, address, a->connections, now_ms);

    if (verdict == ACCEPT_OK || verdict == ACCEPT_SLOWED)
        a->connections++;
    return verdict;
}

enum acceptance_verdict acceptance_ask_proxy(struct acceptance *a)
{
    if (a->connections >= a->config->connections)
        return ACCEPT_FULL;
    a->connections++;
    return ACCEPT_OK;
}

enum acceptance_verdict acceptance_name(struct acceptance *a, const struct address *address,
                                        uint64_t now_ms)
{
    INVARIANT(a->connections > 0);
    return judge(a, address, a->connections - 1, now_ms);
}

void acceptance_release(struct acceptance *a, const struct address *address)
{
    INVARIANT(a->connections > 0);
    a->connections--;
    if (!address)
        return;
    const struct address key = address_quota_key(address);
    struct source **at = find(a, &key), *s = *at;
    INVARIANT(s && s->connections > 0);
    if (--s->connections > 0)
        return;
    *at = s->next;
    a->sources--;
    free(s);
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
    case ACCEPT_SLOWED:
        return "accepted";
    case ACCEPT_NOT_ALLOWED:
        return "address-not-allowed";
    case ACCEPT_BLOCKED:
        return "blocked";
    case ACCEPT_SOURCE_FULL:
        return "too-many-of-source";
    case ACCEPT_FULL:
        return "too-many";
    case ACCEPT_MEMORY:
        return "memory";
    }
    return "unknown";
}
