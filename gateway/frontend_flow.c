/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes through the frontend, bounded both ways.
 *
 * In: what the data callback does not take stays in libssh, which delivers it again only with the
 * next packet and, once any of it is read, grants the client a whole new window whatever is still
 * held. So: an own queue; while libssh holds something the callback takes nothing; when the own
 * queue is empty all that is held is taken over in one go. A slow target then costs 256 KiB and two
 * windows of 1.28 MB at most, and a client that goes beyond is not keeping to its window: it is
 * disconnected.
 *
 * Out: the backend sends at most its credit; bytes are written only while libssh's socket buffer is
 * empty and the client's window is open, as much at once as there is.
 *
 * Runs in the frontend. The callback never writes. */
#include "gateway/frontend.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
/* Credit is given back in steps of this, so that an echoed keystroke does not cost a frame. */
#define OUTPUT_CREDIT_STEP (RELAY_WINDOW / 8)
/* Frames to the backend in one turn, so that the other direction gets its turn (2 MiB). */
#define INPUT_FRAMES 32
/* Rounds of writes in one turn. */
#define OUTPUT_ROUNDS 8

/* --- the operator's bytes */

static bool takes_input(const struct frontend_channel *c)
{
    return c->stage != CHANNEL_OVER && !c->close_sent && !c->in.eof_passed;
}

/* The data callback: how many bytes are taken. What is given is all that libssh holds by now. */
int flow_take(struct frontend_channel *c, uint32_t len, const void *data)
{
    struct frontend_input *in = &c->in;
    size_t queued = buf_len(&in->queue);
    size_t take = 0;

    if (!takes_input(c))
        return (int)len;
    if (c->stage == CHANNEL_RUNNING && in->held == 0 && queued < FRONTEND_INPUT_SOFT)
        take = MIN((size_t)len, FRONTEND_INPUT_SOFT - queued);
    if (take > 0 && buf_put(&in->queue, data, take) != 0)
        take = 0;
    in->held = len - take;
    if (queued + take + in->held > FRONTEND_INPUT_STOP)
        frontend_leave(c->frontend, "the client sent more than its window");
    return (int)take;
}

/* Everything that libssh holds, in one loop: see above. Room for all of it is made first: a queue
 * that grows step by step leaves the smaller ones behind in the heap. */
static void take_held(struct frontend_channel *c)
{
    if (c->in.held > 0 && !buf_reserve(&c->in.queue, c->in.held)) {
        frontend_leave(c->frontend, "out of memory for input");
        return;
    }
    while (c->in.held > 0) {
        size_t want = MIN(c->in.held, (size_t)RELAY_CHUNK * 4);
        uint8_t *p = buf_reserve(&c->in.queue, want);
        int n;

        if (!p) {
            frontend_leave(c->frontend, "out of memory for input");
            return;
        }
        n = ssh_channel_read_nonblocking(c->ssh, p, (uint32_t)want, 0);
        if (n <= 0) {
            c->in.held = 0;
            return;
        }
        buf_commit(&c->in.queue, (size_t)n);
        c->in.held -= MIN(c->in.held, (size_t)n);
    }
}

static int send_input(struct frontend *f, struct frontend_channel *c, struct err *e)
{
    struct frontend_input *in = &c->in;
    size_t n = MIN(MIN(buf_len(&in->queue), (size_t)in->credit), (size_t)RELAY_CHUNK);
    struct relay_input m = {.channel = c->number, .bytes = {buf_head(&in->queue), n}};
    int rc = relay_input_send(f->relay, &m, NULL, e);

    if (rc != 0)
        return rc;
    attest_input(c, m.bytes.p, n);
    in->credit -= (uint32_t)n;
    buf_consume(&in->queue, n);
    f->bulk += n;
    return 0;
}

static void channel_input(struct frontend *f, struct frontend_channel *c)
{
    struct frontend_input *in = &c->in;
    struct err e = ERR_INIT;
    unsigned frames = 0;

    for (;;) {
        if (buf_len(&in->queue) == 0 && in->held > 0)
            take_held(c);
        if (!f->relay || buf_len(&in->queue) == 0 || in->credit == 0 || link_pending(f->relay) > 0)
            break;
        if (frames++ == INPUT_FRAMES) {
            f->again = true;
            break;
        }
        if (send_input(f, c, &e) != 0) {
            frontend_link_failed(f, "relay", &e);
            return;
        }
    }
    if (f->relay && in->eof && !in->eof_passed && in->held == 0 && buf_len(&in->queue) == 0) {
        struct relay_input_eof m = {.channel = c->number};

        in->eof_passed = true;
        if (relay_input_eof_send(f->relay, &m, NULL, &e) != 0)
            frontend_link_failed(f, "relay", &e);
    }
}

void flow_input(struct frontend *f)
{
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct frontend_channel *c = &f->channels[i];

        if (!c->used || c->stage != CHANNEL_RUNNING || c->down_sent || c->close_sent)
            continue;
        if (f->phase == PHASE_SESSION)
            channel_input(f, c);
        else if (f->phase == PHASE_GATEWAY) {
            if (buf_len(&c->in.queue) == 0 && c->in.held > 0)
                take_held(c);
            gateway_input(f, c);
        }
    }
}

/* --- the target's bytes */

int flow_output_put(struct frontend_channel *c, unsigned stream, const void *p, size_t len,
                    struct err *e)
{
    struct frontend_output *out = &c->out;

    if (stream > 1 || len > out->window)
        return err_set(e, ERR_PROTOCOL, "output beyond the credit of channel %u", c->number);
    out->window -= (uint32_t)len;
    if (c->close_sent || c->close_seen)
        return 0;
    if (flow_written(c))
        out->first = stream;
    return buf_put(&out->stream[stream], p, len);
}

bool flow_written(const struct frontend_channel *c)
{
    return buf_len(&c->out.stream[0]) == 0 && buf_len(&c->out.stream[1]) == 0;
}

static void drop_output(struct frontend_channel *c)
{
    buf_clear(&c->out.stream[0]);
    buf_clear(&c->out.stream[1]);
}

/* One write; whether bytes went out. */
static bool write_output(struct frontend *f, struct frontend_channel *c)
{
    struct frontend_output *out = &c->out;
    struct buf *b;
    uint64_t packets;
    uint32_t n;
    int rc;

    if (flow_written(c) || c->close_sent || !c->ssh)
        return false;
    if (c->close_seen) {
        drop_output(c);
        return false;
    }
    if (buf_len(&out->stream[out->first]) == 0)
        out->first = 1 - out->first;
    b = &out->stream[out->first];
    n = MIN(ssh_channel_window_size(c->ssh), (uint32_t)MIN(buf_len(b), (size_t)FRONTEND_WRITE_MAX));
    if (n == 0)
        return false;
    packets = f->packets.in_packets;
    rc = out->first == 0 ? ssh_channel_write(c->ssh, buf_head(b), n)
                         : ssh_channel_write_stderr(c->ssh, buf_head(b), n);
    /* A write polls, and may have brought messages or callbacks. One that could do nothing, because
     * the client takes its time to exchange keys, is tried again when something comes. */
    if (rc != 0 || f->packets.in_packets != packets)
        f->again = true;
    if (rc < 0) {
        drop_output(c);
        return false;
    }
    buf_consume(b, (size_t)rc);
    f->bulk += (uint64_t)rc;
    return rc > 0;
}

/* Credit for what the client has taken: the window, less what is still queued. */
static void give_credit(struct frontend *f, struct frontend_channel *c)
{
    struct frontend_output *out = &c->out;
    size_t queued = buf_len(&out->stream[0]) + buf_len(&out->stream[1]);
    size_t used = RELAY_WINDOW - out->window;
    struct relay_output_credit m = {.channel = c->number};
    struct err e = ERR_INIT;

    if (!c->relayed || c->up_seen || c->down_sent || !f->relay || used <= queued)
        return;
    m.bytes = (uint32_t)(used - queued);
    if (m.bytes < OUTPUT_CREDIT_STEP)
        return;
    out->window += m.bytes;
    if (relay_output_credit_send(f->relay, &m, NULL, &e) != 0)
        frontend_link_failed(f, "relay", &e);
}

void flow_output(struct frontend *f)
{
    bool progress = true;

    for (unsigned round = 0; round < OUTPUT_ROUNDS && progress; round++) {
        progress = false;
        for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
            struct frontend_channel *c = &f->channels[(f->turn + i) % RELAY_CHANNELS_MAX];

            if (!c->used)
                continue;
            if (ssh_get_status(f->ssh) & (SSH_WRITE_PENDING | SSH_CLOSED | SSH_CLOSED_ERROR)) {
                f->turn = (f->turn + i) % RELAY_CHANNELS_MAX;
                progress = false;
                break;
            }
            progress |= write_output(f, c);
        }
    }
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used)
            give_credit(f, &f->channels[i]);
}

bool flow_idle(const struct frontend *f)
{
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct frontend_channel *c = &f->channels[i];

        if (c->used && (!flow_written(c) || buf_len(&c->in.queue) > 0 || c->in.held > 0))
            return false;
    }
    return true;
}
