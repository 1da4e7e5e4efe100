/* SPDX-License-Identifier: Apache-2.0
 *
 * Which streams of a channel are not kept, and when a digest of what is in hand becomes a record:
 * when a block is full, when much is in hand, when something else follows, or when the stream
 * pauses: nothing more came since the turn before, and no other digest of it waits for its answer.
 * So a stream at full speed has a few records a block, and one that answers questions has each
 * answer at once. Runs in the backend. */
#include "gateway/backend_session.h"

static void memory_out(struct backend *b)
{
    end_begin(b, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
}

void bulk_start(struct channel *ch, enum start_kind kind, bool stdin_digest)
{
    const struct grant_grant *g = &ch->owner->granted;
    bool output = g->bulk == BULK_DIGEST && kind == START_EXEC && !ch->pty;

    if (ch->input_bulk.on || ch->output_bulk.on)
        return;
    if ((output && bulk_begin(&ch->output_bulk, g->bulk_after, false) != 0) ||
        (stdin_digest && bulk_begin(&ch->input_bulk, 0, true) != 0))
        memory_out(ch->owner);
}

void bulk_end(struct channel *ch)
{
    bulk_clear(&ch->input_bulk);
    bulk_clear(&ch->output_bulk);
}

int bulk_output(struct channel *ch, bool is_stderr, const void *bytes, size_t len)
{
    if (is_stderr)
        return segments_put(&ch->output, SEGMENT_STDERR, bytes, len);
    return bulk_put(&ch->output_bulk, &ch->output, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, bytes, len);
}

int bulk_input(struct channel *ch, const void *bytes, size_t len)
{
    return bulk_put(&ch->input_bulk, &ch->input, SEGMENT_INPUT, SEGMENT_INPUT_BULK, bytes, len);
}

static bool is_input(const struct channel *ch, const struct segment_queue *q)
{
    return q == &ch->input;
}

/* No more of it will come, or something stands behind it that has to be recorded too. */
static bool bounded(const struct channel *ch, const struct segment_queue *q)
{
    if (ch->owner->phase != PHASE_READY || ch->operator_closed || ch->cut)
        return true;
    return q->tail != NULL && !segment_is_bulk(q->tail->kind)
               ? true
               : (is_input(ch, q) ? ch->input_eof : ch->target_eof || ch->target_closed);
}

static bool waits_for_answer(const struct channel *ch, const struct segment_queue *q)
{
    const struct bulk *k = is_input(ch, q) ? &ch->input_bulk : &ch->output_bulk;

    return k->record != 0 &&
           !record_settled(ch->owner, k->record,
                           is_input(ch, q) ? WANT_DURABLE : ch->owner->output_want);
}

static bool enough(const struct bulk *k, size_t in_hand)
{
    size_t left = k->in_block < BULK_BLOCK ? BULK_BLOCK - k->in_block : BULK_BLOCK;

    return in_hand >= BULK_STEP || in_hand >= left;
}

bool bulk_ready(const struct channel *ch, const struct segment_queue *q)
{
    const struct bulk *k = is_input(ch, q) ? &ch->input_bulk : &ch->output_bulk;

    return enough(k, bulk_in_hand(q)) || bounded(ch, q) || !waits_for_answer(ch, q);
}

static bool is_due(const struct channel *ch, const struct segment_queue *q, struct bulk *k,
                   bool full_only)
{
    size_t in_hand = bulk_in_hand(q), before = k->seen;

    if (enough(k, in_hand))
        return true;
    if (full_only)
        return false;
    if (bounded(ch, q))
        return true;
    k->seen = in_hand;
    return in_hand == before && !waits_for_answer(ch, q);
}

static void write_digest(struct json_record *r, bool input, const struct bulk_digest *d)
{
    record_begin(r);
    json_str(&r->json, "stream", input ? "input" : "output");
    json_u64(&r->json, "from", d->from);
    json_u64(&r->json, "bytes", d->bytes);
    json_hex(&r->json, "sha256", d->sha256, sizeof d->sha256);
    if (input)
        json_hex(&r->json, "total", d->total, sizeof d->total);
}

bool bulk_record(struct channel *ch, struct segment_queue *q, bool full_only)
{
    bool input = is_input(ch, q);
    struct bulk *k = input ? &ch->input_bulk : &ch->output_bulk;
    struct backend *b = ch->owner;
    struct bulk_digest d;
    struct json_record r;
    uint64_t number = 0;
    size_t n = 0;

    if (!is_due(ch, q, k, full_only))
        return false;
    bulk_digest(k, q, &d, &n);
    write_digest(&r, input, &d);
    if (record_end(b, &r, input ? RECORD_INPUT_DIGEST : RECORD_OUTPUT_DIGEST, ch->id,
                   input ? WANT_DURABLE : b->output_want, &number) != 0)
        return false;
    bulk_recorded(k, q, n, number);
    return true;
}

void bulk_write_close(const struct channel *ch, struct json_out *j)
{
    const struct bulk *in = &ch->input_bulk, *out = &ch->output_bulk;

    if (out->record != 0) {
        json_u64(j, "kept_out", out->after);
        json_u64(j, "digest_out", out->from + out->in_block - out->after);
    }
    if (in->record != 0)
        json_u64(j, "digest_in", in->from + in->in_block);
}
