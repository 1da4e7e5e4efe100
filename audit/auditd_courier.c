/* SPDX-License-Identifier: Apache-2.0
 *
 * The courier's words to the recorder. Runs in auditd. What the courier says is a remote peer's
 * word: sizes without a signature start no more than another question; a cosignature is verified
 * with the witness's key, and another history only with this log's own signature under it. */
#include <inttypes.h>
#include <string.h>

#include "audit/cosignature.h"
#include "audit/elsewhere_state.h"
#include "audit/proof.h"
#include "base/log.h"

void elsewhere_send_verdict(struct elsewhere *x, size_t number, bool good, const char *text)
{
    struct elsewhere_verdict m = {
        .destination = (uint8_t)number, .size = x->to[number].taken, .good = good};
    struct err e = ERR_INIT;

    if (!x->link)
        return;
    snprintf(m.text, sizeof m.text, "%.200s", text);
    elsewhere_sent(x, elsewhere_verdict_send(x->link, &m, NULL, &e), &e);
}

static int on_prove(struct elsewhere *x, struct frame *f, struct err *e)
{
    struct elsewhere_prove q;
    struct elsewhere_proof m;
    struct tile_reader *tiles = NULL;
    struct proof proof = {0};
    struct err why = ERR_INIT;
    int r = elsewhere_prove_decode(f, &q, e);

    if (r < 0)
        return r;
    m.destination = q.destination;
    m.from = q.from;
    m.to = q.to;
    r = elsewhere_find(x, q.to) && q.from <= q.to ? 0
                                                  : err_set(&why, ERR_USAGE, "no such checkpoint");
    if (r == 0)
        r = tile_reader_new(&tiles, x->a->trail_dir, q.to, &why);
    if (r == 0)
        r = proof_consistency(tiles, q.from, q.to, &proof, &why);
    if (r < 0)
        log_warn("proof", "from=%" PRIu64 " to=%" PRIu64 " error=\"%s\"", q.from, q.to, why.text);
    tile_reader_free(tiles);
    m.good = r == 0 && proof.count <= 63;
    m.hashes = (struct bytes){proof.hash[0], m.good ? proof.count * RECORD_HASH_SIZE : 0};
    elsewhere_sent(x, elsewhere_proof_send(x->link, &m, NULL, e), e);
    return 0;
}

static int on_cosigned(struct elsewhere *x, struct frame *f, struct err *e)
{
    struct elsewhere_cosigned m;
    struct err why = ERR_INIT;
    const struct published *p;
    const char *line, *note;
    size_t line_len, text_len = 0;
    uint64_t time_s;
    struct destination *d;
    int r = elsewhere_cosigned_decode(f, &m, e);

    if (r < 0)
        return r;
    if (m.destination == 0 || m.destination >= ELSEWHERE_MAX || !x->to[m.destination].used)
        return err_set(e, ERR_PROTOCOL, "a cosignature of destination %u", m.destination);
    d = &x->to[m.destination];
    p = elsewhere_find(x, m.size);
    if (!p)
        return 0; /* a very slow one */
    note = (const char *)buf_head(&p->note);
    for (size_t i = 1; i < buf_len(&p->note) && !text_len; i++)
        if (note[i] == '\n' && note[i - 1] == '\n')
            text_len = i;
    r = cosignature_verify(note, text_len, (const char *)m.lines.p, m.lines.len, &d->key, &time_s,
                           &line, &line_len, &why);
    if (r == 0) {
        struct err unkept = ERR_INIT;
        elsewhere_taken(x, d, m.size);
        if (elsewhere_keep(x, p, m.destination, line, line_len, &unkept) < 0)
            log_error("witnessed-not-kept", "error=\"%s\"", unkept.text);
        log_debug("cosigned", "destination=%s size=%" PRIu64 " time=%" PRIu64, d->label, m.size,
                  time_s);
    } else {
        log_warn("cosignature", "destination=%s error=\"%s\"", d->label, why.text);
    }
    elsewhere_send_verdict(x, m.destination, r == 0, why.text);
    return 0;
}

static int on_delivered(struct elsewhere *x, struct frame *f, struct err *e)
{
    struct elsewhere_delivered m;
    int r = elsewhere_delivered_decode(f, &m, e);

    if (r < 0)
        return r;
    if (m.destination != 0 || !x->to[0].used)
        return err_set(e, ERR_PROTOCOL, "a delivery to destination %u", m.destination);
    if (elsewhere_find(x, m.size))
        elsewhere_taken(x, &x->to[0], m.size);
    return 0;
}

/* What the witness has is ours, signed by us: is it a part of this log? */
static bool continues(struct elsewhere *x, const struct checkpoint *theirs, struct err *e)
{
    const struct published *p = elsewhere_newest(x);
    struct tile_reader *tiles = NULL;
    uint8_t root[RECORD_HASH_SIZE];
    bool same;

    if (!p || theirs->size > p->size)
        return true; /* cannot be told */
    if (tile_reader_new(&tiles, x->a->trail_dir, p->size, e) < 0)
        return true;
    same = proof_root(tiles, theirs->size, root, e) < 0 ||
           memcmp(root, theirs->root, sizeof root) == 0;
    tile_reader_free(tiles);
    return same;
}

static int on_refused(struct elsewhere *x, struct frame *f, struct err *e)
{
    struct elsewhere_refused m;
    struct checkpoint theirs;
    struct err why = ERR_INIT;
    struct destination *d;
    char text[300];
    int r = elsewhere_refused_decode(f, &m, e);

    if (r < 0)
        return r;
    if (m.destination == 0 || m.destination >= ELSEWHERE_MAX || !x->to[m.destination].used)
        return err_set(e, ERR_PROTOCOL, "a refusal of destination %u", m.destination);
    d = &x->to[m.destination];
    if (checkpoint_open(&theirs, (const char *)m.note.p, m.note.len, &x->log, &why) == 0) {
        if (theirs.size > trail_size(x->a->trail)) {
            elsewhere_other_history(
                x, d, "this log is shorter: it was cut, or an older copy was restored",
                theirs.size);
            return 0;
        }
        if (!continues(x, &theirs, &why)) {
            elsewhere_other_history(x, d, "they are not those of this log: it was rewritten",
                                    theirs.size);
            return 0;
        }
    }
    if (d->broken)
        return 0;
    d->broken = true;
    snprintf(text, sizeof text,
             "%s refuses the checkpoint with status %u and size %" PRIu64
             ", and shows no other one with this log's signature",
             d->label, m.status, m.told);
    elsewhere_alarm(x, "witness-refuses", d, text, m.told);
    return 0;
}

int elsewhere_message(struct elsewhere *x, struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case elsewhere_prove_NUMBER:
        return on_prove(x, f, e);
    case elsewhere_cosigned_NUMBER:
        return on_cosigned(x, f, e);
    case elsewhere_delivered_NUMBER:
        return on_delivered(x, f, e);
    case elsewhere_refused_NUMBER:
        return on_refused(x, f, e);
    default:
        return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
    }
}
