/* SPDX-License-Identifier: Apache-2.0
 *
 * The builder of the tree: libyaml's events in, nodes with positions out. One pass, no recursion;
 * all nodes lie in blocks that the document owns and that go away together. What YAML has for
 * cleverness (aliases, anchors, tags, merge keys, directives, several documents) is refused here,
 * once for every file. Used by the supervisor and by authd; the text is hostile until it parsed.
 * Does no I/O. Source: https://yaml.org/spec/1.1/, yaml.h of libyaml 0.2.5. */
#include "base/yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/utf8.h"

/* A block holds some hundred nodes; a scalar that needs more gets a block of its own size. */
#define BLOCK_SIZE 65536u

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct yaml_doc {
    char name[256];
    struct block *blocks;
    struct yaml_node *root;
};

/* A list or map whose end has not come: its children wait on the builder's stack from `start` on.
 */
struct open_node {
    struct yaml_node *node;
    size_t start;
};

struct builder {
    struct yaml_doc *doc;
    struct open_node open[YAML_DEPTH_MAX];
    size_t depth;
    struct yaml_node *
        *stack; /* finished children of the open nodes; a map's are key, value, key, ... */
    size_t stacked, stack_cap;
    unsigned documents;
};

static void *doc_alloc(struct yaml_doc *doc, size_t size)
{
    const size_t align = _Alignof(max_align_t);

    size = (size + align - 1) / align * align;
    struct block *b = doc->blocks;
    if (!b || b->size - b->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = malloc(sizeof *b + room);
        if (!b)
            return NULL;
        b->next = doc->blocks;
        b->used = 0;
        b->size = room;
        doc->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += size;
    memset(p, 0, size);
    return p;
}

static int error_at(const struct yaml_doc *doc, unsigned line, unsigned column, struct err *e,
                    const char *format, ...) PRINTF_LIKE(5, 6);

static int error_at(const struct yaml_doc *doc, unsigned line, unsigned column, struct err *e,
                    const char *format, ...)
{
    char text[ERR_TEXT_MAX - 300]; /* less the name and the position */
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(e, ERR_SYNTAX, "%s:%u:%u: %s", doc->name, line, column, text);
}

int yaml_error(const struct yaml_doc *doc, const struct yaml_node *at, struct err *e,
               const char *format, ...)
{
    char text[ERR_TEXT_MAX - 300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_at(doc, at->line, at->column, e, "%s", text);
}

#define LINE(mark)   ((unsigned)(mark).line + 1)
#define COLUMN(mark) ((unsigned)(mark).column + 1)

static int event_error(const struct yaml_doc *doc, const yaml_event_t *event, struct err *e,
                       const char *found, const char *expected)
{
    return error_at(doc, LINE(event->start_mark), COLUMN(event->start_mark), e,
                    "found %s, expected %s", found, expected);
}

static void position_of(const unsigned char *p, size_t offset, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (p[i] == '\n') {
            ++*line;
            *column = 1;
        } else if ((p[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* What people are shown as something else than YAML reads: line breaks that editors and reviews do
 * not know, so that a key stands in a comment; and what puts text in another order. 0: neither. */
static uint32_t misleading(const unsigned char *p, size_t len)
{
    uint32_t c = 0;

    if (p[0] == '\r')
        return len > 1 && p[1] == '\n' ? 0 : '\r';
    if (!utf8_next(p, len, &c))
        return 0; /* libyaml has an error for it */
    return c == 0x85 || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ? c : 0;
}

static int refuse_misleading(const struct yaml_doc *doc, const unsigned char *p, size_t len,
                             struct err *e)
{
    static const unsigned char begins[] = {'\r', 0xc2, 0xe2};
    unsigned line, column;

    for (size_t k = 0; k < sizeof begins; k++) {
        const unsigned char *at = p;
        uint32_t c = 0;
        while (at && (at = memchr(at, begins[k], (size_t)(p + len - at))) &&
               !(c = misleading(at, (size_t)(p + len - at))))
            at++;
        if (!at)
            continue;
        position_of(p, (size_t)(at - p), &line, &column);
        if (c == '\r')
            return error_at(
                doc, line, column, e,
                "found a carriage return alone, expected lines that end with a newline");
        return error_at(doc, line, column, e,
                        "found the character U+%04X, which %s, expected text that is read as it is "
                        "shown",
                        (unsigned)c,
                        c == 0x85 || c < 0x202a ? "ends a line for YAML alone"
                                                : "shows text in another order");
    }
    return 0;
}

/* libyaml's own errors. Those of its reader (bytes that are not UTF-8, control characters) have an
 * offset only, from which line and column are counted here. */
static int parser_error(const struct yaml_doc *doc, const yaml_parser_t *parser, const void *bytes,
                        size_t len, struct err *e)
{
    const char *problem = parser->problem ? parser->problem : "text that is not YAML";
    unsigned line = LINE(parser->problem_mark), column = COLUMN(parser->problem_mark);

    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(e, ERR_MEMORY, "%s: out of memory", doc->name);
    if (parser->error == YAML_READER_ERROR)
        position_of(bytes, parser->problem_offset < len ? parser->problem_offset : len, &line,
                    &column);
    if (parser->context)
        return error_at(doc, line, column, e, "%s, %s", parser->context, problem);
    return error_at(doc, line, column, e, "%s", problem);
}

static int push(struct builder *b, struct yaml_node *n, struct err *e)
{
    if (b->stacked == b->stack_cap) {
        size_t cap = b->stack_cap ? b->stack_cap * 2 : 256;
        struct yaml_node **grown = reallocarray(b->stack, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_MEMORY, "%s: out of memory", b->doc->name);
        b->stack = grown;
        b->stack_cap = cap;
    }
    b->stack[b->stacked++] = n;
    return 0;
}

static bool wants_key(const struct builder *b)
{
    if (!b->depth)
        return false;
    const struct open_node *o = &b->open[b->depth - 1];
    return o->node->kind == YAML_MAP && (b->stacked - o->start) % 2 == 0;
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, const yaml_event_t *event,
                                  struct err *e)
{
    struct yaml_node *n = doc_alloc(b->doc, sizeof *n);

    if (!n) {
        err_set(e, ERR_MEMORY, "%s: out of memory", b->doc->name);
        return NULL;
    }
    n->kind = kind;
    n->line = LINE(event->start_mark);
    n->column = COLUMN(event->start_mark);
    return n;
}

/* Puts a new node under the innermost open one, or makes it the root. */
static int place(struct builder *b, struct yaml_node *n, struct err *e)
{
    if (b->depth)
        return push(b, n, e);
    b->doc->root = n;
    return 0;
}

/* A control character, or NULL: newline is the only one that text may have. C1 controls are U+0080
 * to U+009F: C2 80 to C2 9F. */
static const unsigned char *find_control(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((p[i] < 0x20 && p[i] != '\n') || p[i] == 0x7f)
            return p + i;
        if (p[i] == 0xc2 && i + 1 < len && p[i + 1] >= 0x80 && p[i + 1] < 0xa0)
            return p + i + 1;
    }
    return NULL;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct err *e)
{
    const unsigned char *text = event->data.scalar.value;
    const size_t len = event->data.scalar.length;
    const bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    const unsigned char *control = find_control(text, len);
    char found[64];

    if (event->data.scalar.tag)
        return event_error(b->doc, event, e, "a tag", "a plain value: tags are not supported");
    if (control) {
        snprintf(found, sizeof found, "the control character 0x%02x in a value", *control);
        return event_error(b->doc, event, e, found, "text without control characters");
    }
    if (len > YAML_TEXT_MAX) {
        snprintf(found, sizeof found, "a value of %zu bytes", len);
        return event_error(b->doc, event, e, found, "at most 65536 bytes");
    }
    if (wants_key(b) && !quoted && len == 2 && memcmp(text, "<<", 2) == 0)
        return event_error(b->doc, event, e, "the merge key <<",
                           "a plain key: merge keys are not supported");

    struct yaml_node *n = new_node(b, YAML_SCALAR, event, e);
    char *copy = n ? doc_alloc(b->doc, len + 1) : NULL;
    if (!copy)
        return err_set(e, ERR_MEMORY, "%s: out of memory", b->doc->name);
    memcpy(copy, text, len);
    n->text = copy;
    n->quoted = quoted;
    return place(b, n, e);
}

static int on_open(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
                   const void *tag, struct err *e)
{
    if (tag)
        return event_error(b->doc, event, e, "a tag", "a plain value: tags are not supported");
    if (wants_key(b))
        return event_error(b->doc, event, e,
                           kind == YAML_LIST ? "a list as a key" : "a map as a key",
                           "a plain word as key");
    if (b->depth == YAML_DEPTH_MAX)
        return event_error(b->doc, event, e, "more than 16 levels of lists and maps", "at most 16");
    struct yaml_node *n = new_node(b, kind, event, e);
    if (!n)
        return ERR_MEMORY;
    int rc = place(b, n, e);
    if (rc < 0)
        return rc;
    b->open[b->depth].node = n;
    b->open[b->depth].start = b->stacked;
    b->depth++;
    return 0;
}

static uint32_t text_hash(const char *s)
{
    uint32_t h =
        2166136261u; /* FNV-1a; only a slow load comes of collisions, and root wrote the file */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static int no_duplicate_keys(const struct yaml_doc *doc, const struct yaml_node *map, struct err *e)
{
    size_t slots = 16;
    int rc = 0;

    while (slots < map->count * 2)
        slots *= 2;
    struct yaml_node **table = calloc(slots, sizeof *table);
    if (!table)
        return err_set(e, ERR_MEMORY, "%s: out of memory", doc->name);
    for (size_t i = 0; i < map->count && rc == 0; i++) {
        size_t at = text_hash(map->keys[i]->text) & (slots - 1);
        while (table[at] && strcmp(table[at]->text, map->keys[i]->text) != 0)
            at = (at + 1) & (slots - 1);
        if (table[at]) {
            char found[YAML_FOUND_MAX];
            rc = yaml_error(
                doc, map->keys[i], e,
                "found the key %s a second time (first at line %u), expected each key once",
                yaml_found(map->keys[i], found), table[at]->line);
        }
        table[at] = map->keys[i];
    }
    free(table);
    return rc;
}

static int on_close(struct builder *b, struct err *e)
{
    const struct open_node *o = &b->open[--b->depth];
    struct yaml_node *n = o->node;
    const size_t children = b->stacked - o->start;
    struct yaml_node **from = b->stack ? b->stack + o->start : NULL;

    b->stacked = o->start;
    if (!children)
        return 0;
    struct yaml_node **to = doc_alloc(b->doc, children * sizeof *to);
    if (!to)
        return err_set(e, ERR_MEMORY, "%s: out of memory", b->doc->name);
    if (n->kind == YAML_LIST) {
        memcpy(to, from, children * sizeof *to);
        n->items = to;
        n->count = children;
        return 0;
    }
    n->count = children / 2;
    n->keys = to;
    n->items = to + n->count;
    for (size_t i = 0; i < n->count; i++) {
        n->keys[i] = from[2 * i];
        n->items[i] = from[2 * i + 1];
    }
    return no_duplicate_keys(b->doc, n, e);
}

static int on_event(struct builder *b, const yaml_event_t *event, struct err *e)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (event->data.document_start.version_directive ||
            event->data.document_start.tag_directives.start !=
                event->data.document_start.tag_directives.end)
            return event_error(b->doc, event, e, "a directive", "a document without directives");
        if (b->documents++)
            return event_error(b->doc, event, e, "a second document", "one document in a file");
        return 0;
    case YAML_ALIAS_EVENT:
        return event_error(b->doc, event, e, "an alias",
                           "the value itself: aliases are not supported");
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor)
            return event_error(b->doc, event, e, "an anchor",
                               "a plain value: anchors are not supported");
        return on_scalar(b, event, e);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor)
            return event_error(b->doc, event, e, "an anchor",
                               "a plain list: anchors are not supported");
        return on_open(b, event, YAML_LIST, event->data.sequence_start.tag, e);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor)
            return event_error(b->doc, event, e, "an anchor",
                               "a plain map: anchors are not supported");
        return on_open(b, event, YAML_MAP, event->data.mapping_start.tag, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b, e);
    default:
        return 0;
    }
}

struct yaml_doc *yaml_parse(const char *name, const void *bytes, size_t len, struct err *e)
{
    struct yaml_doc *doc = calloc(1, sizeof *doc);
    struct builder b = {.doc = doc};
    yaml_parser_t parser;
    bool end = false;
    int rc = 0;

    if (!doc || !yaml_parser_initialize(&parser)) {
        err_set(e, ERR_MEMORY, "%s: out of memory", name);
        free(doc);
        return NULL;
    }
    snprintf(doc->name, sizeof doc->name, "%s", name);
    if (len > YAML_FILE_MAX) {
        rc = error_at(doc, 1, 1, e, "found a file of %zu bytes, expected at most %u", len,
                      YAML_FILE_MAX);
        goto out;
    }
    if (bytes && len && (rc = refuse_misleading(doc, bytes, len, e)) < 0)
        goto out;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, bytes ? bytes : (const void *)"", bytes ? len : 0);
    while (rc == 0 && !end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = parser_error(doc, &parser, bytes, len, e);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(&b, &event, e);
        yaml_event_delete(&event);
    }
    if (rc == 0 && (!doc->root || (doc->root->kind == YAML_SCALAR && !doc->root->quoted &&
                                   !doc->root->text[0]))) {
        doc->root = doc_alloc(doc, sizeof *doc->root);
        if (!doc->root) {
            rc = err_set(e, ERR_MEMORY, "%s: out of memory", name);
            goto out;
        }
        doc->root->kind = YAML_MAP;
        doc->root->line = doc->root->column = 1;
    }
out:
    yaml_parser_delete(&parser);
    free(b.stack);
    if (rc < 0) {
        yaml_doc_free(doc);
        return NULL;
    }
    return doc;
}

void yaml_doc_free(struct yaml_doc *doc)
{
    if (!doc)
        return;
    for (struct block *b = doc->blocks; b;) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
    free(doc);
}

const struct yaml_node *yaml_root(const struct yaml_doc *doc)
{
    return doc->root;
}

const char *yaml_name(const struct yaml_doc *doc)
{
    return doc->name;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i]->text, key) == 0)
            return map->items[i];
    }
    return NULL;
}
