/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies a trail, or a part of it. Runs in the reading tool. What comes behind the newest seal
 * and checkpoint is held by the chain alone until the next ones are signed; the result tells the
 * sizes apart. */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/segment_state.h"
#include "audit/verdict.h"
#include "audit/verify_pruned.h"

struct verifier {
    const struct verify_options *o;
    struct verify_result *v;
    struct checkpoint signed_; /* the directory's */
    struct chain chain;
    struct verify_pruned pruned;
    size_t next_known;
    bool begun;
    bool believed; /* the state at the start, or it began at record 0 */
};

static int blame_file(struct verify_result *v, const char *file, enum fault fault)
{
    v->fault = fault;
    snprintf(v->file, sizeof v->file, "%s", file);
    v->record = v->records;
    return ERR_TAMPERED;
}

/* A file that is not there, is not a note, or is not signed by the key, is a finding; one that
 * cannot be read is not. */
static int judge_file(struct verify_result *v, const char *file, int r)
{
    switch (r) {
    case 0:
        return 0;
    case ERR_NOT_FOUND:
        return blame_file(v, file, FAULT_MISSING);
    case ERR_TAMPERED:
        return blame_file(v, file, FAULT_UNSIGNED);
    case ERR_SYNTAX:
    case ERR_INPUT:
        return blame_file(v, file, FAULT_EDITED);
    default:
        return r;
    }
}

static int check_keys(const struct verify_options *o, struct verify_result *v, struct anchor *a,
                      struct checkpoint *c, struct err *e)
{
    int r = judge_file(v, ANCHOR_FILE, anchor_read(a, o->dir, o->anchor, e));

    if (r < 0)
        return r;
    if (o->log && (strcmp(o->log->name, a->log.name) != 0 ||
                   memcmp(o->log->key, a->log.key, sizeof a->log.key) != 0)) {
        err_set(e, ERR_TAMPERED, "the trail's log key is not the one given (%s)", o->log->name);
        return blame_file(v, ANCHOR_FILE, FAULT_UNSIGNED);
    }
    v->log = a->log;
    r = judge_file(v, CHECKPOINT_FILE, checkpoint_read(c, o->dir, &a->log, e));
    if (r == 0)
        v->checkpoint = c->size;
    return r;
}

static int check_root(struct verifier *w, const struct checkpoint *c, const char *where,
                      struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];

    merkle_root(&w->chain.merkle, w->chain.digest, root);
    if (memcmp(root, c->root, sizeof root) == 0) {
        w->believed = true;
        return 0;
    }
    w->v->fault = FAULT_EDITED;
    return err_set(e, ERR_TAMPERED,
                   "up to here the chain holds, but its root is not the one that was signed (%s): "
                   "this header was altered, or the log was written anew",
                   where);
}

/* The checkpoints of the size that the chain has now. */
static int check_roots(struct verifier *w, struct err *e)
{
    const struct verify_options *o = w->o;
    int r = 0;

    if (w->chain.next == w->signed_.size)
        r = check_root(w, &w->signed_, CHECKPOINT_FILE, e);
    for (; r == 0 && w->next_known < o->known_count; w->next_known++) {
        struct verify_known *k = &o->known[w->next_known];

        if (k->checkpoint.size > w->chain.next)
            break;
        if (k->checkpoint.size < w->chain.next)
            continue; /* before the start */
        r = check_root(w, &k->checkpoint, k->where, e);
        k->held = r == 0;
        if (k->held)
            w->v->elsewhere = k->checkpoint.size;
    }
    return r;
}

static void note_session(struct verifier *w, const struct record *r)
{
    struct verify_session *s = &w->v->session;
    char id[2 * RECORD_SESSION_ID + 1];

    if (!w->o->session)
        return;
    if (s->records == 0 || memcmp(s->id, r->session, sizeof s->id) != 0) {
        hex_encode(id, r->session, sizeof r->session);
        if (strncmp(id, w->o->session, strlen(w->o->session)) != 0)
            return;
        if (s->records) {
            s->ambiguous = true;
            return;
        }
        memcpy(s->id, r->session, sizeof s->id);
        s->first = r->index;
    }
    s->records++;
    s->last = r->index;
    s->started |= r->type == RECORD_SESSION_START;
    s->ended |= r->type == RECORD_SESSION_END;
}

/* The first record of a walk, of the segment from `first` on; one that does not begin with the log
 * takes what it says. */
static int begin_at(struct verifier *w, const struct trail_view *view, uint64_t first,
                    struct err *e)
{
    struct verify_result *v = w->v;
    uint8_t hash[RECORD_HASH_SIZE];
    int r;

    w->begun = true;
    w->believed = first == 0;
    if (w->believed)
        return check_roots(w, e);
    v->fault = FAULT_EDITED;
    if (view->r.index != first)
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " begins this segment", view->r.index);
    if (!view->payload)
        return err_set(e, ERR_TAMPERED, "a segment's first record has no payload");
    digest_bytes(w->chain.digest, view->payload, view->r.payload_len, hash);
    if (memcmp(hash, view->r.payload_hash, sizeof hash) != 0)
        return err_set(e, ERR_TAMPERED, "the payload does not have the hash in its header");
    r = segment_state_read(&w->chain, &view->r, view->payload, e);
    if (r < 0)
        return r;
    v->fault = FAULT_NONE;
    v->from = v->records = w->chain.next;
    v->sealed = w->chain.epoch.first;
    v->sealed_ns = w->chain.epoch.real_ns;
    r = check_roots(w, e);
    /* A checkpoint of the records before this one does not hold this one, nor what it says. */
    w->believed = false;
    return r;
}

/* A session may have said so twice: when it was found out, and at its end. */
static void note_verdict(struct chain *chain, const struct trail_view *view,
                         struct verify_result *v)
{
    struct session_state *s = sessions_find(chain->sessions, view->r.session);

    if (view->r.type != RECORD_VERDICT || !s || s->disputed || !view->payload ||
        !verdict_is_disputed(view->payload, view->r.payload_len))
        return;
    s->disputed = true;
    if (v->disputed < VERIFY_DISPUTED_NAMED)
        memcpy(v->disputed_ids[v->disputed], s->id, RECORD_SESSION_ID);
    v->disputed++;
}

/* A segment record stands first in each segment, nowhere else, and says what is so. */
static int check_segment(struct verifier *w, const struct trail_view *view, struct err *e)
{
    int r;

    w->v->fault = FAULT_EDITED;
    if (view->first_of_segment != (view->r.type == RECORD_SEGMENT))
        return err_set(e, ERR_TAMPERED, "a segment record stands exactly at a segment's beginning");
    w->v->fault = FAULT_NONE;
    if (view->r.type != RECORD_SEGMENT || !view->payload)
        return 0;
    merkle_settle(&w->chain.merkle, w->chain.digest);
    r = segment_state_check(&w->chain, &view->r, view->payload, e);
    if (r == ERR_TAMPERED)
        w->v->fault = FAULT_EDITED;
    return r;
}

/* All that a record is held to; view->payload is NULL when pruning dropped it. */
static int check_record(struct verifier *w, const struct trail_view *view, struct err *e)
{
    struct verify_result *v = w->v;
    int r;

    /* Where the links do not hold, they say best what is wrong: chain_check tells. */
    if (view->r.index == w->chain.next &&
        memcmp(view->r.previous, w->chain.leaf, RECORD_HASH_SIZE) == 0) {
        r = check_segment(w, view, e);
        if (r < 0)
            return r;
    }
    w->chain.known = view->hashes;
    r = chain_check(&w->chain, &view->r, view->header, view->payload, &v->fault, e);
    if (r == 0)
        r = check_roots(w, e);
    if (r == 0 && (r = verify_pruned_take(&w->pruned, view, e)) < 0)
        v->fault = FAULT_EDITED;
    if (r < 0)
        return r;
    v->records++;
    v->bytes += RECORD_HEADER_SIZE + (view->payload ? view->r.payload_len : 0);
    v->dropped += !view->payload;
    v->segments += view->first_of_segment;
    v->sessions += view->r.type == RECORD_SESSION_START;
    v->last_ns = view->r.real_ns;
    v->shut_down = w->chain.run == RUN_ENDED;
    if (view->r.type == RECORD_SEAL) {
        v->sealed = w->chain.epoch.first;
        v->sealed_ns = view->r.real_ns;
        v->epochs++;
    }
    note_session(w, &view->r);
    note_verdict(&w->chain, view, v);
    return 0;
}

/* Whether what was asked for is proved. */
static bool enough(const struct verifier *w)
{
    uint64_t proved = w->signed_.size <= w->chain.next ? w->signed_.size : 0;

    if (w->v->elsewhere > proved)
        proved = w->v->elsewhere;
    if (w->v->sealed > proved)
        proved = w->v->sealed;
    return w->believed && proved >= w->o->before;
}

static int walk(struct verifier *w, struct trail_reader *reader, struct err *e)
{
    struct verify_result *v = w->v;
    struct trail_view view;
    int r;

    for (;;) {
        r = trail_reader_next(reader, &view, &v->unfinished, &v->fault, e);
        if (r == 1 && view.dropped)
            view.payload = NULL;
        if (r == 1 && !w->begun)
            r = begin_at(w, &view, trail_reader_index(reader) - 1, e);
        else if (r <= 0)
            return r;
        if (r >= 0)
            r = check_record(w, &view, e);
        if (r < 0 || (w->o->before && enough(w)))
            return r;
        if (w->o->progress && (v->records & 0xffff) == 0)
            w->o->progress(w->o->arg, v->records, v->bytes);
    }
}

/* The log ended here: must it be longer? */
static int check_end(struct verifier *w, struct err *e)
{
    const struct verify_options *o = w->o;
    struct verify_result *v = w->v;

    if (o->before && enough(w))
        return 0;
    if (v->records < w->signed_.size) {
        v->fault = FAULT_CUT;
        return err_set(e, ERR_TAMPERED,
                       "the log ends here, but its checkpoint says that it has %" PRIu64 " records",
                       w->signed_.size);
    }
    if (w->next_known < o->known_count) {
        const struct verify_known *k = &o->known[o->known_count - 1];

        v->fault = FAULT_CUT;
        return err_set(e, ERR_TAMPERED,
                       "the log ends here with %" PRIu64 " records, but a checkpoint of %" PRIu64
                       " is known elsewhere (%s)",
                       v->records, k->checkpoint.size, k->where);
    }
    if (o->before > v->records)
        return err_set(e, ERR_INPUT, "there is no record %" PRIu64 ": the log has %" PRIu64,
                       o->before - 1, v->records);
    if (!w->believed)
        return err_set(e, ERR_INPUT,
                       "no signed checkpoint covers the segment with record %" PRIu64
                       " yet: begin earlier, or wait for the next checkpoint",
                       o->from);
    return 0;
}

/* No segment lacks more payloads than orders destroyed. */
static int check_pruned(struct verifier *w, struct err *e)
{
    uint64_t first;
    int r = verify_pruned_end(&w->pruned, &first, e);

    if (r < 0) {
        w->v->fault = FAULT_MISSING;
        segment_pruned_name(first, w->v->file);
        w->v->offset = 0;
        w->v->record = first;
    }
    return r;
}

static int compare_known(const void *a, const void *b)
{
    const struct verify_known *x = a, *y = b;

    return x->checkpoint.size < y->checkpoint.size ? -1 : x->checkpoint.size > y->checkpoint.size;
}

int trail_verify(const struct verify_options *o, struct verify_result *v, struct err *e)
{
    struct verifier w = {.o = o, .v = v};
    struct trail_reader *reader = NULL;
    struct trail_place place;
    struct anchor a;
    int r;

    memset(v, 0, sizeof *v);
    r = check_keys(o, v, &a, &w.signed_, e);
    if (r < 0)
        return r;
    if (o->known_count)
        qsort(o->known, o->known_count, sizeof *o->known, compare_known);
    r = trail_reader_new(&reader, o->dir, o->from, e);
    if (r == ERR_NOT_FOUND) {
        segment_name(0, v->file);
        v->fault = FAULT_MISSING;
        return err_set(e, ERR_TAMPERED, "the first segment is not there");
    }
    if (r < 0)
        return r;
    r = chain_init(&w.chain, &a, e);
    if (r == 0)
        r = trail_reader_hash(reader, e);
    if (r == 0)
        r = walk(&w, reader, e);
    if (r == 0)
        r = check_end(&w, e);
    if (r == ERR_TAMPERED) {
        trail_reader_place(reader, &place);
        memcpy(v->file, place.segment, sizeof v->file);
        v->offset = place.offset;
        v->record = v->records;
    }
    /* The orders come behind what they destroyed: only who read to the end can tell. */
    if (r == 0 && !o->before)
        r = check_pruned(&w, e);
    v->unaccounted = r == 0 ? verify_pruned_open(&w.pruned) : 0;
    verify_pruned_clear(&w.pruned);
    v->closed = w.chain.closed;
    v->next_log = w.chain.next_log;
    if (w.chain.digest) {
        v->reached = w.chain.next;
        merkle_root(&w.chain.merkle, w.chain.digest, v->root);
        memcpy(v->head, w.chain.leaf, sizeof v->head);
    }
    trail_reader_free(reader);
    chain_clear(&w.chain);
    return r;
}
