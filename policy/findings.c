/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/findings.h. A name of a set has no colon in practice; one that has is taken up to its
 * first. */
#include "policy/findings.h"

#include <stdlib.h>
#include <string.h>

/* Digits and a colon from p on; NULL: something else. */
static const char *number(const char *p, unsigned *out)
{
    char *end;
    const unsigned long value = strtoul(p, &end, 10);

    if (*p < '0' || *p > '9' || *end != ':' || value > 1000000000)
        return NULL;
    *out = (unsigned)value;
    return end + 1;
}

/* Whether what stands before the first colon is a name of a set's file, or of a directory of it. */
static bool names_file(const char *line, size_t len)
{
    static const char *const files[] = {"operators.yaml", "targets.yaml", "site.yaml"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strlen(files[i]) == len && memcmp(line, files[i], len) == 0)
            return true;
    }
    return (len >= 7 && memcmp(line, "roles.d", 7) == 0) ||
           (len >= 5 && memcmp(line, "packs", 5) == 0);
}

int findings_add(struct findings *f, const char *line, bool warning)
{
    const char *colon = strchr(line, ':'), *text = line;
    struct finding found = {.warning = warning};

    if (f->count == f->cap) {
        const size_t cap = f->cap ? f->cap * 2 : 32;
        struct finding *grown = reallocarray(f->at, cap, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        f->at = grown;
        f->cap = cap;
    }
    if (colon) {
        const char *after = number(colon + 1, &found.line);
        const char *end = after ? number(after, &found.column) : NULL;
        if (end || names_file(line, (size_t)(colon - line))) {
            found.file = strndup(line, (size_t)(colon - line));
            text = end ? end : colon + 1;
        }
        if (!end)
            found.line = found.column = 0;
    }
    text += strspn(text, " ");
    if (strncmp(text, "warning: ", 9) == 0) {
        found.warning = true;
        text += 9;
    }
    if (!found.file)
        found.file = strdup("");
    found.text = strdup(text);
    if (!found.file || !found.text) {
        free(found.file);
        free(found.text);
        return ERR_MEMORY;
    }
    f->at[f->count++] = found;
    f->errors += !found.warning;
    return 0;
}

int findings_add_lines(struct findings *f, const struct buf *text, bool warning)
{
    char *copy = buf_string(text), *rest = copy;
    int rc = copy ? 0 : ERR_MEMORY;

    for (char *line; rc == 0 && (line = strsep(&rest, "\n"));) {
        if (*line)
            rc = findings_add(f, line, warning);
    }
    free(copy);
    return rc;
}

static int in_order(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    int rc = strcmp(a->file, b->file);

    if (rc)
        return rc;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    if (a->warning != b->warning)
        return a->warning ? 1 : -1;
    return strcmp(a->text, b->text);
}

void findings_sort(struct findings *f)
{
    size_t kept = 0;

    if (!f->count)
        return;
    qsort(f->at, f->count, sizeof *f->at, in_order);
    for (size_t i = 1; i < f->count; i++) {
        if (in_order(&f->at[kept], &f->at[i]) != 0) {
            f->at[++kept] = f->at[i];
            continue;
        }
        f->errors -= !f->at[i].warning;
        free(f->at[i].file);
        free(f->at[i].text);
    }
    f->count = kept + 1;
}

void findings_clear(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->at[i].file);
        free(f->at[i].text);
    }
    free(f->at);
    *f = (struct findings){0};
}
