/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/session_list.h. One pass; sessions are found by their id in a table of open addressing,
 * whose keys are random already. */
#include "audit/session_list.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/data_key.h"
#include "base/wire.h"

struct session_list {
    struct session_entry **slots; /* while reading: by id; NULL: free */
    size_t size, used;
    struct session_entry **at; /* then: in their order */
    size_t count;
    const struct session_filter *filter;
};

static const struct {
    const char *text;
    unsigned bit;
} classes[] = {{"shell", CLASS_SHELL},
               {"exec", CLASS_EXEC},
               {"subsystem", CLASS_SUBSYSTEM},
               {"forward", CLASS_FORWARD},
               {"sftp", CLASS_SFTP}};

unsigned session_class_parse(const char *text)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(text, classes[i].text) == 0)
            return classes[i].bit;
    return 0;
}

const char *session_class_text(unsigned bits, char out[40])
{
    size_t n = 0;

    snprintf(out, 40, "-");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (bits & classes[i].bit)
            n += (size_t)snprintf(out + n, 40 - n, "%s%s", n ? "," : "", classes[i].text);
    return out;
}

const char *session_verdict_text(enum session_verdict v)
{
    static const char *const texts[] = {"", "agreed", "disputed", "unattested"};

    return (unsigned)v < sizeof texts / sizeof *texts ? texts[v] : "";
}

/* --- the table */

static size_t slot_of(struct session_entry *const *slots, size_t size, const uint8_t *id)
{
    size_t slot = (size_t)(wire_load_u64(id) ^ wire_load_u64(id + 8)) & (size - 1);

    while (slots[slot] && memcmp(slots[slot]->id, id, RECORD_SESSION_ID) != 0)
        slot = (slot + 1) & (size - 1);
    return slot;
}

static int grow(struct session_list *list)
{
    size_t size = list->size ? list->size * 2 : 256;
    struct session_entry **slots;

    if (list->used * 2 < list->size)
        return 0;
    slots = calloc(size, sizeof *slots);
    if (!slots)
        return ERR_MEMORY;
    for (size_t i = 0; i < list->size; i++)
        if (list->slots[i])
            slots[slot_of(slots, size, list->slots[i]->id)] = list->slots[i];
    free(list->slots);
    list->slots = slots;
    list->size = size;
    return 0;
}

static struct session_entry *entry_of(struct session_list *list, const struct record *r)
{
    struct session_entry *entry;
    size_t slot;

    if (grow(list) < 0)
        return NULL;
    slot = slot_of(list->slots, list->size, r->session);
    if (list->slots[slot])
        return list->slots[slot];
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    memcpy(entry->id, r->session, RECORD_SESSION_ID);
    entry->first = r->index;
    entry->start_ns = r->real_ns;
    list->slots[slot] = entry;
    list->used++;
    return entry;
}

/* Takes an entry out; those behind it move up, so that each is still found. */
static void drop(struct session_list *list, const struct session_entry *entry)
{
    size_t hole = slot_of(list->slots, list->size, entry->id), i = hole;

    free(list->slots[hole]);
    list->slots[hole] = NULL;
    list->used--;
    for (;;) {
        struct session_entry *moved;

        i = (i + 1) & (list->size - 1);
        moved = list->slots[i];
        if (!moved)
            break;
        list->slots[i] = NULL;
        list->slots[slot_of(list->slots, list->size, moved->id)] = moved;
    }
}

/* --- what records say */

static void take_text(char *out, size_t cap, const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));

    if (text)
        snprintf(out, cap, "%s", text);
}

static void on_start(struct session_entry *s, const struct record *r, const json_t *j)
{
    s->started = true;
    s->start_ns = r->real_ns;
    take_text(s->operator_name, sizeof s->operator_name, j, "operator");
    take_text(s->source, sizeof s->source, j, "source");
    take_text(s->proxy, sizeof s->proxy, j, "proxy");
    take_text(s->target, sizeof s->target, j, "target");
    take_text(s->account, sizeof s->account, j, "account");
}

static uint64_t number(const json_t *j, const char *name, uint64_t otherwise)
{
    const json_t *value = json_object_get(j, name);

    return json_is_integer(value) && json_integer_value(value) >= 0
               ? (uint64_t)json_integer_value(value)
               : otherwise;
}

static void on_end(struct session_entry *s, const json_t *j)
{
    s->ended = true;
    s->bytes_in = number(j, "bytes_in", s->bytes_in);
    s->bytes_out = number(j, "bytes_out", s->bytes_out);
    snprintf(s->reason, sizeof s->reason, "ended");
    take_text(s->reason, sizeof s->reason, j, "reason");
}

static void on_decision(struct session_entry *s, const json_t *j)
{
    const char *what = json_string_value(json_object_get(j, "what"));

    if (json_is_false(json_object_get(j, "allowed"))) {
        s->denied++;
        snprintf(s->refused, sizeof s->refused, "%s", what ? what : "refused");
        take_text(s->refused, sizeof s->refused, j, "reason");
    } else {
        s->allowed++;
        s->classes |= what ? session_class_parse(what) : 0;
        s->pty = s->pty || json_is_true(json_object_get(j, "pty"));
    }
    if (!s->started) { /* a refused opening is told by its decision alone */
        take_text(s->operator_name, sizeof s->operator_name, j, "operator");
        take_text(s->source, sizeof s->source, j, "source");
        take_text(s->proxy, sizeof s->proxy, j, "proxy");
        take_text(s->target, sizeof s->target, j, "target");
        take_text(s->account, sizeof s->account, j, "account");
    }
}

static void on_verdict(struct session_entry *s, const json_t *j)
{
    const char *text = json_string_value(json_object_get(j, "verdict"));

    for (int v = VERDICT_AGREED; text && v <= VERDICT_UNATTESTED; v++)
        if (strcmp(text, session_verdict_text((enum session_verdict)v)) == 0)
            s->verdict = (enum session_verdict)v;
}

/* Trails without clear decisions about starts have them in clear exec records. */
static void on_exec(struct session_entry *s, const json_t *j)
{
    const char *kind = json_string_value(json_object_get(j, "kind"));

    if (kind)
        s->classes |= session_class_parse(kind);
    s->pty = s->pty || json_is_true(json_object_get(j, "pty"));
}

static void count_bytes(struct session_entry *s, const struct record *r)
{
    uint64_t len = r->payload_len;

    if (r->flags & RECORD_FLAG_SEALED)
        len = len > DATA_KEY_TAG ? len - DATA_KEY_TAG : 0;
    if (r->type == RECORD_INPUT)
        s->bytes_in += len;
    else if (r->type == RECORD_OUTPUT || r->type == RECORD_STDERR || r->type == RECORD_FORWARD_DATA)
        s->bytes_out += len;
}

static void note(struct session_entry *s, const struct source_record *v)
{
    json_t *j = NULL;

    s->records++;
    s->end_ns = v->r.real_ns;
    s->pruned += v->pruned;
    s->sealed = s->sealed || v->r.flags & RECORD_FLAG_SEALED;
    if (!s->ended)
        count_bytes(s, &v->r);
    s->narrowed += v->r.type == RECORD_GRANT;
    if (v->r.type == RECORD_FORWARD_OPEN)
        s->classes |= CLASS_FORWARD;
    if (v->r.type == RECORD_SUBSYSTEM)
        s->classes |= CLASS_SFTP; /* no other one is permitted */
    if (!v->payload || v->r.flags & RECORD_FLAG_SEALED || !record_is_json(v->r.type))
        return;
    j = json_loadb((const char *)v->payload, v->r.payload_len, 0, NULL);
    if (v->r.type == RECORD_SESSION_START && !s->started)
        on_start(s, &v->r, j);
    else if (v->r.type == RECORD_SESSION_END && !s->ended)
        on_end(s, j);
    else if (v->r.type == RECORD_DECISION)
        on_decision(s, j);
    else if (v->r.type == RECORD_VERDICT)
        on_verdict(s, j);
    else if (v->r.type == RECORD_EXEC)
        on_exec(s, j);
    json_decref(j);
}

/* --- the filter */

/* What can be said as soon as a session began. */
static bool may_match(const struct session_filter *f, const struct session_entry *s)
{
    return !(f->operator_name && strcmp(s->operator_name, f->operator_name) != 0) &&
           !(f->target && strcmp(s->target, f->target) != 0) && s->start_ns >= f->since_ns &&
           !(f->until_ns && s->start_ns >= f->until_ns) && !(f->live && s->ended);
}

static bool matches(const struct session_filter *f, const struct session_entry *s)
{
    /* A refused opening has no session: it is told where refusals are asked for. */
    if (!s->started && !(f->decision < 0 && s->denied > 0))
        return false;
    if (!may_match(f, s) || (f->live && !s->started))
        return false;
    if ((f->decision > 0 && s->denied > 0) || (f->decision < 0 && s->denied == 0))
        return false;
    if (f->disputed && s->verdict != VERDICT_DISPUTED)
        return false;
    return !f->classes || f->classes & s->classes;
}

/* --- all of it */

static int take(struct session_list *list, const struct source_record *v, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct session_entry *s;

    if (memcmp(v->r.session, gateway, sizeof gateway) == 0)
        return 0;
    s = entry_of(list, &v->r);
    if (!s)
        return err_set(e, ERR_MEMORY, "no memory for the sessions");
    note(s, v);
    /* The verdict is a session's last record: whoever is not wanted then is not kept. What comes
     * later all the same begins an entry without a start, which is not shown. */
    if (v->r.type == RECORD_VERDICT && s->ended && !matches(list->filter, s))
        drop(list, s);
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct session_entry *const *x = a, *const *y = b;

    if ((*x)->start_ns != (*y)->start_ns)
        return (*x)->start_ns < (*y)->start_ns ? -1 : 1;
    return (*x)->first < (*y)->first ? -1 : (*x)->first > (*y)->first;
}

static void put_in_order(struct session_list *list)
{
    size_t limit = list->filter->limit, shown = 0;

    for (size_t i = 0; i < list->size; i++) {
        struct session_entry *s = list->slots[i];

        if (s && matches(list->filter, s))
            list->slots[shown++] = s;
        else
            free(s);
    }
    list->at = list->slots;
    list->slots = NULL;
    list->count = shown;
    if (shown)
        qsort(list->at, shown, sizeof *list->at, by_start);
    if (limit && shown > limit) {
        for (size_t i = 0; i < shown - limit; i++)
            free(list->at[i]);
        memmove(list->at, list->at + (shown - limit), limit * sizeof *list->at);
        list->count = limit;
    }
}

int session_list_read(struct session_list **out, struct record_source *source,
                      const struct session_filter *filter, struct err *e)
{
    struct session_list *list = calloc(1, sizeof *list);
    struct source_record v;
    int r = list ? 0 : err_set(e, ERR_MEMORY, "no memory for the sessions");

    *out = NULL;
    if (r < 0)
        return r;
    list->filter = filter;
    while ((r = record_source_next(source, &v, -1, e)) == SOURCE_RECORD) {
        r = take(list, &v, e);
        if (r < 0)
            break;
    }
    if (r < 0) {
        session_list_free(list);
        return r;
    }
    put_in_order(list);
    list->filter = NULL;
    *out = list;
    return 0;
}

void session_list_free(struct session_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; list->slots && i < list->size; i++)
        free(list->slots[i]);
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i]);
    free(list->slots);
    free(list->at);
    free(list);
}

size_t session_list_count(const struct session_list *list)
{
    return list->count;
}

const struct session_entry *session_list_at(const struct session_list *list, size_t i)
{
    INVARIANT(i < list->count);
    return list->at[i];
}
