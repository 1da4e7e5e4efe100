/* SPDX-License-Identifier: Apache-2.0
 *
 * A lenient reader of shell text (policy/shell_text.h). One pass; words gather into a command until
 * something parts commands; a substitution is read as a text of its own. Used by the backend on
 * hostile text. Pure. */
#include "policy/shell_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const char *in;
    size_t len, at;
    shell_command found;
    void *arg;
    const char **why;
    struct err *e;
    unsigned depth;
};

/* The command being gathered, of one level. */
struct command {
    struct words w;
    char *to;       /* where the next byte goes */
    char *word;     /* begin of the word being gathered, NULL: none */
    bool redirects; /* the next word names a file */
};

static void opaque(struct reading *r, const char *why)
{
    if (!*r->why)
        *r->why = why;
}

static int read_list(struct reading *r, char end);

static void put(struct command *c, char byte)
{
    if (!c->word)
        c->word = c->to;
    *c->to++ = byte;
}

/* "A=b", where b was not quoted apart. */
static bool is_assignment(const char *word)
{
    const char *equals = strchr(word, '=');

    if (!equals || equals == word || (word[0] >= '0' && word[0] <= '9'))
        return false;
    for (const char *p = word; p < equals; p++) {
        const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (!letter && !(*p >= '0' && *p <= '9') && *p != '+' && *p != '[' && *p != ']')
            return false;
    }
    return true;
}

/* Words behind which a command stands as well, and those that make the text more than a list. */
static bool is_word_of_shell(struct reading *r, const char *word)
{
    static const char *const before[] = {"if",   "then", "else", "elif", "fi", "do",
                                         "done", "!",    "{",    "}",    NULL};
    static const char *const more[] = {"while",  "until", "for",    "case",   "esac", "function",
                                       "select", "in",    "coproc", "repeat", "[[",   NULL};

    for (size_t i = 0; before[i]; i++) {
        if (strcmp(word, before[i]) == 0)
            return true;
    }
    for (size_t i = 0; more[i]; i++) {
        if (strcmp(word, more[i]) == 0) {
            opaque(r, "a loop or a construct in it decides what runs");
            return true;
        }
    }
    return false;
}

static void end_word(struct reading *r, struct command *c)
{
    if (!c->word)
        return;
    char *word = c->word;
    *c->to++ = 0;
    c->word = NULL;
    if (c->redirects) {
        c->redirects = false;
        return;
    }
    if (!c->w.count && is_assignment(word)) {
        opaque(r, "a variable set in it may change what runs");
        return;
    }
    if (!c->w.count && is_word_of_shell(r, word))
        return;
    if (c->w.count == WORDS_MAX) {
        opaque(r, "a command in it has too many words");
        return;
    }
    c->w.word[c->w.count++] = word;
}

static int end_command(struct reading *r, struct command *c)
{
    end_word(r, c);
    c->redirects = false;
    int rc = c->w.count ? r->found(r->arg, &c->w) : 0;
    c->w.count = 0;
    c->to = c->w.text;
    return rc;
}

/* $(...), `...` and <(...): a text of its own. Stands behind the opening. */
static int substitution(struct reading *r, char end)
{
    opaque(r, "an expansion in it is not known before it runs");
    if (r->depth == SHELL_TEXT_DEPTH_MAX) {
        r->at = r->len;
        return 0;
    }
    r->depth++;
    int rc = read_list(r, end);
    r->depth--;
    return rc;
}

static int dollar(struct reading *r, struct command *c)
{
    opaque(r, "an expansion in it is not known before it runs");
    put(c, '$');
    r->at++;
    if (r->at < r->len && r->in[r->at] == '(') {
        r->at++;
        return substitution(r, ')');
    }
    return 0;
}

static int double_quoted(struct reading *r, struct command *c)
{
    if (!c->word)
        c->word = c->to;
    for (r->at++; r->at < r->len && r->in[r->at] != '"';) {
        const char byte = r->in[r->at];
        int rc = 0;
        if (byte == '$') {
            rc = dollar(r, c);
        } else if (byte == '`') {
            r->at++;
            rc = substitution(r, '`');
        } else if (byte == '\\' && r->at + 1 < r->len && strchr("$`\"\\\n", r->in[r->at + 1])) {
            if (r->in[r->at + 1] != '\n')
                put(c, r->in[r->at + 1]);
            r->at += 2;
        } else {
            put(c, byte);
            r->at++;
        }
        if (rc != 0)
            return rc;
    }
    if (r->at == r->len)
        opaque(r, "a quote in it does not end");
    else
        r->at++;
    return 0;
}

static void single_quoted(struct reading *r, struct command *c)
{
    const char *begin = r->in + r->at + 1;
    const char *end = memchr(begin, '\'', r->len - r->at - 1);

    if (!c->word)
        c->word = c->to;
    if (!end) {
        opaque(r, "a quote in it does not end");
        end = r->in + r->len;
    }
    for (; begin < end; begin++)
        put(c, *begin);
    r->at = (size_t)(end - r->in) + (end < r->in + r->len);
}

/* < > >> << >& &> >|, and the number of a descriptor before them. */
static int redirection(struct reading *r, struct command *c)
{
    const char first = r->in[r->at];

    bool digits = c->word != NULL;

    for (const char *p = c->word; digits && p < c->to; p++)
        digits = *p >= '0' && *p <= '9';
    if (digits) {
        c->to = c->word;
        c->word = NULL;
    }
    end_word(r, c);
    r->at++;
    if (r->at < r->len && r->in[r->at] == '(') {
        r->at++;
        return substitution(r, ')');
    }
    if (first == '<' && r->at < r->len && r->in[r->at] == '<')
        opaque(r, "a here-document in it is input that may be run");
    while (r->at < r->len && strchr("<>&|", r->in[r->at]))
        r->at++;
    if (r->at < r->len && r->in[r->at] == '-')
        opaque(r, "shells read a redirection in it differently");
    c->redirects = true;
    return 0;
}

/* One byte outside quotes. */
static int step(struct reading *r, struct command *c)
{
    const char byte = r->in[r->at];
    int rc = 0;

    switch (byte) {
    case ' ':
    case '\t':
        end_word(r, c);
        break;
    case '&':
        if (r->at + 1 < r->len && r->in[r->at + 1] == '>') {
            /* dash ends a command here, bash does not */
            opaque(r, "shells read a redirection in it differently");
            r->at++;
            return redirection(r, c);
        }
        return r->at++, end_command(r, c);
    case '\n':
    case '\r':
    case ';':
    case '|':
    case '(':
    case ')':
        rc = end_command(r, c);
        break;
    case '<':
    case '>':
        return redirection(r, c);
    case '\'':
        single_quoted(r, c);
        return 0;
    case '"':
        return double_quoted(r, c);
    case '$':
        return dollar(r, c);
    case '`':
        r->at++;
        return substitution(r, '`');
    case '\\':
        r->at++;
        if (r->at < r->len && r->in[r->at] != '\n')
            put(c, r->in[r->at]);
        break;
    case '#':
        if (!c->word) {
            while (r->at < r->len && r->in[r->at] != '\n')
                r->at++;
            return 0;
        }
        put(c, byte);
        break;
    default:
        if (strchr("*?[", byte))
            opaque(r, "a glob in it is not known before it runs");
        else if (byte == '~' || (byte == '{' && (c->word || r->at + 1 == r->len ||
                                                 !strchr(" \t\n", r->in[r->at + 1]))))
            opaque(r, "an expansion in it is not known before it runs");
        else if ((byte == '=' || byte == '%') && !c->word)
            opaque(r, "some shells expand a leading = or %");
        else if (byte == '!' && c->word)
            opaque(r, "some shells expand !");
        else if ((unsigned char)byte < ' ' || (unsigned char)byte >= 0x7f)
            opaque(r, "a character in it is not plain ASCII");
        put(c, byte);
    }
    if (r->at < r->len)
        r->at++;
    return rc;
}

/* Commands up to end (0: to the end of the text), which is passed. */
static int read_list(struct reading *r, char end)
{
    struct command *c = calloc(1, sizeof *c);
    unsigned open = 0;
    int rc = 0;

    /* Each byte is put once at most, and each word's end takes one more. */
    if (!c || !(c->w.text = malloc(2 * (r->len - r->at) + 2))) {
        free(c);
        return err_set(r->e, ERR_MEMORY, "out of memory");
    }
    c->to = c->w.text;
    while (rc == 0 && r->at < r->len) {
        const char byte = r->in[r->at];
        if (end && byte == end && !open)
            break;
        if (end == ')' && (byte == '(' || byte == ')'))
            open += byte == '(' ? 1 : -1u;
        rc = step(r, c);
    }
    if (rc == 0)
        rc = end_command(r, c);
    if (end && r->at == r->len)
        opaque(r, "a substitution in it does not end");
    else if (end)
        r->at++;
    free(c->w.text);
    free(c);
    return rc;
}

int shell_text_walk(const char *text, size_t len, shell_command found, void *arg, const char **why,
                    struct err *e)
{
    struct reading r = {.in = text, .len = len, .found = found, .arg = arg, .why = why, .e = e};

    while (r.at < r.len) {
        int rc = read_list(&r, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}
