/* SPDX-License-Identifier: Apache-2.0
 *
 * Options and positionals (policy/packs_parse.h). Sources: getopt_long(3), Python's argparse and
 * Perl's Getopt::Long (unambiguous abbreviations), Go's flag package and cobra, vshCommandParse of
 * libvirt's tools/vsh.c. Used by the backend (hostile words) and `policy classify`. Pure. */
#include "policy/packs_parse.h"

#include <ctype.h>
#include <string.h>

struct parser {
    const struct pack_program *program;
    const struct pack_entry *entry;
    const struct pack_words *words;
    struct pack_parsed *out;
    struct err *e;
    size_t borrowed; /* the word that was a value, and is looked at as an option too */
};

enum likeness { UNLIKE, BEGINS, EQUAL };

/* typed against an option's name, in which "*" stands for digits. */
static enum likeness compare(const char *name, const char *typed, size_t len, bool fold)
{
    for (size_t i = 0; i < len;) {
        if (*name == '*') {
            if (!isdigit((unsigned char)typed[i]))
                return UNLIKE;
            while (i < len && isdigit((unsigned char)typed[i]))
                i++;
            name++;
            continue;
        }
        const char a = fold ? (char)tolower((unsigned char)*name) : *name;
        const char b = fold ? (char)tolower((unsigned char)typed[i]) : typed[i];
        if (!a || a != b)
            return UNLIKE;
        name++;
        i++;
    }
    return *name ? BEGINS : EQUAL;
}

static int add_option(struct parser *p, const char *name, const char *value, unsigned place)
{
    struct pack_parsed *out = p->out;

    if (out->option_count == PARSED_OPTIONS_MAX)
        return err_set(p->e, ERR_FULL, "found more than %d options in a command",
                       PARSED_OPTIONS_MAX);
    out->options[out->option_count].name = name;
    out->options[out->option_count].value = value;
    out->options[out->option_count++].place = place;
    return 0;
}

static void not_sure(struct parser *p)
{
    if (p->out->sure > p->out->positional_count)
        p->out->sure = p->out->positional_count;
}

/* The options that typed[0..len) may be, first those of the entry; at most max. An exact match is
 * the only one. */
static size_t candidates(const struct parser *p, const char *typed, size_t len, bool prefixes,
                         const struct pack_option **found, size_t max)
{
    const bool single = p->program->style == PACK_SINGLE;
    size_t count = 0;

    for (unsigned table = p->entry ? 0 : 1; table < 2; table++) {
        const struct pack_option *options = table ? p->program->options : p->entry->options;
        const size_t n = table ? p->program->option_count : p->entry->option_count;
        for (size_t i = 0; i < n; i++) {
            const char *name = options[i].name;
            name += single ? strspn(name, "-") : 0;
            const enum likeness l = compare(name, typed, len, p->program->ignore_case);
            if (l == EQUAL) {
                found[0] = &options[options[i].same];
                return 1;
            }
            if (l == BEGINS && prefixes && count < max)
                found[count++] = &options[options[i].same];
        }
    }
    return count;
}

/* The place of the next word is moved to, as it was the value; but if it is an option by its looks,
 * it counts as that too: a pack may be wrong about the value, or the program may have it optional,
 * as Proxmox VE's booleans are. */
static void take_value(struct parser *p, size_t *at)
{
    const char *word = p->words->word[*at + 1];
    const bool dashes = word[0] == '-' && word[1] == '-', single = p->program->style == PACK_SINGLE;
    const size_t skip = single ? 1 + dashes : 0;
    const struct pack_option *found[2];
    bool option = false;

    if (word[0] == '-' && word[1] && strcmp(word, "--") != 0) {
        const size_t len = strcspn(word, "=");
        option = single || dashes ? candidates(p, word + skip, len > skip ? len - skip : 0,
                                               p->program->options_by_prefix, found, 2) > 0
                                  : candidates(p, word, 2, false, found, 2) > 0;
    }
    if (option)
        p->borrowed = *at + 1;
    else
        ++*at;
}

/* A long option, typed[0..len) and perhaps "=" and a value. *at moves over the value's word. False:
 * not known. */
static int long_option(struct parser *p, const char *typed, size_t len, const char *value,
                       size_t *at, bool *known)
{
    const struct pack_option *found[2 * PACK_OPTIONS_MAX];
    const struct pack_words *w = p->words;
    const unsigned place = w->place[*at];
    const size_t n =
        candidates(p, typed, len, p->program->options_by_prefix, found, 2 * PACK_OPTIONS_MAX);
    size_t takes = 0;
    int rc = 0;

    *known = n > 0;
    for (size_t i = 0; i < n; i++)
        takes += found[i]->kind == PACK_VALUE;
    if ((!n || (takes && takes < n)) && !value)
        not_sure(p);
    const char *next = !value && takes && *at + 1 < w->count ? w->word[*at + 1] : NULL;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_option(p, found[i]->name, found[i]->kind == PACK_VALUE && next ? next : value,
                        found[i]->kind == PACK_VALUE && next ? w->place[*at + 1] : place);
    if (next && takes == n)
        take_value(p, at);
    return rc;
}

/* "-xyz": letters until one takes the rest, or the next word. */
static int letters(struct parser *p, size_t *at, bool *known)
{
    const struct pack_words *w = p->words;
    const char *word = w->word[*at];
    const unsigned place = w->place[*at];
    int rc = 0;

    *known = true;
    for (const char *c = word + 1; *c && rc == 0; c++) {
        const struct pack_option *o;
        const char typed[2] = {'-', *c};
        if (!candidates(p, typed, 2, false, &o, 1)) {
            *known = false;
            not_sure(p);
        } else if (o->kind == PACK_FLAG) {
            rc = add_option(p, o->name, NULL, place);
        } else if (c[1] || o->kind == PACK_OPTIONAL) {
            return add_option(p, o->name, c[1] ? c + 1 : NULL, place);
        } else {
            const bool more = *at + 1 < w->count;
            rc = add_option(p, o->name, more ? w->word[*at + 1] : NULL,
                            more ? w->place[*at + 1] : place);
            if (more)
                take_value(p, at);
            return rc;
        }
    }
    return rc;
}

/* The option at *at, which begins with "-" and is neither "-" nor "--". */
static int option(struct parser *p, size_t *at, bool *known)
{
    const char *word = p->words->word[*at];
    const char *equals = strchr(word, '=');
    const size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const char *value = equals ? equals + 1 : NULL;

    if (p->program->style == PACK_SINGLE) {
        const size_t dashes = word[1] == '-' ? 2 : 1;
        return long_option(p, word + dashes, len - dashes, value, at, known);
    }
    if (word[1] == '-')
        return long_option(p, word, len, value, at, known);
    return letters(p, at, known);
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && strcmp(word, "--") != 0;
}

/* virsh's own options before the verb are getopt's. */
static bool reads_data(const struct parser *p)
{
    return p->program->style == PACK_DATA && p->entry && p->entry->verb_count;
}

static void add_positional(struct parser *p, const char *text, unsigned place)
{
    struct pack_parsed *out = p->out;
    const size_t args = p->entry ? p->entry->arg_count : 0;

    if (reads_data(p)) {
        for (size_t i = 0; i < args; i++) {
            if (!out->arg[i] && out->positional_count < out->sure) {
                out->arg[i] = text;
                out->arg_place[i] = place;
                break;
            }
        }
    } else if (out->positional_count < args && out->positional_count < out->sure) {
        out->arg[out->positional_count] = text;
        out->arg_place[out->positional_count] = place;
    }
    if (out->positional_count < WORDS_MAX)
        out->positional[out->positional_count++] = text;
}

/* virsh, after the verb: --NAME may stand for a positional; one dash begins no option. */
static int data_option(struct parser *p, size_t *at)
{
    const struct pack_words *w = p->words;
    const char *name = w->word[*at] + 2, *equals = strchr(name, '=');
    const size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = equals ? equals + 1 : NULL;
    bool known;

    for (size_t i = 0; p->entry && i < p->entry->arg_count; i++) {
        if (compare(p->entry->args[i], name, len, false) != EQUAL)
            continue;
        if (!value && *at + 1 < w->count)
            value = w->word[++*at];
        if (value && !p->out->arg[i]) {
            p->out->arg[i] = value;
            p->out->arg_place[i] = w->place[*at];
        }
        if (value && p->out->positional_count < WORDS_MAX) {
            /* patterns see it; what is sure stays so, because it was named */
            p->out->positional[p->out->positional_count++] = value;
            p->out->sure += p->out->sure < SIZE_MAX;
        }
        return 0;
    }
    return long_option(p, w->word[*at], len + 2, value, at, &known);
}

int pack_parse(const struct pack_program *program, const struct pack_entry *entry,
               const struct pack_words *words, size_t from, struct pack_parsed *out, struct err *e)
{
    struct parser p = {program, entry, words, out, e, 0};
    bool options = true, known;
    int rc = 0;

    memset(out, 0, sizeof *out);
    out->sure = SIZE_MAX;
    for (size_t at = from; at < words->count && rc == 0; at++) {
        const char *word = words->word[at];
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (!options || !is_option(word))
            add_positional(&p, word, words->place[at]);
        else if (!reads_data(&p))
            rc = option(&p, &at, &known);
        else if (word[1] == '-' && isalnum((unsigned char)word[2]))
            rc = data_option(&p, &at);
        else
            add_positional(&p, word, words->place[at]);
    }
    return rc;
}

/* As it is written: an abbreviation of --help may be one of something else in another version. */
static bool ends_program(const struct pack_program *program, const char *word)
{
    for (size_t k = 0; k < program->end_count; k++) {
        if (strcmp(program->ends[k], word) == 0)
            return true;
    }
    return false;
}

int pack_parse_leading(const struct pack_program *program, const struct pack_words *words,
                       size_t *at, bool *unknown, bool *ends, struct pack_parsed *out,
                       struct err *e)
{
    struct parser p = {program, NULL, words, out, e, SIZE_MAX};
    bool known = true;
    int rc = 0;

    memset(out, 0, sizeof *out);
    out->sure = SIZE_MAX;
    *unknown = *ends = false;
    while (*at < words->count && rc == 0) {
        const char *word = words->word[*at];
        if (strcmp(word, "--") == 0) {
            ++*at;
            break;
        }
        if (!is_option(word))
            break;
        *ends = *at != p.borrowed && ends_program(program, word);
        if (*ends)
            break;
        rc = option(&p, at, &known);
        ++*at;
        if (rc == 0 && !known) {
            *unknown = true;
            break;
        }
    }
    return rc;
}
