/* SPDX-License-Identifier: Apache-2.0
 *
 * Records from a reader process: the reviewer's end of the stream. Runs in the reading tools. The
 * reader is believed as little as a file: every length is checked before it is used. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/reader_stream.h"
#include "audit/source_state.h"
#include "base/clock.h"
#include "base/wire.h"

#define READ_SIZE  (256u * 1024)
#define BUFFER_MAX (4u + READER_FRAME_MAX + READ_SIZE)
/* The reader answers at once; it may have a long trail to look for a session in. */
#define ANSWER_MS 600000

struct source_stream {
    int fd;
    struct buf in;
    size_t taken; /* bytes at the head of in that belong to what the caller was given */
    bool ended, closed, bare;
    uint32_t asked, marked; /* number of the last request, and of the last that is answered */
    bool has_session, told_session;
    struct source_session session;
};

struct reader_frame_view {
    uint8_t kind;
    const uint8_t *body;
    size_t len;
};

int source_stream_new(struct source_stream **out, int fd, struct err *e)
{
    struct source_stream *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s) {
        close(fd);
        return err_set(e, ERR_MEMORY, "no memory for reading");
    }
    s->fd = fd;
    buf_init(&s->in, BUFFER_MAX);
    *out = s;
    return 0;
}

void source_stream_free(struct source_stream *s)
{
    if (!s)
        return;
    close(s->fd);
    buf_clear(&s->in);
    free(s);
}

int source_stream_fd(const struct source_stream *s)
{
    return s->fd;
}

/* 1: something was read. 0: nothing came in time. */
static int receive(struct source_stream *s, int timeout_ms, struct err *e)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    uint8_t *room;
    ssize_t n;

    if (poll(&p, 1, timeout_ms) <= 0)
        return 0;
    room = buf_reserve(&s->in, READ_SIZE);
    if (!room)
        return err_set(e, ERR_PROTOCOL, "the reader sent too much");
    n = recv(s->fd, room, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n < 0)
        return err_errno(e, "reading from the gateway");
    if (n == 0)
        return err_set(e, ERR_CLOSED, "the gateway's reader ended before it had sent everything");
    buf_commit(&s->in, (size_t)n);
    return 1;
}

static int bad_frame(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, "the gateway's reader sent what is no frame");
}

/* 1: *f is the frame at the head, which counts as taken. 0: there is no whole one. */
static int take_frame(struct source_stream *s, struct reader_frame_view *f, struct err *e)
{
    const uint8_t *p;
    uint32_t len;

    buf_consume(&s->in, s->taken);
    s->taken = 0;
    p = buf_head(&s->in);
    if (buf_len(&s->in) < 4)
        return 0;
    len = wire_load_u32(p);
    if (len < 1 || len > READER_FRAME_MAX)
        return bad_frame(e);
    if (buf_len(&s->in) < 4 + (size_t)len)
        return 0;
    *f = (struct reader_frame_view){p[4], p + READER_FRAME_HEAD, len - 1};
    s->taken = 4 + (size_t)len;
    return 1;
}

static int wait_frame(struct source_stream *s, struct reader_frame_view *f, int timeout_ms,
                      struct err *e)
{
    const uint64_t until = clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);

    for (;;) {
        int r = take_frame(s, f, e);
        uint64_t now = clock_mono_ms();

        if (r != 0)
            return r;
        r = receive(s, timeout_ms < 0 ? -1 : now < until ? (int)(until - now) : 0, e);
        if (r < 0)
            return r;
        if (r == 0 && timeout_ms >= 0 && clock_mono_ms() >= until)
            return 0;
    }
}

static int on_session(struct source_stream *s, const struct reader_frame_view *f, struct err *e)
{
    struct wire_reader w;

    wire_reader_init(&w, f->body, f->len);
    wire_get_raw(&w, s->session.id, sizeof s->session.id);
    s->session.first = wire_get_u64(&w);
    s->session.last = wire_get_u64(&w);
    s->session.records = wire_get_u64(&w);
    s->session.ended = wire_get_u8(&w) != 0;
    s->has_session = true;
    return wire_get_end(&w, e) < 0 ? bad_frame(e) : 0;
}

static int on_record(const struct reader_frame_view *f, struct source_record *v, struct err *e)
{
    const uint8_t *p = f->body;
    size_t payload;
    uint8_t flags;

    if (f->len < READER_RECORD_BODY)
        return bad_frame(e);
    v->segment_first = wire_load_u64(p);
    v->offset = wire_load_u64(p + 8);
    flags = p[16];
    v->header = p + 17;
    if (record_decode(v->header, &v->r, e) < 0)
        return e->code;
    payload = f->len - READER_RECORD_BODY;
    if (payload != (flags & READER_HAS_PAYLOAD ? v->r.payload_len : 0))
        return bad_frame(e);
    v->payload = flags & READER_HAS_PAYLOAD ? v->header + RECORD_HEADER_SIZE : NULL;
    v->pruned = (flags & READER_PRUNED) != 0;
    return SOURCE_RECORD;
}

static enum err_code code_of(const char *token)
{
    static const enum err_code known[] = {ERR_NOT_FOUND, ERR_INPUT,  ERR_USAGE,  ERR_TAMPERED,
                                          ERR_MEMORY,    ERR_SYSTEM, ERR_TIMEOUT};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(token, err_token(known[i])) == 0)
            return known[i];
    return ERR_SYSTEM;
}

static int on_end(struct source_stream *s, const struct reader_frame_view *f, struct err *e)
{
    char token[32], text[ERR_TEXT_MAX];
    struct wire_reader w;

    wire_reader_init(&w, f->body, f->len);
    wire_get_str(&w, token, sizeof token - 1);
    wire_get_str(&w, text, sizeof text - 1);
    if (wire_get_end(&w, e) < 0)
        return bad_frame(e);
    s->ended = true;
    return token[0] ? err_set(e, code_of(token), "%s", text) : SOURCE_END;
}

int source_stream_next(struct source_stream *s, struct source_record *v, int timeout_ms,
                       struct err *e)
{
    struct reader_frame_view f;

    if (s->ended)
        return SOURCE_END;
    for (;;) {
        int r = wait_frame(s, &f, timeout_ms, e);

        if (r < 0)
            return r;
        if (r == 0)
            return SOURCE_WAIT;
        if (f.kind == READER_MARK) {
            if (f.len != 4)
                return bad_frame(e);
            s->marked = wire_load_u32(f.body);
            continue;
        }
        if (f.kind == READER_SESSION) {
            r = on_session(s, &f, e);
            if (r < 0)
                return r;
            continue;
        }
        if (s->marked != s->asked)
            continue; /* of before the seek */
        if (f.kind == READER_RECORD)
            return on_record(&f, v, e);
        if (f.kind == READER_END)
            return on_end(s, &f, e);
        if (f.kind == READER_WAIT && timeout_ms >= 0)
            return SOURCE_WAIT;
        if (f.kind != READER_WAIT)
            return bad_frame(e);
    }
}

static int ask(struct source_stream *s, uint8_t kind, uint8_t argument, uint64_t index,
               struct err *e)
{
    uint8_t request[READER_REQUEST_SIZE] = {kind, argument};
    size_t sent = 0;

    wire_store_u32(request + 4, ++s->asked);
    wire_store_u64(request + 8, index);
    s->ended = false;
    while (sent < sizeof request) {
        ssize_t n = send(s->fd, request + sent, sizeof request - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_CLOSED, "the gateway's reader ended");
        sent += (size_t)n;
    }
    return 0;
}

int source_stream_seek(struct source_stream *s, uint64_t index, struct err *e)
{
    return ask(s, READER_ASK_FROM, s->bare, index, e);
}

void source_stream_bare(struct source_stream *s, bool bare)
{
    s->bare = bare;
}

const struct source_session *source_stream_session(struct source_stream *s, struct err *e)
{
    struct reader_frame_view f;
    int r = 1;

    if (!s->has_session) {
        r = wait_frame(s, &f, ANSWER_MS, e);
        if (r == 0)
            r = err_set(e, ERR_TIMEOUT, "the gateway's reader does not answer");
        else if (r == 1 && f.kind == READER_SESSION)
            r = on_session(s, &f, e);
        else if (r == 1 && f.kind == READER_END)
            r = on_end(s, &f, e);
        else if (r == 1)
            s->taken = 0; /* a selection without a session: the frame is still to be read */
    }
    return r >= 0 && s->has_session ? &s->session : NULL;
}

int source_stream_note(struct source_stream *s, unsigned note, struct buf *out, struct err *e)
{
    struct reader_frame_view f;
    int r = ask(s, READER_ASK_NOTE, (uint8_t)note, 0, e);

    while (r >= 0) {
        r = wait_frame(s, &f, ANSWER_MS, e);
        if (r == 0)
            return err_set(e, ERR_TIMEOUT, "the gateway's reader does not answer");
        if (r == 1 && f.kind == READER_MARK && f.len == 4)
            s->marked = wire_load_u32(f.body);
        if (r == 1 && f.kind == READER_SESSION)
            r = on_session(s, &f, e);
        if (r == 1 && f.kind == READER_NOTE && s->marked == s->asked)
            break;
    }
    if (r < 0)
        return r;
    if (f.len < 1 || !f.body[0])
        return err_set(e, ERR_NOT_FOUND, "the log has no %s", source_notes[note]);
    return buf_put(out, f.body + 1, f.len - 1) < 0 ? err_set(e, ERR_FULL, "%s", source_notes[note])
                                                   : source_stream_seek(s, 0, e);
}
