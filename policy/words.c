/* SPDX-License-Identifier: Apache-2.0
 *
 * From an exec request's text to words and back. The grammar is the part of the POSIX shell
 * language that every shell reads alike; whatever is outside it is refused, not interpreted:
 *
 *     command = *SP word *( 1*SP word ) *SP
 *     word    = 1*( bare / single / double )
 *     bare    = 1*( ALPHA / DIGIT / "_" / "@" / "%" / "+" / "=" / ":" / "," / "." / "/" / "-" )
 *     single  = "'" *( any visible character but "'" ) "'"
 *     double  = DQUOTE *( any visible character but DQUOTE, "$", "`", "\", "!" ) DQUOTE
 *
 * The first word may not be empty, hold "=" (an assignment) or be a reserved word.
 * Used by authd (rules at load) and by the backend (requests, hostile). Pure. Source: POSIX.1-2017
 * XCU 2.2, 2.3, 2.4; for the zsh and fish cases their manuals (EQUALS; % process expansion). */
#include "policy/words_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

bool words_is_safe(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_@%+=:,./-", c));
}

static const char *meaning(unsigned char c)
{
    switch (c) {
    case ';':
    case '&':
    case '|':
    case '(':
    case ')':
    case '{':
    case '}':
        return "which joins commands";
    case '<':
    case '>':
        return "which redirects";
    case '$':
    case '`':
        return "which a shell expands";
    case '*':
    case '?':
    case '[':
    case ']':
    case '~':
        return "which a shell expands to file names";
    case '#':
        return "which begins a comment";
    case '\\':
        return "which shells read differently";
    case '!':
    case '^':
        return "which recalls history";
    default:
        return "which is not a plain character";
    }
}

int words_refuse(struct err *e, const unsigned char *in, size_t len, size_t at, const char *where)
{
    uint32_t c = 0;
    const size_t n = utf8_next(in + at, len - at, &c);

    if (n == 0)
        return err_set(e, ERR_SYNTAX,
                       "column %zu: found the byte 0x%02x, which is not UTF-8, expected plain text",
                       at + 1, in[at]);
    if (!utf8_visible(c))
        return err_set(e, ERR_SYNTAX,
                       "column %zu: found the control or invisible character U+%04X, "
                       "expected plain text",
                       at + 1, (unsigned)c);
    if (n > 1)
        return err_set(e, ERR_SYNTAX,
                       "column %zu: found \"%.*s\", which is not ASCII, expected it in quotes",
                       at + 1, (int)n, (const char *)in + at);
    return err_set(e, ERR_SYNTAX, "column %zu: found %c%s, %s, expected one plain command", at + 1,
                   in[at], where, meaning(in[at]));
}

int words_quoted(const unsigned char *in, size_t len, size_t *at, char **to, struct err *e)
{
    const unsigned char quote = in[*at];
    const size_t opened = *at;

    for (size_t i = opened + 1; i < len;) {
        if (in[i] == quote) {
            *at = i + 1;
            return 0;
        }
        uint32_t c = 0;
        const size_t n = utf8_next(in + i, len - i, &c);
        if (n == 0 || !utf8_visible(c))
            return words_refuse(e, in, len, i, "");
        if (quote == '"' && strchr("$`\\!", in[i]))
            return words_refuse(e, in, len, i, " in double quotes");
        memcpy(*to, in + i, n);
        *to += n;
        i += n;
    }
    return err_set(e, ERR_SYNTAX, "column %zu: found %c without its end, expected a closing %c",
                   opened + 1, quote, quote);
}

/* One word from *at on, NUL-terminated at *to. */
static int one_word(const unsigned char *in, size_t len, size_t *at, char **to, bool *bare,
                    struct err *e)
{
    *bare = true;
    while (*at < len && in[*at] != ' ') {
        if (in[*at] == '\'' || in[*at] == '"') {
            *bare = false;
            int rc = words_quoted(in, len, at, to, e);
            if (rc < 0)
                return rc;
        } else if (words_is_safe(in[*at])) {
            *(*to)++ = (char)in[(*at)++];
        } else {
            return words_refuse(e, in, len, *at, "");
        }
    }
    *(*to)++ = 0;
    return 0;
}

/* Words that some shell takes for its own language where a command stands. */
static bool is_reserved(const char *word)
{
    static const char *const reserved[] = {
        "if",    "then",   "else",   "elif",  "fi",     "do",  "done",      "case",     "esac",
        "while", "until",  "for",    "in",    "end",    "and", "or",        "function", "select",
        "time",  "coproc", "switch", "begin", "repeat", "not", "nocorrect", "foreach",  NULL};

    for (size_t i = 0; reserved[i]; i++) {
        if (strcmp(word, reserved[i]) == 0)
            return true;
    }
    return false;
}

static int check_command_word(const char *word, bool bare, size_t at, struct err *e)
{
    if (!word[0])
        return err_set(e, ERR_SYNTAX, "column %zu: found an empty word, expected a command",
                       at + 1);
    if (strchr(word, '='))
        return err_set(e, ERR_SYNTAX,
                       "column %zu: found \"=\" in the first word, as in an assignment, "
                       "expected a command",
                       at + 1);
    if (bare && is_reserved(word))
        return err_set(e, ERR_SYNTAX,
                       "column %zu: found %s, a word of the shell's language, expected a command",
                       at + 1, word);
    return 0;
}

int words_split(const void *text, size_t len, struct words *out, struct err *e)
{
    const unsigned char *in = text;
    int rc = 0;

    out->count = 0;
    out->text = NULL;
    if (len > WORDS_TEXT_MAX)
        return err_set(e, ERR_SYNTAX, "found a command of %zu bytes, expected at most %d", len,
                       WORDS_TEXT_MAX);
    /* A word of n bytes needs n + 1, and at least one byte parts it from the next. */
    char *to = out->text = malloc(len + 2);
    if (!to)
        return err_set(e, ERR_MEMORY, "out of memory");
    for (size_t at = 0;;) {
        while (at < len && in[at] == ' ')
            at++;
        if (at == len)
            break;
        if (out->count == WORDS_MAX) {
            rc = err_set(e, ERR_SYNTAX, "column %zu: found more than %d words", at + 1, WORDS_MAX);
            goto out;
        }
        const size_t start = at;
        bool bare;
        out->word[out->count] = to;
        rc = one_word(in, len, &at, &to, &bare, e);
        if (rc == 0 && out->count == 0)
            rc = check_command_word(out->word[0], bare, start, e);
        if (rc < 0)
            goto out;
        out->count++;
    }
    if (!out->count)
        rc = err_set(e, ERR_SYNTAX, "found nothing, expected a command");
out:
    if (rc < 0)
        words_clear(out);
    return rc;
}

void words_clear(struct words *w)
{
    if (!w)
        return;
    free(w->text);
    w->text = NULL;
    w->count = 0;
}

/* Safe characters everywhere; but zsh expands a leading "=" and fish a leading "%". */
static bool needs_quotes(const char *word)
{
    if (!word[0] || word[0] == '=' || word[0] == '%')
        return true;
    for (; *word; word++) {
        if (!words_is_safe((unsigned char)*word))
            return true;
    }
    return false;
}

int words_quote(const struct words *w, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < w->count; i++) {
        const char *word = w->word[i];
        const char *bad = strpbrk(word, "'\\!");
        if (bad)
            return err_set(e, ERR_INPUT,
                           "word %zu: found %c, which no quoting carries to every target's shell, "
                           "expected words without ' \\ and !",
                           i + 1, *bad);
        const char *quote = needs_quotes(word) || (!i && is_reserved(word)) ? "'" : "";
        int rc = buf_printf(out, "%s%s%s%s", i ? " " : "", quote, word, quote);
        if (rc < 0)
            return err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "the command is too long");
    }
    return 0;
}
