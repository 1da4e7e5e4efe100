/* SPDX-License-Identifier: Apache-2.0
 *
 * A link between two of our processes: a SOCK_SEQPACKET socket, and the table that says which
 * messages may cross it. One frame is one packet: u16 message number, then the fields
 * (docs/PROTOCOL.md). The receiver is the one who would be harmed, so the receiver checks: number,
 * direction, state, once or many, size, descriptors; each decoder refuses truncated messages and
 * left-over bytes. Every violation is ERR_PROTOCOL: the caller ends the sender and records it. Used
 * by every process; trusts nothing that arrives. */
#ifndef SALLYPORT_BASE_LINK_H
#define SALLYPORT_BASE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

#define LINK_FDS_MAX     6  /* the most descriptors that one message carries */
#define LINK_NUMBERS_MAX 64 /* message numbers are below this, for the seen-once bitmap */

/* Each link names its two ends first and second, in this order, in LINK(). */
enum link_side { LINK_FIRST, LINK_SECOND };
enum link_direction { DOWN /* first to second */, UP /* second to first */ };
enum link_times { MANY, ONCE };

struct frame;

struct msg_spec {
    uint16_t number;
    const char *name;
    enum link_direction direction;
    uint32_t states; /* bit set of the link's states in which it is permitted */
    enum link_times times;
    uint16_t reply;     /* number of the expected reply, 0: none (documentation) */
    uint8_t fds;        /* exactly so many descriptors */
    uint32_t max;       /* bytes of the fields at most */
    const char *fields; /* as they stand in the table */
    int (*print)(const struct frame *f, struct buf *out); /* secrets print as [secret] */
};

struct link_state_name {
    const char *name;
    uint32_t bit;
};

struct link_spec {
    const char *name, *first, *second;
    const struct link_state_name *states;
    size_t state_count;
    const struct msg_spec *messages;
    size_t count;
    uint32_t max; /* the largest message's bytes, number included */
};

/* A received message. Owned by the link; valid until its next link_recv. */
struct frame {
    const struct msg_spec *spec;
    struct bytes fields;
    struct link *link;     /* keeps the descriptors that are not taken */
    int fds[LINK_FDS_MAX]; /* CLOEXEC; take with frame_take_fd; -1: none or taken */
};

/* fd must be a SEQPACKET socket; the link owns it and makes it non-blocking. queue_max bounds the
 * bytes waiting for a slow receiver. Every state bit is set at first: call link_enter. */
struct link *link_new(int fd, const struct link_spec *spec, enum link_side side, size_t queue_max);
/* Closes the descriptor; NULL-safe. */
void link_free(struct link *l);
int link_fd(const struct link *l);
const struct link_spec *link_table(const struct link *l);

/* The state (one bit of the link's enum) that incoming messages are checked against from now on. */
void link_enter(struct link *l, uint32_t state);
uint32_t link_state(const struct link *l);

/* 1: *f is a message. 0: none now. ERR_CLOSED, ERR_PROTOCOL, ERR_SYSTEM. Descriptors of the frame
 * that were not taken are closed at the next call. What the other side sent before it closed still
 * comes first, also after link_send said ERR_CLOSED. After ERR_PROTOCOL nothing is received any
 * more. The memory that frames are received into goes back when there is nothing to receive: one
 * large buffer is kept per thread, for whichever link needs it next. */
MUST_CHECK int link_recv(struct link *l, struct frame *f, struct err *e);
/* The i-th descriptor; it is the caller's from now on. */
int frame_take_fd(struct frame *f, unsigned i);

/* Sends or queues an encoded message; fds are duplicated by the kernel or the queue, the caller
 * keeps (and closes) its own. ERR_FULL when the queue is at its maximum, ERR_CLOSED. Generated
 * LINK_MESSAGE_send functions call this. */
MUST_CHECK int link_send(struct link *l, uint16_t number, const void *fields, size_t len,
                         const int *fds, unsigned nfds, struct err *e);
/* The same with the fields in pieces, so that bulk data is not copied; pieces[0] has room for the
 * message number before the fields: LINK_HEAD bytes, which the call fills in. */
#define LINK_HEAD       2
#define LINK_PIECES_MAX 12 /* grant.grant, the most: 4 views, and the pieces around them */
MUST_CHECK int link_send_pieces(struct link *l, uint16_t number, struct iovec *pieces,
                                unsigned count, const int *fds, unsigned nfds, struct err *e);
/* Bytes queued here because the kernel would not take them; poll for POLLOUT while > 0, then call
 * link_flush (0, or ERR_CLOSED). A producer of bulk data stops reading its source while > 0. */
size_t link_pending(const struct link *l);
MUST_CHECK int link_flush(struct link *l, struct err *e);

/* A connected SEQPACKET pair, CLOEXEC, with send buffers of at least sndbuf bytes (SO_SNDBUFFORCE
 * where permitted). */
MUST_CHECK int link_pair(int fds[2], size_t sndbuf, struct err *e);
/* The same with SOCK_STREAM, for byte streams. */
MUST_CHECK int stream_pair(int fds[2], size_t sndbuf, struct err *e);

/* Shows a frame in one line, `name field=value ...`, for debugging logs. */
MUST_CHECK int link_print(const struct frame *f, struct buf *out);
/* Writes the link's table as Markdown, for docs/PROTOCOL.md. */
MUST_CHECK int link_document(const struct link_spec *spec, struct buf *out);

#endif
