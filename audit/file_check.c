/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE records against recorded input; see file_check.h. Runs in the reading tools.
 *
 * Requests wait in a queue until their record comes. Those that need none wait too, because a
 * refusal may come for them; the queue is in the order of input, and so are the records, so the
 * record of a request lets go of all that stand before it. A client's requests are recorded at most
 * a relay's window ahead of their judgement: what stands further back had none.
 */
#include "audit/file_check.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "audit/record.h"
#include "audit/shown_bytes.h"
#include "base/log.h"
#include "gateway/messages.h"
#include "gateway/sftp_wire.h"

/* Nine bytes are the shortest request. Runs of the same operation without a path are one entry. */
#define WAITING_MAX (RELAY_WINDOW / 9u)
/* Of paths that wait: the window, and one packet. */
#define WAITING_BYTES (RELAY_WINDOW + SFTP_PACKET_MAX)
/* A refused record shows so much of a path. */
#define CUT_MAX 1000u

enum need {
    NO_RECORD,     /* but where it is refused */
    RECORD,        /* one, with the paths that were asked for */
    HANDLE_RECORD, /* one; its paths are those of open files */
    REFUSAL,       /* one that says refused */
    LAST_REFUSAL,  /* and nothing is judged behind it */
};

struct entry {
    TAILQ_ENTRY(entry) next;
    enum need need;
    char op[64];
    size_t count; /* NO_RECORD: so many one after the other */
    bool has_to, is_open, is_copy;
    uint32_t pflags;
    struct sftp_attrs attrs; /* numbers alone */
    uint64_t from, bytes, to_offset;
    struct bytes path, to; /* behind the entry */
};

TAILQ_HEAD(entry_list, entry);

struct file_check {
    struct buf input; /* the packet that is not whole yet */
    struct entry_list waiting;
    size_t count, bytes, needed;
    bool begun, over; /* INIT was there; nothing is judged any more */
    uint64_t next_n, agreed;
    char text[FILE_CHECK_TEXT]; /* the first disagreement; empty: none */
};

struct file_check *file_check_new(void)
{
    struct file_check *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    TAILQ_INIT(&c->waiting);
    buf_init(&c->input, 2 * (SFTP_PACKET_MAX + RECORD_PAYLOAD_MAX));
    return c;
}

static void drop_first(struct file_check *c)
{
    struct entry *first = TAILQ_FIRST(&c->waiting);

    TAILQ_REMOVE(&c->waiting, first, next);
    c->count--;
    c->needed -= first->need != NO_RECORD;
    c->bytes -= first->path.len + first->to.len;
    free(first);
}

void file_check_free(struct file_check *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->waiting))
        drop_first(c);
    buf_clear(&c->input);
    free(c);
}

size_t file_check_unjudged(const struct file_check *c)
{
    return c->needed;
}

uint64_t file_check_agreed(const struct file_check *c)
{
    return c->agreed;
}

static int answer(const struct file_check *c, char text[FILE_CHECK_TEXT])
{
    memcpy(text, c->text, sizeof c->text);
    return c->text[0] == '\0';
}

static void disagree(struct file_check *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->text, sizeof c->text, format, args);
    va_end(args);
}

/* --- input */

/* A run of the same operation without a record is one entry: any of them may be the refused one. */
static struct entry *run_of(struct file_check *c, enum need need, const char *op)
{
    struct entry *last = TAILQ_LAST(&c->waiting, entry_list);

    return need == NO_RECORD && last && last->need == NO_RECORD && strcmp(last->op, op) == 0 ? last
                                                                                             : NULL;
}

static int add(struct file_check *c, enum need need, const char *op, const struct sftp_request *r)
{
    struct entry *n = run_of(c, need, op);
    uint8_t *copy;

    if (n) {
        n->count++;
        return 0;
    }
    while (c->count >= WAITING_MAX && TAILQ_FIRST(&c->waiting)->need == NO_RECORD)
        drop_first(c);
    if (c->count >= WAITING_MAX || c->bytes > WAITING_BYTES) {
        disagree(c, "the request \"%s\" has no record, though many others follow it",
                 TAILQ_FIRST(&c->waiting)->op);
        return 0;
    }
    n = calloc(1, sizeof *n + r->path.len + r->to.len);
    if (!n)
        return ERR_MEMORY;
    copy = (uint8_t *)(n + 1);
    n->need = need;
    n->count = 1;
    n->has_to = r->to.p != NULL;
    n->is_open = r->type == SFTP_OPEN;
    n->is_copy = r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_COPY_DATA;
    n->pflags = r->pflags;
    n->attrs = r->attrs;
    n->attrs.extended = (struct bytes){0};
    n->from = r->offset;
    n->bytes = r->copy_bytes;
    n->to_offset = r->to_offset;
    snprintf(n->op, sizeof n->op, "%s", op);
    if (r->path.len > 0)
        memcpy(copy, r->path.p, r->path.len);
    if (r->to.len > 0)
        memcpy(copy + r->path.len, r->to.p, r->to.len);
    n->path = (struct bytes){copy, r->path.len};
    n->to = (struct bytes){copy + r->path.len, r->to.len};
    TAILQ_INSERT_TAIL(&c->waiting, n, next);
    c->count++;
    c->needed += need != NO_RECORD;
    c->bytes += r->path.len + r->to.len;
    return 0;
}

/* What no packet can be trusted after. */
static int add_last(struct file_check *c, const char *op)
{
    c->over = true;
    return add(c, LAST_REFUSAL, op, &(struct sftp_request){0});
}

static enum need need_of(const struct sftp_request *r)
{
    if ((r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_NONE) || sftp_request_unsound(r))
        return REFUSAL;
    if (r->type == SFTP_FSETSTAT ||
        (r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_COPY_DATA))
        return HANDLE_RECORD;
    return r->path.p ? RECORD : NO_RECORD;
}

static int take_request(struct file_check *c, const uint8_t *packet, size_t len)
{
    struct sftp_request r;
    struct err e = ERR_INIT;
    char op[64];
    int rc = sftp_request_parse(packet, len, &r, &e);

    sftp_operation_name(&r, op);
    if (rc == 0 && r.type == SFTP_INIT && !c->begun && r.id >= SFTP_VERSION) {
        c->begun = true;
        return 0;
    }
    if (rc == ERR_INPUT)
        return add(c, REFUSAL, op, &r);
    if (rc < 0 || !c->begun || r.type == SFTP_INIT)
        return add_last(c, op);
    return add(c, need_of(&r), op, &r);
}

/* WRITE in the recorded form: its data's digest stands in its place. 1 with the bytes that it takes
 * behind its length; 0: more are needed; ERR_PROTOCOL: its parts do not fit. */
static int write_recorded(const uint8_t *p, size_t have, uint32_t size, size_t *takes,
                          struct sftp_request *r)
{
    uint32_t handle, data;

    if (size < 9)
        return ERR_PROTOCOL;
    if (have < 9)
        return 0;
    handle = wire_load_u32(p + 5);
    if (handle > SFTP_HANDLE_MAX || 9 + handle + 12 > size)
        return ERR_PROTOCOL;
    if (have < 9 + handle + 12)
        return 0;
    data = wire_load_u32(p + 9 + handle + 8);
    if (data != size - (9 + handle + 12))
        return ERR_PROTOCOL; /* bytes left over, or too few */
    r->offset = wire_load_u64(p + 9 + handle);
    r->data.len = data;
    *takes = 9 + handle + 12 + RECORD_HASH_SIZE;
    return have >= *takes;
}

/* The first packet of the stream. 1: it was taken; 0: it is not whole yet. */
static int take_first(struct file_check *c)
{
    struct sftp_request write = {.type = SFTP_WRITE};
    const uint8_t *p = buf_head(&c->input);
    size_t have = buf_len(&c->input), takes;
    uint32_t size;
    int r = 1;

    if (have < 4)
        return 0;
    takes = size = wire_load_u32(p);
    if (size == 0 || size > SFTP_PACKET_MAX)
        return add_last(c, "");
    if (have == 4)
        return 0;
    if (p[4] == SFTP_WRITE)
        r = write_recorded(p + 4, have - 4, size, &takes, &write);
    if (r == ERR_PROTOCOL || (r > 0 && p[4] == SFTP_WRITE && !c->begun))
        return add_last(c, "write");
    if (r == 0 || have - 4 < takes)
        return 0;
    r = p[4] == SFTP_WRITE ? add(c, need_of(&write), "write", &write)
                           : take_request(c, p + 4, takes);
    buf_consume(&c->input, takes + 4);
    return r < 0 ? r : 1;
}

int file_check_input(struct file_check *c, const void *p, size_t len, char text[FILE_CHECK_TEXT])
{
    int r;

    if (c->text[0] != '\0' || c->over)
        return answer(c, text);
    r = buf_put(&c->input, p, len);
    if (r < 0)
        return ERR_MEMORY;
    do
        r = take_first(c);
    while (r > 0 && !c->over && c->text[0] == '\0');
    return r < 0 ? r : answer(c, text);
}

/* --- records */

/* The first of two members that is there. */
static bool first_of(const json_t *record, const char *one, const char *other, struct buf *out)
{
    int r = shown_bytes(record, one, out);

    return r == 1 || (r == 0 && shown_bytes(record, other, out) == 1);
}

/* Whether a record names this path as the one that was asked for. */
static bool names(const json_t *record, const char *asked_name, const char *name, bool refused,
                  struct bytes asked)
{
    struct buf shown;
    bool same, there;
    size_t n = asked.len;

    buf_init(&shown, RECORD_PAYLOAD_MAX);
    there = first_of(record, asked_name, name, &shown);
    if (refused && n > CUT_MAX && buf_len(&shown) == CUT_MAX)
        n = CUT_MAX;
    same = there && buf_len(&shown) == n && (n == 0 || memcmp(buf_head(&shown), asked.p, n) == 0);
    buf_clear(&shown);
    return same;
}

/* REALPATH of nothing asks for the home folder, as one of "." does. */
static struct bytes asked_path(const struct entry *entry)
{
    if (entry->path.len == 0 && strcmp(entry->op, "realpath") == 0)
        return (struct bytes){(const uint8_t *)".", 1};
    return entry->path;
}

static bool same_flags(const json_t *record, uint32_t pflags)
{
    static const char *const flag_names[] = {"read", "write", "append", "creat", "trunc", "excl"};
    const json_t *flags = json_object_get(record, "flags");
    size_t n = 0;

    for (unsigned i = 0; i < sizeof flag_names / sizeof flag_names[0]; i++) {
        const char *flag;

        if (!(pflags & 1u << i))
            continue;
        flag = json_string_value(json_array_get(flags, n++));
        if (!flag || strcmp(flag, flag_names[i]) != 0)
            return false;
    }
    return json_array_size(flags) == n;
}

static bool same_number(const json_t *object, const char *name, bool there, uint64_t value)
{
    const json_t *number = json_object_get(object, name);

    if (!there)
        return !number;
    return json_is_integer(number) && json_integer_value(number) >= 0 &&
           (uint64_t)json_integer_value(number) == value;
}

static bool same_attrs(const json_t *record, const struct sftp_attrs *a)
{
    const json_t *attrs = json_object_get(record, "attrs");
    const json_t *mode = json_object_get(attrs, "mode");
    char octal[16] = "";

    if (a->flags & SFTP_ATTR_PERMISSIONS)
        snprintf(octal, sizeof octal, "%04o", a->permissions);
    if (mode ? !json_is_string(mode) || strcmp(json_string_value(mode), octal) != 0
             : octal[0] != '\0')
        return false;
    return same_number(attrs, "size", a->flags & SFTP_ATTR_SIZE, a->size) &&
           same_number(attrs, "uid", a->flags & SFTP_ATTR_UIDGID, a->uid) &&
           same_number(attrs, "gid", a->flags & SFTP_ATTR_UIDGID, a->gid) &&
           same_number(attrs, "atime", a->flags & SFTP_ATTR_TIMES, a->atime) &&
           same_number(attrs, "mtime", a->flags & SFTP_ATTR_TIMES, a->mtime);
}

/* Flags, attributes and numbers. */
static bool same_rest(const struct entry *entry, const json_t *record)
{
    return (!entry->is_open || same_flags(record, entry->pflags)) &&
           same_attrs(record, &entry->attrs) &&
           same_number(record, "from", entry->is_copy, entry->from) &&
           same_number(record, "bytes", entry->is_copy, entry->bytes) &&
           same_number(record, "to_offset", entry->is_copy, entry->to_offset);
}

/* What of the paths is not the request's. NULL: nothing. */
static const char *other_paths(const struct entry *entry, const json_t *record, bool refused)
{
    if (!names(record, "asked", "path", refused, asked_path(entry)))
        return "another path";
    if (!entry->has_to)
        return json_object_get(record, "to") || json_object_get(record, "asked_to")
                   ? "a second path, which is none"
                   : NULL;
    return names(record, "asked_to", "to", refused, entry->to) ? NULL : "another second path";
}

/* The record is of this request: whether it says the same. */
static void compare(struct file_check *c, const struct entry *entry, const json_t *record,
                    const char *op, bool refused)
{
    const unsigned long long n = c->next_n;
    const char *other = entry->need == RECORD ? other_paths(entry, record, refused) : NULL;
    char asked[120], said[80];

    escape_text(asked, sizeof asked, entry->path.p, entry->path.len < 100 ? entry->path.len : 100);
    escape_text(said, sizeof said, op, strlen(op) < 60 ? strlen(op) : 60);
    if (strcmp(op, entry->op) != 0 && !(entry->need == LAST_REFUSAL && refused))
        disagree(c, "record n=%llu says %s; the request was %s of \"%s\"", n, said, entry->op,
                 asked);
    else if (!refused && entry->need >= REFUSAL)
        disagree(c, "record n=%llu says that %s was passed on; the request is none that could be",
                 n, entry->op);
    else if (other)
        disagree(c, "record n=%llu of %s names %s; the request was of \"%s\"", n, said, other,
                 asked);
    else if (!refused && !same_rest(entry, record))
        disagree(
            c,
            "record n=%llu of %s has other flags, attributes or numbers than the request of \"%s\"",
            n, said, asked);
    else
        c->agreed++;
}

/* The request that a record is of: one that has to have one, or the first that was refused. */
static void take_record(struct file_check *c, const json_t *record, bool refused)
{
    const char *op = json_string_value(json_object_get(record, "op"));
    const json_t *n = json_object_get(record, "n");
    struct entry *first;
    char said[80];

    op = op ? op : "";
    if (!json_is_integer(n) || json_integer_value(n) < 0 ||
        (uint64_t)json_integer_value(n) != c->next_n) {
        disagree(c, "a record has not n=%llu, which is the next one",
                 (unsigned long long)c->next_n);
        return;
    }
    while ((first = TAILQ_FIRST(&c->waiting)) && first->need == NO_RECORD &&
           !(refused && strcmp(op, first->op) == 0))
        drop_first(c);
    if (!first) {
        escape_text(said, sizeof said, op, strlen(op) < 60 ? strlen(op) : 60);
        disagree(c, "record n=%llu says %s; no such request came", (unsigned long long)c->next_n,
                 said);
        return;
    }
    if (first->need == NO_RECORD) {
        c->agreed++; /* any of its run */
        first->count--;
    } else {
        compare(c, first, record, op, refused);
        first->count = 0;
    }
    c->next_n++;
    if (first->count == 0)
        drop_first(c);
}

int file_check_record(struct file_check *c, const void *payload, size_t len,
                      char text[FILE_CHECK_TEXT])
{
    const char *event;
    json_t *record;

    if (c->text[0] != '\0')
        return answer(c, text);
    record = json_loadb(payload, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    event = json_string_value(json_object_get(record, "event"));
    if (!event)
        disagree(c, "a record of the channel is not of its form");
    else if (strcmp(event, "request") == 0 || strcmp(event, "refused") == 0)
        take_record(c, record, strcmp(event, "refused") == 0);
    json_decref(record);
    return answer(c, text);
}
