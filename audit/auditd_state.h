/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the recorder, shared by auditd.c, auditd_producers.c and auditd_settle.c alone. */
#ifndef SALLYPORT_AUDIT_AUDITD_STATE_H
#define SALLYPORT_AUDIT_AUDITD_STATE_H

#include <event2/event.h>
#include <sys/queue.h>

#include "audit/auditd.h"
#include "audit/auditd_disk.h"
#include "audit/reviewers.h"
#include "audit/auditd_elsewhere.h"
#include "audit/trail.h"
#include "gateway/messages.h"

/* Twice the connections that a gateway can be configured for (a frontend and a backend each), and
 * the supervisor and authd. */
#define PRODUCERS_MAX 4096u
/* A producer's turn: eight full records, which are hashed side by side in half a millisecond. */
#define TURN_BYTES  (512u * 1024u)
#define TURN_FRAMES 64u
/* An ack is 18 bytes. A producer that leaves 3,000 of them unread does not listen. */
#define PRODUCER_QUEUE 65536u

/* Why a producer is not read now. */
enum pause { PAUSE_NOT, PAUSE_ROOM, PAUSE_LIMIT };

struct producer {
    TAILQ_ENTRY(producer) all;
    TAILQ_ENTRY(producer) active; /* while it waits for anything */
    struct auditd *auditd;
    struct link *link;
    struct event *readable, *writable;
    enum trail_producer kind;
    uint64_t conn;
    uint8_t session[RECORD_SESSION_ID];
    struct session_state *state; /* held; NULL for the gateway's own session */
    bool started, ended;         /* a backend's session record was taken */
    bool is_active;
    bool break_glass; /* let in on a full disk: its records may use the reserve for that */
    bool stopped;     /* it was told; what it still sends is not taken */
    enum pause pause;
    uint64_t paused_ms;
    uint64_t bytes, max_bytes;            /* of the trail; max 0: no limit */
    struct operator_use *use;             /* NULL: no session's */
    uint64_t received;                    /* records taken from it */
    uint64_t settling;                    /* of those, in the synchronisation under way */
    uint64_t durable;                     /* of those, synchronised */
    uint64_t want_accepted, want_durable; /* the newest record that it waits for */
    uint64_t told_accepted, told_durable;
    uint64_t left_out; /* records that there was no session to seal for */
};

TAILQ_HEAD(producer_list, producer);

struct auditd {
    struct event_base *base;
    struct link *supervisor;
    struct event *supervisor_readable;
    struct event *sync_ended; /* the synchronising thread's eventfd */
    struct event *soon;       /* bounds how long accepted records stay without fdatasync */
    struct event *ticks;      /* every TICK_S */
    bool soon_armed;
    struct trail *trail;
    int dir;             /* the trail's */
    struct prune *prune; /* the order that is being carried out */
    uint64_t prune_client;
    struct event *prune_step;
    int high_mark; /* descriptor of the file, 0: none */
    int trail_dir;
    struct disk_watch disk;
    struct reviewers reviewers; /* for whom new sessions are sealed */
    struct producer_list producers, active;
    unsigned producer_count;
    unsigned turns; /* producers that sent something in this round of the loop */
    bool failing;   /* the trail cannot be written any more */
    bool done;
    int status; /* exit status, once done */
    char failure[501];
    EVP_PKEY *log_key; /* the start's */
    char origin[NOTE_NAME_MAX + 1];
    struct elsewhere *elsewhere; /* NULL: checkpoints go nowhere */
};

/* auditd.c */
/* The trail failed: stop all producers, tell the supervisor, take nothing more. */
void auditd_fail(struct auditd *a, const struct err *e);

/* auditd_producers.c */
/* Owns fd. A negative code when the supervisor asked for nonsense. */
MUST_CHECK int producer_add(struct auditd *a, int fd, const struct auditd_producer *m,
                            struct err *e);
MUST_CHECK int producer_bind(struct auditd *a, const struct auditd_bind *m, struct err *e);
/* The supervisor's word about a backend, of which there may be none any more. */
MUST_CHECK int producer_limit(struct auditd *a, const struct frame *f, struct err *e);
/* Ends the link; a backend's open session gets its end record. */
void producer_end(struct producer *p, const char *reason, const char *text);
/* Tells the producer that the trail failed. */
void producer_stop(struct producer *p, const char *text);
/* Stops and begins to read it. */
void producer_pause(struct producer *p, enum pause why);
void producer_resume(struct producer *p);
/* Takes everything that producers have sent until now, then ends them all. */
void producers_drain(struct auditd *a);
/* Sends counts when it waits for them. May end the producer. */
void producer_tell(struct producer *p);

/* auditd_append.c */
/* Appends what the producer may write, sealed where its type is. ERR_TRAIL; ERR_PROTOCOL: it cannot
 * be sealed any more. */
MUST_CHECK int auditd_append(struct producer *p, const struct trail_record *m,
                             const uint8_t *session, struct err *e);

/* auditd_attest.c */
/* Before a record is appended. ERR_PROTOCOL; ERR_MEMORY. */
MUST_CHECK int auditd_compare(struct producer *p, const struct trail_record *m, struct err *e);
/* After it: input is compared; what is to be said if the session became disputed. ERR_TRAIL. */
MUST_CHECK int auditd_dispute(struct producer *p, const struct trail_record *m, struct err *e);
/* p let go of this session; the last one's going is the time of its verdict. */
void auditd_judge(struct producer *p, struct session_state *s);
/* auditd_reviewers.c */
/* Parses and checks what the supervisor sent. */
MUST_CHECK int auditd_parse_reviewers(struct reviewers *out, struct bytes lines, struct err *e);
/* Seals for these from now on; a list that is not the one before is a record. ERR_TRAIL. */
MUST_CHECK int auditd_take_reviewers(struct auditd *a, const struct reviewers *list, struct err *e);

/* auditd_prune.c */
/* An order of two custodians came: ERR_PROTOCOL alone; everything else is answered. */
MUST_CHECK int retention_order(struct auditd *a, const struct frame *f, struct err *e);
/* After the start: what was under way when the recorder ended goes on. */
void retention_resume(struct auditd *a, int dir);
void retention_free(struct auditd *a);

/* auditd_settle.c */
/* After each round of the loop: write, synchronise, tell. */
void auditd_settle(struct auditd *a);
void auditd_sync_ended(evutil_socket_t fd, short what, void *arg);
void auditd_soon(evutil_socket_t fd, short what, void *arg);
void auditd_activate(struct producer *p);

#endif
