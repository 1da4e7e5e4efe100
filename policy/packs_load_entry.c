/* SPDX-License-Identifier: Apache-2.0
 *
 * Options, entries and cases of a pack file (sallyport-packs(5)). Whatever an entry names must be
 * declared, so that a slip of the pen is an error and not a rule that never matches. Used by
 * authd's loader and the tool. Pure. */
#include "policy/packs_load.h"

#include <stdio.h>
#include <string.h>

static const char *const known_classes[] = {"memory",    "disk",    "cpu", "snapshot", "read",
                                            "isolation", "destroy", "raw", NULL};

static bool is_own_class(const struct pack_loading *l, const char *name)
{
    for (size_t i = 0; l->own_classes && i < l->own_classes->count; i++) {
        if (strcmp(l->own_classes->items[i]->text, name) == 0)
            return true;
    }
    return false;
}

static int class_bit(struct pack_loading *l, const struct yaml_node *n, uint32_t *bit)
{
    const char *name;
    int rc = yaml_text(l->doc, n, CLASS_NAME_MAX, "a class", &name, l->e);
    size_t known;

    if (rc == 0 && !is_own_class(l, name))
        rc = yaml_word(l->doc, n, known_classes, &known, l->e);
    if (rc < 0)
        return rc;
    *bit = packs_class(l->packs, name);
    for (size_t i = 0; !*bit && i < CLASSES_MAX; i++) {
        if (l->packs->classes[i])
            continue;
        l->packs->classes[i] = pool_text(&l->packs->pool, name);
        if (!l->packs->classes[i])
            return pack_no_memory(l);
        *bit = UINT32_C(1) << i;
    }
    if (!*bit)
        return yaml_error(l->doc, n, l->e, "found one class more, expected at most %d in all packs",
                          CLASSES_MAX);
    return 0;
}

int pack_load_classes(struct pack_loading *l, const struct yaml_node *n, uint32_t *bits)
{
    size_t count;
    int rc;

    if (n->kind == YAML_SCALAR)
        return class_bit(l, n, bits);
    rc = pack_list(l, n, CLASSES_MAX, "classes", &count);
    if (rc == 0 && !count)
        rc = yaml_error(l->doc, n, l->e, "found an empty list, expected a class");
    for (size_t i = 0; i < count && rc == 0; i++) {
        uint32_t bit = 0;
        rc = class_bit(l, n->items[i], &bit);
        *bits |= bit;
    }
    return rc;
}

static const struct pack_option *option_in(const struct pack_option *options, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options[i].name, name) == 0)
            return &options[options[i].same];
    }
    return NULL;
}

const struct pack_option *pack_option_named(const struct pack_program *program,
                                            const struct pack_entry *entry, const char *name)
{
    const struct pack_option *o =
        entry ? option_in(entry->options, entry->option_count, name) : NULL;

    return o ? o : option_in(program->options, program->option_count, name);
}

/* "-c|--connect": one option, its first spelling the name that the rest of the file uses. */
static int add_spellings(struct pack_loading *l, const struct yaml_node *n, enum pack_kind kind,
                         struct pack_option *options, size_t *count)
{
    const char *text;
    const size_t first = *count;
    int rc = pack_word(l, n, false, "an option", &text);

    while (rc == 0 && text) {
        const char *bar = strchr(text, '|');
        const size_t len = bar ? (size_t)(bar - text) : strlen(text);
        char name[PACK_TEXT_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)len, text);
        if (name[0] != '-' || !name[1] || strcmp(name, "--") == 0 || strchr(name, '='))
            return yaml_error(
                l->doc, n, l->e,
                "found \"%s\", expected an option with its dashes, as in -c|--connect", name);
        if (option_in(options, *count, name))
            return yaml_error(l->doc, n, l->e, "found %s a second time, expected each option once",
                              name);
        if (*count == PACK_OPTIONS_MAX)
            return yaml_error(l->doc, n, l->e, "found more than %d options, expected fewer",
                              PACK_OPTIONS_MAX);
        options[*count].kind = kind;
        options[*count].same = (uint16_t)first;
        options[*count].name = pool_text(&l->packs->pool, name);
        if (!options[(*count)++].name)
            return pack_no_memory(l);
        text = bar ? bar + 1 : NULL;
    }
    return rc;
}

int pack_load_options(struct pack_loading *l, const struct yaml_node *map,
                      struct pack_option **options, size_t *count)
{
    static const char *const keys[] = {
        [PACK_FLAG] = "flags", [PACK_VALUE] = "values", [PACK_OPTIONAL] = "optional"};
    struct pack_option all[PACK_OPTIONS_MAX];
    size_t n = 0;
    int rc = 0;

    for (unsigned kind = PACK_FLAG; kind <= PACK_OPTIONAL && rc == 0; kind++) {
        const struct yaml_node *list = yaml_get(map, keys[kind]);
        size_t items;
        rc = pack_list(l, list, PACK_OPTIONS_MAX, "options", &items);
        for (size_t i = 0; i < items && rc == 0; i++)
            rc = add_spellings(l, list->items[i], (enum pack_kind)kind, all, &n);
    }
    if (rc < 0 || !n)
        return rc;
    *options = pool_copy(&l->packs->pool, all, n * sizeof *all);
    *count = n;
    return *options ? 0 : pack_no_memory(l);
}

/* "-x", "-x=PATTERN", "-x!=PATTERN", or a pattern for a word. */
static int load_test(struct pack_loading *l, const struct pack_entry *entry,
                     const struct yaml_node *n, struct pack_test *test)
{
    const char *text;
    int rc = pack_word(l, n, true, "a condition", &text);

    if (rc < 0)
        return rc;
    if (text[0] != '-') {
        test->glob = text;
        return 0;
    }
    char name[PACK_TEXT_MAX + 1];
    const size_t len = strcspn(text, "=");
    test->unlike = text[len] && len && text[len - 1] == '!';
    snprintf(name, sizeof name, "%.*s", (int)(len - test->unlike), text);
    const struct pack_option *o = pack_option_named(l->program, entry, name);
    if (!o)
        return yaml_error(l->doc, n, l->e,
                          "found %s, expected an option of flags, values or optional", name);
    test->option = o->name;
    test->glob = text[len] ? text + len + 1 : NULL;
    return 0;
}

static int add_test(struct pack_loading *l, const struct pack_entry *entry,
                    const struct yaml_node *n, struct pack_test *tests, size_t *count)
{
    if (*count == PACK_TESTS_MAX)
        return yaml_error(l->doc, n, l->e, "found more than %d conditions, expected fewer",
                          PACK_TESTS_MAX);
    return load_test(l, entry, n, &tests[(*count)++]);
}

static int load_when(struct pack_loading *l, const struct pack_entry *entry,
                     const struct yaml_node *n, struct pack_case *c)
{
    struct pack_test tests[PACK_TESTS_MAX] = {0};
    size_t items, count = 0;
    int rc = pack_list(l, n, PACK_TESTS_MAX, "conditions", &items);

    if (rc == 0 && !items)
        rc = yaml_error(l->doc, n, l->e, "found an empty list, expected conditions");
    for (size_t i = 0; i < items && rc == 0; i++) {
        const struct yaml_node *item = n->items[i];
        size_t all;
        if (item->kind == YAML_SCALAR) {
            rc = add_test(l, entry, item, tests, &count);
            continue;
        }
        rc = pack_list(l, item, PACK_TESTS_MAX, "conditions that hold together", &all);
        if (rc == 0 && all < 2)
            rc =
                yaml_error(l->doc, item, l->e, "found a list of %zu, expected two conditions", all);
        for (size_t k = 0; k < all && rc == 0; k++) {
            rc = add_test(l, entry, item->items[k], tests, &count);
            tests[count - 1].and_next = k + 1 < all;
        }
    }
    if (rc < 0)
        return rc;
    c->tests = pool_copy(&l->packs->pool, tests, count * sizeof *tests);
    c->test_count = count;
    return c->tests ? 0 : pack_no_memory(l);
}

/* Where a text of the command stands: an option, "key=", or a name of args. */
static int load_source(struct pack_loading *l, const struct pack_entry *entry,
                       const struct yaml_node *n, bool option_only, const char **out)
{
    const char *text, *names[PACK_ARGS_MAX + 1] = {0};
    int rc = n ? pack_word(l, n, false, "a name of args, an option or key=", &text) : 0;

    if (!n || rc < 0)
        return rc;
    *out = text;
    if (text[0] == '-') {
        const struct pack_option *o = pack_option_named(l->program, entry, text);
        if (!o || o->kind == PACK_FLAG)
            return yaml_error(l->doc, n, l->e, "found %s, expected an option of values or optional",
                              text);
        *out = o->name;
        return 0;
    }
    if (option_only)
        return yaml_error(l->doc, n, l->e, "found \"%s\", expected an option", text);
    if (text[1] && text[strlen(text) - 1] == '=')
        return 0;
    for (size_t i = 0; i < entry->arg_count; i++) {
        names[i] = entry->args[i];
        if (strcmp(names[i], text) == 0)
            return 0;
    }
    const char *near = nearest_word(text, names);
    return yaml_error(l->doc, n, l->e,
                      "found \"%s\", expected a name of args, an option or key=%s%s%s", text,
                      near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static int load_value(struct pack_loading *l, const struct pack_entry *entry,
                      const struct yaml_node *n, struct pack_case *c)
{
    static const char *const units[] = {"count", "B",   "sector", "KB",  "KiB",
                                        "MB",    "MiB", "GB",     "GiB", NULL};
    static const char *const suffixes[] = {"none", "mixed", "binary", NULL};
    const struct yaml_node *value = yaml_get(n, "value"), *unit = yaml_get(n, "unit");
    const struct yaml_node *suffix = yaml_get(n, "suffixes"), *strip = yaml_get(n, "strip");
    size_t place = 0;
    int rc = load_source(l, entry, value, false, &c->value);

    if (rc == 0 && value && !unit)
        rc = yaml_error(l->doc, value, l->e, "found a value without its unit, expected unit");
    if (rc == 0 && !value && (unit || suffix || strip))
        rc = yaml_error(l->doc,
                        unit     ? unit
                        : suffix ? suffix
                                 : strip,
                        l->e, "found how to read a value, expected value beside it");
    if (rc == 0 && unit && (rc = yaml_word(l->doc, unit, units, &place, l->e)) == 0)
        c->unit = (enum pack_unit)place;
    if (rc == 0 && suffix && (rc = yaml_word(l->doc, suffix, suffixes, &place, l->e)) == 0)
        c->suffixes = (enum pack_suffixes)place;
    return rc == 0 && strip ? pack_word(l, strip, false, "what stands before the number", &c->strip)
                            : rc;
}

/* n has the case's keys; outer is the entry, when it has several. */
static int load_case(struct pack_loading *l, const struct pack_entry *entry,
                     const struct yaml_node *n, const struct yaml_node *outer, struct pack_case *c)
{
    const struct yaml_node *node, *when = yaml_get(n, "when");
    int rc = yaml_require(l->doc, n, "class", &node, l->e);

    c->line = n->line;
    if (rc == 0)
        rc = pack_load_classes(l, node, &c->classes);
    if (rc == 0 && when)
        rc = load_when(l, entry, when, c);
    node = yaml_get(n, "vm");
    if (!node && outer)
        node = yaml_get(outer, "vm");
    if (rc == 0)
        rc = load_source(l, entry, node, false, &c->vm);
    if (rc == 0)
        rc = load_value(l, entry, n, c);
    return rc == 0 ? load_source(l, entry, yaml_get(n, "secret"), true, &c->secret) : rc;
}

static int load_cases(struct pack_loading *l, const struct yaml_node *n, struct pack_entry *entry)
{
    static const char *const keys[] = {"class",    "when",  "vm",     "value", "unit",
                                       "suffixes", "strip", "secret", NULL};
    const struct yaml_node *cases = yaml_get(n, "cases");
    size_t count = 1;
    int rc = cases ? pack_list(l, cases, PACK_CASES_MAX, "cases", &count) : 0;

    if (rc == 0 && !count)
        rc = yaml_error(l->doc, cases, l->e, "found an empty list, expected cases");
    for (size_t i = 0; cases && rc == 0 && keys[i]; i++) {
        const struct yaml_node *twice = yaml_get(n, keys[i]);
        if (twice && strcmp(keys[i], "vm") != 0)
            rc = yaml_error(l->doc, twice, l->e,
                            "found %s beside cases, expected it within each of them", keys[i]);
    }
    if (rc < 0)
        return rc;
    entry->cases = pool_alloc(&l->packs->pool, count * sizeof *entry->cases);
    if (!entry->cases)
        return pack_no_memory(l);
    entry->case_count = count;
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (cases && (rc = yaml_is(l->doc, cases->items[i], YAML_MAP, "a map", l->e)) == 0)
            rc = yaml_only_keys(l->doc, cases->items[i], keys, l->e);
        if (rc == 0)
            rc = load_case(l, entry, cases ? cases->items[i] : n, cases ? n : NULL,
                           &entry->cases[i]);
    }
    return rc;
}

int pack_load_entry(struct pack_loading *l, const struct yaml_node *n, struct pack_entry *entry)
{
    static const char *const keys[] = {"verbs", "args",     "flags", "values", "optional",
                                       "cases", "class",    "when",  "vm",     "value",
                                       "unit",  "suffixes", "strip", "secret", NULL};
    const struct yaml_node *args;
    size_t count;
    int rc = yaml_is(l->doc, n, YAML_MAP, "an entry", l->e);

    if (rc == 0)
        rc = yaml_only_keys(l->doc, n, keys, l->e);
    if (rc == 0)
        rc = pack_load_options(l, n, &entry->options, &entry->option_count);
    if (rc < 0)
        return rc;
    args = yaml_get(n, "args");
    rc = pack_list(l, args, PACK_ARGS_MAX, "names of positionals", &count);
    if (rc == 0 && count) {
        entry->args = pool_alloc(&l->packs->pool, count * sizeof *entry->args);
        if (!entry->args)
            return pack_no_memory(l);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = pack_word(l, args->items[i], false, "the name of a positional", &entry->args[i]);
        if (rc == 0 && (strchr(entry->args[i], '=') || entry->args[i][0] == '-'))
            rc = yaml_error(l->doc, args->items[i], l->e,
                            "found \"%s\", expected a name without - before it or = in it",
                            entry->args[i]);
        entry->arg_count += rc == 0;
    }
    return rc == 0 ? load_cases(l, n, entry) : rc;
}
