/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums up sessions from start, exec, decision and end records. Runs in the reading tools. Memory:
 * some 2 KB a session, whatever was recorded in it. */
#include "audit/session_scan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/trail_read.h"
#include "audit/verdict.h"
#include "base/wire.h"

/* Session ids to positions in the list: open addressing over random ids. */
struct id_map {
    uint32_t *slots; /* position + 1; 0: free */
    size_t size;
};

static size_t find_slot(const struct id_map *map, const struct session_list *list,
                        const uint8_t id[RECORD_SESSION_ID])
{
    size_t slot = (size_t)(wire_load_u64(id) ^ wire_load_u64(id + 8)) & (map->size - 1);

    while (map->slots[slot] &&
           memcmp(list->at[map->slots[slot] - 1].id, id, RECORD_SESSION_ID) != 0)
        slot = (slot + 1) & (map->size - 1);
    return slot;
}

/* Room for one more: the list doubles, and the map stays at most half full. */
static int grow(struct session_list *list, struct id_map *map)
{
    size_t room = list->count ? list->count * 2 : 64;
    struct session_summary *at;
    uint32_t *slots;

    if (list->count & (list->count - 1) || (list->count > 0 && list->count < 64))
        return 0;
    at = realloc(list->at, room * sizeof *at);
    slots = calloc(room * 2, sizeof *slots);
    if (at)
        list->at = at;
    if (!at || !slots) {
        free(slots);
        return ERR_MEMORY;
    }
    free(map->slots);
    map->slots = slots;
    map->size = room * 2;
    for (size_t i = 0; i < list->count; i++)
        map->slots[find_slot(map, list, list->at[i].id)] = (uint32_t)(i + 1);
    return 0;
}

static struct session_summary *get(struct session_list *list, struct id_map *map,
                                   const struct record *r)
{
    struct session_summary *s;
    size_t slot;

    if (map->size) {
        slot = find_slot(map, list, r->session);
        if (map->slots[slot])
            return &list->at[map->slots[slot] - 1];
    }
    if (grow(list, map) < 0)
        return NULL;
    slot = find_slot(map, list, r->session);
    s = &list->at[list->count++];
    memset(s, 0, sizeof *s);
    memcpy(s->id, r->session, RECORD_SESSION_ID);
    s->first = r->index;
    s->start_ns = r->real_ns;
    map->slots[slot] = (uint32_t)list->count;
    return s;
}

static void note_exec(struct session_summary *s, const json_t *j)
{
    const char *event = json_string_value(json_object_get(j, "event"));
    const char *command = json_string_value(json_object_get(j, "command"));

    if (event && strcmp(event, "exit") == 0) {
        const char *signal = json_string_value(json_object_get(j, "signal"));

        s->exits++;
        snprintf(s->exit_signal, sizeof s->exit_signal, "%s", signal ? signal : "");
        s->exit_status = (uint32_t)json_integer_value(json_object_get(j, "status"));
    }
    if (event && strcmp(event, "start") == 0 && !s->command && command)
        s->command = strdup(command);
}

/* What was started, by its class, or refused. */
static void note_decision(struct session_summary *s, const struct record *r, const json_t *j)
{
    const char *what = json_string_value(json_object_get(j, "what"));

    if (json_is_false(json_object_get(j, "allowed")))
        s->denied++;
    if (!what || !json_is_true(json_object_get(j, "allowed")))
        return;
    s->shell = s->shell || strcmp(what, "shell") == 0;
    s->exec = s->exec || strcmp(what, "exec") == 0;
    if (!s->has_pty && json_is_true(json_object_get(j, "pty"))) {
        s->has_pty = true;
        s->pty_channel = r->channel;
    }
}

static void note(struct session_summary *s, const struct trail_view *v)
{
    json_t *j = NULL;

    s->records++;
    s->last_ns = v->r.real_ns;
    switch (v->r.type) {
    case RECORD_SESSION_START:
    case RECORD_SESSION_END:
    case RECORD_EXEC:
    case RECORD_DECISION:
    case RECORD_VERDICT:
        if (v->r.flags & RECORD_FLAG_SEALED)
            return;
        j = json_loadb((const char *)v->payload, v->r.payload_len, 0, NULL);
        break;
    case RECORD_INPUT:
        s->bytes_in += record_plain_len(&v->r);
        return;
    case RECORD_OUTPUT:
    case RECORD_STDERR:
        s->bytes_out += record_plain_len(&v->r);
        return;
    default:
        return;
    }
    if (v->r.type == RECORD_SESSION_START && !s->start) {
        s->start = json_incref(j);
        s->start_ns = v->r.real_ns;
    } else if (v->r.type == RECORD_SESSION_END && !s->finish) {
        s->finish = json_incref(j);
        s->ended = true;
    } else if (v->r.type == RECORD_EXEC) {
        note_exec(s, j);
    } else if (v->r.type == RECORD_DECISION) {
        note_decision(s, &v->r, j);
    } else if (v->r.type == RECORD_VERDICT) {
        s->disputed |= verdict_says(j, "disputed");
        s->unattested = verdict_says(j, "unattested");
    }
    json_decref(j);
}

int session_scan(int dir, struct session_list *list, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct trail_reader *reader;
    struct id_map map = {NULL, 0};
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    int r = trail_reader_new(&reader, dir, 0, e);

    list->at = NULL;
    list->count = 0;
    if (r < 0)
        return r;
    while ((r = trail_reader_next(reader, &v, &unfinished, &fault, e)) == 1) {
        struct session_summary *s;

        if (memcmp(v.r.session, gateway, sizeof gateway) == 0)
            continue;
        s = get(list, &map, &v.r);
        if (!s) {
            r = err_set(e, ERR_MEMORY, "no memory for the sessions");
            break;
        }
        note(s, &v);
    }
    free(map.slots);
    trail_reader_free(reader);
    if (r < 0)
        session_list_clear(list);
    return r;
}

void session_list_clear(struct session_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        json_decref(list->at[i].start);
        json_decref(list->at[i].finish);
        free(list->at[i].command);
    }
    free(list->at);
    list->at = NULL;
    list->count = 0;
}

const struct session_summary *session_named(const struct session_list *list, const char *text,
                                            struct err *e)
{
    const struct session_summary *found = NULL;
    char id[2 * RECORD_SESSION_ID + 1];
    size_t len = strlen(text);

    if (strcmp(text, "last") == 0) {
        for (size_t i = 0; i < list->count; i++)
            if (list->at[i].start && (!found || list->at[i].start_ns >= found->start_ns))
                found = &list->at[i];
        if (!found)
            err_set(e, ERR_NOT_FOUND, "there is no session yet");
        return found;
    }
    if (len < 4 || strspn(text, "0123456789abcdef") != len) {
        err_set(e, ERR_USAGE,
                "a session is named by at least 4 digits of its id (0-9, a-f), or `last`");
        return NULL;
    }
    for (size_t i = 0; i < list->count; i++) {
        hex_encode(id, list->at[i].id, RECORD_SESSION_ID);
        if (strncmp(id, text, len) != 0)
            continue;
        if (found) {
            err_set(e, ERR_INPUT, "several sessions begin with %s: give more digits", text);
            return NULL;
        }
        found = &list->at[i];
    }
    if (!found)
        err_set(e, ERR_NOT_FOUND, "no session begins with %s", text);
    return found;
}
