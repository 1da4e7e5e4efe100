/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of reviewers. Runs in the supervisor, in auditd and in the tool. */
#include "audit/reviewers.h"

#include <string.h>

bool reviewer_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";
    size_t len = strlen(name);

    return len > 0 && len <= REVIEWER_NAME_MAX && strspn(name, good) == len;
}

int reviewers_add(struct reviewers *list, const char *name, const char *recipient, bool keystrokes,
                  struct err *e)
{
    struct reviewer *new = &list->at[list->count];
    int r;

    if (list->count == REVIEWERS_MAX)
        return err_set(e, ERR_FULL, "found more than %u reviewers", REVIEWERS_MAX);
    if (!reviewer_name_is_good(name))
        return err_set(e, ERR_INPUT,
                       "expected a name of at most %u letters, digits, dots, @, - and _",
                       REVIEWER_NAME_MAX);
    r = age_recipient_parse(recipient, new->key, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->at[i].name, name) == 0)
            return err_set(e, ERR_INPUT, "found the name %s twice", name);
        if (memcmp(list->at[i].key, new->key, AGE_KEY_SIZE) == 0)
            return err_set(e, ERR_INPUT, "found the recipient of %s again", list->at[i].name);
    }
    memset(new->name, 0, sizeof new->name);
    memcpy(new->name, name, strlen(name));
    new->keystrokes = keystrokes;
    list->count++;
    return 0;
}

int reviewers_check(const struct reviewers *list, struct err *e)
{
    if (list->count == 0)
        return err_set(e, ERR_INPUT,
                       "found no reviewer, expected one at least: recordings are sealed for "
                       "reviewers, and nothing is recorded that nobody could read");
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].keystrokes)
            return 0;
    return err_set(e, ERR_INPUT,
                   "found no reviewer with `keystrokes: true`, expected one at least: nothing is "
                   "recorded that nobody could read");
}

bool reviewers_equal(const struct reviewers *a, const struct reviewers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->at[i].name, b->at[i].name) != 0 ||
            memcmp(a->at[i].key, b->at[i].key, AGE_KEY_SIZE) != 0 ||
            a->at[i].keystrokes != b->at[i].keystrokes)
            return false;
    return true;
}

int reviewers_encode(struct buf *out, const struct reviewers *list)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        char recipient[AGE_RECIPIENT_TEXT];

        age_recipient_text(list->at[i].key, recipient);
        r = buf_printf(out, "%s %s %s\n", list->at[i].keystrokes ? "keystrokes" : "content",
                       recipient, list->at[i].name);
    }
    return r;
}

/* A word of the line, up to the blank behind it; cut out of text. */
static char *take_word(char **text)
{
    char *word = *text, *end = strchr(word, ' ');

    if (!end)
        return NULL;
    *end = '\0';
    *text = end + 1;
    return word;
}

int reviewers_decode(struct reviewers *out, const void *lines, size_t len, struct err *e)
{
    char line[REVIEWER_NAME_MAX + AGE_RECIPIENT_TEXT + 16];
    const char *at = lines, *end = at + len, *newline;
    int r = 0;

    out->count = 0;
    for (; r == 0 && at < end; at = newline + 1) {
        char *rest = line, *what, *recipient;

        newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline || (size_t)(newline - at) >= sizeof line ||
            memchr(at, '\0', (size_t)(newline - at)))
            return err_set(e, ERR_SYNTAX, "the list of reviewers has a line that is none");
        memcpy(line, at, (size_t)(newline - at));
        line[newline - at] = '\0';
        what = take_word(&rest);
        recipient = what ? take_word(&rest) : NULL;
        if (!recipient || (strcmp(what, "keystrokes") != 0 && strcmp(what, "content") != 0))
            return err_set(e, ERR_SYNTAX, "the list of reviewers has a line that is none");
        r = reviewers_add(out, rest, recipient, what[0] == 'k', e);
    }
    return r < 0 ? r : reviewers_check(out, e);
}
