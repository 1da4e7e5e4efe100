/* SPDX-License-Identifier: Apache-2.0
 *
 * A command from an operator: it never crashes; what is accepted has no control character, and its
 * quoted form splits into the same words again; under rules nothing but a rule's own words is ever
 * forwarded, and of an open set nothing but the words that were sent. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quoted_words_are_the_same(const struct words *w)
{
    struct words again;
    struct buf line;

    buf_init(&line, 8 * WORDS_TEXT_MAX);
    if (words_quote(w, &line, NULL) == 0 && buf_len(&line) <= WORDS_TEXT_MAX) {
        if (words_split(buf_head(&line), buf_len(&line), &again, NULL) < 0 ||
            again.count != w->count)
            abort();
        for (size_t i = 0; i < w->count; i++) {
            if (strcmp(w->word[i], again.word[i]) != 0)
                abort();
        }
        words_clear(&again);
    }
    buf_clear(&line);
}

/* A set that is open but for what it denies: what it forwards is the words that were sent. */
static void open_set_forwards(const uint8_t *data, size_t size)
{
    static const char deny[] = "virsh destroy";
    struct rule_set *set = rule_set_new();
    struct words sent, forwarded;
    struct buf out, pattern;
    char name[128];

    buf_init(&out, 8 * WORDS_TEXT_MAX);
    buf_init(&pattern, 1000);
    if (!set || words_split(deny, sizeof deny - 1, &sent, NULL) < 0 ||
        pattern_of_words(&sent, &pattern, NULL) < 0 ||
        rule_set_deny(set, "d", (struct bytes){buf_head(&pattern), buf_len(&pattern)}, NULL) < 0)
        abort();
    words_clear(&sent);
    rule_set_open(set);
    if (rule_set_apply(set, data, size, name, NULL, &out, NULL) == 0) {
        if (words_split(data, size, &sent, NULL) < 0)
            abort();
        if (buf_len(&out) <= WORDS_TEXT_MAX) {
            if (words_split(buf_head(&out), buf_len(&out), &forwarded, NULL) < 0 ||
                forwarded.count != sent.count)
                abort();
            for (size_t i = 0; i < sent.count; i++) {
                if (strcmp(sent.word[i], forwarded.word[i]) != 0)
                    abort();
            }
            words_clear(&forwarded);
        }
        if (sent.count > 1 && strcmp(sent.word[0], "virsh") == 0 &&
            strcmp(sent.word[1], "destroy") == 0)
            abort();
        words_clear(&sent);
    }
    buf_clear(&out);
    buf_clear(&pattern);
    rule_set_free(set);
}

static void rules_hold(const uint8_t *data, size_t size)
{
    static const char rule[] = "virsh list 'a b'", forward[] = "/usr/bin/virsh list 'a b'";
    struct rule_set *set = rule_set_new();
    struct buf out;
    struct words w;
    char name[128];

    buf_init(&out, 8 * WORDS_TEXT_MAX);
    if (!set || words_split(rule, sizeof rule - 1, &w, NULL) < 0 ||
        rule_set_add(set, "r", &w, "/usr/bin/virsh", 0, NULL) < 0)
        abort();
    words_clear(&w);
    if (rule_set_apply(set, data, size, name, NULL, &out, NULL) == 0) {
        if (buf_len(&out) != sizeof forward - 1 ||
            memcmp(buf_head(&out), forward, sizeof forward - 1) != 0)
            abort();
    } else if (buf_len(&out)) {
        abort();
    }
    buf_clear(&out);
    rule_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words w;
    struct err e = ERR_INIT;

    if (words_split(data, size, &w, &e) == 0) {
        for (size_t i = 0; i < w.count; i++) {
            for (const char *p = w.word[i]; *p; p++) {
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                    abort();
            }
        }
        quoted_words_are_the_same(&w);
        words_clear(&w);
    }
    rules_hold(data, size);
    open_set_forwards(data, size);
    rule_set_free(rule_set_decode(data, size, NULL));
    return 0;
}
