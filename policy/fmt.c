/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/fmt.h: the layout, and the proof that nothing else changed. */
#include "policy/fmt.h"

#include "base/yaml_tree.h"
#include "policy/fmt_tree.h"
#include "policy/vector.h"

struct printer {
    struct buf *out;
    bool failed, empty; /* empty: what was printed ends with an empty line, or is nothing */
};

static void put(struct printer *p, const void *bytes, size_t len)
{
    p->failed = p->failed || buf_put(p->out, bytes, len) < 0;
    if (len)
        p->empty = false;
}

static void put_text(struct printer *p, const char *text)
{
    put(p, text, strlen(text));
}

/* One, however many there were. */
static void put_empty_line(struct printer *p)
{
    if (!p->empty)
        put_text(p, "\n");
    p->empty = true;
}

static void indent(struct printer *p, size_t columns)
{
    for (size_t i = 0; i < columns; i++)
        put(p, " ", 1);
}

/* ---- on one line ---- */

/* How many characters it takes on one line; SIZE_MAX: it cannot stand there. */
static size_t inline_width(const struct fmt_node *n)
{
    size_t width = 2;

    if (n->kind == FMT_BLOCK_SCALAR || n->lines)
        return SIZE_MAX;
    if (n->kind == FMT_SCALAR) {
        width = 0;
        for (size_t i = 0; i < n->len; i++)
            width += ((unsigned char)n->text[i] & 0xc0) != 0x80;
        return width;
    }
    if (!n->flow || n->head.first || n->tail.first)
        return SIZE_MAX;
    for (size_t i = 0; i < n->count; i++) {
        const struct fmt_node *c = n->child[i];
        const size_t w = inline_width(c);
        if (w == SIZE_MAX || c->before.first || c->trail.first)
            return SIZE_MAX;
        width += w + 2;
    }
    return width;
}

static bool is_inline(const struct fmt_node *n, size_t column)
{
    const size_t width = inline_width(n);

    if (n->kind == FMT_SCALAR || (n->flow && !n->count))
        return true;
    /* One item alone fits no better elsewhere. */
    return width != SIZE_MAX &&
           (column + width <= FMT_COLUMNS || (n->count == 1 && n->child[0]->kind == FMT_SCALAR));
}

static void put_inline(struct printer *p, const struct fmt_node *n)
{
    if (n->kind == FMT_SCALAR) {
        put(p, n->text, n->len);
        return;
    }
    put_text(p, n->kind == FMT_LIST ? "[" : "{");
    for (size_t i = 0; i < n->count; i++) {
        const bool value = n->kind == FMT_MAP && i % 2;
        if (i)
            put_text(p, value ? ": " : ", ");
        put_inline(p, n->child[i]);
    }
    put_text(p, n->kind == FMT_LIST ? "]" : "}");
}

/* ---- comments ---- */

static void put_comments(struct printer *p, struct fmt_comments *list, size_t columns)
{
    for (const struct fmt_comment *c = list->first; c; c = c->next) {
        if (c->blank_before)
            put_empty_line(p);
        indent(p, columns);
        put(p, c->text, c->len);
        put_text(p, "\n");
    }
    *list = (struct fmt_comments){0}; /* each once */
}

static void put_trail(struct printer *p, struct fmt_comments *list)
{
    for (const struct fmt_comment *c = list->first; c; c = c->next) {
        put_text(p, "  ");
        put(p, c->text, c->len);
    }
    *list = (struct fmt_comments){0};
    put_text(p, "\n");
}

/* The node whose first character stands at the very beginning of n. */
static struct fmt_node *first_of(struct fmt_node *n)
{
    while ((n->kind == FMT_LIST || n->kind == FMT_MAP) && !n->flow && n->count)
        n = n->child[0];
    return n;
}

static void put_before(struct printer *p, struct fmt_node *n, size_t columns)
{
    struct fmt_node *first = first_of(n);

    if (first->before.first && first->blank_before) {
        put_comments(p, &first->before, columns);
        put_empty_line(p);
    } else if (first->before.first) {
        put_comments(p, &first->before, columns);
    } else if (first->blank_before) {
        put_empty_line(p);
    }
    first->blank_before = false;
}

/* ---- on lines of its own ---- */

static void put_block(struct printer *p, struct fmt_node *n, size_t columns, bool here);

/* The lines of | and >, without the indentation that they had. */
static void put_block_scalar(struct printer *p, const struct fmt_node *n, size_t columns)
{
    const char *at = n->text, *end = n->text + n->len;
    const struct fmt_block *b = &n->block;

    put(p, &b->style, 1);
    put_text(p, b->sized ? "2" : "");
    put(p, &b->chomp, b->chomp != 0);
    put_text(p, b->comment ? "  " : "");
    put(p, b->comment, b->comment_len);
    put_text(p, "\n");
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end, *next = newline ? newline + 1 : end;
        size_t cut = 0;
        while (cut < b->columns && at + cut < stop && at[cut] == ' ')
            cut++;
        stop -= stop > at + cut && stop[-1] == '\r';
        if (at + cut < stop)
            indent(p, columns);
        put(p, at + cut, (size_t)(stop - at - (ptrdiff_t)cut));
        put_text(p, "\n");
        at = next;
    }
    p->empty = p->empty || b->chomp == '+'; /* one more would be text */
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A plain or quoted value over several lines. Blanks around a line break are no text, unless a
 * backslash is before them. */
static void put_lines(struct printer *p, const struct fmt_node *n, size_t columns)
{
    const char *at = n->text, *end = n->text + n->len, *newline;

    while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        const char *stop = newline;
        size_t escapes = 0;
        while (stop > at && is_blank(stop[-1]))
            stop--;
        while (*n->text == '"' && stop - escapes > at && stop[-1 - (ptrdiff_t)escapes] == '\\')
            escapes++;
        stop += escapes % 2 && stop < newline && *stop != '\r';
        put(p, at, (size_t)(stop - at));
        put_text(p, "\n");
        for (at = newline + 1; at < end && is_blank(*at); at++)
            ;
        if (at < end && *at != '\n')
            indent(p, columns);
    }
    put(p, at, (size_t)(end - at));
}

static void join(struct fmt_comments *list, struct fmt_comments *more)
{
    if (!more->first)
        return;
    if (list->last)
        list->last->next = more->first;
    else
        list->first = more->first;
    list->last = more->last;
    *more = (struct fmt_comments){0};
}

static bool has_comments(const struct fmt_node *n)
{
    if (n->before.first || n->trail.first || n->head.first || n->tail.first)
        return true;
    for (size_t i = 0; i < n->count; i++) {
        if (has_comments(n->child[i]))
            return true;
    }
    return false;
}

/* Comments around the beginning of a value that stays in its line, and within empty brackets: the
 * last ends the line, those before it go above. */
static struct fmt_comments above_line(struct fmt_node *key, struct fmt_node *value)
{
    struct fmt_comments list = {0};

    if (key)
        join(&list, &key->trail);
    join(&list, &value->before);
    if (value->flow && !value->count) {
        join(&list, &value->head);
        join(&list, &value->tail);
    }
    /* A block's lines have no end for a comment. */
    if (value->trail.first || !list.first || value->kind == FMT_BLOCK_SCALAR)
        return list;
    /* Nothing ends the line yet: what comes last does. */
    struct fmt_comment *last = list.last;
    if (list.first == last) {
        list = (struct fmt_comments){0};
    } else {
        struct fmt_comment *c = list.first;
        while (c->next != last)
            c = c->next;
        c->next = NULL;
        list.last = c;
    }
    value->trail.first = value->trail.last = last;
    return list;
}

/* The same of a list or map in brackets that becomes lines: what stood at its opening; and what
 * stood at its closing, which ends it when something within has a comment. */
static struct fmt_comments around_opening(struct fmt_node *key, struct fmt_node *value)
{
    struct fmt_comments list = {0}, closing = value->trail;

    if (key)
        join(&list, &key->trail);
    join(&list, &value->before);
    join(&list, &value->head);
    value->trail = (struct fmt_comments){0};
    join(has_comments(value) ? &value->tail : &list, &closing);
    return list;
}

static bool stays_in_line(const struct fmt_node *n, size_t column)
{
    return is_inline(n, column) || n->kind == FMT_BLOCK_SCALAR;
}

/* n begins in the line of the "-" before it, and so does its first entry, and that one's: their
 * comments go above that line. */
static struct fmt_comments above_entries(struct fmt_node *n, size_t columns)
{
    struct fmt_comments list = {0}, more;
    bool in_line = false;

    for (; !in_line && n->kind == FMT_LIST; n = n->child[0], columns += 2) {
        in_line = stays_in_line(n->child[0], columns + 2);
        more = in_line ? above_line(NULL, n->child[0]) : around_opening(NULL, n->child[0]);
        join(&list, &more);
    }
    if (in_line)
        return list;
    join(&list, &n->child[0]->before);
    if (stays_in_line(n->child[1], columns + inline_width(n->child[0]) + 2)) {
        more = above_line(n->child[0], n->child[1]);
        join(&list, &more);
    }
    return list;
}

static void put_in_line(struct printer *p, struct fmt_node *n, size_t columns, const char *before)
{
    if (n->kind == FMT_BLOCK_SCALAR) {
        put_text(p, before);
        put_block_scalar(p, n, columns);
        return;
    }
    if (n->kind != FMT_SCALAR || n->len)
        put_text(p, before);
    if (n->lines)
        put_lines(p, n, columns);
    else if (n->kind != FMT_SCALAR || n->len)
        put_inline(p, n);
    put_trail(p, &n->trail);
}

/* here: the first entry goes on in the line that was begun. */
static void put_map(struct printer *p, struct fmt_node *n, size_t columns, bool here)
{
    for (size_t i = 0; i + 1 < n->count; i += 2) {
        struct fmt_node *key = n->child[i], *value = n->child[i + 1];
        const bool in_line = stays_in_line(value, columns + inline_width(key) + 2);
        struct fmt_comments first = in_line ? above_line(key, value) : around_opening(key, value),
                            rest = {0};
        if (!here || i) {
            put_before(p, key, columns);
            if (in_line)
                put_comments(p, &first, columns);
            indent(p, columns);
        }
        put(p, key->text, key->len);
        put_text(p, ":");
        if (in_line) {
            put_in_line(p, value, columns + 2, " ");
            continue;
        }
        if (first.first) { /* one ends the line, the others have lines of their own */
            rest.first = first.first->next;
            rest.last = first.last;
            first.first->next = NULL;
        }
        put_trail(p, &first);
        put_comments(p, &rest, columns + 2);
        put_block(p, value, columns + 2, false);
    }
}

static void put_list(struct printer *p, struct fmt_node *n, size_t columns, bool here)
{
    for (size_t i = 0; i < n->count; i++) {
        struct fmt_node *item = n->child[i];
        const bool in_line = stays_in_line(item, columns + 2);
        if (!here || i) {
            put_before(p, item, columns);
            struct fmt_comments first =
                in_line ? above_line(NULL, item) : around_opening(NULL, item);
            put_comments(p, &first, columns);
            if (!in_line) {
                first = above_entries(item, columns + 2);
                put_comments(p, &first, columns);
            }
            indent(p, columns);
        }
        put_text(p, "-");
        if (in_line) {
            put_in_line(p, item, columns + 2, " ");
            continue;
        }
        put_text(p, " ");
        put_block(p, item, columns + 2, true);
    }
}

static void put_block(struct printer *p, struct fmt_node *n, size_t columns, bool here)
{
    if (n->kind == FMT_MAP)
        put_map(p, n, columns, here);
    else
        put_list(p, n, columns, here);
    put_comments(p, &n->tail, columns);
}

/* ---- the proof ---- */

static bool same_tree(const struct yaml_node *a, const struct yaml_node *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    if (a->kind == YAML_SCALAR)
        return a->quoted == b->quoted && strcmp(a->text, b->text) == 0;
    for (size_t i = 0; i < a->count; i++) {
        if ((a->kind == YAML_MAP && !same_tree(a->keys[i], b->keys[i])) ||
            !same_tree(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static bool same_comments(const struct fmt_file *a, const struct fmt_file *b)
{
    if (a->comment_count != b->comment_count)
        return false;
    for (size_t i = 0; i < a->comment_count; i++) {
        if (a->all[i]->len != b->all[i]->len ||
            memcmp(a->all[i]->text, b->all[i]->text, a->all[i]->len) != 0)
            return false;
    }
    return true;
}

/* Reads what was printed, and compares. */
static int prove(const struct fmt_file *before, const struct yaml_doc *tree, const char *text,
                 size_t len, struct err *e)
{
    struct yaml_doc *again = yaml_parse(before->name, text, len, NULL);
    struct fmt_file after = {0};
    int rc = 0;

    if (!again || !same_tree(yaml_root(tree), yaml_root(again)) ||
        fmt_file_read(&after, before->name, text, len, NULL) < 0 || !same_comments(before, &after))
        rc = err_set(e, ERR_INPUT,
                     "%s: cannot be formatted without changing what it says; it is left as it is",
                     before->name);
    fmt_file_clear(&after);
    yaml_doc_free(again);
    return rc;
}

int policy_fmt(const char *name, const void *text, size_t len, struct buf *out, struct err *e)
{
    struct yaml_doc *tree = yaml_parse(name, text, len, e);
    struct fmt_file f = {0};
    struct printer p = {.out = out, .empty = true};

    if (!tree)
        return e->code;
    int rc = fmt_file_read(&f, name, text ? text : "", text ? len : 0, e);
    if (rc == 0 && f.root &&
        (f.root->kind == FMT_BLOCK_SCALAR || (f.root->kind == FMT_SCALAR && f.root->len)))
        rc = err_set(e, ERR_INPUT, "%s:1:1: found a value alone, expected a map or a list", name);
    if (rc == 0) {
        if (f.marked)
            put_text(&p, "---\n");
        if (f.root && is_inline(f.root, 0)) {
            put_before(&p, f.root, 0);
            if (f.root->kind != FMT_SCALAR) {
                struct fmt_comments within = above_line(NULL, f.root);
                put_comments(&p, &within, 0);
                put_inline(&p, f.root);
                put_trail(&p, &f.root->trail);
            }
        } else if (f.root) {
            put_comments(&p, &f.root->before, 0);
            struct fmt_comments opening = around_opening(NULL, f.root);
            put_comments(&p, &opening, 0);
            put_block(&p, f.root, 0, false);
        }
        put_comments(&p, &f.tail, 0);
        rc = p.failed ? err_set(e, ERR_FULL, "%s: grows too large", name) : 0;
    }
    if (rc == 0)
        rc = prove(&f, tree, (const char *)buf_head(out), buf_len(out), e);
    fmt_file_clear(&f);
    yaml_doc_free(tree);
    return rc;
}
