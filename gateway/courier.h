/* SPDX-License-Identifier: Apache-2.0
 *
 * What the courier's files share. The courier carries signed checkpoints to a syslog server and to
 * witnesses, and their answers to auditd. It parses what those remote peers send, so it is trusted
 * with nothing: it holds no key but a TLS client key, opens no file and no socket (the supervisor
 * connects), and what it reports is believed by signatures alone. One thread, one event loop.
 *
 * courier.c          start, links, the loop
 * courier_peer.c     one connection: bytes out and in, TLS, a deadline
 * courier_send.c     a destination: connect, retry, what it knows
 * courier_syslog.c   RFC 5424 messages over RFC 5425
 * courier_witness.c  add-checkpoint of C2SP tlog-witness */
#ifndef SALLYPORT_GATEWAY_COURIER_H
#define SALLYPORT_GATEWAY_COURIER_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "gateway/messages.h"

#define COURIER_DESTINATIONS 9u
#define COURIER_NOTE_MAX     4096u
/* From a connected socket to the end of the answer. */
#define COURIER_DEADLINE_S 20
/* No connection, or a refusal: 1, 2, 4 ... s, and after a witness said no for good. */
#define COURIER_BACKOFF_MAX_S 30u
#define COURIER_REFUSED_S     60u

struct courier;
struct destination;

/* --- a connection */

struct peer {
    struct destination *d;
    int fd; /* -1: none */
    SSL *ssl;
    bool handshaken;
    struct event *readable, *writable;
    struct buf in, out;
};

/* Takes fd over. name: NULL, plain; else TLS, and the certificate must be for it. ERR_MEMORY. */
MUST_CHECK int peer_open(struct peer *p, struct destination *d, int fd, SSL_CTX *tls,
                         const char *name, struct err *e);
void peer_close(struct peer *p);
/* Something was put into p->out. */
void peer_wake(struct peer *p);
/* Everything was written, and the other side's kernel has all of it. */
bool peer_drained(const struct peer *p);
/* TLS 1.2 and up, certificates from ca_fd (all in the file) alone; key and chain -1: none. */
SSL_CTX *peer_tls(int ca_fd, int chain_fd, int key_fd, struct err *e);

/* --- a destination */

enum witness_step { WITNESS_IDLE, WITNESS_PROVING, WITNESS_ADDING, WITNESS_ASKING, WITNESS_JUDGED };

struct destination {
    struct courier *c;
    uint8_t number;
    bool used;
    bool connecting; /* the supervisor was asked */
    bool working;    /* the checkpoint below is under way */
    bool reused;     /* on a connection that served before: it may be gone without meaning */
    struct peer peer;
    struct event *retry, *late;
    struct event *again; /* syslog: whether all was acknowledged */
    unsigned failures;   /* in a row */
    uint64_t size;       /* of `note` */
    char note[COURIER_NOTE_MAX];
    size_t note_len;
    uint64_t taken, taken_ns; /* the newest size that it has */
    char error[201];
    /* syslog */
    char name[256], host[256];
    /* witnesses */
    char path[201];
    enum witness_step step;
    uint64_t old;     /* the size that the proof begins with */
    unsigned rounds;  /* conflicts in a row */
    uint16_t refused; /* the status, while ASKING */
    uint64_t told;
    bool asked_again;   /* for its checkpoint, on a second connection */
    struct buf request; /* waits for the connection */
};

struct courier {
    struct event_base *base;
    struct link *supervisor, *recorder; /* recorder NULL: none now */
    struct event *supervisor_readable, *supervisor_writable;
    struct event *recorder_readable, *recorder_writable;
    struct destination to[COURIER_DESTINATIONS];
    SSL_CTX *tls;
    char origin[256];
    uint64_t size; /* the newest checkpoint; 0: none yet */
    char note[COURIER_NOTE_MAX];
    size_t note_len;
};

/* courier.c */
int courier_run(int argc, char **argv);
/* After a send to the supervisor (or the recorder): asks for POLLOUT, or ends. */
void courier_sent(struct courier *c, int rc, const struct err *e);
void recorder_sent(struct courier *c, int rc, const struct err *e);

/* courier_send.c */
/* There may be something to do: a new checkpoint, a connection, the end of a wait. */
void destination_wake(struct destination *d);
void destination_connected(struct destination *d, int fd);
/* This try is over: later again. */
void destination_failed(struct destination *d, const char *text);
/* It has the checkpoint under way. */
void destination_done(struct destination *d);
/* Told to the supervisor, for `sallyport status`. */
void destination_report(struct destination *d);
/* The try under way goes on with a new connection. */
void destination_again(struct destination *d);
void destination_wait(struct destination *d, unsigned seconds);
MUST_CHECK int destination_init(struct destination *d, struct courier *c, uint8_t number,
                                struct err *e);

/* courier_syslog.c and courier_witness.c: one pair each */
void syslog_begin(struct destination *d);
void syslog_written(struct destination *d);
void witness_begin(struct destination *d);
/* The connection ended. True: while it was asked for its checkpoint, and that goes on. */
bool witness_lost(struct destination *d);
void witness_input(struct destination *d);
void witness_proof(struct destination *d, const struct elsewhere_proof *m);
void witness_verdict(struct destination *d, const struct elsewhere_verdict *m);

/* Pure; for the tests too. The RFC 5424 message with its RFC 5425 length before it. */
MUST_CHECK int syslog_message(struct buf *out, const char *host, uint64_t real_ns, const char *note,
                              size_t note_len, struct err *e);
/* Pure: the body of an add-checkpoint request. hashes: 32 bytes each. */
MUST_CHECK int add_checkpoint_body(struct buf *out, uint64_t old, const uint8_t *hashes,
                                   size_t count, const char *note, size_t note_len);

#endif
