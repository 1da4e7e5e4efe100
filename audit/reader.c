/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/reader.h. One loop: take requests, queue the next frame when the one before is gone.
 * Memory: one frame and the source's window. */
#include "audit/reader.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/reader_stream.h"
#include "audit/source_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/messages.h"

/* A reviewer who looks at something for a while has paused his replay; one who is gone is not to
 * keep a process. */
#define IDLE_MS (15u * 60 * 1000)
/* The longest session that is followed. */
#define LIFE_MS (24ull * 3600 * 1000)
#define LOOK_MS 100
/* Requests wait while more than this is queued. */
#define ASK_BELOW 4096u
#define OUT_MAX   (8 + READER_FRAME_MAX + 4096)

struct reader {
    int dir, stream, link_fd;
    struct record_source *source;
    bool follow, ended, waited; /* waited: READER_WAIT was sent since the last record */
    struct buf out;
    uint8_t request[READER_REQUEST_SIZE];
    size_t request_len;
    uint64_t moved_ms, began_ms;
    uint64_t records, bytes;
};

static int queue(struct reader *d, uint8_t kind, const void *body, size_t len, const void *more,
                 size_t more_len, struct err *e)
{
    uint8_t head[READER_FRAME_HEAD];

    wire_store_u32(head, (uint32_t)(1 + len + more_len));
    head[4] = kind;
    if (buf_put(&d->out, head, sizeof head) < 0 || (len && buf_put(&d->out, body, len) < 0) ||
        (more_len && buf_put(&d->out, more, more_len) < 0))
        return err_set(e, ERR_FULL, "a frame does not fit");
    return 0;
}

static int queue_end(struct reader *d, int code, const char *text, struct err *e)
{
    uint8_t body[64 + ERR_TEXT_MAX];
    struct wire_writer w;

    wire_writer_init(&w, body, sizeof body);
    wire_put_str(&w, code < 0 ? err_token((enum err_code)code) : "", 32);
    wire_put_str(&w, code < 0 ? text : "", ERR_TEXT_MAX);
    d->ended = true;
    return wire_put_end(&w, e) < 0 ? e->code : queue(d, READER_END, body, w.len, NULL, 0, e);
}

static int queue_session(struct reader *d, struct err *e)
{
    const struct source_session *s = record_source_session(d->source, e);
    uint8_t body[READER_SESSION_BODY];
    struct wire_writer w;

    if (!s)
        return 0;
    wire_writer_init(&w, body, sizeof body);
    wire_put_raw(&w, s->id, sizeof s->id);
    wire_put_u64(&w, s->first);
    wire_put_u64(&w, s->last);
    wire_put_u64(&w, s->records);
    wire_put_u8(&w, s->ended);
    return queue(d, READER_SESSION, body, sizeof body, NULL, 0, e);
}

static int queue_record(struct reader *d, const struct source_record *v, struct err *e)
{
    uint8_t body[READER_RECORD_BODY];

    wire_store_u64(body, v->segment_first);
    wire_store_u64(body + 8, v->offset);
    body[16] = (uint8_t)((v->payload ? READER_HAS_PAYLOAD : 0) | (v->pruned ? READER_PRUNED : 0));
    memcpy(body + 17, v->header, RECORD_HEADER_SIZE);
    d->records++;
    d->waited = false;
    return queue(d, READER_RECORD, body, sizeof body, v->payload, v->payload ? v->r.payload_len : 0,
                 e);
}

/* The next frame, or none now. */
static int queue_next(struct reader *d, struct err *e)
{
    struct source_record v;
    struct err own = ERR_INIT;
    int r = record_source_next(d->source, &v, 0, &own);

    if (r == SOURCE_RECORD)
        return queue_record(d, &v, e);
    if (r == SOURCE_WAIT && !d->waited) {
        d->waited = true;
        return queue(d, READER_WAIT, NULL, 0, NULL, 0, e);
    }
    return r == SOURCE_WAIT ? 0 : queue_end(d, r, own.text, e);
}

static int queue_mark(struct reader *d, uint32_t number, struct err *e)
{
    uint8_t body[4];

    wire_store_u32(body, number);
    return queue(d, READER_MARK, body, sizeof body, NULL, 0, e);
}

static int answer_note(struct reader *d, uint8_t which, struct err *e)
{
    struct err ignored = ERR_INIT;
    uint8_t found = 0;
    struct buf text;
    int r;

    buf_init(&text, READER_FRAME_MAX / 2);
    if (which < SOURCE_NOTES)
        found = record_source_note(d->source, source_notes[which], &text, &ignored) == 0;
    r = queue(d, READER_NOTE, &found, 1, buf_head(&text), found ? buf_len(&text) : 0, e);
    buf_clear(&text);
    return r;
}

static int on_request(struct reader *d, struct err *e)
{
    const uint8_t *q = d->request;
    int r = queue_mark(d, wire_load_u32(q + 4), e);

    if (r < 0)
        return r;
    if (q[0] == READER_ASK_NOTE && d->source)
        return answer_note(d, q[1], e);
    if (q[0] != READER_ASK_FROM || !d->source)
        return err_set(e, ERR_PROTOCOL, "the reviewer's command broke the protocol");
    d->ended = d->waited = false;
    record_source_bare(d->source, q[1] == 1);
    return record_source_seek(d->source, wire_load_u64(q + 8), e);
}

/* Requests are few and small: one a turn, and none while the answer to one before waits. */
static int take_request(struct reader *d, struct err *e)
{
    ssize_t n = recv(d->stream, d->request + d->request_len, sizeof d->request - d->request_len,
                     MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return ERR_CLOSED;
    d->request_len += (size_t)n;
    d->moved_ms = clock_mono_ms();
    if (d->request_len < sizeof d->request)
        return 0;
    d->request_len = 0;
    return on_request(d, e);
}

static int send_some(struct reader *d)
{
    ssize_t n = send(d->stream, buf_head(&d->out), buf_len(&d->out), MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return ERR_CLOSED;
    buf_consume(&d->out, (size_t)n);
    d->bytes += (uint64_t)n;
    d->moved_ms = clock_mono_ms();
    return 0;
}

static int turn(struct reader *d, struct err *e)
{
    struct pollfd p[2] = {{.fd = d->stream, .events = POLLIN},
                          {.fd = d->link_fd, .events = POLLIN}};
    uint64_t now = clock_mono_ms();
    int r = 0, wait_ms;

    if (now - d->began_ms > LIFE_MS || (!d->follow && now - d->moved_ms > IDLE_MS) ||
        (buf_len(&d->out) > 0 && now - d->moved_ms > IDLE_MS))
        return err_set(e, ERR_TIMEOUT, "nothing was read for too long");
    if (buf_len(&d->out) == 0 && !d->ended)
        r = queue_next(d, e);
    if (r < 0)
        return r;
    wait_ms = buf_len(&d->out) > 0 || d->ended ? 10000 : LOOK_MS;
    /* Whoever asks and does not read must not keep this loop turning. */
    p[0].events =
        (short)((buf_len(&d->out) < ASK_BELOW ? POLLIN : 0) | (buf_len(&d->out) > 0 ? POLLOUT : 0));
    if (poll(p, 2, wait_ms) < 0 && errno != EINTR)
        return err_errno(e, "poll");
    if (p[1].revents)
        return ERR_CLOSED; /* the supervisor is gone */
    if (buf_len(&d->out) > 0 && p[0].revents & (POLLOUT | POLLERR | POLLHUP))
        r = send_some(d);
    /* A seek may come while the reviewer does not read: what is queued is finished first. */
    if (r == 0 && p[0].revents & (POLLIN | POLLHUP) && buf_len(&d->out) < ASK_BELOW)
        r = take_request(d, e);
    return r;
}

int reader_serve(int dir, int stream, int link_fd, const struct source_selection *selection,
                 struct err *e)
{
    struct reader d = {.dir = dir, .stream = stream, .link_fd = link_fd};
    struct err own = ERR_INIT;
    int r;

    d.began_ms = d.moved_ms = clock_mono_ms();
    d.follow = selection->follow;
    buf_init(&d.out, OUT_MAX);
    r = record_source_dir(&d.source, dir, selection, &own);
    if (r < 0)
        r = queue_end(&d, r, own.text, e);
    else
        r = queue_session(&d, e);
    while (r == 0)
        r = turn(&d, e);
    log_info("read", "records=%llu bytes=%llu", (unsigned long long)d.records,
             (unsigned long long)d.bytes);
    record_source_free(d.source);
    buf_clear(&d.out);
    return r == ERR_CLOSED ? 0 : r;
}

static int await_start(struct link *l, struct reader_start *m, int fds[2], struct err *e)
{
    struct pollfd p = {.fd = link_fd(l), .events = POLLIN};
    struct frame f;
    int r;

    while ((r = link_recv(l, &f, e)) == 0)
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(e, "poll");
    if (r < 0)
        return r;
    r = reader_start_decode(&f, m, e);
    if (r < 0)
        return r;
    fds[0] = frame_take_fd(&f, 0);
    fds[1] = frame_take_fd(&f, 1);
    link_enter(l, reader_STATE_RUNNING);
    return m->what < SOURCE_WHATS ? 0 : err_set(e, ERR_PROTOCOL, "an unknown selection");
}

int reader_run(const struct reader_options *o)
{
    struct source_selection selection = {0};
    struct reader_start m;
    struct link *l = link_new(o->link_fd, &link_reader, LINK_SECOND, 4096);
    struct err e = ERR_INIT;
    int fds[2] = {-1, -1}, r;

    signal(SIGPIPE, SIG_IGN);
    if (!l) {
        log_error("start", "error=\"no link to the supervisor\"");
        return EXIT_FAILURE;
    }
    link_enter(l, reader_STATE_STARTING);
    r = o->seal ? o->seal(&e) : 0;
    if (r == 0)
        r = await_start(l, &m, fds, &e);
    if (r == 0) {
        selection.what = (enum source_what)m.what;
        strcpy(selection.session, m.session);
        selection.follow = m.follow != 0;
        r = reader_serve(fds[0], fds[1], link_fd(l), &selection, &e);
    }
    if (r < 0)
        log_warn("read", "error=\"%s\"", e.text);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    link_free(l);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
