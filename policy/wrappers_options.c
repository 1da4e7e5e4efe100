/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of a wrapper, as getopt_long reads them: where the command behind them begins. What
 * the table does not have is unknown, and then nobody can say what is an option's argument and what
 * the command. Used by policy/wrappers.c on hostile words. Pure. */
#include "policy/wrappers_options.h"

#include <string.h>

/* The next of the tokens parted by blanks; false at the end. */
static bool next_token(const char **options, const char **token, size_t *len)
{
    while (**options == ' ')
        ++*options;
    *token = *options;
    *len = strcspn(*options, " ");
    *options += *len;
    return *len > 0;
}

/* How an option takes its argument: ' ' not at all, or the token's last character; 0: unknown. */
static char short_option(const char *options, char c)
{
    const char *token;
    size_t len;

    while (next_token(&options, &token, &len)) {
        if (token[1] != '-' && (token[1] == c || (token[1] == '#' && c >= '0' && c <= '9')))
            return len > 2 ? token[2] : ' ';
    }
    return 0;
}

/* name may be the begin of one option alone. */
static char long_option(const char *options, const char *name, size_t name_len)
{
    const char *token;
    size_t len, found = 0;
    char how = 0;

    while (next_token(&options, &token, &len)) {
        if (len < 3 || token[1] != '-')
            continue;
        const char last = token[len - 1];
        const bool takes = strchr("=?!", last) != NULL;
        const size_t own = len - 2 - takes;
        if (name_len > own || memcmp(token + 2, name, name_len) != 0)
            continue;
        how = takes ? last : ' ';
        if (name_len == own)
            return how;
        found++;
    }
    return found == 1 ? how : 0;
}

static bool take_long(const char *options, char *const *word, size_t count, size_t *i,
                      struct options_seen *seen)
{
    const char *name = word[*i] + 2, *value = strchr(name, '=');
    const size_t len = value ? (size_t)(value - name) : strlen(name);
    const char how = long_option(options, name, len);

    ++*i;
    if (!how || how == '!' || (how == ' ' && value))
        return false;
    if (how == '=' && !value) {
        if (*i == count)
            return false;
        value = word[(*i)++] - 1;
    }
    if (len && strncmp(name, "split-string", len) == 0 && value)
        seen->split = value + 1;
    if (len && strncmp(name, "exec", len) == 0)
        seen->exec = true;
    return true;
}

static bool take_cluster(const char *options, char *const *word, size_t count, size_t *i,
                         struct options_seen *seen)
{
    for (const char *c = word[(*i)++] + 1; *c; c++) {
        const char how = short_option(options, *c);
        if (!how || how == '!')
            return false;
        if (*c == 'x')
            seen->exec = true;
        if (how == ' ')
            continue;
        const char *value = c + 1;
        if (how == ':' && !*value) {
            if (*i == count)
                return false;
            value = word[(*i)++];
        }
        if (*c == 'S')
            seen->split = value;
        return true;
    }
    return true;
}

bool options_skip(const char *options, char *const *word, size_t count, size_t *i,
                  struct options_seen *seen)
{
    *seen = (struct options_seen){NULL, false};
    while (*i < count && word[*i][0] == '-' && word[*i][1] && !seen->split) {
        if (strcmp(word[*i], "--") == 0) {
            ++*i;
            return true;
        }
        if (!(word[*i][1] == '-' ? take_long : take_cluster)(options, word, count, i, seen))
            return false;
    }
    return true;
}

bool options_have(const char *options, char *const *word, size_t count)
{
    const char *token;
    size_t len;

    while (next_token(&options, &token, &len)) {
        for (size_t i = 1; i < count; i++) {
            const size_t n = strcspn(word[i], "=");
            if (token[0] != '-'   ? strlen(word[i]) == len && memcmp(word[i], token, len) == 0
                : token[1] == '-' ? n > 2 && n <= len && memcmp(word[i], token, n) == 0
                : len == 2 ? word[i][0] == '-' && word[i][1] != '-' && strchr(word[i], token[1])
                           : n == len && memcmp(word[i], token, len) == 0)
                return true;
        }
    }
    return false;
}

bool options_in_bundle(const char *options, const char *letters)
{
    const char *token;
    size_t len;

    while (next_token(&options, &token, &len)) {
        if (len == 2 && token[0] == '-' && strchr(letters, token[1]))
            return true;
    }
    return false;
}
