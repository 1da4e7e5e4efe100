/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding one entry to a hand-written YAML file (auth/yaml_edit.h). The tree gives the lines where
 * the section stands; the text is edited by lines; the result is parsed again and compared. */
#include <stdlib.h>
#include <string.h>

#include "auth/yaml_edit.h"
#include "base/yaml_tree.h"

static const struct yaml_node *section_of(const struct yaml_doc *doc, const char *section,
                                          unsigned *line)
{
    const struct yaml_node *root = yaml_root(doc);
    for (size_t i = 0; root->kind == YAML_MAP && i < root->count; i++) {
        if (strcmp(root->keys[i]->text, section) == 0) {
            *line = root->keys[i]->line;
            return root->items[i];
        }
    }
    return NULL;
}

/* The offset where line number n (from 1) begins, or the length of the text. */
static size_t line_start(const char *text, size_t len, unsigned n)
{
    size_t at = 0;
    for (unsigned line = 1; line < n && at < len; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        at = end ? (size_t)(end - text) + 1 : len;
    }
    return at;
}

/* Where the block of a top-level key ends: after its last line that is indented and not blank. */
static size_t block_end(const char *text, size_t len, size_t at)
{
    size_t end = at;
    bool first = true;
    while (at < len) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t next = newline ? (size_t)(newline - text) + 1 : len;
        bool blank = strspn(text + at, " \t\r\n") >= next - at;
        bool indented = text[at] == ' ';
        if (!first && !blank && !indented && text[at] != '#')
            break;
        if (first || (indented && !blank))
            end = next;
        first = false;
        at = next;
    }
    return end;
}

static int append_indented(struct buf *out, const char *entry, unsigned indent)
{
    int r = 0;
    while (r == 0 && *entry) {
        size_t len = strcspn(entry, "\n") + 1;
        r = buf_printf(out, "%*s", (int)indent, "");
        if (r == 0)
            r = buf_put(out, entry, len);
        entry += len;
    }
    return r;
}

static bool same_tree(const struct yaml_node *a, const struct yaml_node *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    if (a->kind == YAML_SCALAR)
        return strcmp(a->text, b->text) == 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == YAML_MAP && strcmp(a->keys[i]->text, b->keys[i]->text) != 0)
            return false;
        if (!same_tree(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

/* after is before with one more entry, name, at the end of the section. */
static bool differs_by_entry(const struct yaml_node *before, const struct yaml_node *after,
                             const char *section, const char *name)
{
    if (before->count != after->count)
        return false;
    for (size_t i = 0; i < before->count; i++) {
        const struct yaml_node *old = before->items[i], *now = after->items[i];
        if (strcmp(before->keys[i]->text, after->keys[i]->text) != 0)
            return false;
        if (strcmp(before->keys[i]->text, section) != 0) {
            if (!same_tree(old, now))
                return false;
            continue;
        }
        size_t had = old->kind == YAML_MAP ? old->count : 0;
        if (now->kind != YAML_MAP || now->count != had + 1 ||
            strcmp(now->keys[had]->text, name) != 0)
            return false;
        for (size_t k = 0; k < had; k++)
            if (strcmp(old->keys[k]->text, now->keys[k]->text) != 0 ||
                !same_tree(old->items[k], now->items[k]))
                return false;
    }
    return true;
}

static bool empty_section(const struct yaml_node *map)
{
    return (map->kind == YAML_MAP && map->count == 0) ||
           (map->kind == YAML_SCALAR && !map->quoted &&
            (map->text[0] == '\0' || strcmp(map->text, "null") == 0 ||
             strcmp(map->text, "~") == 0));
}

static int edit(const char *text, size_t len, const struct yaml_node *map, unsigned key_line,
                const char *section, const char *entry, struct buf *out)
{
    size_t at = line_start(text, len, key_line);
    int r;
    if (empty_section(map)) {
        size_t rest = line_start(text, len, map->line > key_line ? map->line + 1 : key_line + 1);
        r = buf_put(out, text, at);
        if (r == 0)
            r = buf_printf(out, "%s:\n", section);
        if (r == 0)
            r = append_indented(out, entry, 2);
        return r == 0 ? buf_put(out, text + rest, len - rest) : r;
    }
    size_t end = block_end(text, len, at);
    r = buf_put(out, text, end);
    if (r == 0 && end > 0 && text[end - 1] != '\n')
        r = buf_put(out, "\n", 1);
    if (r == 0)
        r = append_indented(out, entry, map->keys[0]->column - 1);
    return r == 0 ? buf_put(out, text + end, len - end) : r;
}

int yaml_edit_add(const char *file, const struct buf *text, const char *section, const char *name,
                  const char *entry, struct buf *out, struct err *e)
{
    char *bytes = buf_string(text); /* NUL-terminated, so that looking for line ends stops there */
    size_t len = buf_len(text);
    unsigned key_line = 0;
    int r = ERR_SYNTAX;
    struct yaml_doc *before = bytes ? yaml_parse(file, bytes, len, e) : NULL, *after = NULL;
    buf_init(out, YAML_FILE_MAX);
    if (!before)
        goto out;
    const struct yaml_node *map = section_of(before, section, &key_line);
    if (!map) {
        r = err_set(e, ERR_INPUT, "%s has no \"%s:\"", file, section);
        goto out;
    }
    if (map->kind == YAML_MAP && yaml_get(map, name)) {
        r = err_set(e, ERR_INPUT, "%s:%u: \"%s\" is there already", file, yaml_get(map, name)->line,
                    name);
        goto out;
    }
    if (edit(bytes, len, map, key_line, section, entry, out) != 0) {
        r = err_set(e, ERR_FULL, "%s would be larger than %u bytes", file, YAML_FILE_MAX);
        goto out;
    }
    after = yaml_parse(file, buf_head(out), buf_len(out), NULL);
    r = after && differs_by_entry(yaml_root(before), yaml_root(after), section, name)
            ? 0
            : err_set(e, ERR_INPUT,
                      "%s is written in a way that this tool cannot add to; add the entry by hand",
                      file);
out:
    yaml_doc_free(before);
    yaml_doc_free(after);
    free(bytes);
    if (r != 0)
        buf_clear(out);
    return r;
}

int yaml_edit_quote(const char *value, struct buf *out, struct err *e)
{
    int r = buf_put(out, "\"", 1);
    for (const char *p = value; r == 0 && *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(e, ERR_INPUT, "control characters are not allowed in a value");
        if (*p == '"' || *p == '\\')
            r = buf_put(out, "\\", 1);
        if (r == 0)
            r = buf_put(out, p, 1);
    }
    return r == 0 ? buf_put(out, "\"", 1) : r;
}
