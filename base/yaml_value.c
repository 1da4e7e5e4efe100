/* SPDX-License-Identifier: Apache-2.0
 *
 * From a node's text to a value, and the words of the errors when that fails: each says what was
 * found, what was expected and, for words, the nearest one that is known.
 * Used by the supervisor and by authd; trusts nothing in the node; pure. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/yaml_tree.h"

/* Longer words are compared by nobody: no key or word of ours comes near. */
#define WORD_MAX 64

const char *yaml_found(const struct yaml_node *n, char out[YAML_FOUND_MAX])
{
    char text[YAML_FOUND_MAX - 8];

    if (n->kind == YAML_LIST)
        snprintf(out, YAML_FOUND_MAX, "a list");
    else if (n->kind == YAML_MAP)
        snprintf(out, YAML_FOUND_MAX, "a map");
    else if (!n->text[0] && !n->quoted)
        snprintf(out, YAML_FOUND_MAX, "nothing");
    else
        snprintf(out, YAML_FOUND_MAX, "\"%s\"",
                 escape_text(text, sizeof text, n->text, strnlen(n->text, 64)));
    return out;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
static unsigned edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= blen; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= alen; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= blen; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[blen];
}

const char *nearest_word(const char *text, const char *const *words)
{
    const size_t len = strlen(text);
    const char *best = NULL;
    unsigned best_distance = 0;

    if (len > WORD_MAX)
        return NULL;
    for (; *words; words++) {
        const size_t wlen = strlen(*words);
        if (wlen > WORD_MAX)
            continue;
        const unsigned distance = edit_distance(text, len, *words, wlen);
        const size_t longer = len > wlen ? len : wlen;
        if (distance * 3 > longer)
            continue;
        if (!best || distance < best_distance) {
            best = *words;
            best_distance = distance;
        }
    }
    return best;
}

/* "a, b or c" */
static const char *word_list(const char *const *words, char *out, size_t cap)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; words[i] && at < cap; i++) {
        const char *joint = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        at += (size_t)snprintf(out + at, cap - at, "%s%s", joint, words[i]);
    }
    return out;
}

static int unknown_word(const struct yaml_doc *doc, const struct yaml_node *at, const char *what,
                        const char *const *known, struct err *e)
{
    char list[700], found[YAML_FOUND_MAX];
    const char *nearest = nearest_word(at->text, known);

    word_list(known, list, sizeof list);
    yaml_found(at, found);
    if (nearest)
        return yaml_error(doc, at, e, "unknown %s %s (did you mean \"%s\"?), expected %s", what,
                          found, nearest, list);
    return yaml_error(doc, at, e, "unknown %s %s, expected %s", what, found, list);
}

int yaml_only_keys(const struct yaml_doc *doc, const struct yaml_node *map,
                   const char *const *known, struct err *e)
{
    int rc = yaml_is(doc, map, YAML_MAP, "a map", e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < map->count; i++) {
        size_t k = 0;
        while (known[k] && strcmp(known[k], map->keys[i]->text) != 0)
            k++;
        if (!known[k])
            return unknown_word(doc, map->keys[i], "key", known, e);
    }
    return 0;
}

int yaml_word(const struct yaml_doc *doc, const struct yaml_node *n, const char *const *words,
              size_t *out, struct err *e)
{
    char list[700], found[YAML_FOUND_MAX];

    if (n->kind != YAML_SCALAR || !n->text[0])
        return yaml_error(doc, n, e, "found %s, expected %s", yaml_found(n, found),
                          word_list(words, list, sizeof list));
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(words[i], n->text) == 0) {
            *out = i;
            return 0;
        }
    }
    return unknown_word(doc, n, "word", words, e);
}

int yaml_require(const struct yaml_doc *doc, const struct yaml_node *map, const char *key,
                 const struct yaml_node **out, struct err *e)
{
    char found[YAML_FOUND_MAX];

    if (map->kind != YAML_MAP)
        return yaml_error(doc, map, e, "found %s, expected a map with the key \"%s\"",
                          yaml_found(map, found), key);
    *out = yaml_get(map, key);
    if (!*out)
        return yaml_error(doc, map, e, "found no key \"%s\", expected it here", key);
    return 0;
}

int yaml_is(const struct yaml_doc *doc, const struct yaml_node *n, enum yaml_kind kind,
            const char *expected, struct err *e)
{
    char found[YAML_FOUND_MAX];

    if (n->kind == kind)
        return 0;
    return yaml_error(doc, n, e, "found %s, expected %s", yaml_found(n, found), expected);
}

int yaml_text(const struct yaml_doc *doc, const struct yaml_node *n, size_t max,
              const char *expected, const char **out, struct err *e)
{
    char found[YAML_FOUND_MAX];

    if (n->kind != YAML_SCALAR || !n->text[0])
        return yaml_error(doc, n, e, "found %s, expected %s", yaml_found(n, found), expected);
    if (strchr(n->text, '\n'))
        return yaml_error(doc, n, e, "found text of several lines, expected %s", expected);
    if (strlen(n->text) > max)
        return yaml_error(doc, n, e, "found %zu bytes, expected %s of at most %zu bytes",
                          strlen(n->text), expected, max);
    *out = n->text;
    return 0;
}

int yaml_bool(const struct yaml_doc *d, const struct yaml_node *n, bool *out, struct err *e)
{
    char found[YAML_FOUND_MAX];

    if (n->kind == YAML_SCALAR && !n->quoted) {
        *out = strcmp(n->text, "true") == 0;
        if (*out || strcmp(n->text, "false") == 0)
            return 0;
    }
    return yaml_error(d, n, e, "found %s, expected true or false%s", yaml_found(n, found),
                      n->kind == YAML_SCALAR && n->quoted ? " without quotes" : "");
}

/* Decimal digits from *p on, without sign or leading blanks; false when there is none or it
 * overflows. */
static bool digits(const char **p, uint64_t *out)
{
    const char *start = *p;

    *out = 0;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(**p - '0'), out))
            return false;
    }
    return *p > start;
}

int yaml_u64(const struct yaml_doc *d, const struct yaml_node *n, uint64_t min, uint64_t max,
             uint64_t *out, struct err *e)
{
    char found[YAML_FOUND_MAX];
    const char *p = n->kind == YAML_SCALAR ? n->text : "";

    if (!digits(&p, out) || *p || n->quoted || *out < min || *out > max)
        return yaml_error(d, n, e, "found %s, expected a number from %llu to %llu",
                          yaml_found(n, found), (unsigned long long)min, (unsigned long long)max);
    return 0;
}

static const char *duration_text(uint64_t ms, char out[32])
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms && ms % units[i].ms == 0) {
            snprintf(out, 32, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
            return out;
        }
    }
    snprintf(out, 32, "%llus", (unsigned long long)(ms / 1000));
    return out;
}

int yaml_duration(const struct yaml_doc *d, const struct yaml_node *n, uint64_t min_ms,
                  uint64_t max_ms, uint64_t *out_ms, struct err *e)
{
    char found[YAML_FOUND_MAX], low[32], high[32];
    const char *p = n->kind == YAML_SCALAR ? n->text : "";
    bool good = digits(&p, out_ms);
    const uint64_t unit = !good       ? 0
                          : *p == 's' ? 1000
                          : *p == 'm' ? 60000
                          : *p == 'h' ? 3600000
                          : *p == 'd' ? 86400000
                                      : 0;

    good = good && unit && !p[1] && !__builtin_mul_overflow(*out_ms, unit, out_ms);
    if (!good)
        return yaml_error(d, n, e, "found %s, expected a duration such as 90s, 15m, 8h or 2d",
                          yaml_found(n, found));
    if (*out_ms < min_ms || *out_ms > max_ms)
        return yaml_error(d, n, e, "found %s, expected a duration from %s to %s",
                          yaml_found(n, found), duration_text(min_ms, low),
                          duration_text(max_ms, high));
    return 0;
}

int yaml_size(const struct yaml_doc *d, const struct yaml_node *n, uint64_t *out, struct err *e)
{
    char found[YAML_FOUND_MAX];
    const char *p = n->kind == YAML_SCALAR ? n->text : "";
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"", 1},
                 {"KiB", UINT64_C(1) << 10},
                 {"MiB", UINT64_C(1) << 20},
                 {"GiB", UINT64_C(1) << 30},
                 {"TiB", UINT64_C(1) << 40}};

    if (digits(&p, out)) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(p, units[i].suffix) == 0 &&
                !__builtin_mul_overflow(*out, units[i].factor, out))
                return 0;
        }
    }
    return yaml_error(d, n, e, "found %s, expected a size such as 4096, 64KiB or 20GiB",
                      yaml_found(n, found));
}
