/* SPDX-License-Identifier: Apache-2.0
 *
 * What an order is about: one pass over the log up to where the order begins, one over the segments
 * that it names. Runs in auditd; what it decides follows from the log alone, so that a second run
 * after a crash decides the same. */
#include "audit/prune_state.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t gateway[RECORD_SESSION_ID];

int prune_reader(struct prune *p, uint64_t from, struct err *e)
{
    trail_reader_free(p->reader);
    p->reader = NULL;
    p->next = from;
    return trail_reader_new(&p->reader, p->dir, from, e);
}

static struct session_state *state_of(struct prune *p, const uint8_t id[RECORD_SESSION_ID])
{
    return sessions_get(p->sessions, id);
}

static bool text_is(const json_t *j, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(j, name));

    return text && strcmp(text, value) == 0;
}

/* A hold, a release, an order that was carried out. 1: this order's own record, from before a
 * crash: what follows it does not count. */
static int note_retention(struct prune *p, const struct trail_view *v, struct err *e)
{
    json_t *j = json_loadb((const char *)v->payload, v->r.payload_len, 0, NULL);
    const char *name = json_string_value(json_object_get(j, "session"));
    uint8_t id[RECORD_SESSION_ID];
    char hash[DIGEST_HEX];
    int r = 0;

    digest_hex(p->hash, hash);
    if (text_is(j, "order", hash)) {
        r = p->resumed ? 1 : err_set(e, ERR_DENIED, "this order was carried out already");
    } else if (v->r.type == RECORD_HOLD && name && hex_decode(name, id, sizeof id) == 0) {
        struct session_state *s = state_of(p, id);

        if (s)
            s->session_held = text_is(j, "event", "hold");
        else
            r = err_set(e, ERR_MEMORY, "no memory for the sessions");
    }
    json_decref(j);
    return r;
}

static int note_segment(struct prune *p, const struct trail_view *v, struct err *e)
{
    if (p->segment_count == p->segment_room) {
        size_t room = p->segment_room ? 2 * p->segment_room : 64;
        struct prune_segment *grown = realloc(p->segments, room * sizeof *grown);

        if (!grown)
            return err_set(e, ERR_MEMORY, "no memory for the segments");
        p->segments = grown;
        p->segment_room = room;
    }
    /* The cut is behind the last segment that ended before the time. */
    if (p->segment_count > 0 && p->cut == p->segment_count - 1 &&
        (p->order.act != PRUNE_BEFORE ||
         p->segments[p->segment_count - 1].last_ns < p->order.before_ns))
        p->cut++;
    p->segments[p->segment_count++] = (struct prune_segment){.first = v->r.index};
    return 0;
}

static int look_at(struct prune *p, const struct trail_view *v, struct err *e)
{
    struct session_state *s;
    uint8_t leaf[RECORD_HASH_SIZE], root[RECORD_HASH_SIZE];
    int r = v->first_of_segment ? note_segment(p, v, e) : 0;

    if (r < 0)
        return r;
    digest_leaf(p->digest, v->header, leaf);
    merkle_add(&p->merkle, p->digest, leaf);
    if (p->merkle.size == p->order.size) {
        merkle_root(&p->merkle, p->digest, root);
        p->root_seen = memcmp(root, p->order.root, sizeof root) == 0;
    }
    p->segments[p->segment_count - 1].last_ns = v->r.real_ns;
    if (v->r.type == RECORD_HOLD || v->r.type == RECORD_PRUNE)
        return note_retention(p, v, e);
    if (memcmp(v->r.session, gateway, sizeof gateway) == 0)
        return 0;
    s = state_of(p, v->r.session);
    if (!s)
        return err_set(e, ERR_MEMORY, "no memory for the sessions");
    s->started |= v->r.type == RECORD_SESSION_START;
    /* The verdict is the last record: what has none goes on. */
    s->judged |= v->r.type == RECORD_VERDICT;
    s->next_sequence = p->segment_count; /* the segment of its newest record */
    return 0;
}

/* All is looked at: is it an order of this history that can be carried out? */
static int judge(struct prune *p, struct err *e)
{
    struct session_state *s;

    if (!p->root_seen)
        return err_set(e, ERR_DENIED,
                       "the order is not of this log: its size and root are not in its history");
    for (s = sessions_first(p->sessions); s; s = s->newer)
        s->session_later = s->next_sequence > p->cut || (s->started && !s->judged);
    if (p->order.act == PRUNE_BEFORE)
        return 0;
    s = sessions_find(p->sessions, p->order.session);
    if (!s || !s->started)
        return err_set(e, ERR_DENIED, "there is no such session");
    if (p->order.act == PRUNE_RELEASE)
        return s->session_held ? 0 : err_set(e, ERR_DENIED, "this session is not held");
    if (s->session_held)
        return err_set(e, ERR_DENIED, "this session is held: release it first");
    if (!s->judged)
        return err_set(e, ERR_DENIED, "this session is under way");
    return 0;
}

int prune_look(struct prune *p, struct err *e)
{
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    int r = 0;

    if (!p->reader)
        r = prune_reader(p, 0, e);
    for (unsigned i = 0; r == 0 && i < PRUNE_STEP; i++) {
        if (p->next == p->upto)
            return judge(p, e);
        r = trail_reader_next(p->reader, &v, &unfinished, &fault, e);
        if (r <= 0)
            return r < 0 ? r : err_set(e, ERR_INPUT, "the log ends before its end");
        p->next++;
        r = look_at(p, &v, e);
        if (r == 1) { /* its own record: the log as it was then */
            p->recorded = true;
            return judge(p, e);
        }
    }
    return r < 0 ? r : 1;
}

bool prune_takes(const struct prune *p, const struct trail_view *v)
{
    const struct session_state *s;
    bool key = v->r.type == RECORD_KEY && memcmp(v->r.session, gateway, sizeof gateway) != 0;

    if (v->dropped || v->r.payload_len == 0 || (!key && !(v->r.flags & RECORD_FLAG_SEALED)))
        return false;
    if (p->order.act == PRUNE_SESSION)
        return key && memcmp(v->r.session, p->order.session, sizeof p->order.session) == 0;
    s = sessions_find(p->sessions, v->r.session);
    /* A session that goes on behind the cut keeps its keys: later records are sealed under them. */
    return s && !s->session_held && !(key && s->session_later);
}

int prune_count(struct prune *p, struct err *e)
{
    uint64_t end = p->cut < p->segment_count ? p->segments[p->cut].first : p->upto;
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    int r = 0;

    if (!p->reader) {
        p->at = 0;
        r = prune_reader(p, 0, e);
    }
    for (unsigned i = 0; r == 0 && i < PRUNE_STEP; i++) {
        if (p->next >= end)
            return 0;
        r = trail_reader_next(p->reader, &v, &unfinished, &fault, e);
        if (r <= 0)
            return r < 0 ? r : err_set(e, ERR_INPUT, "the log ends before its end");
        r = 0;
        if (v.first_of_segment && p->next > 0)
            p->at++;
        p->next++;
        if (prune_takes(p, &v)) {
            p->segments[p->at].records++;
            p->segments[p->at].bytes += v.r.payload_len;
        }
    }
    return r < 0 ? r : 1;
}
