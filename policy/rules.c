/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of exact allow rules. A set lives in its encoded form only, so that joining roles' sets,
 * sending them and applying them need no other form:
 *
 *     set  = 1*rule, or nothing (then it restricts nothing)
 *     rule = STR name, STR path, U8 flags, U16 words, words x DATA word (base/wire.h; words >= 1)
 *
 * The first word is the program as the operator may write it; path, absolute, is what runs and is
 * accepted in its place too. Everything is compared byte by byte: no case, no prefix, no pattern.
 * Used by authd (builds and encodes) and by the backend (decodes, applies to hostile requests).
 * Pure. */
#include "policy/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PATH_TEXT_MAX 4096

/* Rules that a refused operator is shown. */
#define HINT_RULES 5

struct rule_set {
    bool restricts;
    struct buf bytes; /* encoded */
};

struct rule {
    char name[RULE_NAME_MAX + 1];
    char path[PATH_TEXT_MAX + 1];
    unsigned flags;
    size_t count;
    struct bytes word[WORDS_MAX]; /* views */
};

static struct rule_set *new_set(bool restricts)
{
    struct rule_set *set = malloc(sizeof *set);

    if (!set)
        return NULL;
    set->restricts = restricts;
    buf_init(&set->bytes, RULES_ENCODED_MAX);
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
    free(set);
}

bool rule_set_restricts(const struct rule_set *set)
{
    return !set || set->restricts;
}

/* Reads one rule; false at malformed bytes. */
static bool get_rule(struct wire_reader *r, struct rule *rule)
{
    wire_get_str(r, rule->name, RULE_NAME_MAX);
    wire_get_str(r, rule->path, PATH_TEXT_MAX);
    rule->flags = wire_get_u8(r);
    rule->count = wire_get_u16(r);
    if (r->failed || !rule->name[0] || rule->path[0] != '/' ||
        (rule->flags & ~(unsigned)RULE_STDIN_DIGEST) || !rule->count || rule->count > WORDS_MAX)
        return false;
    for (size_t i = 0; i < rule->count; i++) {
        rule->word[i] = wire_get_data(r, WORDS_TEXT_MAX);
        if (r->failed || (rule->word[i].len && memchr(rule->word[i].p, 0, rule->word[i].len)))
            return false;
    }
    return rule->word[0].len > 0;
}

static int append(struct rule_set *set, const void *bytes, size_t len, struct err *e)
{
    int rc = buf_put(&set->bytes, bytes, len);

    if (rc < 0)
        err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL,
                "found more than %d bytes of command rules, expected fewer", RULES_ENCODED_MAX);
    return rc;
}

/* The command line that a rule's words become: path in the first one's place. */
static int quote_with_path(const struct words *argv, const char *path, struct buf *out,
                           struct err *e)
{
    struct words run = *argv;

    run.word[0] = (char *)(uintptr_t)path; /* only read */
    return words_quote(&run, out, e);
}

int rule_set_add(struct rule_set *set, const char *name, const struct words *argv, const char *path,
                 unsigned flags, struct err *e)
{
    struct wire_writer w;
    struct buf line;
    size_t room = 2 + RULE_NAME_MAX + 2 + strlen(path) + 1 + 2;
    uint8_t *bytes = NULL;

    if (!argv->count || !argv->word[0][0] || path[0] != '/' || strlen(path) > PATH_TEXT_MAX)
        return err_set(e, ERR_INPUT, "found a rule without an absolute program");
    buf_init(&line, 4 * WORDS_TEXT_MAX);
    int rc = quote_with_path(argv, path, &line, e);
    buf_clear(&line);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < argv->count; i++)
        room += 4 + strlen(argv->word[i]);
    bytes = malloc(room);
    if (!bytes)
        return err_set(e, ERR_MEMORY, "out of memory");
    wire_writer_init(&w, bytes, room);
    wire_put_str(&w, name, RULE_NAME_MAX);
    wire_put_str(&w, path, PATH_TEXT_MAX);
    wire_put_u8(&w, (uint8_t)flags);
    wire_put_u16(&w, (uint16_t)argv->count);
    for (size_t i = 0; i < argv->count; i++)
        wire_put_data(&w, argv->word[i], strlen(argv->word[i]), WORDS_TEXT_MAX);
    rc = wire_put_end(&w, e);
    if (rc == 0)
        rc = append(set, bytes, w.len, e);
    free(bytes);
    return rc;
}

int rule_set_merge(struct rule_set *set, const struct rule_set *other, struct err *e)
{
    return append(set, buf_head(&other->bytes), buf_len(&other->bytes), e);
}

int rule_set_encode(const struct rule_set *set, struct buf *out)
{
    if (!set || !set->restricts)
        return 0;
    /* Nothing means everything to the receiver: a set that allows nothing cannot be said so. */
    if (!buf_len(&set->bytes))
        return ERR_INPUT;
    return buf_put(out, buf_head(&set->bytes), buf_len(&set->bytes));
}

struct rule_set *rule_set_decode(const void *bytes, size_t len, struct err *e)
{
    struct wire_reader r;
    struct rule rule;
    struct rule_set *set = new_set(len > 0);

    if (!set) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    wire_reader_init(&r, bytes, len);
    while (r.left) {
        if (!get_rule(&r, &rule)) {
            err_set(e, ERR_PROTOCOL, "the command rules are malformed");
            goto failed;
        }
    }
    if (len && append(set, bytes, len, e) < 0)
        goto failed;
    return set;
failed:
    rule_set_free(set);
    return NULL;
}

static bool word_is(const struct bytes *b, const char *word)
{
    return strlen(word) == b->len && (!b->len || memcmp(b->p, word, b->len) == 0);
}

static bool rule_matches(const struct rule *rule, const struct words *argv)
{
    if (argv->count != rule->count)
        return false;
    if (!word_is(&rule->word[0], argv->word[0]) && strcmp(rule->path, argv->word[0]) != 0)
        return false;
    for (size_t i = 1; i < argv->count; i++) {
        if (!word_is(&rule->word[i], argv->word[i]))
            return false;
    }
    return true;
}

/* Appends " Allowed: ..." with the first rules, as far as there is room. */
static void hint(const struct rule_set *set, char *out, size_t cap)
{
    struct wire_reader r;
    struct rule rule;
    size_t at = 0;

    out[0] = 0;
    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    for (unsigned n = 0; r.left && get_rule(&r, &rule); n++) {
        const size_t before = at;
        at += (size_t)snprintf(out + at, cap - at, "%s", n ? "; " : "");
        for (size_t i = 0; n < HINT_RULES && i < rule.count && at < cap; i++) {
            char word[400];
            escape_text(word, sizeof word, rule.word[i].p, rule.word[i].len);
            const char *quote = rule.word[i].len && !strchr(word, ' ') ? "" : "'";
            at +=
                (size_t)snprintf(out + at, cap - at, "%s%s%s%s", i ? " " : "", quote, word, quote);
        }
        if (n == HINT_RULES || at + 8 >= cap) {
            snprintf(out + (before < cap - 8 ? before : cap - 8), 8, "; ...");
            return;
        }
    }
}

/* The first rule that matches says what runs; all that match have a say in what is kept. */
static int apply_to_words(const struct rule_set *set, const struct words *argv, char name[128],
                          bool *stdin_digest, struct buf *forward, struct err *e)
{
    unsigned flags = RULE_STDIN_DIGEST;
    struct wire_reader r;
    struct rule rule;
    int rc = ERR_DENIED;

    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    while (r.left) {
        if (!get_rule(&r, &rule))
            return err_set(e, ERR_PROTOCOL, "the command rules are malformed");
        if (!rule_matches(&rule, argv))
            continue;
        flags &= rule.flags;
        if (rc == 0)
            continue;
        rc = quote_with_path(argv, rule.path, forward, e);
        if (rc < 0)
            return rc;
        snprintf(name, 128, "%s", rule.name);
    }
    if (rc == 0 && stdin_digest)
        *stdin_digest = flags & RULE_STDIN_DIGEST;
    return rc;
}

int rule_set_apply(const struct rule_set *set, const void *command, size_t len, char name[128],
                   bool *stdin_digest, struct buf *forward, struct err *e)
{
    struct words argv;
    /* All of a refusal fits the 1000 bytes that messages carry to the operator. */
    char shown[330], allowed[400];

    name[0] = 0;
    if (stdin_digest)
        *stdin_digest = false;
    if (!set)
        return err_set(e, ERR_DENIED,
                       "no command rules were given; ask your policy administrators");
    if (!set->restricts) {
        int rc = buf_put(forward, command, len);
        return rc < 0
                   ? err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "the command is too long")
                   : 0;
    }
    const size_t show = len < 80 ? len : 80;
    escape_text(shown, sizeof shown, command, show);
    if (show < len)
        strcat(shown, "...");
    struct err why = ERR_INIT;
    int rc = words_split(command, len, &argv, &why);
    if (rc < 0) {
        if (rc != ERR_SYNTAX)
            return err_set(e, (enum err_code)rc, "%s", why.text);
        return err_set(e, ERR_DENIED,
                       "your roles allow single commands only, and \"%s\" is none (%.400s); "
                       "ask your policy administrators",
                       shown, why.text);
    }
    rc = apply_to_words(set, &argv, name, stdin_digest, forward, e);
    words_clear(&argv);
    if (rc == ERR_DENIED) {
        hint(set, allowed, sizeof allowed);
        return err_set(e, ERR_DENIED,
                       "\"%s\" is not among the commands that your roles allow (%s); "
                       "ask your policy administrators",
                       shown, allowed);
    }
    return rc;
}
