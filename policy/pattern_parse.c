/* SPDX-License-Identifier: Apache-2.0
 *
 * A rule's pattern from its text (the grammar is in policy/pattern.h) to its encoded form.
 * What a wildcard stands for is written bare and alone in its word; anything quoted is literal.
 * Used by authd's loader; the texts are root's, but may hold any mistake. Pure. */
#include "policy/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "policy/files.h"
#include "policy/words_parts.h"

struct parsing {
    const unsigned char *in;
    size_t len, at;
    char *word; /* room for any word */
    struct buf *out;
    struct err *e;
};

static int put(struct parsing *p, const void *bytes, size_t len)
{
    int rc = buf_put(p->out, bytes, len);

    return rc < 0 ? err_set(p->e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "the rule is too long")
                  : 0;
}

static int put_u8(struct parsing *p, unsigned v)
{
    const uint8_t byte = (uint8_t)v;

    return put(p, &byte, 1);
}

static int put_data(struct parsing *p, const void *bytes, size_t len)
{
    uint8_t prefix[4];

    wire_store_u32(prefix, (uint32_t)len);
    int rc = put(p, prefix, sizeof prefix);
    return rc == 0 ? put(p, bytes, len) : rc;
}

/* "1-64": both ends are decimal, at most PATTERN_INT_MAX. */
static bool take_number(const char **at, uint64_t *out)
{
    const char *p = *at;

    *out = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        if (*out > (PATTERN_INT_MAX - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    *at = p;
    return true;
}

static int put_int(struct parsing *p, size_t column, const char *range)
{
    uint64_t low = 0, high = PATTERN_INT_MAX;
    const char *at = range;
    uint8_t bytes[16];

    if (range &&
        (!take_number(&at, &low) || *at++ != '-' || !take_number(&at, &high) || *at || low > high))
        return err_set(
            p->e, ERR_SYNTAX,
            "column %zu: found <int:%.60s>, expected a range such as <int:1-64>, its low "
            "end first",
            column, range);
    wire_store_u64(bytes, low);
    wire_store_u64(bytes + 8, high);
    int rc = put_u8(p, PATTERN_INT);
    return rc == 0 ? put(p, bytes, sizeof bytes) : rc;
}

static int put_path(struct parsing *p, size_t column, const char *glob)
{
    struct err why = ERR_INIT;

    if (glob && file_glob_check(glob, strlen(glob), &why) < 0)
        return err_set(p->e, ERR_SYNTAX, "column %zu: in <path:%.200s>: %s", column, glob,
                       why.text);
    int rc = put_u8(p, PATTERN_PATH);
    return rc == 0 ? put_data(p, glob ? glob : "", glob ? strlen(glob) : 0) : rc;
}

/* From "<" on. */
static int take_matcher(struct parsing *p)
{
    static const char *const names[] = {"int", "path", "name", NULL};
    const size_t column = p->at + 1;
    const unsigned char *end = memchr(p->in + p->at, '>', p->len - p->at);
    size_t len = end ? (size_t)(end - p->in) - column : 0;

    if (!end)
        return err_set(p->e, ERR_SYNTAX,
                       "column %zu: found < without its end, expected <int>, <path> or <name>",
                       column);
    p->at += len + 2;
    if (p->at < p->len && p->in[p->at] != ' ')
        return err_set(p->e, ERR_SYNTAX,
                       "column %zu: found %c behind >, expected <...> to be a word of its own",
                       p->at + 1, p->in[p->at]);
    memcpy(p->word, p->in + column, len);
    p->word[len] = 0;
    char *detail = strchr(p->word, ':');
    if (detail)
        *detail++ = 0;
    if (strcmp(p->word, "int") == 0)
        return put_int(p, column, detail);
    if (strcmp(p->word, "path") == 0)
        return put_path(p, column, detail);
    if (strcmp(p->word, "name") == 0 && !detail)
        return put_u8(p, PATTERN_NAME);
    const char *near = nearest_word(p->word, names);
    return err_set(p->e, ERR_SYNTAX,
                   "column %zu: found <%.60s>%s%s%s, expected <int>, <int:1-64>, <path>, "
                   "<path:/srv/**> or <name>",
                   column, p->word, near ? " (did you mean <" : "", near ? near : "",
                   near ? ">?)" : "");
}

/* *, **, -* and -** standing alone; 0: none of them. */
static size_t wildcard_at(const struct parsing *p, enum pattern_kind *kind)
{
    static const struct {
        const char *text;
        enum pattern_kind kind;
    } all[] = {{"*", PATTERN_ANY},
               {"**", PATTERN_REST},
               {"-*", PATTERN_OPTION},
               {"-**", PATTERN_REST_OPTIONS}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t n = strlen(all[i].text);
        if (p->len - p->at >= n && memcmp(p->in + p->at, all[i].text, n) == 0 &&
            (p->at + n == p->len || p->in[p->at + n] == ' ')) {
            *kind = all[i].kind;
            return n;
        }
    }
    return 0;
}

static int refuse_in_literal(struct parsing *p)
{
    const unsigned char c = p->in[p->at];

    if (c == '*')
        return err_set(p->e, ERR_SYNTAX,
                       "column %zu: found * beside other text, expected * or ** as a word of its "
                       "own (quote a literal one)",
                       p->at + 1);
    if (c == '<' || c == '>')
        return err_set(
            p->e, ERR_SYNTAX,
            "column %zu: found %c beside other text, expected a matcher such as <int> as "
            "a word of its own (quote a literal one)",
            p->at + 1, c);
    return words_refuse(p->e, p->in, p->len, p->at, "");
}

/* a|b: count and then the alternatives; how many there are is put in afterwards. */
static int take_literals(struct parsing *p)
{
    const size_t start = buf_len(p->out);
    unsigned count = 0;
    int rc = put_u8(p, PATTERN_LITERAL);

    if (rc == 0)
        rc = put_u8(p, 0);
    for (bool more = true; rc == 0 && more;) {
        const size_t column = p->at + 1;
        char *to = p->word;
        bool any = false;
        while (rc == 0 && p->at < p->len && p->in[p->at] != ' ' && p->in[p->at] != '|') {
            any = true;
            if (p->in[p->at] == '\'' || p->in[p->at] == '"')
                rc = words_quoted(p->in, p->len, &p->at, &to, p->e);
            else if (words_is_safe(p->in[p->at]))
                *to++ = (char)p->in[p->at++];
            else
                rc = refuse_in_literal(p);
        }
        if (rc < 0)
            return rc;
        if (!any)
            return err_set(
                p->e, ERR_SYNTAX,
                "column %zu: found nothing beside |, expected words on both sides, as in "
                "list|dominfo (quote a literal |)",
                column);
        if (++count > PATTERN_ALTERNATIVES_MAX)
            return err_set(p->e, ERR_SYNTAX, "column %zu: found more than %d alternatives", column,
                           PATTERN_ALTERNATIVES_MAX);
        rc = put_data(p, p->word, (size_t)(to - p->word));
        more = p->at < p->len && p->in[p->at] == '|';
        p->at += more;
    }
    if (rc == 0)
        p->out->data[p->out->start + start + 1] = (uint8_t)count;
    return rc;
}

static int take_word(struct parsing *p, bool *last)
{
    enum pattern_kind kind;
    const size_t n = wildcard_at(p, &kind);

    if (n) {
        p->at += n;
        *last = kind == PATTERN_REST || kind == PATTERN_REST_OPTIONS;
        return put_u8(p, kind);
    }
    return p->in[p->at] == '<' ? take_matcher(p) : take_literals(p);
}

int pattern_parse(const char *text, size_t len, struct buf *out, struct err *e)
{
    struct parsing p = {.in = (const unsigned char *)text, .len = len, .out = out, .e = e};
    const size_t start = buf_len(out);
    size_t count = 0;
    bool last = false;
    int rc;

    if (len > WORDS_TEXT_MAX)
        return err_set(e, ERR_SYNTAX, "found a rule of %zu bytes, expected at most %d", len,
                       WORDS_TEXT_MAX);
    p.word = malloc(len + 1);
    if (!p.word)
        return err_set(e, ERR_MEMORY, "out of memory");
    rc = put(&p, "\0", 2);
    while (rc == 0) {
        while (p.at < len && text[p.at] == ' ')
            p.at++;
        if (p.at == len)
            break;
        if (last)
            rc = err_set(e, ERR_SYNTAX,
                         "column %zu: found a word behind **, expected ** at the end", p.at + 1);
        else if (count++ == WORDS_MAX)
            rc =
                err_set(e, ERR_SYNTAX, "column %zu: found more than %d words", p.at + 1, WORDS_MAX);
        else
            rc = take_word(&p, &last);
    }
    if (rc == 0 && !count)
        rc = err_set(e, ERR_SYNTAX, "found nothing, expected a command");
    if (rc == 0)
        wire_store_u16(out->data + out->start + start, (uint16_t)count);
    free(p.word);
    return rc;
}
