/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/cells.h. Prefixes are nested or apart, so every range that a list of them makes begins
 * at the first address of one of them, right after the last of one, or where the family begins. */
#include "policy/cells.h"

#include "policy/vector.h"

#define HORIZON_S (UINT64_C(400) * 86400) /* a year and its shifts of daylight saving */
/* Windows that open and close more often than every four minutes do not exist. */
#define STEPS_MAX 200000

static void add_source(struct cells *c, const struct address *a)
{
    c->sources = tool_grow(c->sources, &c->source_cap, c->source_count, sizeof *c->sources);
    c->sources[c->source_count++] = *a;
}

/* Of the addresses that are in the same prefixes one is enough. */
static void unique_sources(struct cells *c)
{
    struct interner seen = {0};
    uint8_t *in = tool_alloc(c->prefix_count, 1);
    size_t kept = 0;

    for (size_t i = 0; i < c->source_count; i++) {
        bool is_new;
        for (size_t k = 0; k < c->prefix_count; k++)
            in[k] = prefix_contains(c->prefixes[k], &c->sources[i]);
        interner_id(&seen, in, c->prefix_count, &is_new);
        if (is_new)
            c->sources[kept++] = c->sources[i];
    }
    c->source_count = kept;
    interner_clear(&seen);
    free(in);
}

/* The address after the prefix's last; false: there is none. */
static bool address_after(const struct prefix *p, struct address *out)
{
    *out = p->base;
    for (int bit = (int)p->bits - 1; bit >= 0; bit--) {
        const uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
        out->bytes[bit / 8] ^= mask;
        if (out->bytes[bit / 8] & mask)
            return true;
    }
    return false;
}

void cells_add_prefixes(struct cells *c, const struct prefix *from, size_t count)
{
    struct address a;

    for (size_t i = 0; i < count; i++) {
        c->prefixes = tool_grow(c->prefixes, &c->prefix_cap, c->prefix_count, sizeof *c->prefixes);
        c->prefixes[c->prefix_count++] = &from[i];
        add_source(c, &from[i].base);
        if (address_after(&from[i], &a))
            add_source(c, &a);
    }
}

void cells_add_role(struct cells *c, const struct role *role)
{
    c->roles = tool_grow(c->roles, &c->role_cap, c->role_count, sizeof *c->roles);
    c->roles[c->role_count++] = role;
    cells_add_prefixes(c, role->from, role->from_count);
    c->passwords = c->passwords || (role->factors & FACTOR_PASSWORD);
    if (role->remember_s) {
        size_t i = 0;
        while (i < c->age_count && c->ages[i] != role->remember_s)
            i++;
        if (i == c->age_count) {
            c->ages = tool_grow(c->ages, &c->age_cap, i, sizeof *c->ages);
            c->ages[c->age_count++] = role->remember_s;
        }
    }
}

static void add_login(struct cells *c, uint32_t factors, uint64_t age_s)
{
    c->logins = tool_grow(c->logins, &c->login_cap, c->login_count, sizeof *c->logins);
    c->logins[c->login_count++] = (struct cell_login){factors, age_s};
}

static void add_logins(struct cells *c, uint32_t first)
{
    add_login(c, first | FACTOR_TOTP, 0);
    if (!c->age_count)
        return;
    add_login(c, first | FACTOR_REMEMBERED, 0);
    for (size_t i = 0; i < c->age_count; i++)
        add_login(c, first | FACTOR_REMEMBERED, c->ages[i]);
}

static void add_time(struct cells *c, uint64_t now_s)
{
    c->times = tool_grow(c->times, &c->time_cap, c->time_count, sizeof *c->times);
    c->times[c->time_count++] = now_s;
}

/* One instant of each combination of roles whose hours have come, in the order in which they come.
 */
static void add_times(struct cells *c, uint64_t start_s)
{
    struct interner seen = {0};
    uint8_t *open = tool_alloc(c->role_count, 1);
    uint64_t now_s = start_s;

    for (unsigned step = 0; step < STEPS_MAX && now_s && now_s - start_s < HORIZON_S; step++) {
        uint64_t next_s = 0;
        bool is_new;
        for (size_t i = 0; i < c->role_count; i++) {
            uint64_t until_s = 0;
            open[i] = !c->roles[i]->when.count || when_open(&c->roles[i]->when, now_s, &until_s);
            if (until_s && (!next_s || until_s < next_s))
                next_s = until_s;
        }
        interner_id(&seen, open, c->role_count, &is_new);
        if (is_new)
            add_time(c, now_s);
        now_s = next_s;
    }
    interner_clear(&seen);
    free(open);
}

void cells_finish(struct cells *c, const struct address *source, const uint64_t *at_s,
                  uint64_t start_s)
{
    static const struct address first_v4 = {.family = 4}, first_v6 = {.family = 6};

    if (source) {
        c->source_count = 0;
        add_source(c, source);
    } else {
        add_source(c, &first_v4);
        add_source(c, &first_v6);
        unique_sources(c);
    }
    if (at_s)
        add_time(c, *at_s);
    else
        add_times(c, start_s);
    add_logins(c, FACTOR_KEY);
    if (c->passwords) {
        add_logins(c, FACTOR_PASSWORD);
        add_logins(c, FACTOR_KEY | FACTOR_PASSWORD);
    }
    c->count = c->source_count * c->time_count * c->login_count;
}

void cells_get(const struct cells *c, size_t i, struct policy_request *r)
{
    const struct cell_login *login = &c->logins[i % c->login_count];

    i /= c->login_count;
    r->factors = login->factors;
    r->remembered_age_s = login->age_s;
    r->now_s = c->times[i % c->time_count];
    r->source = c->sources[i / c->time_count];
}

void cells_reset(struct cells *c)
{
    c->prefix_count = c->role_count = c->source_count = c->time_count = c->age_count =
        c->login_count = c->count = 0;
    c->passwords = false;
}

void cells_clear(struct cells *c)
{
    free(c->roles);
    free(c->sources);
    free(c->prefixes);
    free(c->times);
    free(c->ages);
    free(c->logins);
    *c = (struct cells){0};
}
