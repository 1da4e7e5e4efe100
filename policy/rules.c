/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of command rules: building, joining, encoding, decoding (policy/rules_inside.h has the
 * format). Used by authd (builds and encodes) and by the backend, which decodes and takes every
 * byte for hostile: a set that decodes is one that authd could have made. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rule_bytes.h"
#include "policy/rules_inside.h"

#define WHAT "command rules"

static struct rule_set *new_set(bool restricts)
{
    struct rule_set *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->restricts = restricts;
    buf_init(&set->bytes, RULES_ENCODED_MAX - 1);
    return set;
}

struct rule_set *rule_set_new(void)
{
    return new_set(true);
}

void rule_set_free(struct rule_set *set)
{
    if (!set)
        return;
    buf_clear(&set->bytes);
    packs_free(set->own);
    free(set);
}

bool rule_set_restricts(const struct rule_set *set)
{
    return !set || set->restricts;
}

void rule_set_open(struct rule_set *set)
{
    set->flags |= RULES_OPEN;
}

void rule_set_take_shell(struct rule_set *set)
{
    set->flags |= RULES_TOOK_SHELL;
}

bool rule_set_is_open(const struct rule_set *set)
{
    return set && (!set->restricts || (set->flags & RULES_OPEN));
}

bool rule_set_took_shell(const struct rule_set *set)
{
    return set && (set->flags & RULES_TOOK_SHELL);
}

static bool is_one_bit(uint32_t bits)
{
    return bits && !(bits & (bits - 1));
}

bool rule_get(struct wire_reader *r, struct rule *rule)
{
    rule->kind = (enum rule_kind)wire_get_u8(r);
    if (r->failed || rule->kind < RULE_ALLOW || rule->kind > RULE_DENY_CLASS)
        return false;
    wire_get_str(r, rule->name, RULE_NAME_MAX);
    if (r->failed || !rule->name[0])
        return false;
    rule->path[0] = 0;
    rule->flags = 0;
    rule->bit = 0;
    rule->pattern.count = 0;
    if (rule->kind == RULE_DENY_CLASS) {
        rule->bit = wire_get_u32(r);
        return !r->failed && is_one_bit(rule->bit);
    }
    if (rule->kind == RULE_ALLOW) {
        wire_get_str(r, rule->path, RULE_PATH_MAX);
        rule->flags = wire_get_u8(r);
        if (r->failed || rule->path[0] != '/' || (rule->flags & ~(unsigned)RULE_STDIN_DIGEST))
            return false;
    }
    return pattern_get(r, &rule->pattern) &&
           (rule->kind != RULE_ALLOW || pattern_program(&rule->pattern).len);
}

bool rule_set_denies(const struct rule_set *set, char name[128])
{
    struct wire_reader r;
    struct rule rule;

    if (name)
        name[0] = 0;
    if (!set || !set->denies)
        return false;
    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    while (name && !name[0] && r.left && rule_get(&r, &rule)) {
        if (rule.kind != RULE_ALLOW)
            snprintf(name, 128, "%s", rule.name);
    }
    return true;
}

/* A literal that words_quote refuses would be a rule that allows what cannot be sent. */
static int check_literals(const struct pattern *p, const char *path, struct err *e)
{
    struct buf line;
    struct words one;

    buf_init(&line, 4 * WORDS_TEXT_MAX);
    for (size_t i = 0; i < p->count; i++) {
        for (unsigned k = 0; k < p->word[i].count; k++) {
            const struct bytes text = pattern_alternative(&p->word[i], k);
            char *word = strndup((const char *)text.p, text.len);
            if (!word)
                return err_set(e, ERR_MEMORY, "out of memory");
            one.count = 2;
            one.word[0] = (char *)(uintptr_t)path; /* only read */
            one.word[1] = i ? word : one.word[0];
            int rc = words_quote(&one, &line, e);
            if (rc == ERR_INPUT)
                err_set(e, ERR_INPUT,
                        "word %zu: found ' \\ or !, which no quoting carries to every target's "
                        "shell, expected words without them",
                        i + 1);
            buf_clear(&line);
            free(word);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int add(struct rule_set *set, const struct rule *rule, struct bytes pattern, struct err *e)
{
    const size_t room = 1 + 2 + strlen(rule->name) + 2 + strlen(rule->path) + 1 + 4 + pattern.len;
    uint8_t *bytes = malloc(room);
    struct wire_writer w;

    if (!bytes)
        return err_set(e, ERR_MEMORY, "out of memory");
    wire_writer_init(&w, bytes, room);
    wire_put_u8(&w, (uint8_t)rule->kind);
    wire_put_str(&w, rule->name, RULE_NAME_MAX);
    if (rule->kind == RULE_ALLOW) {
        wire_put_str(&w, rule->path, RULE_PATH_MAX);
        wire_put_u8(&w, (uint8_t)rule->flags);
    }
    if (rule->kind == RULE_DENY_CLASS)
        wire_put_u32(&w, rule->bit);
    else
        wire_put_raw(&w, pattern.p, pattern.len);
    int rc = wire_put_end(&w, e);
    if (rc == 0)
        rc = rule_bytes_append(&set->bytes, bytes, w.len, WHAT, e);
    if (rc == 0 && rule->kind != RULE_ALLOW)
        set->denies = true;
    free(bytes);
    return rc;
}

static int take_pattern(struct rule *rule, const char *name, struct bytes pattern, struct err *e)
{
    struct wire_reader r;

    if (!name[0] || strlen(name) > RULE_NAME_MAX)
        return err_set(e, ERR_INPUT, "found a rule without a name");
    snprintf(rule->name, sizeof rule->name, "%s", name);
    rule->path[0] = 0;
    wire_reader_init(&r, pattern.p, pattern.len);
    if (!pattern_get(&r, &rule->pattern) || r.left)
        return err_set(e, ERR_INPUT, "found no pattern");
    return 0;
}

int rule_set_allow(struct rule_set *set, const char *name, struct bytes pattern, const char *path,
                   unsigned flags, struct err *e)
{
    struct rule rule = {.kind = RULE_ALLOW, .flags = flags};
    int rc = take_pattern(&rule, name, pattern, e);

    if (rc < 0)
        return rc;
    if (!pattern_program(&rule.pattern).len || path[0] != '/' || strlen(path) > RULE_PATH_MAX)
        return err_set(e, ERR_INPUT, "found a rule without an absolute program");
    snprintf(rule.path, sizeof rule.path, "%s", path);
    rc = check_literals(&rule.pattern, path, e);
    return rc == 0 ? add(set, &rule, pattern, e) : rc;
}

int rule_set_deny(struct rule_set *set, const char *name, struct bytes pattern, struct err *e)
{
    struct rule rule = {.kind = RULE_DENY};
    int rc = take_pattern(&rule, name, pattern, e);

    return rc == 0 ? add(set, &rule, pattern, e) : rc;
}

int rule_set_deny_class(struct rule_set *set, const char *name, const struct packs *packs,
                        uint32_t bit, struct err *e)
{
    struct rule rule = {.kind = RULE_DENY_CLASS, .bit = bit};

    if (!packs || !is_one_bit(bit) || !name[0] || strlen(name) > RULE_NAME_MAX)
        return err_set(e, ERR_INPUT, "found no class to deny");
    snprintf(rule.name, sizeof rule.name, "%s", name);
    int rc = add(set, &rule, (struct bytes){NULL, 0}, e);
    if (rc == 0) {
        set->packs = packs;
        set->classes |= bit;
    }
    return rc;
}

int rule_set_add(struct rule_set *set, const char *name, const struct words *argv, const char *path,
                 unsigned flags, struct err *e)
{
    struct buf pattern;

    if (!argv->count)
        return err_set(e, ERR_INPUT, "found a rule without an absolute program");
    buf_init(&pattern, 4 * WORDS_TEXT_MAX);
    int rc = pattern_of_words(argv, &pattern, e);
    if (rc == 0)
        rc = rule_set_allow(set, name, (struct bytes){buf_head(&pattern), buf_len(&pattern)}, path,
                            flags, e);
    buf_clear(&pattern);
    return rc;
}

int rule_set_merge(struct rule_set *set, const struct rule_set *other, struct err *e)
{
    int rc =
        rule_bytes_append(&set->bytes, buf_head(&other->bytes), buf_len(&other->bytes), WHAT, e);

    if (rc < 0)
        return rc;
    set->flags |= other->flags;
    set->denies = set->denies || other->denies;
    set->classes |= other->classes;
    if (other->packs)
        set->packs = other->packs;
    return 0;
}

/* Flags before the rules; a byte and a length before the packs. */
bool rule_set_fits(const struct rule_set *set)
{
    if (!set || !set->restricts || !set->classes)
        return true;
    const size_t rules = 1 + buf_len(&set->bytes) + 5;
    return rules + packs_encoded_size(set->packs, set->classes, false) <= RULES_ENCODED_MAX ||
           rules + packs_encoded_size(set->packs, set->classes, true) <= RULES_ENCODED_MAX;
}

int rule_set_encode(const struct rule_set *set, struct buf *out)
{
    struct buf packs;
    uint8_t head[5];

    if (!set || !set->restricts)
        return 0;
    /* A set that came to nothing is a mistake of ours: better none of it. */
    if (!buf_len(&set->bytes))
        return ERR_INPUT;
    head[0] = (uint8_t)set->flags;
    int rc = buf_put(out, head, 1);
    if (rc == 0)
        rc = buf_put(out, buf_head(&set->bytes), buf_len(&set->bytes));
    if (rc < 0 || !set->classes)
        return rc;
    buf_init(&packs, RULES_ENCODED_MAX);
    rc = packs_encode(set->packs, set->classes, &packs);
    head[0] = RULES_PACKS;
    wire_store_u32(head + 1, (uint32_t)buf_len(&packs));
    if (rc == 0)
        rc = buf_put(out, head, sizeof head);
    if (rc == 0)
        rc = buf_put(out, buf_head(&packs), buf_len(&packs));
    buf_clear(&packs);
    return rc;
}

/* The rules, and behind them the packs. */
static int decode_rules(struct rule_set *set, struct wire_reader *r, struct err *e)
{
    const uint8_t *const rules = r->in;
    struct bytes packs = {NULL, 0};
    struct rule rule;

    while (r->left && *r->in != RULES_PACKS) {
        if (!rule_get(r, &rule))
            return err_set(e, ERR_PROTOCOL, "the command rules are malformed");
        set->denies = set->denies || rule.kind != RULE_ALLOW;
        set->classes |= rule.bit;
    }
    /* Nothing that authd would send: it might have become nothing on the way. */
    if (r->in == rules)
        return err_set(e, ERR_PROTOCOL, "the command rules are malformed");
    int rc = rule_bytes_append(&set->bytes, rules, (size_t)(r->in - rules), WHAT, e);
    if (rc < 0)
        return rc;
    if (r->left) {
        (void)wire_get_u8(r);
        packs = wire_get_data(r, RULES_ENCODED_MAX);
        if (r->failed || r->left || !packs.len)
            return err_set(e, ERR_PROTOCOL, "the command rules are malformed");
    }
    /* A class without its entries would deny nothing. */
    if (!set->classes != !packs.p)
        return err_set(e, ERR_PROTOCOL, "the command rules and their packs do not fit");
    if (!packs.p)
        return 0;
    set->own = packs_decode(packs.p, packs.len, e);
    if (!set->own)
        return ERR_PROTOCOL;
    set->packs = set->own;
    for (uint32_t bit = 1; bit; bit <<= 1) {
        if ((set->classes & bit) && !packs_class_name(set->own, bit))
            return err_set(e, ERR_PROTOCOL, "the command rules deny a class that no pack has");
    }
    return 0;
}

struct rule_set *rule_set_decode(const void *bytes, size_t len, struct err *e)
{
    struct rule_set *set = new_set(len > 0);
    struct wire_reader r;
    int rc = 0;

    if (!set) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    wire_reader_init(&r, bytes, len);
    if (len) {
        set->flags = wire_get_u8(&r);
        if (set->flags & ~(unsigned)(RULES_OPEN | RULES_TOOK_SHELL))
            rc = err_set(e, ERR_PROTOCOL, "the command rules are malformed");
        else
            rc = decode_rules(set, &r, e);
    }
    if (rc < 0) {
        rule_set_free(set);
        return NULL;
    }
    return set;
}

/* As long as a rule can be written, and then some for the path. */
#define RULE_SHOWN_MAX (WORDS_TEXT_MAX + RULE_PATH_MAX)

void rule_set_each(const struct rule_set *set, void (*each)(void *arg, const char *rule), void *arg)
{
    char *text = malloc(RULE_SHOWN_MAX);
    struct wire_reader r;
    struct rule rule;

    wire_reader_init(&r, set ? buf_head(&set->bytes) : NULL, set ? buf_len(&set->bytes) : 0);
    while (text && r.left && rule_get(&r, &rule)) {
        size_t len = (size_t)sprintf(text, rule.kind == RULE_ALLOW ? "allow " : "deny ");
        if (rule.kind == RULE_DENY_CLASS) {
            snprintf(text + len, RULE_SHOWN_MAX - len, "class:%s",
                     packs_class_name(set->packs, rule.bit));
        } else {
            pattern_text(&rule.pattern, text + len, WORDS_TEXT_MAX - len);
            len = strlen(text);
        }
        if (rule.kind == RULE_ALLOW)
            snprintf(text + len, RULE_SHOWN_MAX - len, " (%s%s)", rule.path,
                     rule.flags & RULE_STDIN_DIGEST ? ", stdin: digest" : "");
        each(arg, text);
    }
    free(text);
}
