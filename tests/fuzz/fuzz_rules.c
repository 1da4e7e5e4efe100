/* SPDX-License-Identifier: Apache-2.0
 *
 * Command rules as the backend gets them, and a command on them. Input: U16 length, so many bytes
 * of an encoded set, then the command. No bytes crash it; a set that decodes encodes to the same
 * bytes; what is allowed under rules splits into words again and is not what a deny of the set
 * finds in it. The walk through wrappers calls back with bounded commands, however they are nested.
 * The command is parsed as a pattern too: what parses reads back, and a pattern of plain words
 * matches these words. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/rules.h"
#include "policy/wrappers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count_command(void *arg, const struct words *inner, unsigned depth)
{
    size_t *count = arg;

    if (!inner->count || inner->count > WORDS_MAX || depth > WRAPPER_DEPTH_MAX ||
        ++*count > WRAPPER_COMMANDS_MAX)
        abort();
    for (size_t i = 0; i < inner->count; i++)
        *count += strlen(inner->word[i]) > 8 * WORDS_TEXT_MAX; /* reads them all */
    return 0;
}

static void walk(const uint8_t *command, size_t len)
{
    char why[WRAPPER_WHY_MAX];
    struct words w;
    size_t count = 0;

    if (words_split(command, len, &w, NULL) < 0)
        return;
    if (wrappers_walk_why(&w, count_command, &count, why, NULL) == 0 && !count)
        abort();
    words_clear(&w);
}

static void patterns(const uint8_t *command, size_t len)
{
    struct pattern *p = malloc(sizeof *p);
    char *text = malloc(len + 1), shown[200];
    struct wire_reader r;
    struct words w;
    struct buf out;

    if (!p || !text)
        abort();
    memcpy(text, command, len);
    text[len] = 0;
    buf_init(&out, 16 * WORDS_TEXT_MAX);
    if (pattern_parse(text, len, &out, NULL) == 0) {
        wire_reader_init(&r, buf_head(&out), buf_len(&out));
        if (!pattern_get(&r, p) || r.left)
            abort();
        pattern_text(p, shown, sizeof shown);
        if (!memchr(shown, 0, sizeof shown))
            abort();
        (void)pattern_covers(p, p);
        if (words_split(command, len, &w, NULL) == 0) {
            if (!pattern_allows(p, NULL, &w) || !pattern_allows_but_for_options(p, NULL, &w))
                abort();
            if (w.word[0][strlen(w.word[0]) - 1] != '/' && !pattern_denies(p, &w))
                abort();
            words_clear(&w);
        }
    }
    buf_clear(&out);
    free(text);
    free(p);
}

static void encodes_the_same(const struct rule_set *set, const uint8_t *bytes, size_t len)
{
    struct buf out;

    buf_init(&out, 2 * RULES_ENCODED_MAX);
    /* Packs may be encoded otherwise, rules may not. */
    if (rule_set_encode(set, &out) == 0 && buf_len(&out) == len &&
        memcmp(buf_head(&out), bytes, len) != 0)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rule_verdict v;
    struct err e = ERR_INIT;
    struct words w;
    struct buf out;

    if (size < 2)
        return 0;
    size_t len = (size_t)(data[0] << 8 | data[1]);
    data += 2;
    size -= 2;
    len = len < size ? len : size;
    walk(data + len, size - len);
    patterns(data + len, size - len);
    struct rule_set *set = rule_set_decode(data, len, &e);
    if (!set)
        return 0;
    buf_init(&out, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    encodes_the_same(set, data, len);
    const int rc = rule_set_judge(set, data + len, size - len, &v, &out, &e);
    if (rc == 0 && rule_set_restricts(set)) {
        if (words_split(buf_head(&out), buf_len(&out), &w, &e) == 0)
            words_clear(&w);
        else if (!buf_len(&out))
            abort();
    } else if (rc < 0 && (buf_len(&out) || !e.text[0])) {
        abort();
    }
    (void)rule_set_denies(set, v.rule);
    buf_clear(&out);
    rule_set_free(set);
    return 0;
}
