/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies a trail from its first record to its last. Runs in the reading tool. What comes behind
 * the newest checkpoint is held by the chain alone until the next one is signed; the result tells
 * both sizes apart. */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/verdict.h"

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

static int check_root(const struct chain *chain, const struct checkpoint *c,
                      struct verify_result *v, struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];

    if (chain->next != c->size)
        return 0;
    merkle_root(&chain->merkle, chain->digest, root);
    if (memcmp(root, c->root, sizeof root) == 0)
        return 0;
    v->fault = FAULT_EDITED;
    return err_set(e, ERR_TAMPERED,
                   "up to here the chain holds, but its root is not the one that was signed: this "
                   "header was altered, or the log was written anew");
}

/* A session may have said so twice: when it was found out, and at its end. */
static void note_verdict(struct chain *chain, const struct trail_view *view,
                         struct verify_result *v)
{
    struct session_state *s = sessions_find(chain->sessions, view->r.session);

    if (view->r.type != RECORD_VERDICT || !s || s->disputed ||
        !verdict_is_disputed(view->payload, view->r.payload_len))
        return;
    s->disputed = true;
    if (v->disputed < VERIFY_DISPUTED_NAMED)
        memcpy(v->disputed_ids[v->disputed], s->id, RECORD_SESSION_ID);
    v->disputed++;
}

static int check_record(struct chain *chain, const struct checkpoint *c,
                        const struct trail_view *view, struct verify_result *v, struct err *e)
{
    int r;

    if (view->first_of_segment != (view->r.type == RECORD_SEGMENT)) {
        v->fault = FAULT_REORDERED;
        return err_set(e, ERR_TAMPERED, "a segment record stands exactly at a segment's beginning");
    }
    chain->known = view->hashes;
    r = chain_check(chain, &view->r, view->header, view->payload, &v->fault, e);
    if (r == 0)
        r = check_root(chain, c, v, e);
    if (r < 0)
        return r;
    note_verdict(chain, view, v);
    v->records++;
    v->bytes += RECORD_HEADER_SIZE + view->r.payload_len;
    v->segments += view->first_of_segment;
    v->sessions += view->r.type == RECORD_SESSION_START;
    v->last_ns = view->r.real_ns;
    v->shut_down = chain->run == RUN_ENDED;
    return 0;
}

int trail_verify(const struct verify_options *o, struct verify_result *v, struct err *e)
{
    struct trail_reader *reader = NULL;
    struct chain chain = {0};
    struct trail_view view;
    struct trail_place place;
    struct checkpoint c;
    struct anchor a;
    int r;

    memset(v, 0, sizeof *v);
    r = check_keys(o, v, &a, &c, e);
    if (r < 0)
        return r;
    r = trail_reader_new(&reader, o->dir, 0, e);
    if (r == ERR_NOT_FOUND) {
        segment_name(0, v->file);
        v->fault = FAULT_MISSING;
        return err_set(e, ERR_TAMPERED, "the first segment is not there");
    }
    if (r < 0)
        return r;
    r = chain_init(&chain, &a, e);
    if (r == 0)
        r = trail_reader_hash(reader, e);
    if (r == 0)
        r = check_root(&chain, &c, v, e);
    while (r == 0) {
        r = trail_reader_next(reader, &view, &v->unfinished, &v->fault, e);
        if (r <= 0)
            break;
        r = check_record(&chain, &c, &view, v, e);
        if (r == 0 && o->progress && (v->records & 0xffff) == 0)
            o->progress(o->arg, v->records, v->bytes);
    }
    if (r == 0 && v->records < c.size) {
        v->fault = FAULT_CUT;
        r = err_set(e, ERR_TAMPERED,
                    "the log ends here, but its checkpoint says that it has %" PRIu64 " records",
                    c.size);
    }
    if (r == ERR_TAMPERED) {
        trail_reader_place(reader, &place);
        memcpy(v->file, place.segment, sizeof v->file);
        v->offset = place.offset;
        v->record = v->records;
    }
    trail_reader_free(reader);
    chain_clear(&chain);
    return r;
}
