/* SPDX-License-Identifier: Apache-2.0
 *
 * Packs as a grant carries them: what is needed to find some classes, no more. Integers are
 * big-endian, NUMBER is a LEB128 of at most 32 bits, a list has its count before it. All texts but
 * the verbs stand once, sorted, in a table; TEXT is a U16 place there. FRONT is U8 bytes shared
 * with the one before, U8 length, the rest.
 *
 *     packs   = U8 version, U16 n, n x FRONT, U8 n, n x (U8 bit, TEXT class),
 *               U8 n, n x (TEXT file, TEXT family), U16 n, n x program
 *     program = U8 file, NUMBER line, U8 style, U8 several, U8 flags, U8 n, n x TEXT name,
 *               U8 n, n x TEXT end, options, U16 n, n x FRONT verb (ascending), U8 n, n x entry
 *     options = U8 n, n x (U8 kind, 128 added for a further spelling, TEXT name)
 *     entry   = U16 n, n x U16 verb, options, U8 n, n x TEXT arg, U8 n, n x case
 *     case    = NUMBER line, NUMBER classes, U8 which (1 tests, 2 vm, 4 value, 8 strip, 16 secret),
 *               [U8 n, n x test], [TEXT vm], [TEXT value, U8 unit, U8 suffixes], [TEXT strip],
 *               [TEXT secret]
 *     test    = U8 flags (1 the next one too, 2 has an option, 4 has a pattern, 8 must not match),
 *               [TEXT option], [TEXT pattern]
 *
 * Verbs without a class are needed to say that a word is unknown (raw) and where one of them is the
 * beginning of a classed one, or longer than it; others stay behind. Used by authd (encodes) and by
 * the backend (decodes; trusts nothing). Pure. */
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/packs_set.h"

/* All is written twice: first to see the texts, then with their places. */
struct encoding {
    struct wire_writer w;
    const char **texts;
    size_t count, cap;
    bool collects, no_memory;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect(struct encoding *c, const char *text)
{
    if (c->count == c->cap) {
        const size_t cap = c->cap ? c->cap * 2 : 1024;
        const char **grown = reallocarray(c->texts, cap, sizeof *grown);
        if (!grown) {
            c->no_memory = true;
            return;
        }
        c->texts = grown;
        c->cap = cap;
    }
    c->texts[c->count++] = text;
}

static void sort_texts(struct encoding *c)
{
    size_t n = 0;

    if (c->count)
        qsort(c->texts, c->count, sizeof *c->texts, by_text);
    for (size_t i = 0; i < c->count; i++) {
        if (!n || strcmp(c->texts[n - 1], c->texts[i]) != 0)
            c->texts[n++] = c->texts[i];
    }
    c->count = n;
    c->collects = false;
}

static void put_text(struct encoding *c, const char *text)
{
    if (c->collects) {
        collect(c, text);
        return;
    }
    const char **place = bsearch(&text, c->texts, c->count, sizeof *c->texts, by_text);
    INVARIANT(place);
    wire_put_u16(&c->w, (uint16_t)(place - c->texts));
}

static void put_texts(struct encoding *c, const char *const *texts, size_t count)
{
    wire_put_u8(&c->w, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        put_text(c, texts[i]);
}

static void put_number(struct encoding *c, uint32_t n)
{
    for (; n > 127; n >>= 7)
        wire_put_u8(&c->w, (uint8_t)(n | 128));
    wire_put_u8(&c->w, (uint8_t)n);
}

static void put_front(struct encoding *c, const char *before, const char *text)
{
    size_t shared = 0;

    while (before[shared] && before[shared] == text[shared])
        shared++;
    wire_put_u8(&c->w, (uint8_t)shared);
    wire_put_u8(&c->w, (uint8_t)strlen(text + shared));
    wire_put_raw(&c->w, text + shared, strlen(text + shared));
}

static void put_options(struct encoding *c, const struct pack_option *options, size_t count)
{
    wire_put_u8(&c->w, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        wire_put_u8(&c->w, (uint8_t)(options[i].kind | (options[i].same < i ? 128u : 0u)));
        put_text(c, options[i].name);
    }
}

/* Which verbs are sent, and their new places. */
struct kept {
    bool classed[PACK_VERBS_MAX], verb[PACK_VERBS_MAX];
    uint16_t place[PACK_VERBS_MAX];
};

static bool has_class(const struct pack_entry *entry, uint32_t classes)
{
    for (size_t i = 0; i < entry->case_count; i++) {
        if (entry->cases[i].classes & classes)
            return true;
    }
    return false;
}

/* Could one who types `verb` in full have meant `classed`, or a part of it the whole of classed? */
static bool shadows(const char *verb, const char *classed)
{
    for (;;) {
        const size_t v = strcspn(verb, " "), c = strcspn(classed, " ");
        if (v > c || memcmp(verb, classed, v) != 0)
            return false;
        verb += v;
        classed += c;
        if (!*classed)
            return true;
        if (!*verb)
            return false;
        verb++;
        classed++;
    }
}

static bool is_needed(const struct pack_program *p, const struct kept *kept, size_t verb)
{
    for (size_t i = 0; i < p->verb_count; i++) {
        if (kept->classed[i] && shadows(p->verbs[verb], p->verbs[i]))
            return true;
    }
    return false;
}

static void choose_verbs(const struct pack_program *p, uint32_t classes, bool all,
                         struct kept *kept)
{
    uint16_t place = 0;

    memset(kept, 0, sizeof *kept);
    for (size_t i = 0; i < p->entry_count; i++) {
        for (size_t v = 0; v < p->entries[i].verb_count && has_class(&p->entries[i], classes); v++)
            kept->classed[p->entries[i].verbs[v]] = true;
    }
    for (size_t i = 0; i < p->verb_count; i++) {
        kept->verb[i] = all || kept->classed[i] || is_needed(p, kept, i);
        if (kept->verb[i])
            kept->place[i] = place++;
    }
}

static void put_verbs(struct encoding *c, const struct pack_program *p, const struct kept *kept)
{
    const char *before = "";
    size_t count = 0;

    for (size_t i = 0; i < p->verb_count; i++)
        count += kept->verb[i];
    wire_put_u16(&c->w, (uint16_t)count);
    for (size_t i = 0; i < p->verb_count; i++) {
        if (!kept->verb[i])
            continue;
        put_front(c, before, p->verbs[i]);
        before = p->verbs[i];
    }
}

static void put_case(struct encoding *c, const struct pack_case *one, uint32_t classes)
{
    put_number(c, one->line);
    put_number(c, one->classes & classes);
    wire_put_u8(&c->w,
                (uint8_t)((one->test_count ? PACK_CASE_TESTS : 0) | (one->vm ? PACK_CASE_VM : 0) |
                          (one->value ? PACK_CASE_VALUE : 0) | (one->strip ? PACK_CASE_STRIP : 0) |
                          (one->secret ? PACK_CASE_SECRET : 0)));
    if (one->test_count)
        wire_put_u8(&c->w, (uint8_t)one->test_count);
    for (size_t i = 0; i < one->test_count; i++) {
        const struct pack_test *t = &one->tests[i];
        wire_put_u8(&c->w,
                    (uint8_t)((t->and_next ? PACK_TEST_AND_NEXT : 0) |
                              (t->option ? PACK_TEST_OPTION : 0) | (t->glob ? PACK_TEST_GLOB : 0) |
                              (t->unlike ? PACK_TEST_UNLIKE : 0)));
        if (t->option)
            put_text(c, t->option);
        if (t->glob)
            put_text(c, t->glob);
    }
    if (one->vm)
        put_text(c, one->vm);
    if (one->value) {
        put_text(c, one->value);
        wire_put_u8(&c->w, (uint8_t)one->unit);
        wire_put_u8(&c->w, (uint8_t)one->suffixes);
    }
    if (one->strip)
        put_text(c, one->strip);
    if (one->secret)
        put_text(c, one->secret);
}

static void put_entry(struct encoding *c, const struct pack_entry *entry, uint32_t classes,
                      const struct kept *kept)
{
    size_t count = 0;

    wire_put_u16(&c->w, (uint16_t)entry->verb_count);
    for (size_t i = 0; i < entry->verb_count; i++)
        wire_put_u16(&c->w, kept->place[entry->verbs[i]]);
    put_options(c, entry->options, entry->option_count);
    put_texts(c, entry->args, entry->arg_count);
    for (size_t i = 0; i < entry->case_count; i++)
        count += (entry->cases[i].classes & classes) != 0;
    wire_put_u8(&c->w, (uint8_t)count);
    for (size_t i = 0; i < entry->case_count; i++) {
        if (entry->cases[i].classes & classes)
            put_case(c, &entry->cases[i], classes);
    }
}

static void put_program(struct encoding *c, const struct pack_program *p, uint8_t file,
                        uint32_t classes, bool raw)
{
    struct kept kept;
    size_t count = 0;

    choose_verbs(p, classes, raw, &kept);
    wire_put_u8(&c->w, file);
    put_number(c, p->line);
    wire_put_u8(&c->w, (uint8_t)p->style);
    wire_put_u8(&c->w, (uint8_t)p->several);
    wire_put_u8(&c->w, (uint8_t)((p->verbs_by_prefix ? PACK_WIRE_VERBS_PREFIX : 0) |
                                 (p->options_by_prefix ? PACK_WIRE_OPTIONS_PREFIX : 0) |
                                 (p->ignore_case ? PACK_WIRE_IGNORE_CASE : 0) |
                                 (p->bare_is_raw ? PACK_WIRE_BARE_RAW : 0) |
                                 (p->unknown_is_raw ? PACK_WIRE_UNKNOWN_RAW : 0) |
                                 (p->multicall ? PACK_WIRE_MULTICALL : 0)));
    put_texts(c, p->names, p->name_count);
    put_texts(c, p->ends, p->end_count);
    put_options(c, p->options, p->option_count);
    put_verbs(c, p, &kept);
    for (size_t i = 0; i < p->entry_count; i++)
        count += has_class(&p->entries[i], classes);
    wire_put_u8(&c->w, (uint8_t)count);
    for (size_t i = 0; i < p->entry_count; i++) {
        if (has_class(&p->entries[i], classes))
            put_entry(c, &p->entries[i], classes, &kept);
    }
}

/* A program with a case of the classes; one that can be used in a way that is raw; one that runs
 * others. */
static bool is_kept(const struct pack_program *p, uint32_t classes, bool raw)
{
    if (p->multicall || (raw && p->verb_count))
        return true;
    for (size_t i = 0; i < p->entry_count; i++) {
        if (has_class(&p->entries[i], classes))
            return true;
    }
    return false;
}

static void put_packs(const struct packs *packs, uint32_t classes, struct encoding *c)
{
    const bool raw = classes & packs_class(packs, CLASS_RAW);
    uint8_t files[PACK_FILES_MAX], n = 0;
    bool used[PACK_FILES_MAX] = {false};
    size_t count = 0;

    wire_put_u8(&c->w, (uint8_t)__builtin_popcount(classes));
    for (uint8_t bit = 0; bit < CLASSES_MAX; bit++) {
        if (!(classes & UINT32_C(1) << bit))
            continue;
        wire_put_u8(&c->w, bit);
        put_text(c, packs->classes[bit]);
    }
    for (size_t i = 0; i < packs->program_count; i++) {
        if (!is_kept(&packs->programs[i], classes, raw))
            continue;
        used[packs->programs[i].file] = true;
        count++;
    }
    for (size_t i = 0; i < packs->file_count; i++) {
        if (used[i])
            files[i] = n++;
    }
    wire_put_u8(&c->w, n);
    for (size_t i = 0; i < packs->file_count; i++) {
        if (!used[i])
            continue;
        put_text(c, packs->files[i].name);
        put_text(c, packs->files[i].family);
    }
    wire_put_u16(&c->w, (uint16_t)count);
    for (size_t i = 0; i < packs->program_count; i++) {
        const struct pack_program *p = &packs->programs[i];
        if (is_kept(p, classes, raw))
            put_program(c, p, files[p->file], classes, raw);
    }
}

int packs_encode(const struct packs *packs, uint32_t classes, struct buf *out)
{
    struct encoding c = {.collects = true};
    uint8_t *bytes = malloc(PACKS_ENCODED_MAX);
    uint32_t known = 0;
    int rc = ERR_MEMORY;

    if (!bytes)
        return rc;
    for (size_t i = 0; i < CLASSES_MAX; i++)
        known |= packs->classes[i] ? UINT32_C(1) << i : 0;
    wire_writer_init(&c.w, bytes, PACKS_ENCODED_MAX);
    put_packs(packs, classes & known, &c);
    sort_texts(&c);
    if (!c.no_memory && c.count <= UINT16_MAX) {
        wire_writer_init(&c.w, bytes, PACKS_ENCODED_MAX);
        wire_put_u8(&c.w, PACK_WIRE_VERSION);
        wire_put_u16(&c.w, (uint16_t)c.count);
        for (size_t i = 0; i < c.count; i++)
            put_front(&c, i ? c.texts[i - 1] : "", c.texts[i]);
        put_packs(packs, classes & known, &c);
        rc = wire_put_end(&c.w, NULL);
    } else if (!c.no_memory) {
        rc = ERR_FULL;
    }
    if (rc == 0)
        rc = buf_put(out, bytes, c.w.len);
    free(c.texts);
    free(bytes);
    return rc;
}

size_t packs_encoded_size(const struct packs *packs, uint32_t classes, bool exact)
{
    struct buf out;
    size_t size = PACKS_ENCODED_MAX + 1;

    if (!exact && packs->encoded_max)
        return packs->encoded_max;
    buf_init(&out, PACKS_ENCODED_MAX);
    if (packs_encode(packs, classes, &out) == 0)
        size = buf_len(&out);
    buf_clear(&out);
    return size;
}

int packs_measure(struct packs *packs, struct err *e)
{
    struct buf out;

    buf_init(&out, PACKS_ENCODED_MAX);
    int rc = packs_encode(packs, UINT32_MAX, &out);
    packs->encoded_max = rc == 0 ? buf_len(&out) : PACKS_ENCODED_MAX + 1;
    buf_clear(&out);
    return rc == ERR_MEMORY ? err_set(e, ERR_MEMORY, "out of memory") : 0;
}
