/* SPDX-License-Identifier: Apache-2.0
 *
 * Packs from a grant; policy/packs_wire.c has the format. What decodes keeps every bound and every
 * reference of a set that was loaded, whoever sent it. Used by the backend. Pure. */
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/packs_set.h"

struct decoding {
    struct packs *packs;
    struct wire_reader r;
    const char **texts;
    size_t text_count;
    uint32_t classes;
    bool no_memory;
};

static bool visible(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

/* Of the table, at least min bytes; NULL: malformed. */
static const char *get_text(struct decoding *d, size_t min)
{
    const size_t place = wire_get_u16(&d->r);

    if (d->r.failed || place >= d->text_count || strlen(d->texts[place]) < min) {
        d->r.failed = true;
        return NULL;
    }
    return d->texts[place];
}

static uint32_t get_number(struct decoding *d)
{
    uint32_t n = 0;

    for (unsigned shift = 0;; shift += 7) {
        const uint8_t byte = wire_get_u8(&d->r);
        if (d->r.failed || shift > 28 || (shift == 28 && byte > 15) || (shift && !byte)) {
            d->r.failed = true;
            return 0;
        }
        n |= (uint32_t)(byte & 127) << shift;
        if (!(byte & 128))
            return n;
    }
}

/* Over text, which has what came before it; they ascend. A copy, NULL when anything is wrong. */
static const char *get_front(struct decoding *d, char text[PACK_TEXT_MAX + 1], bool first)
{
    const size_t shared = wire_get_u8(&d->r), rest = wire_get_u8(&d->r);
    char before[PACK_TEXT_MAX + 1];

    memcpy(before, text, sizeof before);
    if (d->r.failed || shared > strlen(text) || shared + rest > PACK_TEXT_MAX) {
        d->r.failed = true;
        return NULL;
    }
    wire_get_raw(&d->r, text + shared, rest);
    text[shared + rest] = 0;
    if (d->r.failed || !visible(text, shared + rest) || (!first && strcmp(before, text) >= 0)) {
        d->r.failed = true;
        return NULL;
    }
    const char *copy = pool_text(&d->packs->pool, text);
    d->no_memory = d->no_memory || !copy;
    return copy;
}

/* Memory for count things of at least one byte each in the input; NULL with failed set. */
static void *get_array(struct decoding *d, size_t count, size_t max, size_t size)
{
    void *p = NULL;

    if (count > max || count > d->r.left)
        d->r.failed = true;
    else if (count && !(p = pool_alloc(&d->packs->pool, count * size)))
        d->no_memory = true;
    return p;
}

static bool right(const struct decoding *d)
{
    return !d->r.failed && !d->no_memory;
}

static void get_table(struct decoding *d)
{
    const size_t n = wire_get_u16(&d->r);
    char text[PACK_TEXT_MAX + 1] = "";

    d->texts = get_array(d, n, UINT16_MAX, sizeof *d->texts);
    for (size_t i = 0; i < n && right(d); i++)
        d->texts[i] = get_front(d, text, i == 0);
    d->text_count = right(d) ? n : 0;
}

static void get_texts(struct decoding *d, size_t min, size_t max, const char ***out, size_t *count)
{
    const size_t n = wire_get_u8(&d->r);

    if (n < min)
        d->r.failed = true;
    *out = get_array(d, n, max, sizeof **out);
    for (size_t i = 0; i < n && right(d); i++)
        (*out)[i] = get_text(d, 1);
    *count = right(d) ? n : 0;
}

static void get_options(struct decoding *d, struct pack_option **out, size_t *count)
{
    const size_t n = wire_get_u8(&d->r);
    struct pack_option *options = get_array(d, n, PACK_OPTIONS_MAX, sizeof *options);

    for (size_t i = 0; i < n && right(d); i++) {
        const uint8_t byte = wire_get_u8(&d->r), kind = byte & 127;
        const size_t same = byte & 128 && i ? options[i - 1].same : i;
        if (kind > PACK_OPTIONAL || (byte & 128 && (!i || options[same].kind != kind)))
            d->r.failed = true;
        options[i].kind = (enum pack_kind)kind;
        options[i].same = (uint16_t)same;
        options[i].name = get_text(d, 2);
        if (right(d) && options[i].name[0] != '-')
            d->r.failed = true;
    }
    *out = options;
    *count = right(d) ? n : 0;
}

/* One to PACK_VERB_WORDS words parted by single blanks. */
static bool is_verb(const char *text)
{
    size_t words = 1;

    if (!text[0] || text[0] == ' ')
        return false;
    for (const char *c = text; *c; c++) {
        if (*c != ' ')
            continue;
        if (c[1] == ' ' || !c[1])
            return false;
        words++;
    }
    return words <= PACK_VERB_WORDS;
}

static void get_verbs(struct decoding *d, struct pack_program *p)
{
    const size_t n = wire_get_u16(&d->r);
    char text[PACK_TEXT_MAX + 1] = "";

    p->verbs = get_array(d, n, PACK_VERBS_MAX, sizeof *p->verbs);
    for (size_t i = 0; i < n && right(d); i++) {
        p->verbs[i] = get_front(d, text, i == 0);
        if (right(d) && !is_verb(p->verbs[i]))
            d->r.failed = true;
    }
    p->verb_count = right(d) ? n : 0;
}

static void get_tests(struct decoding *d, struct pack_case *c)
{
    const size_t n = wire_get_u8(&d->r);

    c->tests = get_array(d, n, PACK_TESTS_MAX, sizeof *c->tests);
    for (size_t i = 0; i < n && right(d); i++) {
        const uint8_t flags = wire_get_u8(&d->r);
        const char *option = flags & PACK_TEST_OPTION ? get_text(d, 2) : NULL;
        const char *glob = flags & PACK_TEST_GLOB ? get_text(d, 0) : NULL;
        if ((flags & ~PACK_TEST_FLAGS) || !(flags & (PACK_TEST_OPTION | PACK_TEST_GLOB)) ||
            ((flags & PACK_TEST_UNLIKE) && (!option || !glob)) ||
            ((flags & PACK_TEST_AND_NEXT) && i + 1 == n))
            d->r.failed = true;
        c->tests[i].option = option;
        c->tests[i].glob = glob;
        c->tests[i].unlike = flags & PACK_TEST_UNLIKE;
        c->tests[i].and_next = flags & PACK_TEST_AND_NEXT;
    }
    c->test_count = right(d) ? n : 0;
}

static void get_case(struct decoding *d, struct pack_case *c)
{
    c->line = get_number(d);
    c->classes = get_number(d);
    const uint8_t flags = wire_get_u8(&d->r);
    if (flags & PACK_CASE_TESTS)
        get_tests(d, c);
    c->vm = flags & PACK_CASE_VM ? get_text(d, 1) : NULL;
    if (flags & PACK_CASE_VALUE) {
        c->value = get_text(d, 1);
        const uint8_t unit = wire_get_u8(&d->r), suffixes = wire_get_u8(&d->r);
        if (unit >= PACK_UNITS || suffixes >= PACK_SUFFIXES)
            d->r.failed = true;
        c->unit = (enum pack_unit)unit;
        c->suffixes = (enum pack_suffixes)suffixes;
    }
    c->strip = flags & PACK_CASE_STRIP ? get_text(d, 1) : NULL;
    c->secret = flags & PACK_CASE_SECRET ? get_text(d, 1) : NULL;
    if ((flags & ~PACK_CASE_FLAGS) || !c->classes || (c->classes & ~d->classes) ||
        ((flags & PACK_CASE_TESTS) && !c->test_count))
        d->r.failed = true;
}

static void get_entry(struct decoding *d, const struct pack_program *p, struct pack_entry *entry)
{
    size_t n = wire_get_u16(&d->r);

    entry->verbs = get_array(d, n, p->verb_count, sizeof *entry->verbs);
    for (size_t i = 0; i < n && right(d); i++) {
        entry->verbs[i] = wire_get_u16(&d->r);
        if (entry->verbs[i] >= p->verb_count || (i && entry->verbs[i] <= entry->verbs[i - 1]))
            d->r.failed = true;
    }
    entry->verb_count = right(d) ? n : 0;
    get_options(d, &entry->options, &entry->option_count);
    get_texts(d, 0, PACK_ARGS_MAX, &entry->args, &entry->arg_count);
    n = wire_get_u8(&d->r);
    if (!n)
        d->r.failed = true;
    entry->cases = get_array(d, n, PACK_CASES_MAX, sizeof *entry->cases);
    for (size_t i = 0; i < n && right(d); i++)
        get_case(d, &entry->cases[i]);
    entry->case_count = right(d) ? n : 0;
}

static void get_program(struct decoding *d, struct pack_program *p)
{
    p->file = wire_get_u8(&d->r);
    p->line = get_number(d);
    const uint8_t style = wire_get_u8(&d->r), several = wire_get_u8(&d->r);
    const uint8_t flags = wire_get_u8(&d->r);
    if (p->file >= d->packs->file_count || style > PACK_DATA || several > PACK_JOINED ||
        (flags & ~PACK_WIRE_FLAGS))
        d->r.failed = true;
    p->style = (enum pack_style)style;
    p->several = (enum pack_several)several;
    p->verbs_by_prefix = flags & PACK_WIRE_VERBS_PREFIX;
    p->options_by_prefix = flags & PACK_WIRE_OPTIONS_PREFIX;
    p->ignore_case = flags & PACK_WIRE_IGNORE_CASE;
    p->bare_is_raw = flags & PACK_WIRE_BARE_RAW;
    p->unknown_is_raw = flags & PACK_WIRE_UNKNOWN_RAW;
    p->multicall = flags & PACK_WIRE_MULTICALL;
    get_texts(d, 1, PACK_NAMES_MAX, &p->names, &p->name_count);
    get_texts(d, 0, PACK_OPTIONS_MAX, &p->ends, &p->end_count);
    get_options(d, &p->options, &p->option_count);
    get_verbs(d, p);
    const size_t n = wire_get_u8(&d->r);
    p->entries = get_array(d, n, PACK_ENTRIES_MAX, sizeof *p->entries);
    for (size_t i = 0; i < n && right(d); i++)
        get_entry(d, p, &p->entries[i]);
    p->entry_count = right(d) ? n : 0;
    if (p->multicall && (p->verb_count || p->entry_count))
        d->r.failed = true;
}

static void get_classes(struct decoding *d)
{
    const size_t n = wire_get_u8(&d->r);

    for (size_t i = 0; i < n && right(d); i++) {
        const uint8_t bit = wire_get_u8(&d->r);
        const char *name = get_text(d, 1);
        if (!right(d) || bit >= CLASSES_MAX || d->classes >> bit || strlen(name) > CLASS_NAME_MAX ||
            packs_class(d->packs, name)) {
            d->r.failed = true; /* not ascending, or twice */
            break;
        }
        d->packs->classes[bit] = name;
        d->classes |= UINT32_C(1) << bit;
    }
}

static void get_files(struct decoding *d)
{
    const size_t n = wire_get_u8(&d->r);

    if (n > PACK_FILES_MAX)
        d->r.failed = true;
    for (size_t i = 0; i < n && right(d); i++) {
        d->packs->files[i].name = get_text(d, 1);
        d->packs->files[i].family = get_text(d, 1);
        if (right(d) && strlen(d->packs->files[i].family) > FAMILY_NAME_MAX)
            d->r.failed = true;
    }
    d->packs->file_count = right(d) ? n : 0;
}

struct packs *packs_decode(const void *bytes, size_t len, struct err *e)
{
    struct decoding d = {.packs = packs_new()};
    int rc = 0;

    if (!d.packs) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    wire_reader_init(&d.r, bytes, len);
    if (len > PACKS_ENCODED_MAX || wire_get_u8(&d.r) != PACK_WIRE_VERSION)
        d.r.failed = true;
    get_table(&d);
    get_classes(&d);
    get_files(&d);
    const size_t n = right(&d) ? wire_get_u16(&d.r) : 0;
    if (n > PACK_PROGRAMS_MAX)
        d.r.failed = true;
    for (size_t i = 0; i < n && right(&d); i++) {
        get_program(&d, &d.packs->programs[i]);
        d.packs->program_count++;
    }
    if (d.no_memory)
        rc = err_set(e, ERR_MEMORY, "out of memory");
    else if (d.r.failed || d.r.left)
        rc = err_set(e, ERR_PROTOCOL, "the rule packs are malformed");
    if (rc < 0) {
        packs_free(d.packs);
        return NULL;
    }
    return d.packs;
}
