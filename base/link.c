/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames over SOCK_SEQPACKET (base/link.h). The receiver's checks are all in check(); the sender's
 * are invariants, since both come from the same table. Used by every process; trusts nothing that
 * arrives. Invariants: packets leave in the order sent; pending counts what the queue holds and is
 * at most queue_max; a received descriptor is the caller's, in held[], or closed. */
#include "base/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/link_out.h"

/* A frame of at most this size touches one page of the receive buffer: not worth giving back. */
#define SMALL_FRAME 4096u

/* A packet that the kernel would not take yet. */
struct packet {
    struct packet *next;
    size_t len;
    unsigned nfds;
    int fds[LINK_FDS_MAX];
    uint8_t bytes[];
};

struct link {
    int fd;
    const struct link_spec *spec;
    enum link_side side;
    size_t queue_max;
    uint32_t state;
    uint64_t seen;                   /* bit per message number received, for ONCE */
    bool broken;                     /* a violation: nothing is received any more */
    uint8_t index[LINK_NUMBERS_MAX]; /* number to position in the table + 1 */

    uint8_t *in;
    size_t in_size;    /* at least spec->max */
    size_t in_touched; /* the largest frame since `in` was taken */
    int held[LINK_FDS_MAX];

    struct packet *first, *last;
    size_t pending;
};

/* The large buffer that no link of this thread needs now. */
static _Thread_local struct {
    uint8_t *bytes;
    size_t size;
} spare;

static void take_buffer(struct link *l)
{
    if (l->in)
        return;
    l->in_touched = 0;
    if (spare.bytes && spare.size >= l->spec->max) {
        l->in = spare.bytes;
        l->in_size = spare.size;
        spare.bytes = NULL;
        return;
    }
    l->in = malloc(l->spec->max);
    l->in_size = l->spec->max;
}

static void give_buffer(struct link *l)
{
    if (!l->in)
        return;
    if (!spare.bytes || spare.size < l->in_size) {
        free(spare.bytes);
        spare.bytes = l->in;
        spare.size = l->in_size;
    } else {
        free(l->in);
    }
    l->in = NULL;
}

struct link *link_new(int fd, const struct link_spec *spec, enum link_side side, size_t queue_max)
{
    struct link *l = calloc(1, sizeof *l);
    int flags;

    if (!l)
        return NULL;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK))) {
        free(l);
        return NULL;
    }
    l->fd = fd;
    l->spec = spec;
    l->side = side;
    l->queue_max = queue_max;
    l->state = UINT32_MAX;
    for (size_t i = 0; i < spec->count; i++) {
        uint16_t number = spec->messages[i].number;
        INVARIANT(number < LINK_NUMBERS_MAX && !l->index[number]);
        l->index[number] = (uint8_t)(i + 1);
    }
    for (unsigned i = 0; i < LINK_FDS_MAX; i++)
        l->held[i] = -1;
    return l;
}

static void close_held(struct link *l)
{
    for (unsigned i = 0; i < LINK_FDS_MAX; i++) {
        if (l->held[i] >= 0)
            close(l->held[i]);
        l->held[i] = -1;
    }
}

static void packet_free(struct packet *p)
{
    for (unsigned i = 0; i < p->nfds; i++)
        close(p->fds[i]);
    explicit_bzero(p->bytes, p->len);
    free(p);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    while (l->first) {
        struct packet *p = l->first;
        l->first = p->next;
        packet_free(p);
    }
    close_held(l);
    give_buffer(l);
    close(l->fd);
    free(l);
}

int link_fd(const struct link *l)
{
    return l->fd;
}

const struct link_spec *link_table(const struct link *l)
{
    return l->spec;
}

void link_enter(struct link *l, uint32_t state)
{
    l->state = state;
}

uint32_t link_state(const struct link *l)
{
    return l->state;
}

static const struct msg_spec *lookup(const struct link *l, uint16_t number)
{
    if (number >= LINK_NUMBERS_MAX || !l->index[number])
        return NULL;
    return &l->spec->messages[l->index[number] - 1];
}

/* --- receiving */

/* Moves the descriptors of a received packet into held[]; returns how many there were. The control
 * buffer has room for LINK_FDS_MAX of them, more are closed by the kernel (MSG_CTRUNC). */
static unsigned hold_descriptors(struct link *l, struct msghdr *msg)
{
    unsigned count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < LINK_FDS_MAX)
                l->held[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

static int violation(struct link *l, struct err *e, const char *message, const char *what)
{
    close_held(l);
    l->broken = true;
    return err_set(e, ERR_PROTOCOL, "link %s, message %s: %s", l->spec->name, message, what);
}

/* Whether this message, of len bytes with its number and nfds descriptors, may come now. */
static int check(struct link *l, size_t len, unsigned nfds, int flags, struct frame *f,
                 struct err *e)
{
    const struct msg_spec *spec;
    enum link_direction incoming = l->side == LINK_FIRST ? UP : DOWN;

    if (flags & (MSG_TRUNC | MSG_CTRUNC))
        return violation(l, e, "?", "longer, or with more descriptors, than any in the table");
    if (len < LINK_HEAD)
        return violation(l, e, "?", "too short for its number");
    spec = lookup(l, wire_load_u16(l->in));
    if (!spec)
        return violation(l, e, "?", "its number is not in the table");
    if (spec->direction != incoming)
        return violation(l, e, spec->name, "wrong direction");
    if (!(spec->states & l->state))
        return violation(l, e, spec->name, "not permitted in this state");
    if (spec->times == ONCE && l->seen >> spec->number & 1)
        return violation(l, e, spec->name, "came twice");
    if (len - LINK_HEAD > spec->max)
        return violation(l, e, spec->name, "too long");
    if (nfds != spec->fds)
        return violation(l, e, spec->name, "wrong number of descriptors");
    l->seen |= UINT64_C(1) << spec->number;

    f->spec = spec;
    f->link = l;
    f->fields = (struct bytes){l->in + LINK_HEAD, len - LINK_HEAD};
    memcpy(f->fds, l->held, sizeof f->fds);
    return 1;
}

int link_recv(struct link *l, struct frame *f, struct err *e)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
    } control;
    struct iovec iov;
    struct msghdr msg;
    ssize_t n;
    bool reset = false;
    unsigned nfds;

    close_held(l);
    if (l->broken)
        return err_set(e, ERR_PROTOCOL, "link %s: broken before", l->spec->name);
    take_buffer(l);
    if (!l->in)
        return err_set(e, ERR_MEMORY, "link %s: %s", l->spec->name, err_text(ERR_MEMORY));
    for (;;) {
        iov = (struct iovec){l->in, l->spec->max};
        msg = (struct msghdr){.msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes};
        n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || reset)))
            break;
        /* The other side closed with frames of ours unread: the kernel tells that once, before it
         * gives what the other side sent until then. */
        reset = reset || errno == ECONNRESET;
    }
    if (n < 0) {
        int number = errno;

        if (number == EAGAIN || number == EWOULDBLOCK) {
            if (l->in_touched > SMALL_FRAME)
                give_buffer(l);
            return 0;
        }
        if (number == ECONNRESET || number == ENOTCONN)
            return err_set(e, ERR_CLOSED, "link %s: %s", l->spec->name, err_text(ERR_CLOSED));
        return err_errno(e, "link %s: recvmsg", l->spec->name);
    }
    nfds = hold_descriptors(l, &msg);
    /* An end of file, or an empty packet, which no honest sender makes: the same to us. */
    if (n == 0) {
        close_held(l);
        give_buffer(l);
        return err_set(e, ERR_CLOSED, "link %s: %s", l->spec->name, err_text(ERR_CLOSED));
    }
    if ((size_t)n > l->in_touched)
        l->in_touched = (size_t)n;
    return check(l, (size_t)n, nfds, msg.msg_flags, f, e);
}

int frame_take_fd(struct frame *f, unsigned i)
{
    int fd;

    INVARIANT(i < LINK_FDS_MAX && f->fds[i] >= 0);
    fd = f->fds[i];
    f->fds[i] = -1;
    if (f->link)
        f->link->held[i] = -1;
    return fd;
}

/* --- sending */

/* 0 sent, 1 the kernel takes no more now, or an error. */
static int send_packet(const struct link *l, const struct iovec *pieces, unsigned count,
                       const int *fds, unsigned nfds, struct err *e)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
    } control;
    struct msghdr msg = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    ssize_t n;

    if (nfds) {
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * nfds);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
    }
    do
        n = sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
        return 1;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return err_set(e, ERR_CLOSED, "link %s: %s", l->spec->name, err_text(ERR_CLOSED));
    default:
        return err_errno(e, "link %s: sendmsg", l->spec->name);
    }
}

static int queue_packet(struct link *l, const struct iovec *pieces, unsigned count, const int *fds,
                        unsigned nfds, struct err *e)
{
    struct packet *p;
    size_t len = 0, at = 0;

    for (unsigned i = 0; i < count; i++)
        len += pieces[i].iov_len;
    if (l->pending + sizeof *p + len > l->queue_max)
        return err_set(e, ERR_FULL, "link %s: the other side does not keep up", l->spec->name);
    p = malloc(sizeof *p + len);
    if (!p)
        return err_set(e, ERR_MEMORY, "link %s: %s", l->spec->name, err_text(ERR_MEMORY));
    *p = (struct packet){.len = len};
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len)
            memcpy(p->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    for (; p->nfds < nfds; p->nfds++) {
        int copy = fcntl(fds[p->nfds], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            int rc = err_errno(e, "link %s: duplicating a descriptor", l->spec->name);
            packet_free(p);
            return rc;
        }
        p->fds[p->nfds] = copy;
    }
    if (l->last)
        l->last->next = p;
    else
        l->first = p;
    l->last = p;
    l->pending += sizeof *p + len;
    return 0;
}

int link_send_pieces(struct link *l, uint16_t number, struct iovec *pieces, unsigned count,
                     const int *fds, unsigned nfds, struct err *e)
{
    const struct msg_spec *spec = lookup(l, number);
    int rc;

    INVARIANT(spec && spec->direction == (l->side == LINK_FIRST ? DOWN : UP));
    INVARIANT(nfds == spec->fds && (!nfds || fds) && count && pieces[0].iov_len >= LINK_HEAD);
    wire_store_u16(pieces[0].iov_base, number);
    rc = l->first ? 1 : send_packet(l, pieces, count, fds, nfds, e);
    return rc == 1 ? queue_packet(l, pieces, count, fds, nfds, e) : rc;
}

int link_send(struct link *l, uint16_t number, const void *fields, size_t len, const int *fds,
              unsigned nfds, struct err *e)
{
    uint8_t head[LINK_HEAD];
    struct iovec pieces[] = {{head, sizeof head}, {(void *)fields, len}};

    return link_send_pieces(l, number, pieces, 2, fds, nfds, e);
}

size_t link_pending(const struct link *l)
{
    return l->pending;
}

int link_flush(struct link *l, struct err *e)
{
    while (l->first) {
        struct packet *p = l->first;
        struct iovec piece = {p->bytes, p->len};
        int rc = send_packet(l, &piece, 1, p->fds, p->nfds, e);

        if (rc)
            return rc == 1 ? 0 : rc;
        l->first = p->next;
        if (!l->first)
            l->last = NULL;
        l->pending -= sizeof *p + p->len;
        packet_free(p);
    }
    return 0;
}

/* --- the senders' pieces */

void link_out_init(struct link_out *o, uint8_t *fixed, size_t size)
{
    wire_writer_init(&o->w, fixed, size);
    wire_put_u16(&o->w, 0); /* LINK_HEAD, filled in by link_send_pieces */
    o->piece_start = 0;
    o->count = 0;
}

/* Ends the piece of integers and strings that is open. */
static void end_piece(struct link_out *o)
{
    if (o->w.len == o->piece_start)
        return;
    INVARIANT(o->count < LINK_PIECES_MAX);
    o->pieces[o->count++] = (struct iovec){o->w.out + o->piece_start, o->w.len - o->piece_start};
    o->piece_start = o->w.len;
}

void link_out_data(struct link_out *o, struct bytes view, size_t max)
{
    if (view.len > max) {
        o->w.failed = true;
        return;
    }
    wire_put_u32(&o->w, (uint32_t)view.len);
    end_piece(o);
    if (!view.len)
        return;
    INVARIANT(o->count < LINK_PIECES_MAX);
    o->pieces[o->count++] = (struct iovec){(void *)view.p, view.len};
}

int link_out_send(struct link_out *o, struct link *l, const struct link_spec *table,
                  uint16_t number, const int *fds, struct err *e)
{
    const struct msg_spec *spec;
    int rc = wire_put_end(&o->w, e);

    INVARIANT(l->spec == table);
    spec = lookup(l, number);
    if (rc)
        return err_wrap(e, "link %s, message %s", table->name, spec->name), rc;
    end_piece(o);
    return link_send_pieces(l, number, o->pieces, o->count, fds, spec->fds, e);
}

/* --- making the sockets */

static int pair(int fds[2], int type, size_t sndbuf, struct err *e)
{
    int size = sndbuf > INT32_MAX / 2 ? INT32_MAX / 2 : (int)sndbuf;

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds))
        return err_errno(e, "socketpair");
    for (int i = 0; size && i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) &&
            setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size)) {
            int rc = err_errno(e, "setsockopt(SO_SNDBUF)");
            close(fds[0]);
            close(fds[1]);
            return rc;
        }
    return 0;
}

int link_pair(int fds[2], size_t sndbuf, struct err *e)
{
    return pair(fds, SOCK_SEQPACKET, sndbuf, e);
}

int stream_pair(int fds[2], size_t sndbuf, struct err *e)
{
    return pair(fds, SOCK_STREAM, sndbuf, e);
}
