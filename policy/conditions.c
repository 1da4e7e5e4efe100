/* SPDX-License-Identifier: Apache-2.0
 *
 * from, when, factors: what a role may inherit from site.yaml, and an operator's own from.
 *
 *     from     list, 1 to 1024     addresses and prefixes, "10.20.0.0/16", "2001:db8:20::/48"; a
 *                                  v4-mapped v6 address is the v4 one. Default: anywhere
 *     when     list, 1 to 32       windows, "Mon-Fri 08:00-20:00 Asia/Seoul"; one that is open is
 *                                  enough (policy/when.h). Default: always
 *     factors  list of key, password and totp: totp and at least one other, all of which must have
 *                                  been used. Default: [key, totp]
 *
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdlib.h>
#include <string.h>

#define FROM_MAX 1024

int policy_load_from(struct loading *l, const struct yaml_node *n, const struct prefix **out,
                     size_t *out_count)
{
    struct yaml_node *const *items;
    struct prefix *from;
    size_t count;

    int rc = policy_list(l, n, 1, FROM_MAX,
                         "addresses and prefixes (without the key: from anywhere)", &items, &count);
    if (rc < 0)
        return rc;
    from = pool_alloc(&l->p->pool, count * sizeof *from);
    if (!from)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        struct err why = ERR_INIT;
        const char *text;
        rc = yaml_text(l->doc, items[i], ADDRESS_TEXT, "an address or prefix", &text, l->e);
        if (rc < 0)
            return rc;
        if (prefix_parse(text, &from[i], &why) < 0)
            return yaml_error(l->doc, items[i], l->e, "%s", why.text);
    }
    *out = from;
    *out_count = count;
    return 0;
}

int policy_zone(struct loading *l, const struct yaml_node *n, const char *name,
                const struct zone **zone)
{
    uint32_t index;

    *zone = NULL;
    if (strcmp(name, "UTC") == 0)
        return 0;
    if (table_get(&l->p->zone_by_name, name, strlen(name), &index)) {
        *zone = l->p->zones[index].zone;
        return 0;
    }
    const char *near = zone_nearest_name(name);
    if (near && strcmp(near, name) != 0)
        return yaml_error(l->doc, n, l->e,
                          "unknown time zone \"%s\" (did you mean \"%s\"?), expected a name below "
                          "/usr/share/zoneinfo or UTC",
                          name, near);
    return yaml_error(
        l->doc, n, l->e,
        "unknown time zone \"%s\", expected a name below /usr/share/zoneinfo (Debian's "
        "package tzdata) or UTC",
        name);
}

/* The windows of the i-th one's zone, together; those are marked as done. */
static int add_zone(struct loading *l, struct when_window *windows, const struct zone **zones,
                    size_t count, size_t i, struct when_zone *out)
{
    struct when_window same[WHEN_WINDOWS_MAX];
    struct when_span spans[WHEN_WINDOWS_MAX * 14];
    size_t n = 0;

    for (size_t k = i; k < count; k++) {
        if (windows[k].days && zones[k] == zones[i]) {
            same[n++] = windows[k];
            if (k > i)
                windows[k].days = 0;
        }
    }
    out->zone = zones[i];
    out->count = when_spans(same, n, spans);
    out->spans = pool_copy(&l->p->pool, spans, out->count * sizeof *spans);
    return out->spans ? 0 : policy_no_memory(l);
}

/* As it was written, joined; the pool's. */
static const char *join(struct loading *l, struct yaml_node *const *items, size_t count)
{
    size_t len = 1, at = 0;

    for (size_t i = 0; i < count; i++)
        len += strlen(items[i]->text) + 2;
    char *text = pool_alloc(&l->p->pool, len);
    for (size_t i = 0; text && i < count; i++) {
        if (i) {
            memcpy(text + at, ", ", 2);
            at += 2;
        }
        memcpy(text + at, items[i]->text, strlen(items[i]->text));
        at += strlen(items[i]->text);
    }
    return text;
}

int policy_load_when(struct loading *l, const struct yaml_node *n, struct when *when)
{
    struct when_window windows[WHEN_WINDOWS_MAX];
    const struct zone *zones[WHEN_WINDOWS_MAX];
    struct yaml_node *const *items;
    struct when_zone *made;
    size_t count;
    int rc = policy_list(l, n, 1, WHEN_WINDOWS_MAX,
                         "windows such as \"Mon-Fri 08:00-20:00 Asia/Seoul\" (without the key: "
                         "always)",
                         &items, &count);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct err why = ERR_INIT;
        const char *text;
        rc = yaml_text(l->doc, items[i], WHEN_TEXT_MAX,
                       "a window such as \"Mon-Fri 08:00-20:00 Asia/Seoul\"", &text, l->e);
        if (rc == 0 && when_window_parse(text, &windows[i], &why) < 0)
            rc = yaml_error(l->doc, items[i], l->e, "%s", why.text);
        if (rc == 0)
            rc = policy_zone(l, items[i], windows[i].zone, &zones[i]);
    }
    if (rc < 0)
        return rc;
    when->zones = made = pool_alloc(&l->p->pool, count * sizeof *made);
    when->text = join(l, items, count);
    if (!made || !when->text)
        return policy_no_memory(l);
    when->count = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (windows[i].days)
            rc = add_zone(l, windows, zones, count, i, &made[when->count++]);
    }
    return rc;
}

/* No configuration gives a login with one factor. */
int policy_load_factors(struct loading *l, const struct yaml_node *n, uint32_t *factors)
{
    static const char *const words[] = {"key", "password", "totp", NULL};
    static const uint32_t bits[] = {FACTOR_KEY, FACTOR_PASSWORD, FACTOR_TOTP};
    struct yaml_node *const *items;
    uint32_t found = 0;
    size_t count, word = 0;
    int rc = policy_list(l, n, 1, 3, "factors: [key, totp]", &items, &count);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = yaml_word(l->doc, items[i], words, &word, l->e);
        if (rc == 0 && (found & bits[word]))
            rc = yaml_error(l->doc, items[i], l->e,
                            "found %s a second time, expected different factors: [key, totp]",
                            words[word]);
        found |= bits[word];
    }
    if (rc < 0)
        return rc;
    if (!(found & FACTOR_TOTP) || !(found & ~(uint32_t)FACTOR_TOTP))
        return yaml_error(l->doc, n, l->e,
                          "found %s, expected two factors: [key, totp]; no login has one",
                          count > 1              ? "no totp"
                          : found == FACTOR_TOTP ? "totp alone"
                          : found == FACTOR_KEY  ? "key alone"
                                                 : "password alone");
    *factors = found;
    return 0;
}

int policy_load_role_conditions(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct site *site = &l->p->site;
    const struct yaml_node *n;
    int rc = 0;

    role->from = site->from;
    role->from_count = site->from_count;
    role->when = site->when;
    role->factors = site->factors;
    role->keys[ROLE_FROM] = site->from_place;
    role->keys[ROLE_WHEN] = site->when_place;
    role->keys[ROLE_FACTORS] = site->factors_place;
    if ((n = yaml_get(root, "from"))) {
        role->keys[ROLE_FROM] = policy_place(role->file, n);
        rc = policy_load_from(l, n, &role->from, &role->from_count);
    }
    if (rc == 0 && (n = yaml_get(root, "when"))) {
        role->keys[ROLE_WHEN] = policy_place(role->file, n);
        rc = policy_load_when(l, n, &role->when);
    }
    if (rc == 0 && (n = yaml_get(root, "factors"))) {
        role->keys[ROLE_FACTORS] = policy_place(role->file, n);
        rc = policy_load_factors(l, n, &role->factors);
    }
    return rc;
}

/* Of a site that permits logins in the day alone, a role of the night is an exception; the denies
 * of a role that says nothing of hours must hold there too. */
void policy_drop_inherited(const struct yaml_node *root, struct role *role)
{
    if (!yaml_get(root, "from")) {
        role->from = NULL;
        role->from_count = 0;
        role->keys[ROLE_FROM] = (struct place){0};
    }
    if (!yaml_get(root, "when")) {
        role->when = (struct when){0};
        role->keys[ROLE_WHEN] = (struct place){0};
    }
    if (!yaml_get(root, "factors")) {
        role->factors = 0;
        role->keys[ROLE_FACTORS] = (struct place){0};
    }
}
