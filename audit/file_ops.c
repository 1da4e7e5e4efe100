/* SPDX-License-Identifier: Apache-2.0
 *
 * Joins FILE records (audit/file_ops.h): a list of operations in the order of their requests, and a
 * table of those that wait. */
#include "audit/file_ops.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "audit/file_op_parse.h"

#define SLOTS 65536u /* 2^16: a hash's upper 16 bits */

TAILQ_HEAD(file_op_list, file_op);

struct file_ops {
    file_op_fn *out;
    void *arg;
    struct file_op_list list;
    struct file_op *slots[SLOTS]; /* that wait */
    uint64_t key;                 /* so that nobody can choose numbers that share a slot */
    size_t waiting, ready, held;
    uint64_t odd, first_odd, sealed, destroyed;
};

struct file_ops *file_ops_new(file_op_fn *out, void *arg)
{
    struct file_ops *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    TAILQ_INIT(&o->list);
    o->out = out;
    o->arg = arg;
    if (getrandom(&o->key, sizeof o->key, GRND_NONBLOCK) != sizeof o->key)
        o->key = (uint64_t)(uintptr_t)o;
    return o;
}

static struct file_op **slot_of(struct file_ops *o, const uint8_t session[RECORD_SESSION_ID],
                                uint32_t channel, uint64_t n)
{
    uint64_t h = (wire_load_u64(session) ^ o->key) * 0x9e3779b97f4a7c15u;

    h = (h ^ (h >> 32) ^ n) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 29) ^ channel ^ o->key) * 0xc4ceb9fe1a85ec53u;
    return &o->slots[h >> 48];
}

static bool is(const struct file_op *op, const uint8_t session[RECORD_SESSION_ID], uint32_t channel,
               uint64_t n)
{
    return op->n == n && op->channel == channel &&
           memcmp(op->session, session, RECORD_SESSION_ID) == 0;
}

struct file_op *file_ops_find(struct file_ops *o, const uint8_t session[RECORD_SESSION_ID],
                              uint32_t channel, uint64_t n)
{
    struct file_op *op = *slot_of(o, session, channel, n);

    while (op && !is(op, session, channel, n))
        op = op->slot_next;
    return op;
}

/* Nothing more is expected of it. */
static void make_ready(struct file_ops *o, struct file_op *op)
{
    struct file_op **at = slot_of(o, op->session, op->channel, op->n);

    while (*at != op)
        at = &(*at)->slot_next;
    *at = op->slot_next;
    op->ready = true;
    o->waiting--;
    o->ready++;
}

static void take_out(struct file_ops *o, struct file_op *op)
{
    if (!op->ready)
        make_ready(o, op);
    o->ready--;
    o->held -= op->held;
    TAILQ_REMOVE(&o->list, op, order);
}

static int come_out(struct file_ops *o, struct file_op *op, struct err *e)
{
    int r;

    take_out(o, op);
    r = o->out(o->arg, op, e);
    file_op_free(op);
    return r;
}

/* Lets go of what can go, and of what must. */
static int drain(struct file_ops *o, struct err *e)
{
    struct file_op *op, *next;
    int r = 0;

    while (r == 0 && (op = TAILQ_FIRST(&o->list)) && op->ready)
        r = come_out(o, op, e);
    if (o->ready <= FILE_OPS_READY_MAX && o->held <= FILE_OPS_BYTES_MAX &&
        o->waiting <= FILE_OPS_WAITING_MAX)
        return r;
    for (op = TAILQ_FIRST(&o->list); r == 0 && op; op = next) {
        next = TAILQ_NEXT(op, order);
        if (op->ready)
            r = come_out(o, op, e);
    }
    /* So much room is made that this walk is not made for each record. */
    while (r == 0 && (op = TAILQ_FIRST(&o->list)) &&
           (o->held > FILE_OPS_BYTES_MAX / 4 * 3 || o->waiting > FILE_OPS_WAITING_MAX / 4 * 3))
        r = come_out(o, op, e);
    return r;
}

static void odd(struct file_ops *o, const struct record *r)
{
    if (o->odd++ == 0)
        o->first_odd = r->index;
}

static int put_request(struct file_ops *o, const struct record *r, const json_t *j, bool refused,
                       struct err *e)
{
    struct file_op *op = calloc(1, sizeof *op), **slot;
    int code = op ? file_op_take_request(op, j) : ERR_MEMORY;

    if (code < 0) {
        if (op)
            file_op_free(op);
        if (code == ERR_MEMORY)
            return err_set(e, ERR_MEMORY, "no memory for a file operation");
        odd(o, r);
        return 0;
    }
    memcpy(op->session, r->session, RECORD_SESSION_ID);
    op->channel = r->channel;
    op->record = r->index;
    op->time_ns = r->real_ns;
    op->held += sizeof *op;
    op->outcome = refused ? FILE_OP_REFUSED : FILE_OP_UNKNOWN;
    o->held += op->held;
    TAILQ_INSERT_TAIL(&o->list, op, order);
    if (file_ops_find(o, r->session, r->channel, op->n)) {
        odd(o, r);
        if (!refused)
            op->outcome = FILE_OP_TWICE;
        op->ready = true;
    }
    if (refused || op->ready) {
        op->ready = true;
        o->ready++;
        return 0;
    }
    slot = slot_of(o, r->session, r->channel, op->n);
    op->slot_next = *slot;
    *slot = op;
    o->waiting++;
    return 0;
}

/* What it opened is closed later. */
static bool stays_open(const struct file_op *op)
{
    return (strcmp(op->op, "open") == 0 || strcmp(op->op, "opendir") == 0) &&
           strcmp(op->status, "ok") == 0;
}

static void put_results(struct file_ops *o, const struct record *r, const json_t *j)
{
    const json_t *results = json_object_get(j, "results"), *result;
    bool wrong = !json_is_array(results);
    size_t i;

    json_array_foreach((json_t *)results, i, result)
    {
        struct file_number n;
        struct file_op *op = file_number_take(&n, result, "n")
                                 ? file_ops_find(o, r->session, r->channel, n.value)
                                 : NULL;

        if (!op || op->status[0]) {
            wrong = true;
            continue;
        }
        file_op_take_text(op->status, sizeof op->status, result, "status");
        op->outcome = FILE_OP_ANSWERED;
        if (!stays_open(op))
            make_ready(o, op);
    }
    if (wrong)
        odd(o, r);
}

static int put_closed(struct file_ops *o, const struct record *r, const json_t *j, struct err *e)
{
    struct file_number n;
    struct file_op *op =
        file_number_take(&n, j, "n") ? file_ops_find(o, r->session, r->channel, n.value) : NULL;
    size_t held;
    int code;

    if (!op) {
        odd(o, r);
        return 0;
    }
    held = op->held;
    code = file_op_take_closed(op, j);
    o->held += op->held - held;
    op->closed = true;
    op->closed_ns = r->real_ns;
    make_ready(o, op);
    return code < 0 ? err_set(e, ERR_MEMORY, "no memory for a file operation") : 0;
}

static int put_file(struct file_ops *o, const struct export_record *v, struct err *e)
{
    json_t *j = file_record_parse(v);
    const char *event = json_string_value(json_object_get(j, "event"));
    int r = 0;

    if (!event)
        odd(o, v->r);
    else if (strcmp(event, "request") == 0 || strcmp(event, "refused") == 0)
        r = put_request(o, v->r, j, event[2] == 'f', e);
    else if (strcmp(event, "results") == 0)
        put_results(o, v->r, j);
    else if (strcmp(event, "closed") == 0)
        r = put_closed(o, v->r, j, e);
    json_decref(j);
    return r;
}

int file_ops_put(struct file_ops *o, const struct export_record *v, struct err *e)
{
    struct file_op *op;
    int r = 0;

    if (v->r->type == RECORD_SESSION_END) {
        TAILQ_FOREACH(op, &o->list, order)
        if (!op->ready && memcmp(op->session, v->r->session, RECORD_SESSION_ID) == 0)
            make_ready(o, op);
    } else if (v->r->type != RECORD_FILE) {
        return 0;
    } else if (v->payload) {
        r = put_file(o, v, e);
    } else {
        o->destroyed += v->pruned;
        o->sealed += !v->pruned;
    }
    return r < 0 ? r : drain(o, e);
}

int file_ops_end(struct file_ops *o, struct err *e)
{
    struct file_op *op;
    int r = 0;

    while (r == 0 && (op = TAILQ_FIRST(&o->list)))
        r = come_out(o, op, e);
    return r;
}

void file_ops_free(struct file_ops *o)
{
    struct file_op *op;

    while (o && (op = TAILQ_FIRST(&o->list))) {
        take_out(o, op);
        file_op_free(op);
    }
    free(o);
}

uint64_t file_ops_odd(const struct file_ops *o, uint64_t *first)
{
    *first = o->first_odd;
    return o->odd;
}

uint64_t file_ops_sealed(const struct file_ops *o)
{
    return o->sealed;
}

uint64_t file_ops_destroyed(const struct file_ops *o)
{
    return o->destroyed;
}

bool file_moved_whole(const struct file_moved *m, uint8_t sha256[RECORD_HASH_SIZE])
{
    static const uint8_t of_nothing[RECORD_HASH_SIZE] = {
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
        0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
        0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};

    if (!m->there || m->more || m->failed || m->ranges > 1)
        return false;
    if (m->ranges == 1 && (m->range[0].from != 0 || m->range[0].to != m->bytes))
        return false;
    if (m->ranges == 0 && m->bytes != 0)
        return false;
    memcpy(sha256, m->ranges ? m->range[0].sha256 : of_nothing, RECORD_HASH_SIZE);
    return true;
}

const char *file_direction_text(enum file_direction d)
{
    return d == FILE_OP_READ ? "read" : "written";
}

bool file_pattern_matches(const char *pattern, struct bytes path)
{
    const char *p = pattern, *star = NULL;
    size_t at = 0, mark = 0;

    if (!strchr(pattern, '/'))
        for (size_t i = 0; i < path.len; i++)
            at = path.p[i] == '/' ? i + 1 : at;
    /* Goes back to the last star alone: time is pattern times path at most. */
    while (at < path.len) {
        const char *literal = *p == '\\' && p[1] ? p + 1 : p;

        if (*p == '*') {
            star = ++p;
            mark = at;
        } else if (*p && (*p == '?' || (uint8_t)*literal == path.p[at])) {
            p = *p == '?' ? p + 1 : literal + 1;
            at++;
        } else if (star) {
            p = star;
            at = ++mark;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return *p == 0;
}
