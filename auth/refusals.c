/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/refusals.h. */
#include "auth/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"

struct source {
    bool used, others;
    struct address address;
    uint64_t since_ms; /* the last record was written then */
    uint64_t count;    /* refused since */
    char reason[32], user[256], key[64], operator_name[65], proxy[ADDRESS_TEXT + 1];
};

struct refusals {
    size_t used;
    struct source source[REFUSALS_SOURCES + 1]; /* the last one: all others */
};

struct refusals *refusals_new(void)
{
    return calloc(1, sizeof(struct refusals));
}

void refusals_free(struct refusals *r)
{
    free(r);
}

static struct source *find(struct refusals *r, const struct address *address)
{
    struct source *unused = NULL;
    for (size_t i = 0; i < REFUSALS_SOURCES; i++) {
        struct source *s = &r->source[i];
        if (!s->used)
            unused = unused ? unused : s;
        else if (s->address.family == address->family &&
                 memcmp(s->address.bytes, address->bytes, sizeof address->bytes) == 0)
            return s;
    }
    if (unused)
        return unused;
    unused = &r->source[REFUSALS_SOURCES];
    unused->others = true;
    return unused;
}

static bool tell(const struct source *s, uint64_t count, struct buf *payload)
{
    struct json_out j;
    char address[ADDRESS_TEXT];
    json_begin(&j, payload);
    json_str(&j, "event", "login");
    json_str(&j, "result", "refused");
    json_str(&j, "reason", s->reason);
    json_str(&j, "source", s->others ? "others" : address_text(&s->address, address));
    if (*s->proxy)
        json_str(&j, "proxy", s->proxy);
    json_u64(&j, "count", count);
    json_str(&j, "operator", *s->operator_name ? s->operator_name : NULL);
    json_bytes(&j, "user", s->user, strlen(s->user));
    json_str(&j, "key", *s->key ? s->key : NULL);
    return json_end(&j) == 0;
}

bool refusals_note(struct refusals *r, const struct login *l, const char *reason, uint64_t now_ms,
                   struct buf *payload)
{
    /* A stranger with an IPv6 network of his own has 2^64 addresses: they are one source. */
    const struct address key = address_quota_key(&l->source);
    struct source *s = find(r, &key);
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    snprintf(s->user, sizeof s->user, "%s", l->user);
    snprintf(s->key, sizeof s->key, "%s", l->fingerprint);
    snprintf(s->proxy, sizeof s->proxy, "%s", l->proxy);
    snprintf(s->operator_name, sizeof s->operator_name, "%s", l->operator_name);
    if (s->used) {
        s->count++;
        return false;
    }
    s->used = true;
    r->used++;
    s->address = key;
    s->since_ms = now_ms;
    s->count = 0;
    return tell(s, 1, payload);
}

bool refusals_due(struct refusals *r, uint64_t now_ms, struct buf *payload)
{
    for (size_t i = 0; r->used > 0 && i <= REFUSALS_SOURCES; i++) {
        struct source *s = &r->source[i];
        if (!s->used || now_ms < s->since_ms + REFUSALS_WINDOW_MS)
            continue;
        if (s->count == 0) {
            s->used = false;
            r->used--;
            continue;
        }
        uint64_t count = s->count;
        s->since_ms = now_ms;
        s->count = 0;
        return tell(s, count, payload);
    }
    return false;
}

bool refusals_waiting(const struct refusals *r)
{
    return r->used > 0;
}
