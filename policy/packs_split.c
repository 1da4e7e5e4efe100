/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that find several commands in one text, in a quoting of their own: virsh (a command
 * string as its one argument) and nft (all arguments joined). Used by the backend (hostile words)
 * and `policy classify`. Pure. Sources: vshCommandStringGetArg of libvirt's tools/vsh.c; nft(8),
 * src/scanner.l of nftables. */
#include <stdlib.h>
#include <string.h>

#include "policy/packs_set.h"

static bool begin(const char *text, struct words *out, char **to)
{
    out->count = 0;
    *to = out->text = malloc(strlen(text) + 2);
    return out->text != NULL;
}

/* One word of virsh's: '...' is taken as it is, in "..." and outside a backslash takes the next
 * character. False: quotes without an end. */
static bool virsh_word(const char *text, size_t *at, char **to)
{
    char quote = 0;

    for (char c; (c = text[*at]); ++*at) {
        if (!quote && strchr(" \t;\n", c))
            break;
        if (quote == '\'' && c != '\'') {
            *(*to)++ = c;
        } else if (c == '\\') {
            if (!text[*at + 1])
                break;
            if (text[++*at] != '\n') /* a line that goes on */
                *(*to)++ = text[*at];
        } else if (c == quote) {
            quote = 0;
        } else if (!quote && (c == '\'' || c == '"')) {
            quote = c;
        } else {
            *(*to)++ = c;
        }
    }
    *(*to)++ = 0;
    return !quote && text[*at] != '\\';
}

bool pack_split_virsh(const char *text, size_t *at, struct words *out)
{
    char *to;

    if (!begin(text, out, &to))
        return false;
    for (;;) {
        for (;; *at += 2) {
            *at += strspn(text + *at, " \t");
            if (text[*at] != '\\' || text[*at + 1] != '\n')
                break;
        }
        if (text[*at] == '#') /* to the end of the line; elsewhere in a word it is a character */
            *at += strcspn(text + *at, "\n");
        if (!text[*at])
            return true;
        if (text[*at] == ';' || text[*at] == '\n') {
            ++*at;
            return true;
        }
        if (out->count == WORDS_MAX)
            return false;
        out->word[out->count++] = to;
        if (!virsh_word(text, at, &to))
            return false;
    }
}

bool pack_split_joined(const char *text, size_t *at, struct words *out)
{
    unsigned depth = 0;
    bool in_word = false, right = true;
    char *to;

    if (!begin(text, out, &to))
        return false;
    for (char c; (c = text[*at]); ++*at) {
        if (c == '#') {
            *at += strcspn(text + *at, "\n") - 1;
            continue;
        }
        if ((c == ';' || c == '\n') && !depth) {
            ++*at;
            break;
        }
        if (c == '{')
            depth++;
        right = c != '}' || depth;
        if (!right)
            break;
        if (c == '}')
            depth--;
        if (strchr(" \t\n;{}", c)) {
            if (in_word)
                *to++ = 0;
            in_word = false;
            continue;
        }
        if (!in_word) {
            if (out->count == WORDS_MAX)
                return false;
            out->word[out->count++] = to;
            in_word = true;
        }
        if (c != '"') {
            *to++ = c;
            continue;
        }
        const char *end = strchr(text + *at + 1, '"');
        right = end != NULL;
        if (!right)
            break;
        const size_t len = (size_t)(end - (text + *at + 1));
        memcpy(to, text + *at + 1, len);
        to += len;
        *at += len + 1;
    }
    *to = 0;
    return right && !depth;
}
