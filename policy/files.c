/* SPDX-License-Identifier: Apache-2.0
 *
 * File rules. A set lives in its encoded form only, as command rules do, so that joining roles'
 * sets, sending them and applying them need no other form:
 *
 *     set  = *rule
 *     rule = U8 access, DATA name, DATA pattern        (base/wire.h)
 *
 * Both levels of a pattern, parts within a path and bytes within a part, are matched with one step
 * back to the latest wildcard: what lies between two wildcards may as well be found at its first
 * place, so nothing further back ever needs to be tried again. Used by authd (builds and encodes)
 * and by the backend (decodes, applies to hostile requests). Pure. */
#include "policy/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/rule_bytes.h"

#define ACCESS_BOTH (FILE_READ | FILE_WRITE)

struct file_rules {
    unsigned everywhere; /* access that "/" and then "**" gives */
    struct buf bytes;    /* encoded */
};

struct file_rule {
    unsigned access;
    struct bytes name, pattern; /* views */
};

struct file_rules *file_rules_new(void)
{
    struct file_rules *rules = calloc(1, sizeof *rules);

    if (rules)
        buf_init(&rules->bytes, FILES_ENCODED_MAX);
    return rules;
}

void file_rules_free(struct file_rules *rules)
{
    if (!rules)
        return;
    buf_clear(&rules->bytes);
    free(rules);
}

/* ---- paths ---- */

/* The parts of a canonical path or of a pattern, from the first to the last. */
struct parts {
    const uint8_t *next, *end; /* next NULL: none is left */
};

static struct parts parts_of(const void *path, size_t len)
{
    const uint8_t *p = path;

    return (struct parts){len > 1 ? p + 1 : NULL, p + len};
}

static bool take_part(struct parts *parts, struct bytes *part)
{
    if (!parts->next)
        return false;
    const uint8_t *slash = memchr(parts->next, '/', (size_t)(parts->end - parts->next));
    part->p = parts->next;
    part->len = (size_t)((slash ? slash : parts->end) - parts->next);
    parts->next = slash ? slash + 1 : NULL;
    return true;
}

static bool is_dots(const void *part, size_t len)
{
    return len && len <= 2 && memcmp(part, "..", len) == 0;
}

static bool is_canonical(const char *path, size_t len)
{
    struct parts parts = parts_of(path, len);
    struct bytes part;

    if (!len || len > FILE_PATH_MAX || path[0] != '/' || memchr(path, 0, len))
        return false;
    while (take_part(&parts, &part)) {
        if (!part.len || is_dots(part.p, part.len))
            return false;
    }
    return true;
}

int file_path_join(const char *base, const void *path, size_t len, char out[FILE_PATH_MAX + 1],
                   struct err *e)
{
    const char *p = path, *end = p + len;
    size_t at = 0; /* 0 is the root, without its slash */

    out[0] = 0;
    if (!len)
        return err_set(e, ERR_INPUT, "the path is empty");
    if (memchr(path, 0, len))
        return err_set(e, ERR_INPUT, "the path holds a NUL byte");
    if (*p != '/') {
        at = strlen(base);
        if (!is_canonical(base, at))
            return err_set(e, ERR_INPUT, "the folder that the path begins at is not canonical");
        at = at == 1 ? 0 : at;
        memcpy(out, base, at);
    }
    while (p < end) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        const size_t part = (size_t)((slash ? slash : end) - p);
        if (part == 2 && is_dots(p, 2)) {
            while (at && out[--at] != '/')
                ;
        } else if (part && !is_dots(p, part)) {
            if (1 + part > FILE_PATH_MAX - at) {
                out[0] = 0;
                return err_set(e, ERR_FULL, "the path is longer than %d bytes", FILE_PATH_MAX);
            }
            out[at++] = '/';
            memcpy(out + at, p, part);
            at += part;
        }
        p += part + 1;
    }
    if (!at)
        out[at++] = '/';
    out[at] = 0;
    return 0;
}

/* ---- patterns ---- */

static bool is_any_parts(const struct bytes *part)
{
    return part->len == 2 && memcmp(part->p, "**", 2) == 0;
}

/* One part of a pattern: escapes, "**" alone, no dots, no control characters. */
static int check_part(const char *pattern, const char *part, size_t len, struct err *e)
{
    const size_t at = (size_t)(part - pattern) + 1; /* for people */
    size_t i = 0;

    if (!len)
        return err_set(e, ERR_INPUT,
                       "found an empty part at byte %zu, expected one / between parts"
                       " and none at the end",
                       at);
    if (is_dots(part, len))
        return err_set(e, ERR_INPUT, "found %.*s at byte %zu, expected a path without . and ..",
                       (int)len, part, at);
    if (len == 2 && memcmp(part, "**", 2) == 0)
        return 0;
    while (i < len) {
        if ((unsigned char)part[i] < ' ' || part[i] == 0x7f)
            return err_set(e, ERR_INPUT, "found a control character at byte %zu", at + i);
        if (part[i] == '\\') {
            if (i + 1 == len || !strchr("*?\\", part[i + 1]))
                return err_set(e, ERR_INPUT,
                               "found \\ at byte %zu before none of * ? \\, expected \\\\ for a"
                               " backslash",
                               at + i);
            i++;
        } else if (part[i] == '*' && i + 1 < len && part[i + 1] == '*') {
            return err_set(e, ERR_INPUT,
                           "found ** beside other text at byte %zu, expected it alone between"
                           " slashes, as in /srv/**",
                           at + i);
        }
        i++;
    }
    return 0;
}

static int check_pattern(const char *pattern, size_t len, struct err *e)
{
    if (!len || pattern[0] != '/')
        return err_set(e, ERR_INPUT,
                       "found a path that does not begin with /, expected an absolute"
                       " one, as in /var/log/**");
    if (len > FILE_PATTERN_MAX)
        return err_set(e, ERR_INPUT, "found a pattern of %zu bytes, expected at most %d", len,
                       FILE_PATTERN_MAX);
    struct parts parts = parts_of(pattern, len);
    struct bytes part;
    int rc = 0;
    while (rc == 0 && take_part(&parts, &part))
        rc = check_part(pattern, (const char *)part.p, part.len, e);
    return rc;
}

/* One part: "*" any bytes, "?" one, "\" before one takes it as it is. */
static bool part_matches(const struct bytes *pattern, const struct bytes *text)
{
    const uint8_t *const p = pattern->p;
    size_t i = 0, t = 0, after_star = 0, star_t = 0; /* after_star 0: no star yet */

    while (t < text->len) {
        if (i < pattern->len && p[i] == '*') {
            after_star = ++i;
            star_t = t;
            continue;
        }
        if (i < pattern->len) {
            const size_t width = p[i] == '\\' ? 2 : 1;
            if (p[i] == '?' || p[i + width - 1] == text->p[t]) {
                i += width;
                t++;
                continue;
            }
        }
        if (!after_star)
            return false;
        i = after_star;
        t = ++star_t;
    }
    while (i < pattern->len && p[i] == '*')
        i++;
    return i == pattern->len;
}

static bool pattern_matches(const struct bytes *pattern, const char *path, size_t len)
{
    struct parts pat = parts_of(pattern->p, pattern->len), txt = parts_of(path, len);
    struct parts after_star = {0}, star_txt = {0};
    struct bytes want, have;
    bool star = false;

    while (txt.next) {
        struct parts pat_then = pat, txt_then = txt;
        if (take_part(&pat_then, &want)) {
            if (is_any_parts(&want)) {
                star = true;
                after_star = pat = pat_then;
                star_txt = txt;
                continue;
            }
            if (take_part(&txt_then, &have) && part_matches(&want, &have)) {
                pat = pat_then;
                txt = txt_then;
                continue;
            }
        }
        if (!star || !take_part(&star_txt, &have))
            return false;
        pat = after_star;
        txt = star_txt;
    }
    while (take_part(&pat, &want)) {
        if (!is_any_parts(&want))
            return false;
    }
    return true;
}

/* The path is a folder above what the pattern's parts before its first "**" lead to. */
static bool pattern_leads_through(const struct bytes *pattern, const char *path, size_t len)
{
    struct parts pat = parts_of(pattern->p, pattern->len), txt = parts_of(path, len);
    struct bytes want, have;

    while (take_part(&txt, &have)) {
        if (!take_part(&pat, &want) || is_any_parts(&want) || !part_matches(&want, &have))
            return false;
    }
    return pat.next != NULL;
}

int file_glob_check(const char *pattern, size_t len, struct err *e)
{
    return check_pattern(pattern, len, e);
}

bool file_glob_matches(const char *pattern, size_t len, const char *path, size_t path_len)
{
    const struct bytes view = {(const uint8_t *)pattern, len};

    return is_canonical(path, path_len) && pattern_matches(&view, path, path_len);
}

bool file_path_is_canonical(const char *path, size_t len)
{
    return is_canonical(path, len);
}

/* ---- sets ---- */

/* Reads one rule; false at malformed bytes. */
static bool get_rule(struct wire_reader *r, struct file_rule *rule)
{
    rule->access = wire_get_u8(r);
    rule->name = wire_get_data(r, FILE_RULE_NAME_MAX);
    rule->pattern = wire_get_data(r, FILE_PATTERN_MAX);
    return !r->failed;
}

/* What came from somebody else: as file_rules_add would have made it. */
static bool rule_is_sound(const struct file_rule *rule)
{
    return rule->access && !(rule->access & ~(unsigned)ACCESS_BOTH) && rule->name.len &&
           !memchr(rule->name.p, 0, rule->name.len) &&
           check_pattern((const char *)rule->pattern.p, rule->pattern.len, NULL) == 0;
}

static unsigned everywhere(const struct file_rule *rule)
{
    return rule->pattern.len == 3 && memcmp(rule->pattern.p, "/**", 3) == 0 ? rule->access : 0;
}

#define WHAT "file rules"

int file_rules_add(struct file_rules *rules, const char *name, unsigned access, const char *pattern,
                   struct err *e)
{
    uint8_t bytes[1 + 4 + FILE_RULE_NAME_MAX + 4 + FILE_PATTERN_MAX];
    const size_t len = strlen(pattern);
    const struct file_rule rule = {.access = access,
                                   .name = {(const uint8_t *)name, strlen(name)},
                                   .pattern = {(const uint8_t *)pattern, len}};
    struct wire_writer w;
    int rc = check_pattern(pattern, len, e);

    if (rc < 0)
        return rc;
    if (!rule_is_sound(&rule))
        return err_set(e, ERR_INPUT, "found a file rule without a name or a direction");
    wire_writer_init(&w, bytes, sizeof bytes);
    wire_put_u8(&w, (uint8_t)access);
    wire_put_data(&w, name, rule.name.len, FILE_RULE_NAME_MAX);
    wire_put_data(&w, pattern, len, FILE_PATTERN_MAX);
    rc = wire_put_end(&w, e);
    if (rc == 0)
        rc = rule_bytes_append(&rules->bytes, bytes, w.len, WHAT, e);
    if (rc == 0)
        rules->everywhere |= everywhere(&rule);
    return rc;
}

int file_rules_merge(struct file_rules *rules, const struct file_rules *other, struct err *e)
{
    int rc =
        rule_bytes_append(&rules->bytes, buf_head(&other->bytes), buf_len(&other->bytes), WHAT, e);

    if (rc == 0)
        rules->everywhere |= other->everywhere;
    return rc;
}

int file_rules_encode(const struct file_rules *rules, struct buf *out)
{
    return rules ? buf_put(out, buf_head(&rules->bytes), buf_len(&rules->bytes)) : 0;
}

static bool take_rule(void *arg, struct wire_reader *r)
{
    struct file_rules *rules = arg;
    struct file_rule rule;

    if (!get_rule(r, &rule) || !rule_is_sound(&rule))
        return false;
    rules->everywhere |= everywhere(&rule);
    return true;
}

struct file_rules *file_rules_decode(const void *bytes, size_t len, struct err *e)
{
    struct file_rules *rules = file_rules_new();

    if (!rules) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    if (rule_bytes_decode(&rules->bytes, bytes, len, take_rule, rules, WHAT, e) < 0) {
        file_rules_free(rules);
        return NULL;
    }
    return rules;
}

unsigned file_rules_access(const struct file_rules *rules, const char *path, size_t len,
                           unsigned wanted, char name[128])
{
    struct wire_reader r;
    struct file_rule rule;
    unsigned access = 0;

    if (name)
        name[0] = 0;
    if (!rules || !is_canonical(path, len))
        return 0;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule) && access != ACCESS_BOTH) {
        /* A rule that adds nothing needs no look at its pattern. */
        if (!(rule.access & ~access) || !pattern_matches(&rule.pattern, path, len))
            continue;
        if (name && (rule.access & wanted) && !(access & wanted))
            snprintf(name, 128, "%.*s", (int)rule.name.len, (const char *)rule.name.p);
        access |= rule.access;
    }
    return access;
}

bool file_rules_visible(const struct file_rules *rules, const char *path, size_t len)
{
    struct wire_reader r;
    struct file_rule rule;

    if (!rules || !is_canonical(path, len))
        return false;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule)) {
        if (pattern_matches(&rule.pattern, path, len) ||
            pattern_leads_through(&rule.pattern, path, len))
            return true;
    }
    return false;
}

bool file_rules_unrestricted(const struct file_rules *rules)
{
    return rules && rules->everywhere == ACCESS_BOTH;
}

void file_rules_each(const struct file_rules *rules,
                     void (*each)(void *arg, unsigned access, const char *pattern), void *arg)
{
    char pattern[FILE_PATTERN_MAX + 1];
    struct file_rule rule;
    struct wire_reader r;

    wire_reader_init(&r, rules ? buf_head(&rules->bytes) : NULL,
                     rules ? buf_len(&rules->bytes) : 0);
    while (r.left && get_rule(&r, &rule)) {
        memcpy(pattern, rule.pattern.p, rule.pattern.len);
        pattern[rule.pattern.len] = 0;
        each(arg, rule.access, pattern);
    }
}
