/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of sessions: hash buckets over random ids, and a list in order of making. Runs in
 * auditd (which forgets what is over, so that its memory is bounded by the sessions that live) and
 * in the verifier (which keeps all of one log: about 150 bytes each). */
#include "audit/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "audit/session_keys.h"
#include "base/wire.h"

#define BUCKETS_MIN 1024u

struct sessions {
    struct session_state **buckets;
    size_t bucket_count, count;
    struct session_state *oldest, *newest;
};

static size_t bucket_of(const struct sessions *s, const uint8_t id[RECORD_SESSION_ID])
{
    return (size_t)(wire_load_u64(id) ^ wire_load_u64(id + 8)) & (s->bucket_count - 1);
}

struct sessions *sessions_new(void)
{
    struct sessions *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->bucket_count = BUCKETS_MIN;
    s->buckets = calloc(s->bucket_count, sizeof *s->buckets);
    if (!s->buckets) {
        free(s);
        return NULL;
    }
    return s;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    for (struct session_state *at = s->oldest, *next; at; at = next) {
        next = at->newer;
        session_keys_free(at->keys);
        free(at);
    }
    free(s->buckets);
    free(s);
}

struct session_state *sessions_find(struct sessions *s, const uint8_t id[RECORD_SESSION_ID])
{
    struct session_state *at = s->buckets[bucket_of(s, id)];

    while (at && memcmp(at->id, id, RECORD_SESSION_ID) != 0)
        at = at->chain;
    return at;
}

/* Doubles the buckets; when memory is out the table stays as it is, only slower. */
static void grow(struct sessions *s)
{
    size_t count = s->bucket_count * 2;
    struct session_state **buckets = calloc(count, sizeof *buckets);

    if (!buckets)
        return;
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
    for (struct session_state *at = s->oldest; at; at = at->newer) {
        size_t bucket = bucket_of(s, at->id);

        at->chain = s->buckets[bucket];
        s->buckets[bucket] = at;
    }
}

struct session_state *sessions_get(struct sessions *s, const uint8_t id[RECORD_SESSION_ID])
{
    struct session_state *state = sessions_find(s, id);
    size_t bucket;

    if (state)
        return state;
    state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    memcpy(state->id, id, RECORD_SESSION_ID);
    if (s->count >= s->bucket_count)
        grow(s);
    bucket = bucket_of(s, id);
    state->chain = s->buckets[bucket];
    s->buckets[bucket] = state;
    state->older = s->newest;
    if (s->newest)
        s->newest->newer = state;
    else
        s->oldest = state;
    s->newest = state;
    s->count++;
    return state;
}

size_t sessions_count(const struct sessions *s)
{
    return s->count;
}

struct session_state *sessions_first(struct sessions *s)
{
    return s->oldest;
}

void session_release(struct session_state *state)
{
    if (--state->holders > 0 || !state->keys)
        return;
    session_keys_free(state->keys);
    state->keys = NULL;
    state->keys_over = true;
}

bool session_is_over(const struct session_state *state)
{
    static const uint8_t gateway[RECORD_SESSION_ID];

    if (state->holders > 0 || state->unlinked > 0 ||
        memcmp(state->id, gateway, sizeof gateway) == 0)
        return false;
    return state->judged || !state->started;
}

static void remove_state(struct sessions *s, struct session_state *state)
{
    struct session_state **at = &s->buckets[bucket_of(s, state->id)];

    while (*at != state)
        at = &(*at)->chain;
    *at = state->chain;
    if (state->older)
        state->older->newer = state->newer;
    else
        s->oldest = state->newer;
    if (state->newer)
        state->newer->older = state->older;
    else
        s->newest = state->older;
    s->count--;
    session_keys_free(state->keys);
    free(state);
}

void sessions_forget(struct sessions *s, size_t keep)
{
    size_t over = 0;

    for (struct session_state *at = s->oldest; at; at = at->newer)
        over += session_is_over(at);
    for (struct session_state *at = s->oldest, *next; at && over > keep; at = next) {
        next = at->newer;
        if (session_is_over(at)) {
            remove_state(s, at);
            over--;
        }
    }
}
