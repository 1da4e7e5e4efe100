/* SPDX-License-Identifier: Apache-2.0
 *
 * The appender: records into a batch, the batch into the segment, a new segment when one is full.
 * Runs in auditd. Invariant: the chain is always one batch ahead of the file at most, and a record
 * is called accepted only when write(2) took all of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/trail_state.h"
#include "base/clock.h"

int trail_fail(struct trail *t, struct err *e)
{
    if (t->failure.code == 0) {
        t->failure = *e;
        t->failure.code = ERR_TRAIL;
    }
    *e = t->failure;
    return ERR_TRAIL;
}

static int failed(const struct trail *t, struct err *e)
{
    if (t->failure.code == 0)
        return 0;
    *e = t->failure;
    return ERR_TRAIL;
}

int trail_flush(struct trail *t, struct err *e)
{
    size_t done = 0;
    int r = failed(t, e);

    if (r < 0)
        return r;
    while (done < t->batch_len) {
        ssize_t n = write(t->fd, t->batch + done, t->batch_len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, "cannot write the trail");
            return trail_fail(t, e);
        }
        done += (size_t)n;
    }
    t->segment_bytes += t->batch_len;
    t->unsynced_bytes += t->batch_len;
    t->batch_len = 0;
    t->accepted = t->chain.next;
    space_ahead(&t->space, t->segment_bytes, t->segment_max);
    return 0;
}

/* What one record is made of. */
struct part {
    uint8_t type;
    const uint8_t *session;
    uint32_t channel;
    struct data_key *key; /* NULL: in the clear */
    uint32_t number;
    const void *payload;
    size_t len;
};

static size_t stored_len(const struct part *p)
{
    return p->len + (p->key ? DATA_KEY_TAG : 0);
}

/* Places one record in the batch; there must be room. The payload's hash is over what is stored,
 * and the sealing covers the header up to that hash. */
static int put_record(struct trail *t, const struct part *p, struct err *e)
{
    struct record r = {.type = p->type, .channel = p->channel, .data_key = p->number};
    uint8_t *header = t->batch + t->batch_len, *stored = header + RECORD_HEADER_SIZE;
    int rc;

    r.flags = p->key ? RECORD_FLAG_SEALED : 0;
    r.payload_len = (uint32_t)stored_len(p);
    r.real_ns = clock_real_ns();
    r.boot_ns = clock_boot_ns();
    memcpy(r.session, p->session, RECORD_SESSION_ID);
    rc = chain_place(&t->chain, &r, e);
    if (rc < 0)
        return trail_fail(t, e);
    record_encode(header, &r);
    if (p->key)
        rc = data_key_seal(p->key, r.sequence, header, p->payload, p->len, stored, e);
    else if (p->len > 0)
        memcpy(stored, p->payload, p->len);
    if (rc < 0)
        return trail_fail(t, e);
    digest_bytes(t->chain.digest, stored, r.payload_len, r.payload_hash);
    record_encode(header, &r);
    rc = chain_advance(&t->chain, &r, header, e);
    if (rc < 0)
        return trail_fail(t, e);
    t->batch_len += RECORD_HEADER_SIZE + r.payload_len;
    return 0;
}

int trail_new_segment(struct trail *t, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    char name[SEGMENT_NAME_MAX];
    struct buf payload;
    int fd, r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    segment_name(t->chain.next, name);
    sessions_forget(t->chain.sessions, TRAIL_OVER_KEPT);
    r = segment_state_write(&payload, &t->chain, t->origin, e);
    if (r < 0)
        goto out;
    fd = space_open(&t->space, name, e);
    if (fd < 0) {
        r = fd;
        goto out;
    }
    if (t->fd >= 0) {
        space_give_back(t->fd);
        close(t->fd);
    }
    t->fd = fd;
    t->segment_bytes = 0;
    space_begin(&t->space, fd, 0, t->segment_max);
    if (fsync(t->dir) < 0) {
        r = err_errno(e, "cannot synchronise the trail's directory");
        goto out;
    }
    r = put_record(t,
                   &(struct part){.type = RECORD_SEGMENT,
                                  .session = gateway,
                                  .payload = buf_head(&payload),
                                  .len = buf_len(&payload)},
                   e);
out:
    buf_clear(&payload);
    return r < 0 ? trail_fail(t, e) : 0;
}

/* The old segment is made durable before the new one exists: so a torn tail can only ever be in the
 * last one. */
static int rotate(struct trail *t, struct err *e)
{
    int r = trail_flush(t, e);

    if (r == 0 && t->sync.busy) {
        trail_sync_collect(&t->sync, true);
        if (t->sync.error.code < 0) {
            *e = t->sync.error;
            return trail_fail(t, e);
        }
        t->durable = t->sync.job.upto;
        if (t->sync.job.checkpoint_size)
            t->checkpointed = t->sync.job.checkpoint_size;
    }
    if (r == 0)
        r = trail_sync_now(t, e);
    if (r == 0)
        r = trail_new_segment(t, e);
    return r;
}

/* Makes room for it: a new segment, an empty batch. */
static int append(struct trail *t, const struct part *p, struct err *e)
{
    size_t size = RECORD_HEADER_SIZE + stored_len(p);
    int r = failed(t, e);

    if (r < 0)
        return r;
    INVARIANT(stored_len(p) <= RECORD_PAYLOAD_MAX && p->type != RECORD_SEGMENT);
    /* Without room for another segment this one goes on, into its reserve. */
    if (t->segment_bytes + t->batch_len + size > t->segment_max && space_prepare(&t->space)) {
        r = rotate(t, e);
        if (r < 0)
            return r;
    }
    if (t->batch_len + size > TRAIL_BATCH) {
        r = trail_flush(t, e);
        if (r < 0)
            return r;
    }
    return put_record(t, p, e);
}

int trail_append(struct trail *t, uint8_t type, const uint8_t session[RECORD_SESSION_ID],
                 uint32_t channel, const void *payload, size_t len, struct err *e)
{
    return append(t, &(struct part){type, session, channel, NULL, 0, payload, len}, e);
}

int trail_append_sealed(struct trail *t, struct data_key *key, uint32_t number, uint8_t type,
                        const uint8_t session[RECORD_SESSION_ID], uint32_t channel,
                        const void *payload, size_t len, struct err *e)
{
    return append(t, &(struct part){type, session, channel, key, number, payload, len}, e);
}

int trail_append_json(struct trail *t, uint8_t type, const uint8_t session[RECORD_SESSION_ID],
                      struct json_out *j, struct err *e)
{
    int r = json_end(j);

    if (r < 0) {
        err_set(e, (enum err_code)r, "cannot compose a %s record", record_token(type));
        return trail_fail(t, e);
    }
    return trail_append(t, type, session, 0, buf_head(j->out), buf_len(j->out), e);
}

bool trail_has_room(struct trail *t, enum space_use use, size_t payload_len)
{
    uint64_t used = t->segment_bytes + t->batch_len;
    uint64_t size = RECORD_HEADER_SIZE + DATA_KEY_TAG + payload_len;

    if (used + size > t->segment_max && space_prepare(&t->space))
        return true;
    if (space_room(&t->space, use, used) >= size)
        return true;
    space_ahead(&t->space, used, t->segment_max);
    return space_room(&t->space, use, used) >= size;
}

uint64_t trail_size(const struct trail *t)
{
    return t->chain.next;
}

uint64_t trail_accepted(const struct trail *t)
{
    return t->accepted;
}

uint64_t trail_durable(const struct trail *t)
{
    return t->durable;
}

uint64_t trail_unsynced_bytes(const struct trail *t)
{
    return t->unsynced_bytes;
}

struct sessions *trail_sessions(struct trail *t)
{
    return t->chain.sessions;
}

int trail_want_checkpoint(struct trail *t, struct err *e)
{
    struct checkpoint c;
    int r = trail_flush(t, e);

    if (r < 0 || t->accepted == t->checkpointed)
        return r;
    memcpy(c.origin, t->origin, sizeof c.origin);
    c.size = t->accepted;
    merkle_root(&t->chain.merkle, t->chain.digest, c.root);
    buf_clear(&t->checkpoint_note);
    r = checkpoint_sign(&t->checkpoint_note, &c, t->log_key, e);
    if (r < 0)
        return trail_fail(t, e);
    t->checkpoint_size = c.size;
    return 0;
}

bool trail_checkpoint_waits(const struct trail *t)
{
    return t->checkpoint_size != 0;
}

/* Moves what is to be synchronised now, with the checkpoint that waits, into the job. */
static int fill_job(struct trail *t, struct sync_job *job, struct err *e)
{
    int r = 0;

    job->fd = t->fd;
    job->dir = t->dir;
    job->upto = t->accepted;
    job->checkpoint_size = t->checkpoint_size;
    buf_clear(&job->checkpoint);
    if (t->checkpoint_size)
        r = buf_put(&job->checkpoint, buf_head(&t->checkpoint_note), buf_len(&t->checkpoint_note));
    if (r < 0) {
        err_set(e, (enum err_code)r, "no memory for a checkpoint");
        return trail_fail(t, e);
    }
    t->checkpoint_size = 0;
    t->unsynced_bytes = 0;
    return 0;
}

static int job_ended(struct trail *t, const struct sync_job *job, struct err *e)
{
    if (e->code < 0)
        return trail_fail(t, e);
    t->durable = job->upto;
    if (job->checkpoint_size)
        t->checkpointed = job->checkpoint_size;
    return 0;
}

int trail_sync_now(struct trail *t, struct err *e)
{
    int r = failed(t, e);

    if (r < 0)
        return r;
    INVARIANT(!t->sync.busy);
    r = fill_job(t, &t->sync.job, e);
    if (r < 0)
        return r;
    e->code = 0;
    if (sync_job_run(&t->sync.job, &t->sync.took_ns, e) < 0)
        return trail_fail(t, e);
    return job_ended(t, &t->sync.job, e);
}

int trail_sync_begin(struct trail *t, struct err *e)
{
    int r = failed(t, e);

    if (r < 0)
        return r;
    r = fill_job(t, &t->sync.job, e);
    if (r == 0)
        trail_sync_post(&t->sync);
    return r;
}

bool trail_sync_busy(const struct trail *t)
{
    return t->sync.busy;
}

int trail_sync_fd(const struct trail *t)
{
    return t->sync.event;
}

int trail_sync_end(struct trail *t, struct err *e)
{
    int r = trail_sync_collect(&t->sync, false);

    if (r < 0) {
        *e = t->sync.error;
        return trail_fail(t, e);
    }
    if (r == 0)
        return failed(t, e);
    *e = t->sync.error;
    return job_ended(t, &t->sync.job, e);
}

uint64_t trail_sync_ns(const struct trail *t)
{
    return t->sync.took_ns;
}
