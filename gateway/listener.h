/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the listener share. The listener ends TLS: it reads the PROXY header of
 * configured peers, the handshake and the CONNECT line of whoever reaches the port, holds the TLS
 * key, and moves bytes between the operator and the frontend without looking at them. One thread,
 * one event loop, no file, no connect.
 *
 * listener.c       the link to the supervisor, the loop
 * listener_tls.c   the TLS context: what is offered, how client certificates are judged
 * listener_peer.c  the life of one connection
 * listener_pump.c  bytes, both ways, bounded
 * listener_proxy.c the PROXY header
 * proxy_header.c   its parser (pure)
 * request.c        the CONNECT line (pure) */
#ifndef SALLYPORT_GATEWAY_LISTENER_H
#define SALLYPORT_GATEWAY_LISTENER_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/err.h"
#include "gateway/messages.h"

/* Bytes of one turn in one direction: four TLS records. */
#define LISTENER_CHUNK (64u * 1024)

enum peer_phase {
    PEER_HEADER,    /* a proxy's: the PROXY header */
    PEER_NAMED,     /* the supervisor judges whom it named; nothing is read */
    PEER_HANDSHAKE, /* TLS */
    PEER_REQUEST,   /* the first bytes inside */
    PEER_WAITING,   /* the supervisor starts a frontend; nothing is read */
    PEER_PUMP,      /* bytes go both ways */
    PEER_REFUSED,   /* the answer is on its way out, then it is closed */
    PEER_DRAIN,     /* TLS failed: our alert is out, the rest is thrown away */
};

struct listener;

struct peer {
    TAILQ_ENTRY(peer) entry;
    struct listener *l;
    uint64_t number;
    enum peer_phase phase;
    int fd, stream; /* stream -1: none */
    SSL *ssl;
    struct event *on_fd, *on_stream, *deadline;
    struct event *on_room; /* added while bytes wait for the stream */
    bool linger;           /* the deadline ends a good-bye, not a handshake */
    bool expired;          /* the client's certificate is, and nothing else is wrong with it */
    bool told_ready;       /* the supervisor knows it as `ready`: its end is `closed` */
    uint8_t stage;         /* enum listener_stage, for `failed` */
    char reason[201];
    /* From the operator to the frontend, and back. Only what could not be written at once waits. */
    struct buf up, down; /* PEER_HEADER: up is what there is of the header */
    bool up_end;         /* the operator sends no more */
    bool up_shut;        /* the frontend was told so */
    bool down_end;       /* the frontend sends no more */
    bool down_shut;      /* the operator was told so: close_notify, FIN */
    bool stream_gone;    /* the frontend reads no more either */
    bool failed;         /* TLS or TCP is broken: nothing more goes out */
    uint64_t bytes_in, bytes_out;
};

#define PEER_BUCKETS 1024u

struct listener {
    struct event_base *base;
    struct link *link;
    struct event *readable, *writable;
    SSL_CTX *tls;
    uint64_t handshake_ms;
    size_t connections_max, connections;
    TAILQ_HEAD(, peer) buckets[PEER_BUCKETS];
    uint8_t scratch[LISTENER_CHUNK]; /* of whoever's turn it is */
};

/* listener.c */
int listener_run(int argc, char **argv);
/* After a send: asks for POLLOUT while bytes wait; a link that does not take it ends the process.
 */
void listener_sent(struct listener *l, int rc, const struct err *e);

/* listener_tls.c: the context from three PEM files (private key, certificate chain, operator CA);
 * NULL on error. */
SSL_CTX *tls_context(int key_fd, int chain_fd, int ca_fd, struct err *e);
/* A connection's TLS on its socket; NULL when memory is out. */
SSL *tls_accept(SSL_CTX *context, int fd, struct peer *p);
/* What OpenSSL says went wrong, as one line. */
void tls_reason(const SSL *ssl, char *out, size_t cap);

/* listener_peer.c */
void peer_accept(struct listener *l, const struct listener_accept *m, int fd);
struct peer *peer_find(struct listener *l, uint64_t number);
/* The frontend's stream is there; takes fd over. */
void peer_stream(struct peer *p, int fd);
/* Ends it in order: what the frontend wrote goes out, then TLS is closed. */
void peer_drop(struct peer *p);
/* Does all that can be done without waiting; may free it. */
void peer_step(struct peer *p);
void peer_set_deadline(struct peer *p, uint64_t ms);
/* Notes why it is going to be closed. */
void peer_set_failure(struct peer *p, enum listener_stage stage, const char *reason);

/* listener_proxy.c */
/* Reads the PROXY header, and nothing of what follows it. */
void peer_read_header(struct peer *p);
/* The supervisor lets in whom it named. */
void peer_admitted(struct peer *p);

/* listener_pump.c */
/* Moves what can be moved; false when the turn is over and more could be done at once. */
bool pump(struct peer *p);
/* Both directions are done, or one is broken. */
bool pump_over(const struct peer *p);
/* Only the good-bye to the operator is left: it gets a deadline. */
bool pump_leaving(const struct peer *p);

#endif
