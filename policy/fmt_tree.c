/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/fmt_tree.h. libyaml's events say where each value begins and ends; between two values
 * there are only blanks, indicators and comments, so a "#" there begins a comment. Source: yaml.h
 * of libyaml 0.2.5, whose marks count characters. */
#include "policy/fmt_tree.h"

#include <yaml.h>

#include "base/yaml_tree.h"
#include "policy/vector.h"

struct reader {
    struct fmt_file *f;
    const char *text;
    size_t len;
    size_t byte, index; /* the same place, in bytes and in characters */
    size_t taken;       /* bytes up to here belong to values that were seen */
    bool blank;         /* an empty line went before, as part of a value */
    struct fmt_node *open[YAML_DEPTH_MAX + 1];
    size_t depth;
    /* Collections that ended since the last value, the innermost first. */
    struct fmt_node *closed[YAML_DEPTH_MAX + 1];
    size_t closed_count;
    struct fmt_comments *last; /* for what follows in the line of what was seen last */
};

static size_t byte_of(struct reader *r, const yaml_mark_t *mark)
{
    while (r->index < mark->index && r->byte < r->len) {
        do
            r->byte++;
        while (r->byte < r->len && ((unsigned char)r->text[r->byte] & 0xc0) == 0x80);
        r->index++;
    }
    return r->byte;
}

static void append(struct fmt_comments *list, struct fmt_comment *c)
{
    if (list->last)
        list->last->next = c;
    else
        list->first = c;
    list->last = c;
}

/* Where a comment in a line of its own belongs that stands before the next value: to the innermost
 * of the collections that just ended whose entries are not further right, else to the next value.
 * *from: those before it are out of question, because a comment before this one went further out.
 */
static struct fmt_comments *place_of(struct reader *r, const struct fmt_comment *c,
                                     size_t next_column, size_t *from, struct fmt_comments *next)
{
    for (; *from < r->closed_count; ++*from) {
        struct fmt_node *n = r->closed[*from];
        if (!n->flow && n->column <= c->column && c->column > next_column)
            return &n->tail;
    }
    return next;
}

/* The comments between the last value and `to`. Those in lines of their own go to next. *blank: an
 * empty line stands right before `to`. */
static void take_gap(struct reader *r, size_t to, size_t next_column, struct fmt_comments *next,
                     bool *blank)
{
    bool own_line = r->taken == 0 || r->text[r->taken - 1] == '\n', same_line = !own_line;
    size_t newlines = own_line, column = 0, from = 0;

    for (size_t i = r->taken; i > 0 && r->text[i - 1] != '\n'; i--)
        column++;
    *blank = r->blank;
    r->blank = false;
    for (size_t i = r->taken; i < to; i++) {
        const char ch = r->text[i];
        if (ch == '\n') {
            own_line = true;
            same_line = false;
            *blank = *blank || (++newlines >= 2 && i);
            column = 0;
            continue;
        }
        if (ch == '#') {
            struct fmt_file *f = r->f;
            struct fmt_comment *c = pool_alloc(&f->pool, sizeof *c);
            INVARIANT(c);
            c->text = r->text + i;
            c->column = column;
            while (i + 1 < to && r->text[i + 1] != '\n')
                i++;
            c->len = (size_t)(r->text + i + 1 - c->text);
            while (c->len && strchr(" \t\r", c->text[c->len - 1]))
                c->len--;
            f->all =
                tool_grow(f->all, &f->comment_cap, f->comment_count, sizeof(struct fmt_comment *));
            f->all[f->comment_count++] = c;
            c->blank_before = *blank;
            *blank = false;
            if (same_line && r->last)
                append(r->last, c);
            else if (!own_line) /* after a "-" */
                append(next, c);
            else
                append(place_of(r, c, next_column, &from, next), c);
            newlines = 0;
        } else if (ch != ' ' && ch != '\t' && ch != '\r') {
            newlines = 0; /* an indicator: "-" or ":" */
            own_line = false;
            from = r->closed_count; /* the next entry has begun */
        }
        column++;
    }
}

static int refuse(const struct reader *r, const yaml_mark_t *mark, struct err *e, const char *what)
{
    return err_set(e, ERR_INPUT, "%s:%zu:%zu: found %s", r->f->name, mark->line + 1,
                   mark->column + 1, what);
}

static struct fmt_node *new_node(struct reader *r, enum fmt_kind kind, const yaml_mark_t *mark)
{
    struct fmt_node *n = pool_alloc(&r->f->pool, sizeof *n);

    INVARIANT(n);
    n->kind = kind;
    n->line = mark->line;
    n->column = mark->column;
    if (r->depth) {
        struct fmt_node *up = r->open[r->depth - 1];
        up->child = tool_grow(up->child, &up->cap, up->count, sizeof(struct fmt_node *));
        up->child[up->count++] = n;
    } else {
        r->f->root = n;
    }
    return n;
}

/* Where the entry begins whose first value was just added: its key, or the "-" before it. */
static size_t entry_column(const struct reader *r)
{
    size_t d = r->depth;

    while (d > 1 && r->open[d - 1]->count <= 1 && !r->open[d - 1]->flow)
        d--;
    return d ? r->open[d - 1]->column : 0;
}

/* A line's end: where its text ends, before "\r\n" or "\n"; *next: where the next one begins. */
static const char *line_end(const char *at, const char *end, const char **next)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *stop = newline ? newline : end;

    *next = newline ? newline + 1 : end;
    return stop > at && stop[-1] == '\r' ? stop - 1 : stop;
}

static size_t blanks_of(const char *at, const char *end)
{
    size_t n = 0;

    while (at + n < end && at[n] == ' ')
        n++;
    return n;
}

/* What follows | or >. Source: YAML 1.1, 9.1; yaml_parser_scan_block_scalar of libyaml. */
static void take_block(struct reader *r, struct fmt_node *n)
{
    const char *end = n->text + n->len, *at, *head = n->text;
    const char *head_end = line_end(n->text, end, &at);
    struct fmt_block *b = &n->block;
    size_t keep = 0;

    b->style = *head++;
    for (; head < head_end && !strchr(" \t#", *head); head++) {
        b->sized = b->sized || (*head >= '1' && *head <= '9');
        if (*head == '+' || *head == '-')
            b->chomp = *head;
        else /* counted from where the entries of the map or list stand */
            b->columns = (size_t)(*head - '0') + (r->depth ? r->open[r->depth - 1]->column : 0);
    }
    b->comment = memchr(head, '#', (size_t)(head_end - head));
    b->comment_len = b->comment ? (size_t)(head_end - b->comment) : 0;
    while (b->comment_len && strchr(" \t", b->comment[b->comment_len - 1]))
        b->comment_len--;
    n->text = at;
    n->len = (size_t)(end - at);
    while (at < end) {
        const char *next, *stop = line_end(at, end, &next);
        const size_t blanks = blanks_of(at, stop);
        if (at + blanks < stop && !b->sized && !keep)
            b->columns = blanks;
        const bool text = at + blanks < stop || ((b->sized || keep) && blanks > b->columns);
        if (text)
            keep = (size_t)(next - n->text);
        if (text && next == stop) /* it does not end, so the value has no newline there */
            b->chomp = '-';
        else if (next == stop)
            n->len = (size_t)(at - n->text);
        at = next;
    }
    if (!b->sized && !keep)
        b->columns = SIZE_MAX;
    if (b->chomp == '+')
        return;
    r->blank = keep < n->len;
    n->len = keep;
}

static int on_scalar(struct reader *r, const yaml_event_t *event, struct err *e)
{
    const yaml_scalar_style_t style = event->data.scalar.style;
    const bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    const size_t start = byte_of(r, &event->start_mark);
    struct fmt_node *n = new_node(r, block ? FMT_BLOCK_SCALAR : FMT_SCALAR, &event->start_mark);
    const size_t column = entry_column(r);

    take_gap(r, start, column, &n->before, &n->blank_before);
    r->closed_count = 0;
    n->text = r->text + start;
    n->len = byte_of(r, &event->end_mark) - start;
    r->taken = start + n->len;
    r->last = &n->trail;
    n->lines = !block && memchr(n->text, '\n', n->len);
    const struct fmt_node *up = r->depth ? r->open[r->depth - 1] : NULL;
    if ((block || n->lines) && up && up->kind == FMT_MAP && up->count % 2)
        return refuse(r, &event->start_mark, e, "a key over several lines, expected one line");
    if (block)
        take_block(r, n);
    return 0;
}

static void on_open(struct reader *r, const yaml_event_t *event, enum fmt_kind kind, bool flow)
{
    struct fmt_node *n = new_node(r, kind, &event->start_mark);
    const size_t column = entry_column(r);

    n->flow = flow;
    r->open[r->depth++] = n;
    /* {a: b} within brackets may be written without its own; then it is no character. */
    if (!flow || event->end_mark.index == event->start_mark.index)
        return;
    const size_t start = byte_of(r, &event->start_mark);
    take_gap(r, start, column, &n->before, &n->blank_before);
    r->closed_count = 0;
    r->taken = byte_of(r, &event->end_mark);
    r->last = &n->head;
}

static void on_close(struct reader *r, const yaml_event_t *event)
{
    struct fmt_node *n = r->open[--r->depth];
    bool blank;

    if (!n->flow) {
        r->closed[r->closed_count++] = n;
        return;
    }
    if (event->end_mark.index == event->start_mark.index)
        return;
    const size_t start = byte_of(r, &event->start_mark);
    take_gap(r, start, n->column, &n->tail, &blank);
    r->taken = byte_of(r, &event->end_mark);
    r->last = &n->trail;
}

static int on_event(struct reader *r, const yaml_event_t *event, struct err *e)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        r->f->marked = !event->data.document_start.implicit;
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, event, e);
    case YAML_SEQUENCE_START_EVENT:
        on_open(r, event, FMT_LIST, event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
        return 0;
    case YAML_MAPPING_START_EVENT:
        on_open(r, event, FMT_MAP, event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
        return 0;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(r, event);
        return 0;
    default:
        return 0;
    }
}

int fmt_file_read(struct fmt_file *f, const char *name, const char *text, size_t len, struct err *e)
{
    struct reader r = {.f = f, .text = text, .len = len};
    yaml_parser_t parser;
    bool end = false, blank;
    int rc = 0;

    *f = (struct fmt_file){.name = name};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return err_set(e, ERR_INPUT, "%s:1:1: found a byte order mark, expected text without",
                       name);
    if (memchr(text, 0, len) || !yaml_parser_initialize(&parser))
        return err_set(e, ERR_INPUT, "%s: found a NUL byte", name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (rc == 0 && !end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = err_set(e, ERR_SYNTAX, "%s: cannot be read", name);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(&r, &event, e);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (rc == 0)
        take_gap(&r, len, 0, &f->tail, &blank);
    return rc;
}

static void clear_node(struct fmt_node *n)
{
    for (size_t i = 0; n && i < n->count; i++)
        clear_node(n->child[i]);
    if (n)
        free(n->child);
}

void fmt_file_clear(struct fmt_file *f)
{
    clear_node(f->root); /* at most YAML_DEPTH_MAX deep: yaml_parse was before */
    free(f->all);
    pool_clear(&f->pool);
}
