/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoded form of a pattern (policy/pattern.h) and views of it. Used by authd and by the
 * backend, which takes the bytes for hostile: what pattern_get accepts is what pattern_parse makes.
 * Pure. */
#include "policy/pattern.h"

#include <string.h>

#include "policy/files.h"

int pattern_of_words(const struct words *w, struct buf *out, struct err *e)
{
    uint8_t head[6] = {0};

    wire_store_u16(head, (uint16_t)w->count);
    int rc = buf_put(out, head, 2);
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        const size_t len = strlen(w->word[i]);
        head[0] = PATTERN_LITERAL;
        head[1] = 1;
        wire_store_u32(head + 2, (uint32_t)len);
        rc = buf_put(out, head, sizeof head);
        if (rc == 0)
            rc = buf_put(out, w->word[i], len);
    }
    return rc < 0 ? err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "the rule is too long")
                  : 0;
}

static bool get_literals(struct wire_reader *r, struct pattern_word *w)
{
    w->count = wire_get_u8(r);
    if (!w->count || w->count > PATTERN_ALTERNATIVES_MAX)
        return false;
    w->inside.p = r->in;
    for (unsigned i = 0; i < w->count; i++) {
        const struct bytes text = wire_get_data(r, WORDS_TEXT_MAX);
        if (r->failed || (text.len && memchr(text.p, 0, text.len)))
            return false;
    }
    w->inside.len = (size_t)(r->in - w->inside.p);
    return true;
}

static bool get_word(struct wire_reader *r, struct pattern_word *w)
{
    *w = (struct pattern_word){.kind = (enum pattern_kind)wire_get_u8(r)};
    switch (w->kind) {
    case PATTERN_LITERAL:
        return get_literals(r, w);
    case PATTERN_INT:
        w->low = wire_get_u64(r);
        w->high = wire_get_u64(r);
        return w->low <= w->high && w->high <= PATTERN_INT_MAX;
    case PATTERN_PATH:
        w->inside = wire_get_data(r, FILE_PATTERN_MAX);
        return !r->failed && (!w->inside.len ||
                              file_glob_check((const char *)w->inside.p, w->inside.len, NULL) == 0);
    case PATTERN_ANY:
    case PATTERN_REST:
    case PATTERN_OPTION:
    case PATTERN_REST_OPTIONS:
    case PATTERN_NAME:
        return true;
    default:
        return false;
    }
}

bool pattern_get(struct wire_reader *r, struct pattern *out)
{
    out->count = wire_get_u16(r);
    if (r->failed || !out->count || out->count > WORDS_MAX)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        const struct pattern_word *w = &out->word[i];
        if (!get_word(r, &out->word[i]) || r->failed)
            return false;
        if ((w->kind == PATTERN_REST || w->kind == PATTERN_REST_OPTIONS) && i + 1 < out->count)
            return false;
    }
    return true;
}

struct bytes pattern_alternative(const struct pattern_word *w, unsigned i)
{
    struct wire_reader r;
    struct bytes text = {NULL, 0};

    wire_reader_init(&r, w->inside.p, w->inside.len);
    for (unsigned k = 0; k <= i && k < w->count; k++)
        text = wire_get_data(&r, WORDS_TEXT_MAX);
    return text;
}

struct bytes pattern_program(const struct pattern *p)
{
    if (p->word[0].kind != PATTERN_LITERAL || p->word[0].count != 1)
        return (struct bytes){NULL, 0};
    return pattern_alternative(&p->word[0], 0);
}
