/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching of patterns: narrow for an allow, wide for a deny (policy/pattern.h says how). The two
 * share nothing on purpose: what makes one safe makes the other unsafe. Used by the backend on
 * hostile argv and by authd's loader. Pure. */
#include "policy/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/files.h"

#define NAME_LENGTH_MAX 255

static bool bytes_are(const struct bytes *b, const char *text, size_t len)
{
    return b->len == len && (!len || memcmp(b->p, text, len) == 0);
}

static bool is_one_of(const struct pattern_word *w, const char *word)
{
    const size_t len = strlen(word);

    for (unsigned i = 0; i < w->count; i++) {
        const struct bytes text = pattern_alternative(w, i);
        if (bytes_are(&text, word, len))
            return true;
    }
    return false;
}

/* ---- allow ---- */

static bool is_plain(const char *word, bool options)
{
    return word[0] && (options || word[0] != '-');
}

static bool is_number_within(const struct pattern_word *w, const char *word)
{
    uint64_t n = 0;

    if (!word[0] || (word[0] == '0' && word[1]))
        return false;
    for (; *word; word++) {
        if (*word < '0' || *word > '9' || n > (PATTERN_INT_MAX - (uint64_t)(*word - '0')) / 10)
            return false;
        n = n * 10 + (uint64_t)(*word - '0');
    }
    return n >= w->low && n <= w->high;
}

static bool is_path_within(const struct pattern_word *w, const char *word)
{
    const size_t len = strlen(word);

    return w->inside.len ? file_glob_matches((const char *)w->inside.p, w->inside.len, word, len)
                         : file_path_is_canonical(word, len);
}

static bool is_name(const char *word)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:+@-";
    const size_t len = strlen(word);

    return len && len <= NAME_LENGTH_MAX && !strchr(".:+@-", word[0]) &&
           strspn(word, letters) == len;
}

static bool allows_word(const struct pattern_word *w, const char *word, bool options)
{
    switch (w->kind) {
    case PATTERN_LITERAL:
        return is_one_of(w, word);
    case PATTERN_ANY:
    case PATTERN_REST:
        return is_plain(word, options);
    case PATTERN_OPTION:
        return word[0] == '-';
    case PATTERN_REST_OPTIONS:
        return true;
    case PATTERN_INT:
        return is_number_within(w, word);
    case PATTERN_PATH:
        return is_path_within(w, word);
    case PATTERN_NAME:
        return is_name(word);
    default:
        return false;
    }
}

static bool is_rest(const struct pattern_word *w)
{
    return w->kind == PATTERN_REST || w->kind == PATTERN_REST_OPTIONS;
}

static bool allows(const struct pattern *p, const char *path, const struct words *argv,
                   bool options)
{
    const bool open = is_rest(&p->word[p->count - 1]);
    const size_t fixed = p->count - open;

    if (!argv->count || argv->count < fixed || (argv->count > fixed && !open))
        return false;
    for (size_t i = 0; i < argv->count; i++) {
        const struct pattern_word *w = &p->word[i < fixed ? i : fixed];
        if (!allows_word(w, argv->word[i], options) &&
            (i || !path || strcmp(path, argv->word[0]) != 0))
            return false;
    }
    return true;
}

bool pattern_allows(const struct pattern *p, const char *path, const struct words *argv)
{
    return allows(p, path, argv, false);
}

bool pattern_allows_but_for_options(const struct pattern *p, const char *path,
                                    const struct words *argv)
{
    return allows(p, path, argv, true);
}

/* ---- deny ---- */

static struct bytes last_part(struct bytes path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.p[i - 1] == '/')
            return (struct bytes){path.p + i, path.len - i};
    }
    return path;
}

static bool is_program(const struct pattern_word *w, const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *name = slash ? slash + 1 : word;

    if (w->kind != PATTERN_LITERAL)
        return true;
    for (unsigned i = 0; i < w->count; i++) {
        const struct bytes text = last_part(pattern_alternative(w, i));
        if (bytes_are(&text, name, strlen(name)))
            return true;
    }
    return false;
}

static bool is_option(const struct bytes *text)
{
    return text->len > 1 && text->p[0] == '-' && !(text->len == 2 && text->p[1] == '-');
}

static bool is_option_literal(const struct pattern_word *w)
{
    for (unsigned i = 0; w->kind == PATTERN_LITERAL && i < w->count; i++) {
        const struct bytes text = pattern_alternative(w, i);
        if (!is_option(&text))
            return false;
    }
    return w->kind == PATTERN_LITERAL;
}

/* text, or an option that ends in it: --domain=vm7, -nvm7. */
static bool says(const char *word, const struct bytes *text)
{
    const size_t len = strlen(word);

    return bytes_are(text, word, len) || (word[0] == '-' && text->len && len > text->len &&
                                          memcmp(word + len - text->len, text->p, text->len) == 0);
}

static bool anyone_says(const struct words *argv, const struct bytes *text)
{
    for (size_t i = 1; i < argv->count; i++) {
        if (says(argv->word[i], text))
            return true;
    }
    return false;
}

/* Each letter of "-rf" is in some cluster of short options. */
static bool clusters_have(const struct words *argv, const uint8_t *letters, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        bool found = false;
        for (size_t i = 1; i < argv->count && !found; i++) {
            const char *word = argv->word[i];
            found = word[0] == '-' && word[1] && word[1] != '-' && strchr(word + 1, letters[k]);
        }
        if (!found)
            return false;
    }
    return true;
}

/* "--recursive" by --recursive, --recursive=x, --rec, and -recursive as some programs take it. */
static bool spells(const char *word, const uint8_t *name, size_t len)
{
    const size_t dashes = word[0] != '-' ? 0 : word[1] == '-' ? 2 : 1;
    const size_t n = strcspn(word + dashes, "=");

    if (!dashes || !n || n > len || memcmp(word + dashes, name, n) != 0)
        return false;
    return n == len || dashes == 2;
}

static bool has_option(const struct words *argv, const struct bytes *text)
{
    const size_t dashes = text->p[1] == '-' ? 2 : 1;
    const uint8_t *name = text->p + dashes;
    const uint8_t *equals = memchr(name, '=', text->len - dashes);
    const size_t len = equals ? (size_t)(equals - name) : text->len - dashes;

    if (equals) {
        const struct bytes value = {equals + 1, text->len - (size_t)(equals + 1 - text->p)};
        if (value.len && !anyone_says(argv, &value))
            return false;
    }
    if (dashes == 1 && len && !equals && clusters_have(argv, name, len))
        return true;
    for (size_t i = 1; len && i < argv->count; i++) {
        if (spells(argv->word[i], name, len))
            return true;
    }
    return anyone_says(argv, text);
}

static bool options_are_there(const struct pattern_word *w, const struct words *argv)
{
    for (unsigned i = 0; i < w->count; i++) {
        const struct bytes text = pattern_alternative(w, i);
        if (has_option(argv, &text))
            return true;
    }
    return false;
}

/* What an option carries: behind "=", or its digits or path: -n5, --file=/etc/x. */
static const char *value_of(const char *word, const char *begins)
{
    const char *equals = word[0] == '-' ? strchr(word, '=') : NULL;

    if (equals)
        return equals + 1;
    return word[0] == '-' ? word + strcspn(word, begins) : word;
}

/* In any notation: 8, 08, 0x8, +8, 8GiB. */
static bool may_be_number(const struct pattern_word *w, const char *word)
{
    const char *value = value_of(word, "0123456789");
    char *end;
    static const int bases[] = {0, 8, 10, 16};

    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        const unsigned long long n = strtoull(value, &end, bases[i]);
        if (end != value && n >= w->low && n <= w->high)
            return true;
    }
    /* What no integer holds is in every range without an end. */
    return w->high == PATTERN_INT_MAX && strtoull(value, &end, 10) > w->high;
}

static bool may_be_path(const struct pattern_word *w, const char *word)
{
    const char *value = value_of(word, "/");
    char path[FILE_PATH_MAX + 1];

    if (!*value)
        return word[0] != '-'; /* an option without a value; an empty path is a relative one */
    if (*value != '/' || (value != word && value[-1] != '=' && value - word > 2))
        return true;
    if (!w->inside.len || file_path_join("/", value, strlen(value), path, NULL) < 0)
        return true;
    return file_glob_matches((const char *)w->inside.p, w->inside.len, path, strlen(path));
}

static bool denies_word(const struct pattern_word *w, const char *word)
{
    switch (w->kind) {
    case PATTERN_LITERAL:
        for (unsigned i = 0; i < w->count; i++) {
            const struct bytes text = pattern_alternative(w, i);
            if (says(word, &text))
                return true;
        }
        return false;
    case PATTERN_OPTION:
        return word[0] == '-';
    case PATTERN_INT:
        return may_be_number(w, word);
    case PATTERN_PATH:
        return may_be_path(w, word);
    default:
        return true;
    }
}

bool pattern_denies(const struct pattern *p, const struct words *argv)
{
    size_t at = 1;

    if (!argv->count || !is_program(&p->word[0], argv->word[0]))
        return false;
    for (size_t i = 1; i < p->count; i++) {
        const struct pattern_word *w = &p->word[i];
        if (is_option_literal(w)) {
            if (!options_are_there(w, argv))
                return false;
        } else if (!is_rest(w)) {
            while (at < argv->count && !denies_word(w, argv->word[at]))
                at++;
            if (at++ >= argv->count)
                return false;
        }
    }
    return true;
}

/* ---- for people ---- */

static bool covers_word(const struct pattern_word *a, const struct pattern_word *b)
{
    char word[256];

    if (a->kind == b->kind && a->kind != PATTERN_LITERAL)
        return a->kind == PATTERN_INT
                   ? a->low <= b->low && a->high >= b->high
                   : a->inside.len == b->inside.len &&
                         (!a->inside.len || memcmp(a->inside.p, b->inside.p, a->inside.len) == 0);
    if (b->kind != PATTERN_LITERAL)
        return a->kind == PATTERN_REST_OPTIONS ||
               ((a->kind == PATTERN_ANY || a->kind == PATTERN_REST) &&
                (b->kind == PATTERN_ANY || b->kind == PATTERN_INT || b->kind == PATTERN_PATH ||
                 b->kind == PATTERN_NAME));
    for (unsigned i = 0; i < b->count; i++) {
        const struct bytes text = pattern_alternative(b, i);
        if (text.len >= sizeof word)
            return false;
        memcpy(word, text.p, text.len);
        word[text.len] = 0;
        if (!allows_word(a, word, false))
            return false;
    }
    return true;
}

bool pattern_covers(const struct pattern *a, const struct pattern *b)
{
    const bool open = is_rest(&a->word[a->count - 1]);
    const size_t fixed = a->count - open;

    if (b->count < fixed || (b->count > fixed && !open))
        return false;
    for (size_t i = 0; i < b->count; i++) {
        if (is_rest(&b->word[i]) && i < fixed)
            return false;
        if (!covers_word(&a->word[i < fixed ? i : fixed], &b->word[i]))
            return false;
    }
    return true;
}

static size_t literal_text(const struct pattern_word *w, char *out, size_t cap)
{
    size_t at = 0;

    for (unsigned i = 0; i < w->count && at < cap; i++) {
        const struct bytes text = pattern_alternative(w, i);
        char word[400];
        escape_text(word, sizeof word, text.p, text.len);
        const char *quote = text.len && !strpbrk(word, " *|<>") ? "" : "'";
        at += (size_t)snprintf(out + at, cap - at, "%s%s%s%s", i ? "|" : "", quote, word, quote);
    }
    return at;
}

static size_t word_text(const struct pattern_word *w, char *out, size_t cap)
{
    static const char *const names[] = {
        [PATTERN_ANY] = "*",       [PATTERN_REST] = "**",
        [PATTERN_OPTION] = "-*",   [PATTERN_REST_OPTIONS] = "-**",
        [PATTERN_NAME] = "<name>",
    };

    switch (w->kind) {
    case PATTERN_LITERAL:
        return literal_text(w, out, cap);
    case PATTERN_INT:
        if (w->low == 0 && w->high == PATTERN_INT_MAX)
            return (size_t)snprintf(out, cap, "<int>");
        return (size_t)snprintf(out, cap, "<int:%llu-%llu>", (unsigned long long)w->low,
                                (unsigned long long)w->high);
    case PATTERN_PATH: {
        char glob[FILE_PATTERN_MAX * 4 + 1];
        escape_text(glob, sizeof glob, w->inside.p, w->inside.len);
        return (size_t)snprintf(out, cap, "<path%s%s>", glob[0] ? ":" : "", glob);
    }
    default:
        return (size_t)snprintf(out, cap, "%s", names[w->kind]);
    }
}

void pattern_text(const struct pattern *p, char *out, size_t cap)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < p->count && at < cap; i++) {
        at += (size_t)snprintf(out + at, cap - at, "%s", i ? " " : "");
        if (at < cap)
            at += word_text(&p->word[i], out + at, cap - at);
    }
    if (at >= cap && cap > 4)
        memcpy(out + cap - 4, "...", 4);
}
