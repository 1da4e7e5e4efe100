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

/* A segment record may come between the look and the seal. */
#define EPOCH_MARGIN 8u

int trail_fail(struct trail *t, struct err *e)
{
    if (t->failure.code == 0) {
        t->failure = *e;
        t->failure.code = ERR_TRAIL;
    }
    *e = t->failure;
    return ERR_TRAIL;
}

int trail_failed(const struct trail *t, struct err *e)
{
    if (t->failure.code == 0)
        return 0;
    *e = t->failure;
    return ERR_TRAIL;
}

int trail_flush(struct trail *t, struct err *e)
{
    size_t done = 0;
    int r = trail_failed(t, e);

    if (r < 0)
        return r;
    batch_link(&t->batch, &t->chain);
    while (done < t->batch.len) {
        ssize_t n = write(t->fd, t->batch.bytes + done, t->batch.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, "cannot write the trail");
            return trail_fail(t, e);
        }
        done += (size_t)n;
    }
    t->segment_bytes += t->batch.len;
    t->unsynced_bytes += t->batch.len;
    batch_written(&t->batch);
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
    uint64_t real_ns, boot_ns; /* 0: now */
};

static size_t stored_len(const struct part *p)
{
    return p->len + (p->key ? DATA_KEY_TAG : 0);
}

/* Places one record in the batch; there must be room. The sealing covers the header up to its
 * hashes, which are the batch's to fill. */
static int put_record(struct trail *t, const struct part *p, struct err *e)
{
    struct record r = {.type = p->type, .channel = p->channel, .data_key = p->number};
    uint8_t *header = batch_end(&t->batch), *stored = header + RECORD_HEADER_SIZE;
    struct session_state *state;
    int rc;

    r.flags = p->key ? RECORD_FLAG_SEALED : 0;
    r.payload_len = (uint32_t)stored_len(p);
    r.real_ns = p->real_ns ? p->real_ns : clock_real_ns();
    r.boot_ns = p->real_ns ? p->boot_ns : clock_boot_ns();
    memcpy(r.session, p->session, RECORD_SESSION_ID);
    rc = chain_place(&t->chain, &r, p->payload, &state, e);
    if (rc < 0)
        return trail_fail(t, e);
    record_encode(header, &r);
    if (p->key)
        rc = data_key_seal(p->key, r.sequence, header, p->payload, p->len, stored, e);
    else if (p->len > 0)
        memcpy(stored, p->payload, p->len);
    if (rc < 0)
        return trail_fail(t, e);
    batch_add(&t->batch, &t->chain, state, r.payload_len);
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
    merkle_settle(&t->chain.merkle, t->chain.digest);
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
    int r = trail_settle(t, e);

    return r < 0 ? r : trail_new_segment(t, e);
}

int trail_rotate(struct trail *t, struct err *e)
{
    int r = trail_failed(t, e);

    if (r < 0)
        return r;
    return space_prepare(&t->space) ? rotate(t, e)
                                    : err_set(e, ERR_BUSY, "there is no room for another segment");
}

int trail_go_on_in(struct trail *t, int fd, const char *name, struct err *e)
{
    int r = trail_failed(t, e);

    if (r < 0) {
        close(fd);
        return r;
    }
    space_take(&t->space, fd, name);
    return rotate(t, e);
}

/* Makes room for a record: a new segment, an empty batch. */
static int make_room(struct trail *t, size_t stored, struct err *e)
{
    size_t size = RECORD_HEADER_SIZE + stored;
    int r = trail_failed(t, e);

    if (r < 0)
        return r;
    /* Without room for another segment this one goes on, into its reserve. */
    if (t->segment_bytes + t->batch.len + size > t->segment_max && space_prepare(&t->space)) {
        r = rotate(t, e);
        if (r < 0)
            return r;
    }
    return t->batch.len + size > BATCH_SIZE ? trail_flush(t, e) : 0;
}

static int append(struct trail *t, const struct part *p, struct err *e)
{
    int r = 0;

    INVARIANT(stored_len(p) <= RECORD_PAYLOAD_MAX && p->type != RECORD_SEGMENT &&
              p->type != RECORD_SEAL && !t->chain.closed);
    if (t->chain.next - t->chain.epoch.first >= t->epoch_max - EPOCH_MARGIN)
        r = trail_seal(t, NULL, e);
    if (r == 0)
        r = make_room(t, stored_len(p), e);
    return r < 0 ? r : put_record(t, p, e);
}

int trail_put_seal(struct trail *t, const struct vkey *next_log, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    EVP_PKEY *key = NULL;
    struct seal seal;
    struct buf note;
    int r;

    buf_init(&note, SEAL_MAX);
    /* First: a segment record would be one that the seal covers. */
    r = make_room(t, SEAL_MAX, e);
    if (r < 0)
        goto out;
    batch_link(&t->batch, &t->chain);
    chain_next_seal(&t->chain, &seal, clock_real_ns(), clock_boot_ns());
    seal.closes = next_log;
    if (next_log)
        seal.next_log = *next_log;
    r = epoch_keys_public(t->keys, t->origin, seal.epoch + 1, &seal.next, e);
    if (r == 0) {
        key = epoch_keys_private(t->keys, seal.epoch, e);
        r = key ? seal_sign(&note, &seal, key, e) : ERR_CRYPTO;
    }
    if (r == 0)
        r = put_record(t,
                       &(struct part){.type = RECORD_SEAL,
                                      .session = gateway,
                                      .payload = buf_head(&note),
                                      .len = buf_len(&note),
                                      .real_ns = seal.end_real_ns,
                                      .boot_ns = seal.end_boot_ns},
                       e);
    if (r == 0)
        chain_take_seal(&t->chain, &seal);
out:
    EVP_PKEY_free(key);
    buf_clear(&note);
    return r < 0 ? trail_fail(t, e) : 0;
}

int trail_append(struct trail *t, uint8_t type, const uint8_t session[RECORD_SESSION_ID],
                 uint32_t channel, const void *payload, size_t len, struct err *e)
{
    return append(t, &(struct part){type, session, channel, NULL, 0, payload, len, 0, 0}, e);
}

int trail_append_sealed(struct trail *t, struct data_key *key, uint32_t number, uint8_t type,
                        const uint8_t session[RECORD_SESSION_ID], uint32_t channel,
                        const void *payload, size_t len, struct err *e)
{
    return append(t, &(struct part){type, session, channel, key, number, payload, len, 0, 0}, e);
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
    uint64_t used = t->segment_bytes + t->batch.len;
    uint64_t size = RECORD_HEADER_SIZE + DATA_KEY_TAG + payload_len;

    if (used + size > t->segment_max && space_prepare(&t->space))
        return true;
    if (space_room(&t->space, use, used) >= size)
        return true;
    space_ahead(&t->space, used, t->segment_max);
    return space_room(&t->space, use, used) >= size;
}

bool trail_newest_payload(const struct trail *t, struct bytes *payload)
{
    const struct digest_job *job = batch_newest(&t->batch);

    if (job)
        *payload = (struct bytes){job->p, job->len};
    return job != NULL;
}

void trail_newest_hashed(struct trail *t, const uint8_t sha256[RECORD_HASH_SIZE])
{
    batch_newest_hashed(&t->batch, sha256);
}

uint64_t trail_size(const struct trail *t)
{
    return t->chain.next;
}

uint64_t trail_accepted(const struct trail *t)
{
    return t->accepted;
}

uint64_t trail_checkpointed(const struct trail *t)
{
    return t->checkpointed;
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
