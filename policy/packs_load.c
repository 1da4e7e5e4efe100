/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader of pack files: sallyport-packs(5) is the format.
 *
 *     family: libvirt
 *     programs:
 *       - names: [virsh]
 *         style: data
 *         values: ["-c|--connect"]
 *         others: [list, dominfo]
 *         entries:
 *           - {verbs: [setmem], class: memory, args: [domain, size], vm: domain, value: size,
 *              unit: KiB, suffixes: mixed}
 *
 * Used by authd's loader and the tool; the files are root's, but may hold any mistake. Pure. */
#include "policy/packs_load.h"

#include <stdlib.h>
#include <string.h>

int pack_no_memory(struct pack_loading *l)
{
    return err_set(l->e, ERR_MEMORY, "%s: out of memory", yaml_name(l->doc));
}

int pack_list(struct pack_loading *l, const struct yaml_node *n, size_t max, const char *what,
              size_t *count)
{
    char found[YAML_FOUND_MAX];

    *count = 0;
    if (!n)
        return 0;
    if (n->kind != YAML_LIST)
        return yaml_error(l->doc, n, l->e, "found %s, expected a list of %s", yaml_found(n, found),
                          what);
    if (n->count > max)
        return yaml_error(l->doc, n, l->e, "found a list of %zu, expected at most %zu of %s",
                          n->count, max, what);
    *count = n->count;
    return 0;
}

int pack_word(struct pack_loading *l, const struct yaml_node *n, bool blanks, const char *what,
              const char **out)
{
    const char *text;
    char found[YAML_FOUND_MAX];
    bool after_blank = true;
    int rc = yaml_text(l->doc, n, PACK_TEXT_MAX, what, &text, l->e);

    if (rc < 0)
        return rc;
    for (const char *c = text; *c; c++) {
        const bool blank = *c == ' ';
        if (*c < ' ' || *c > '~' || (blank && (!blanks || after_blank || !c[1])))
            return yaml_error(
                l->doc, n, l->e, "found %s, expected %s of visible ASCII characters%s",
                yaml_found(n, found), what, blanks ? " and single blanks" : " without blanks");
        after_blank = blank;
    }
    *out = pool_intern(&l->packs->pool, text);
    return *out ? 0 : pack_no_memory(l);
}

/* A list of words as a new array. */
static int load_words(struct pack_loading *l, const struct yaml_node *list, size_t max,
                      const char *what, const char ***out, size_t *count)
{
    size_t n;
    int rc = pack_list(l, list, max, what, &n);

    if (rc < 0 || !n)
        return rc;
    *out = pool_alloc(&l->packs->pool, n * sizeof **out);
    if (!*out)
        return pack_no_memory(l);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = pack_word(l, list->items[i], false, what, &(*out)[i]);
    *count = n;
    return rc;
}

static int load_names(struct pack_loading *l, const struct yaml_node *n)
{
    struct pack_program *program = l->program;
    const struct yaml_node *names;
    int rc = yaml_require(l->doc, n, "names", &names, l->e);

    if (rc == 0)
        rc = load_words(l, names, PACK_NAMES_MAX, "names of a program", &program->names,
                        &program->name_count);
    if (rc == 0 && !program->name_count)
        rc = yaml_error(l->doc, names, l->e, "found no name, expected names of a program");
    for (size_t i = 0; i < program->name_count && rc == 0; i++) {
        const char *name = program->names[i];
        if (strchr(name, '/') || name[0] == '*')
            rc = yaml_error(l->doc, names->items[i], l->e,
                            "found \"%s\", expected a program without its path, "
                            "not beginning with *",
                            name);
        for (size_t p = 0; p < l->packs->program_count && rc == 0; p++) {
            const struct pack_program *other = &l->packs->programs[p];
            for (size_t k = 0; k < other->name_count && rc == 0; k++) {
                if (strcmp(other->names[k], name) == 0)
                    rc = yaml_error(l->doc, names->items[i], l->e,
                                    "found the program %s a second time (first at %s:%u), "
                                    "expected each once in all packs",
                                    name, l->packs->files[other->file].name, (unsigned)other->line);
            }
        }
    }
    return rc;
}

/* A verb, where the file has it: for messages about the second one. */
struct verb {
    const char *text;
    const struct yaml_node *at;
    bool other;
};

static int by_text(const void *a, const void *b)
{
    const struct verb *x = a, *y = b;
    const int c = strcmp(x->text, y->text);

    return c                            ? c
           : x->at->line != y->at->line ? (x->at->line < y->at->line ? -1 : 1)
                                        : (int)x->at->column - (int)y->at->column;
}

static int add_verbs(struct pack_loading *l, const struct yaml_node *list, bool other,
                     struct verb *verbs, size_t *count)
{
    size_t n;
    int rc = pack_list(l, list, PACK_VERBS_MAX, "verbs", &n);

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct verb *v = &verbs[*count];
        size_t words = 1;
        if (*count == PACK_VERBS_MAX)
            return yaml_error(l->doc, list->items[i], l->e,
                              "found more than %d verbs, expected fewer", PACK_VERBS_MAX);
        rc = pack_word(l, list->items[i], true, "a verb", &v->text);
        if (rc < 0)
            break;
        for (const char *c = v->text; *c; c++)
            words += *c == ' ';
        if (words > PACK_VERB_WORDS)
            return yaml_error(l->doc, list->items[i], l->e,
                              "found a verb of %zu words, expected at most %d", words,
                              PACK_VERB_WORDS);
        v->at = list->items[i];
        v->other = other;
        ++*count;
    }
    return rc;
}

/* Sorts, and keeps each once. A verb of `others` that an entry has too is a slip. */
static int unite_verbs(struct pack_loading *l, struct verb *verbs, size_t count)
{
    struct pack_program *program = l->program;

    if (!count)
        return 0;
    qsort(verbs, count, sizeof *verbs, by_text);
    program->verbs = pool_alloc(&l->packs->pool, count * sizeof *program->verbs);
    if (!program->verbs)
        return pack_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        const bool again = i && strcmp(verbs[i].text, verbs[i - 1].text) == 0;
        if (again && (verbs[i].other || verbs[i - 1].other))
            return yaml_error(l->doc, verbs[i].at, l->e,
                              "found the verb \"%s\" a second time (first at line %u), expected "
                              "it in others alone, or in entries",
                              verbs[i].text, verbs[i - 1].at->line);
        if (!again)
            program->verbs[program->verb_count++] = verbs[i].text;
    }
    return 0;
}

static size_t place_of(const struct pack_program *program, const char *verb)
{
    size_t from = 0, to = program->verb_count;

    while (from + 1 < to) {
        const size_t middle = from + (to - from) / 2;
        if (strcmp(program->verbs[middle], verb) <= 0)
            from = middle;
        else
            to = middle;
    }
    return from;
}

static int by_place(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static int link_verbs(struct pack_loading *l, const struct yaml_node *list,
                      struct pack_entry *entry)
{
    if (!list || !list->count)
        return 0;
    entry->verbs = pool_alloc(&l->packs->pool, list->count * sizeof *entry->verbs);
    if (!entry->verbs)
        return pack_no_memory(l);
    entry->verb_count = list->count;
    for (size_t i = 0; i < list->count; i++)
        entry->verbs[i] = (uint16_t)place_of(l->program, list->items[i]->text);
    qsort(entry->verbs, entry->verb_count, sizeof *entry->verbs, by_place);
    for (size_t i = 1; i < entry->verb_count; i++) {
        if (entry->verbs[i] == entry->verbs[i - 1])
            return yaml_error(l->doc, list, l->e,
                              "found the verb \"%s\" twice in an entry, expected it once",
                              l->program->verbs[entry->verbs[i]]);
    }
    return 0;
}

static int load_verbs_and_entries(struct pack_loading *l, const struct yaml_node *n)
{
    struct pack_program *program = l->program;
    const struct yaml_node *entries = yaml_get(n, "entries");
    struct verb *verbs = calloc(PACK_VERBS_MAX, sizeof *verbs);
    size_t verb_count = 0, count;
    int rc = verbs ? pack_list(l, entries, PACK_ENTRIES_MAX, "entries", &count) : pack_no_memory(l);

    if (rc == 0)
        rc = add_verbs(l, yaml_get(n, "others"), true, verbs, &verb_count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = yaml_is(l->doc, entries->items[i], YAML_MAP, "an entry", l->e);
        if (rc == 0)
            rc = add_verbs(l, yaml_get(entries->items[i], "verbs"), false, verbs, &verb_count);
    }
    if (rc == 0)
        rc = unite_verbs(l, verbs, verb_count);
    free(verbs);
    if (rc < 0 || !count)
        return rc;
    program->entries = pool_alloc(&l->packs->pool, count * sizeof *program->entries);
    if (!program->entries)
        return pack_no_memory(l);
    program->entry_count = count;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = pack_load_entry(l, entries->items[i], &program->entries[i]);
        if (rc == 0)
            rc = link_verbs(l, yaml_get(entries->items[i], "verbs"), &program->entries[i]);
    }
    return rc;
}

static int load_ends(struct pack_loading *l, const struct yaml_node *list)
{
    struct pack_program *program = l->program;
    int rc = load_words(l, list, PACK_OPTIONS_MAX, "options", &program->ends, &program->end_count);

    for (size_t i = 0; i < program->end_count && rc == 0; i++) {
        if (program->ends[i][0] != '-')
            rc = yaml_error(l->doc, list->items[i], l->e, "found \"%s\", expected an option",
                            program->ends[i]);
    }
    return rc;
}

static int load_bool(struct pack_loading *l, const struct yaml_node *map, const char *key,
                     bool *out)
{
    const struct yaml_node *n = yaml_get(map, key);

    return n ? yaml_bool(l->doc, n, out, l->e) : 0;
}

static int load_word(struct pack_loading *l, const struct yaml_node *map, const char *key,
                     const char *const *words, size_t *place)
{
    const struct yaml_node *n = yaml_get(map, key);

    return n ? yaml_word(l->doc, n, words, place, l->e) : 0;
}

/* How the program reads its words. */
static int load_manner(struct pack_loading *l, const struct yaml_node *n)
{
    static const char *const styles[] = {"getopt", "single", "data", NULL};
    static const char *const severals[] = {"no", "one-word", "dashes", "joined", NULL};
    static const char *const none_or_raw[] = {"none", "raw", NULL};
    struct pack_program *p = l->program;
    size_t style = PACK_GETOPT, several = PACK_ONE, bare = 1, unknown = 1;
    int rc = load_word(l, n, "style", styles, &style);

    p->options_by_prefix = style != PACK_SINGLE;
    if (rc == 0)
        rc = load_word(l, n, "several", severals, &several);
    if (rc == 0)
        rc = load_word(l, n, "bare", none_or_raw, &bare);
    if (rc == 0)
        rc = load_word(l, n, "unknown", none_or_raw, &unknown);
    if (rc == 0)
        rc = load_bool(l, n, "verbs-by-prefix", &p->verbs_by_prefix);
    if (rc == 0)
        rc = load_bool(l, n, "options-by-prefix", &p->options_by_prefix);
    if (rc == 0)
        rc = load_bool(l, n, "ignore-case", &p->ignore_case);
    if (rc == 0)
        rc = load_bool(l, n, "multicall", &p->multicall);
    p->style = (enum pack_style)style;
    p->several = (enum pack_several)several;
    p->bare_is_raw = bare;
    p->unknown_is_raw = unknown;
    return rc;
}

static int load_program(struct pack_loading *l, const struct yaml_node *n)
{
    static const char *const keys[] = {"names",
                                       "style",
                                       "several",
                                       "bare",
                                       "unknown",
                                       "verbs-by-prefix",
                                       "options-by-prefix",
                                       "ignore-case",
                                       "multicall",
                                       "flags",
                                       "values",
                                       "optional",
                                       "ends",
                                       "others",
                                       "entries",
                                       NULL};
    struct packs *packs = l->packs;
    int rc = yaml_is(l->doc, n, YAML_MAP, "a program", l->e);

    if (rc == 0 && packs->program_count == PACK_PROGRAMS_MAX)
        rc = yaml_error(l->doc, n, l->e, "found one program more, expected at most %d in all packs",
                        PACK_PROGRAMS_MAX);
    if (rc == 0)
        rc = yaml_only_keys(l->doc, n, keys, l->e);
    if (rc < 0)
        return rc;
    l->program = &packs->programs[packs->program_count];
    memset(l->program, 0, sizeof *l->program);
    l->program->file = (uint16_t)(packs->file_count - 1);
    l->program->line = n->line;
    rc = load_names(l, n);
    if (rc == 0)
        rc = load_manner(l, n);
    if (rc == 0)
        rc = pack_load_options(l, n, &l->program->options, &l->program->option_count);
    if (rc == 0)
        rc = load_ends(l, yaml_get(n, "ends"));
    if (rc == 0)
        rc = load_verbs_and_entries(l, n);
    if (rc == 0 && l->program->multicall && l->program->entry_count + l->program->verb_count)
        rc = yaml_error(l->doc, n, l->e,
                        "found verbs or entries of a multicall program, expected none: the next "
                        "word is the program");
    if (rc == 0 && !l->program->multicall && !l->program->entry_count && !l->program->verb_count)
        rc = yaml_error(l->doc, n, l->e, "found a program without entries, expected some");
    if (rc == 0)
        packs->program_count++;
    return rc;
}

static int load_class_names(struct pack_loading *l, const struct yaml_node *list)
{
    size_t count;
    int rc = pack_list(l, list, CLASSES_MAX, "names of classes", &count);

    for (size_t i = 0; i < count && rc == 0; i++) {
        const char *name;
        rc = yaml_text(l->doc, list->items[i], CLASS_NAME_MAX, "a class", &name, l->e);
        if (rc == 0 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
            rc = yaml_error(l->doc, list->items[i], l->e,
                            "found \"%s\", expected a name of [a-z0-9-]", name);
    }
    l->own_classes = list;
    return rc;
}

static int load_raw_class(struct pack_loading *l)
{
    if (packs_class(l->packs, CLASS_RAW))
        return 0;
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        if (!l->packs->classes[i]) {
            l->packs->classes[i] = CLASS_RAW;
            return 0;
        }
    }
    return err_set(l->e, ERR_FULL, "%s: found more than %d classes in all packs", yaml_name(l->doc),
                   CLASSES_MAX);
}

static int add_file(struct pack_loading *l, const struct yaml_node *family)
{
    struct packs *packs = l->packs;
    struct pack_file *file = &packs->files[packs->file_count];
    const char *slash = strrchr(yaml_name(l->doc), '/'), *name;
    int rc = yaml_text(l->doc, family, FAMILY_NAME_MAX, "a family", &name, l->e);

    if (rc == 0 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        rc = yaml_error(l->doc, family, l->e, "found \"%s\", expected a family's name of [a-z0-9-]",
                        name);
    if (rc == 0 && packs->file_count == PACK_FILES_MAX)
        rc = yaml_error(l->doc, family, l->e, "found more than %d pack files, expected fewer",
                        PACK_FILES_MAX);
    slash = slash ? slash + 1 : yaml_name(l->doc);
    if (rc == 0 && strlen(slash) > PACK_TEXT_MAX)
        rc = yaml_error(l->doc, family, l->e, "found a file name of %zu bytes, expected at most %d",
                        strlen(slash), PACK_TEXT_MAX);
    if (rc < 0)
        return rc;
    file->family = pool_text(&packs->pool, name);
    file->name = pool_text(&packs->pool, slash);
    packs->file_count++;
    return file->family && file->name ? 0 : pack_no_memory(l);
}

int packs_load(struct packs *packs, struct yaml_doc *doc, struct err *e)
{
    static const char *const keys[] = {"family", "classes", "programs", NULL};
    struct pack_loading l = {.packs = packs, .doc = doc, .e = e};
    const struct yaml_node *root = yaml_root(doc), *family = NULL, *programs = NULL;
    size_t count = 0;
    int rc = yaml_is(doc, root, YAML_MAP, "a map", e);

    if (rc == 0)
        rc = yaml_only_keys(doc, root, keys, e);
    if (rc == 0)
        rc = yaml_require(doc, root, "family", &family, e);
    if (rc == 0)
        rc = yaml_require(doc, root, "programs", &programs, e);
    if (rc == 0)
        rc = load_raw_class(&l);
    if (rc == 0)
        rc = load_class_names(&l, yaml_get(root, "classes"));
    if (rc == 0)
        rc = add_file(&l, family);
    if (rc == 0)
        rc = pack_list(&l, programs, PACK_PROGRAMS_MAX, "programs", &count);
    if (rc == 0 && !count)
        rc = yaml_error(doc, programs, e, "found an empty list, expected programs");
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = load_program(&l, programs->items[i]);
    return rc;
}
