/* SPDX-License-Identifier: Apache-2.0
 *
 * From a command's words to its classes. Where a program would refuse what is written (an
 * abbreviation of two verbs, an option that it does not know), the words count as all that they
 * could mean, and what does not parse at all as `raw`: another version of the program may take it.
 * Used by the backend on hostile words, and by `policy classify`. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/packs_parse.h"

/* `lvm lvm lvm ...`; nobody writes more than one. */
#define MULTICALL_DEPTH_MAX 4
/* Commands in one argv, and programs of a name: a bound for time, some 20 ms. */
#define STEPS_MAX 1024
/* Behind an unknown option: it may take a value, so the verb may be the first or second word. */
#define SALVAGED_VERBS 2

struct judge {
    const struct packs *packs;
    const struct pack_program *program;
    packs_found found;
    void *arg;
    struct err *e;
    unsigned count, depth, steps;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_named(const struct pack_program *program, const char *word)
{
    const char *name = base_name(word);

    for (size_t n = 0; n < program->name_count; n++) {
        if (pack_glob(program->names[n], name, strlen(name)))
            return true;
    }
    return false;
}

static int step(struct judge *j)
{
    return ++j->steps <= STEPS_MAX
               ? 0
               : err_set(j->e, ERR_FULL, "found more than %d commands in one", STEPS_MAX);
}

static int report(struct judge *j, struct classification *one, uint32_t line)
{
    const struct pack_file *file = &j->packs->files[j->program->file];

    if (++j->count > PACKS_FOUND_MAX)
        return err_set(j->e, ERR_FULL, "found a command of more than %d classified parts",
                       PACKS_FOUND_MAX);
    snprintf(one->family, sizeof one->family, "%s", file->family);
    snprintf(one->entry, sizeof one->entry, "%s:%u", file->name, (unsigned)line);
    return j->found(j->arg, one);
}

static int report_raw(struct judge *j)
{
    struct classification one = {.classes = packs_class(j->packs, CLASS_RAW)};

    return one.classes ? report(j, &one, j->program->line) : 0;
}

static bool test_holds(const struct pack_test *test, const struct pack_parsed *parsed)
{
    if (!test->option) {
        for (size_t i = 0; i < parsed->positional_count; i++) {
            const char *word = parsed->positional[i];
            if (pack_glob(test->glob, word, strlen(word)))
                return true;
        }
        return false;
    }
    for (size_t i = 0; i < parsed->option_count; i++) {
        const char *value = parsed->options[i].value;
        if (strcmp(parsed->options[i].name, test->option) != 0)
            continue;
        if (!test->glob ||
            pack_glob(test->glob, value ? value : "", value ? strlen(value) : 0) != test->unlike)
            return true;
    }
    return false;
}

/* Tests parted into groups: one group of which all hold is enough. */
static bool case_holds(const struct pack_case *c, const struct pack_parsed *parsed)
{
    bool group = true;

    for (size_t i = 0; i < c->test_count; i++) {
        group = group && test_holds(&c->tests[i], parsed);
        if (c->tests[i].and_next)
            continue;
        if (group)
            return true;
        group = true;
    }
    return !c->test_count;
}

/* What a source ("name", "-x", "x=") stands for here; NULL: nothing, or not sure. */
static const char *source(const struct pack_entry *entry, const struct pack_parsed *parsed,
                          const char *name, unsigned *place)
{
    const size_t len = strlen(name);

    if (name[0] == '-') {
        for (size_t i = parsed->option_count; i > 0; i--) {
            *place = parsed->options[i - 1].place;
            if (parsed->options[i - 1].value && strcmp(parsed->options[i - 1].name, name) == 0)
                return parsed->options[i - 1].value;
        }
        return NULL;
    }
    if (name[len - 1] == '=') {
        for (size_t i = 0; i < parsed->positional_count; i++) {
            const char *word = parsed->positional[i];
            if (strncmp(word, name, len) == 0)
                return word + len;
            if (strncmp(word, name, len - 1) == 0 && !word[len - 1] &&
                i + 1 < parsed->positional_count)
                return parsed->positional[i + 1];
        }
        return NULL;
    }
    for (size_t i = 0; i < entry->arg_count; i++) {
        *place = parsed->arg_place[i];
        if (strcmp(entry->args[i], name) == 0)
            return parsed->arg[i];
    }
    return NULL;
}

static int report_case(struct judge *j, const struct pack_entry *entry, const struct pack_case *c,
                       const struct pack_parsed *parsed)
{
    struct classification one = {.classes = c->classes};
    unsigned place = 0;
    const char *text = c->vm ? source(entry, parsed, c->vm, &place) : NULL;

    if (text)
        snprintf(one.vm, sizeof one.vm, "%s", strlen(text) < sizeof one.vm ? text : "");
    text = c->value ? source(entry, parsed, c->value, &place) : NULL;
    if (text && c->strip && strncmp(text, c->strip, strlen(c->strip)) == 0)
        text += strlen(c->strip);
    if (text)
        pack_value(text, c->unit, c->suffixes, &one);
    if (c->secret && source(entry, parsed, c->secret, &place))
        one.secret_word = place;
    return report(j, &one, c->line);
}

static int judge_entry(struct judge *j, const struct pack_entry *entry,
                       const struct pack_words *words, size_t from)
{
    struct pack_parsed parsed;
    int rc = pack_parse(j->program, entry, words, from, &parsed, j->e);

    for (size_t i = 0; i < entry->case_count && rc == 0; i++) {
        if (case_holds(&entry->cases[i], &parsed))
            rc = report_case(j, entry, &entry->cases[i], &parsed);
    }
    return rc;
}

/* Verbs against typed words: does each begin with its word, are all the same, are they as many? */
static bool verb_matches(const char *verb, const char *const *typed, size_t count, bool *exact)
{
    *exact = true;
    for (size_t i = 0; i < count; i++) {
        const size_t len = strlen(typed[i]), word = strcspn(verb, " ");
        if (len > word || memcmp(verb, typed[i], len) != 0)
            return false;
        *exact = *exact && len == word;
        verb += word;
        if (i + 1 < count && !*verb)
            return false;
        verb += *verb == ' ';
    }
    return !*verb;
}

static size_t verb_words_max(const struct pack_program *program)
{
    size_t max = 1;

    for (size_t i = 0; i < program->verb_count; i++) {
        size_t n = 1;
        for (const char *c = program->verbs[i]; *c; c++)
            n += *c == ' ';
        max = n > max ? n : max;
    }
    return max < PACK_VERB_WORDS ? max : PACK_VERB_WORDS;
}

static bool has_verb(const struct pack_entry *entry, size_t verb)
{
    for (size_t i = 0; i < entry->verb_count; i++) {
        if (entry->verbs[i] == verb)
            return true;
    }
    return false;
}

/* The verbs of `count` words that are typed, or begin with what is typed. */
struct hits {
    bool any, exact;
    bool entry[PACK_ENTRIES_MAX];
};

static void find_verbs(const struct pack_program *program, const char *const *typed, size_t count,
                       bool prefixes, struct hits *hits)
{
    bool exact;

    memset(hits, 0, sizeof *hits);
    for (size_t v = 0; v < program->verb_count; v++) {
        if (!verb_matches(program->verbs[v], typed, count, &exact) || (!exact && !prefixes))
            continue;
        if (exact) {
            memset(hits, 0, sizeof *hits);
            hits->exact = true;
        }
        hits->any = true;
        for (size_t i = 0; i < program->entry_count; i++)
            hits->entry[i] = hits->entry[i] || has_verb(&program->entries[i], v);
        if (exact)
            return;
    }
}

/* The longest verb first, as the programs do; an exact one settles it, an abbreviation leaves open
 * whether a shorter verb was meant. places[i]: where the i-th typed word is in words. */
static int judge_verb(struct judge *j, const struct pack_words *words, const size_t *places,
                      size_t count, bool prefixes, bool *any)
{
    const char *typed[PACK_VERB_WORDS];
    struct hits hits;
    int rc = 0;

    *any = false;
    for (size_t i = 0; i < count; i++)
        typed[i] = words->word[places[i]];
    for (size_t n = count; n > 0 && rc == 0; n--) {
        find_verbs(j->program, typed, n, prefixes, &hits);
        *any = *any || hits.any;
        for (size_t i = 0; i < j->program->entry_count && rc == 0; i++) {
            if (hits.entry[i])
                rc = judge_entry(j, &j->program->entries[i], words, places[n - 1] + 1);
        }
        if (hits.exact)
            break;
    }
    return rc;
}

/* Behind an option that is not known. */
static int salvage(struct judge *j, const struct pack_words *words, size_t from)
{
    const size_t max = verb_words_max(j->program);
    unsigned tries = 0;
    int rc = report_raw(j);

    for (size_t i = from; i < words->count && tries < SALVAGED_VERBS && rc == 0; i++) {
        size_t places[PACK_VERB_WORDS], count = 0;
        bool any;
        if (words->word[i][0] == '-')
            continue;
        tries++;
        while (count < max && i + count < words->count) {
            places[count] = i + count;
            count++;
        }
        rc = judge_verb(j, words, places, count, false, &any);
    }
    return rc;
}

/* One command: options, the verb's words with options between them, arguments. */
static int judge_command(struct judge *j, const struct pack_words *words, size_t from)
{
    const size_t max = verb_words_max(j->program);
    size_t places[PACK_VERB_WORDS], count = 0, at = from;
    struct pack_parsed ignored;
    bool unknown = false, ends, any;
    int rc = step(j);

    if (rc < 0)
        return rc;
    for (;;) {
        if (j->program->style != PACK_DATA || !count) {
            const size_t before = at;
            rc = pack_parse_leading(j->program, words, &at, &unknown, &ends, &ignored, j->e);
            if (rc < 0 || (ends && !count))
                return rc;
            if (ends)
                unknown = true; /* behind a verb it may be the verb's own */
            if (unknown && count)
                at = before;
        }
        if (unknown || at >= words->count || count == max)
            break;
        places[count++] = at++;
    }
    if (unknown && !count)
        return salvage(j, words, at);
    if (!count)
        return j->program->bare_is_raw ? report_raw(j) : 0;
    rc = judge_verb(j, words, places, count, j->program->verbs_by_prefix, &any);
    if (rc == 0 && !any && j->program->unknown_is_raw)
        rc = report_raw(j);
    return rc;
}

static int judge_words(struct judge *j, const struct words *split, unsigned place)
{
    struct pack_words words = {.count = split->count};

    for (size_t i = 0; i < split->count; i++) {
        words.word[i] = split->word[i];
        words.place[i] = place;
    }
    return split->count ? judge_command(j, &words, 0) : 0;
}

/* A text that holds commands. */
static int judge_text(struct judge *j, const char *text, unsigned place,
                      bool (*split)(const char *, size_t *, struct words *))
{
    size_t at = 0;
    bool some = false;
    int rc = 0;

    do {
        struct words one;
        const bool right = split(text, &at, &one);
        some = some || one.count;
        if (!right)
            rc = report_raw(j);
        /* what was understood of it until then counts too */
        if (rc == 0)
            rc = judge_words(j, &one, place);
        words_clear(&one);
        if (!right)
            return rc;
    } while (rc == 0 && text[at]);
    if (rc == 0 && !some && j->program->bare_is_raw)
        rc = report_raw(j);
    return rc;
}

static int judge_joined(struct judge *j, const struct pack_words *words, size_t from)
{
    size_t len = 1;
    int rc;

    for (size_t i = from; i < words->count; i++)
        len += strlen(words->word[i]) + 1;
    char *text = malloc(len), *to = text;
    if (!text)
        return err_set(j->e, ERR_MEMORY, "out of memory");
    for (size_t i = from; i < words->count; i++)
        to += sprintf(to, "%s%s", i > from ? " " : "", words->word[i]);
    *to = 0;
    rc = judge_text(j, text, 0, pack_split_joined);
    free(text);
    return rc;
}

static int judge_dashes(struct judge *j, const struct pack_words *words, size_t from)
{
    struct pack_words part;
    int rc = 0;

    while (from <= words->count && rc == 0) {
        part.count = 0;
        for (; from < words->count && strcmp(words->word[from], "--") != 0; from++) {
            part.place[part.count] = words->place[from];
            part.word[part.count++] = words->word[from];
        }
        if (part.count)
            rc = judge_command(j, &part, 0);
        from++;
    }
    return rc;
}

/* Entries without verbs: of a program that has verbs too they see the options alone, or in a style
 * whose options may stand anywhere, everything. */
static int judge_whole(struct judge *j, const struct pack_words *words)
{
    struct pack_words leading = *words;
    int rc = 0;

    if (j->program->verb_count && j->program->style == PACK_DATA) {
        struct pack_parsed ignored;
        bool unknown, ends;
        leading.count = 0;
        rc = pack_parse_leading(j->program, words, &leading.count, &unknown, &ends, &ignored, j->e);
    }
    for (size_t i = 0; i < j->program->entry_count && rc == 0; i++) {
        if (!j->program->entries[i].verb_count)
            rc = judge_entry(j, &j->program->entries[i], &leading, 0);
    }
    return rc;
}

static int judge_argv(struct judge *j, const struct pack_words *argv, size_t from);

/* As with everything that is too much: it counts as all classes. */
static int too_deep(struct judge *j)
{
    return err_set(j->e, ERR_FULL, "found programs within programs more than %d deep",
                   MULTICALL_DEPTH_MAX);
}

static int judge_program(struct judge *j, const struct pack_words *words)
{
    struct pack_parsed ignored;
    bool unknown, ends;
    size_t at = 0;
    int rc = step(j);

    if (rc == 0)
        rc = pack_parse_leading(j->program, words, &at, &unknown, &ends, &ignored, j->e);
    if (rc < 0 || (ends && (j->program->verb_count || j->program->multicall)))
        return rc;
    if (j->program->multicall) {
        if (unknown || at >= words->count)
            return unknown || j->program->bare_is_raw ? report_raw(j) : 0;
        return judge_argv(j, words, at);
    }
    rc = judge_whole(j, words);
    if (rc != 0 || !j->program->verb_count)
        return rc;
    if (unknown)
        return salvage(j, words, at);
    if (j->program->several == PACK_ONE_WORD && at + 1 == words->count)
        return judge_text(j, words->word[at], words->place[at], pack_split_virsh);
    if (j->program->several == PACK_JOINED && at < words->count)
        return judge_joined(j, words, at);
    if (j->program->several == PACK_DASHES && at < words->count)
        return judge_dashes(j, words, at);
    return judge_command(j, words, at);
}

/* Names are patterns, so several programs may be meant: all of them are. */
static int judge_argv(struct judge *j, const struct pack_words *argv, size_t from)
{
    struct pack_words rest = {.count = argv->count - from - 1};
    int rc = 0;

    for (size_t i = 0; i < rest.count; i++) {
        rest.word[i] = argv->word[from + 1 + i];
        rest.place[i] = argv->place[from + 1 + i];
    }
    j->depth++;
    for (size_t i = 0; i < j->packs->program_count && rc == 0; i++) {
        j->program = &j->packs->programs[i];
        if (is_named(j->program, argv->word[from]))
            rc = j->depth > MULTICALL_DEPTH_MAX ? too_deep(j) : judge_program(j, &rest);
    }
    j->depth--;
    return rc;
}

int packs_each(const struct packs *packs, const struct words *argv, packs_found found, void *arg,
               struct err *e)
{
    struct judge j = {.packs = packs, .found = found, .arg = arg, .e = e};
    struct pack_words words = {.count = argv->count};

    if (!argv->count)
        return 0;
    for (size_t i = 0; i < argv->count; i++) {
        words.word[i] = argv->word[i];
        words.place[i] = (unsigned)i;
    }
    return judge_argv(&j, &words, 0);
}

static int gather(void *arg, const struct classification *one)
{
    struct classification *out = arg;
    const uint32_t classes = out->classes;

    if (!classes)
        *out = *one;
    else if (!out->secret_word)
        out->secret_word = one->secret_word;
    out->classes = classes | one->classes;
    return 0;
}

int packs_classify(const struct packs *packs, const struct words *argv, struct classification *out,
                   struct err *e)
{
    memset(out, 0, sizeof *out);
    int rc = packs_each(packs, argv, gather, out, e);
    if (rc != ERR_FULL)
        return rc;
    for (size_t i = 0; i < CLASSES_MAX; i++)
        out->classes |= packs->classes[i] ? UINT32_C(1) << i : 0;
    return 0;
}
