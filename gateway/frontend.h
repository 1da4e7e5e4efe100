/* SPDX-License-Identifier: Apache-2.0
 *
 * One operator's connection in one process: the SSH server end of it (libssh), the login, the
 * channels, the relay to the backend. Private to gateway/frontend*.c.
 *
 * It is exposed to whoever reaches the port, so it is built to be worth little: it holds no target
 * credential, no TOTP secret and no policy; what it says to authd is a claim, what it sends to the
 * backend is judged and recorded there. It trusts authd, auditd and the backend to keep to the
 * message tables (which the links check), and the operator's client in nothing.
 *
 * libssh is driven by its message queue (no server callbacks, no message callback), in one session,
 * non-blocking; channel callbacks only note what they are told and never write. */
#ifndef SALLYPORT_GATEWAY_FRONTEND_H
#define SALLYPORT_GATEWAY_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <openssl/evp.h>

#include "audit/attest.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/link.h"
#include "gateway/messages.h"
#include "gateway/sftp_elide.h"

/* The message queue's getters are marked deprecated in favour of the server callbacks, which would
 * take the messages away from the queue. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Requests that wait for the target or for an answer; the client is not read while it is full.
 * OpenSSH sends at most a pty, a shell and some 30 env requests at once. */
#define FRONTEND_WAITING_MAX 64
/* One input queue fills to here; libssh holds back what comes on top, at most its window of 1.28
 * MB. */
#define FRONTEND_INPUT_SOFT (256u * 1024)
/* Queued and held back input at which the client is disconnected: 256 KiB + 1.28 MB twice is what
 * a client that keeps to its window can reach; more comes only from one that does not. */
#define FRONTEND_INPUT_STOP (3u * 1024 * 1024)
/* Everything held back is taken over at once, so the queue must be able to hold all of it, and one
 * largest packet (256 KiB) that came before the stop was seen. */
#define FRONTEND_INPUT_MAX (FRONTEND_INPUT_STOP + 512u * 1024)
/* Texts of the gateway's own (at most 1000 bytes each) beside the relay's window. */
#define FRONTEND_OUTPUT_MAX (RELAY_WINDOW + 8192u)
/* One ssh_channel_write. From 60 to 496 KiB the CPU time of a GB is the same; libssh keeps its
 * buffer of the next power of two as long as the session lives, so 128 KiB with the packets'
 * overhead. */
#define FRONTEND_WRITE_MAX   (124u * 1024)
#define FRONTEND_SIGNALS_MAX 8  /* waiting to be passed on; further ones are dropped */
#define FRONTEND_ENV_MAX     64 /* per channel */
#define FRONTEND_NO_CHANNEL  UINT32_MAX

enum frontend_phase {
    PHASE_KEX,      /* first key exchange */
    PHASE_LOGIN,    /* until both factors */
    PHASE_DECISION, /* login.open was sent */
    PHASE_SESSION,  /* granted: link relay */
    PHASE_GATEWAY,  /* the target is the gateway itself: commands go to authd */
    PHASE_TELLING,  /* over: the operator is told why on his channels */
    PHASE_LEAVING,  /* flush, disconnect */
    PHASE_DONE,
};

enum channel_stage {
    CHANNEL_OPENING,  /* the backend has not answered relay.open yet */
    CHANNEL_OPEN,     /* pty, env and one start may come */
    CHANNEL_STARTING, /* the start request waits for the backend's answer */
    CHANNEL_RUNNING,
    CHANNEL_OVER, /* refused or told the end: takes nothing more */
};

/* The operator's bytes on their way to the backend. */
struct frontend_input {
    struct buf queue;
    size_t held;     /* bytes that libssh keeps for us */
    uint32_t credit; /* bytes the backend still takes */
    bool eof, eof_passed;
};

/* The target's bytes on their way to the operator. */
struct frontend_output {
    struct buf stream[2]; /* stdout, stderr */
    unsigned first;       /* the stream whose bytes came first */
    uint32_t window;      /* bytes the backend may still send */
    bool eof, eof_sent;
};

/* The ends of the newest frames, which a final attestation names: a backend that ends before its
 * frontend has recorded up to one of them. */
#define FRONTEND_POINTS ATTEST_POINTS

/* What the operator's client really sent on a channel, for auditd. */
struct frontend_attest {
    EVP_MD_CTX *digest, *copy; /* NULL: no input yet */
    uint64_t bytes, attested;
    uint64_t frames; /* ever; the ring holds the newest */
    struct attest_point *points;
    struct sftp_elider *sftp; /* NULL: input is recorded as it comes */
    bool wanted;              /* the backend was told of this channel */
    bool answered;            /* the backend answered its start */
    bool final;
};

struct frontend;

struct frontend_channel {
    bool used;
    uint32_t number; /* on the links; never reused */
    enum channel_stage stage;
    struct frontend *frontend;
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks;
    bool forward;     /* to a host and port; there is nothing to start on it, nobody reads stderr */
    ssh_message open; /* of a forward, until the target is known to be reached; ssh is NULL */
    bool stdio;       /* of a forward: of `ssh -W` */
    ssh_message start; /* the request that waits for its answer */
    char *refusal;     /* what to say instead of starting; refusal_status goes with it */
    uint8_t refusal_status;
    bool pty; /* one was granted */
    unsigned envs;
    struct frontend_input in;
    struct frontend_output out;
    struct frontend_attest attest;
    char signals[FRONTEND_SIGNALS_MAX][33];
    unsigned signal_count;
    unsigned agent_requests; /* seen by the callback, not reported yet */
    bool exit_known;         /* exit_status or exit_signal is to be sent */
    uint32_t exit_status;
    char exit_signal[33]; /* empty: a status */
    bool exit_core;
    char exit_text[201];
    bool close_wanted;           /* by us, when all output is written */
    bool close_sent, close_seen; /* SSH: ours, the client's */
    bool close_at_end;           /* the client's came when both ends of file had passed */
    uint64_t close_by_ms;        /* what it sent before its close may go on until then */
    bool relayed;                /* the backend knows this channel */
    bool down_sent, up_seen;     /* relay: close_down, close_up */
};

enum login_step {
    LOGIN_STEP_KEY,      /* a public key is wanted, or a password where the user name says so */
    LOGIN_STEP_PROBING,  /* authd is asked about a key */
    LOGIN_STEP_CLAIMING, /* authd is told of a verified signature */
    LOGIN_STEP_ASK,      /* keyboard-interactive is wanted */
    LOGIN_STEP_PROMPTED, /* one answer to one prompt is wanted */
    LOGIN_STEP_CHECKING, /* authd has the answer */
    LOGIN_STEP_DONE,     /* both factors: the one flag that opens channels */
    LOGIN_STEP_OVER,     /* no more tries */
};

struct frontend_login {
    enum login_step step;
    char user[256];
    bool user_bound;
    bool named;       /* the user name names an operator: a password is asked for */
    bool password;    /* it is what is asked for; otherwise a code */
    ssh_message kept; /* what is answered when authd has answered */
    bool kept_signed;
    uint8_t *key; /* of the kept message, wire format */
    size_t key_len;
    bool claimed;
    char instruction[501];
    unsigned messages, probes, responses;
};

/* What the fork server prepared for all children. */
struct frontend_server {
    ssh_bind bind;
    EVP_MD *sha256;
    uint32_t login_ms;
};

struct frontend {
    uint64_t conn;
    const struct frontend_server *server;
    enum frontend_phase phase;
    uint64_t now_ms, deadline_ms; /* of the phase; 0: none */
    uint64_t attest_ms;           /* when to look for attestations */
    bool again;                   /* there is more to do: do not sleep */
    bool client_gone;
    int fd;
    ssh_session ssh;
    ssh_event event;
    struct ssh_counter_struct packets;
    uint64_t packets_fetched; /* packets.in_packets when the queue was seen empty */
    bool queue_empty;         /* libssh has no message for us */
    struct link *login, *trail, *relay;
    bool relay_gone;  /* it cannot be sent to; its last words are read */
    bool granted;     /* there was a backend: auditd compares */
    char notice[501]; /* for the first channel's stderr */
    bool ready;       /* the backend has its target */
    struct frontend_login log_in;
    ssh_message waiting[FRONTEND_WAITING_MAX];
    unsigned waiting_count;
    struct frontend_channel channels[RELAY_CHANNELS_MAX];
    uint32_t next_channel;
    unsigned turn; /* round robin of writes */
    unsigned refusals;
    uint64_t bulk; /* bytes since memory was given back last */
    uint64_t trim_ms;
    bool told;
    char end_text[1001];
    uint8_t end_status;
    char reason[201];  /* for the log and relay.bye */
    char parting[401]; /* the disconnect message: OpenSSH shows 400 bytes */
};

/* --- frontend.c: the loop of one connection */

/* Runs until the connection is over; the exit status. Owns fds. */
int frontend_run(uint64_t conn, const int *fds, const struct frontend_server *server);
/* Disconnect as soon as what is queued in libssh is out; OpenSSH shows the reason. The first one
 * stays. */
void frontend_leave(struct frontend *f, const char *reason);
/* The same with a text for the operator, whose words may be in it: the log does not get it. */
void frontend_part(struct frontend *f, const char *reason, const char *text);
/* The session is over: text on every session channel's stderr (or on the first to come), then
 * status. */
void frontend_end(struct frontend *f, const char *text, uint8_t status);
/* A link's send failed: closed or hopelessly full. */
void frontend_link_failed(struct frontend *f, const char *link, const struct err *e);

/* --- frontend_links.c: what authd, the backend and auditd say */

void frontend_links_receive(struct frontend *f);

/* --- frontend_login.c: the login state machine; it takes one message at a time */

void login_message(struct frontend *f, ssh_message m); /* owns m */
void login_probed(struct frontend *f, const struct login_probed *m);
void login_answered(struct frontend *f, const struct login_answer *m);
/* A message waits for authd: take no other. */
bool login_busy(const struct frontend *f);
void login_clear(struct frontend_login *l);

/* --- frontend_channels.c: channels from open to close, after login */

/* Takes what waits as far as it can be answered now. */
void channels_messages(struct frontend *f);
void channels_opened(struct frontend *f, const struct relay_opened *m);
/* Signals, end of file, exit and close as far as the queues allow. */
void channels_step(struct frontend *f);
/* Gives back the memory that empty queues kept. */
void channels_release(struct frontend *f);
/* When a channel's close is no longer waited with; 0: none. */
uint64_t channels_next_ms(const struct frontend *f);
/* Frees channels that are closed on all sides; only while libssh has no message for us. */
void channels_reap(struct frontend *f);
void channels_clear(struct frontend *f);
/* The next one. There must be a place. ssh may be NULL until channel_begin. */
struct frontend_channel *channel_add(struct frontend *f, ssh_channel ssh);
/* false: memory is out, the connection ends. */
bool channel_begin(struct frontend_channel *c);
void channel_drop(struct frontend_channel *c);
/* By the number on the links. NULL and *known true: one that is gone already. */
struct frontend_channel *channels_find(struct frontend *f, uint32_t number, bool *known);
unsigned channels_count(const struct frontend *f);

/* --- frontend_forward.c: connections to a host and port behind the target */

void forward_open(struct frontend *f, ssh_message m); /* owns m */
void forward_opened(struct frontend *f, struct frontend_channel *c, const struct relay_opened *m);
/* It waits for its answer, and is all that the client wants: told why not by a disconnect. */
bool forward_is_alone(const struct frontend_channel *c);
/* Refuses one that still waits for its answer. */
void forward_give_up(struct frontend_channel *c);

/* --- frontend_requests.c: requests on a channel */

/* false: it has to wait. Owns m otherwise. */
bool requests_take(struct frontend *f, ssh_message m);
void requests_started(struct frontend *f, const struct relay_started *m);
/* Answers the start request that waits; the client will see what is written. */
void channel_answer_start(struct frontend_channel *c, bool ok);

/* --- frontend_flow.c: bytes, both ways */

int flow_take(struct frontend_channel *c, uint32_t len, const void *data);
void flow_input(struct frontend *f);
/* 0, or ERR_PROTOCOL when the backend sent more than its credit. */
MUST_CHECK int flow_output_put(struct frontend_channel *c, unsigned stream, const void *p,
                               size_t len, struct err *e);
void flow_output(struct frontend *f);
bool flow_written(const struct frontend_channel *c); /* no output waits */
bool flow_idle(const struct frontend *f);

/* --- frontend_refusals.c: what is refused, and how the operator is told */

/* text on stderr, then status and close; answers a waiting start with success first. */
void refusal_tell(struct frontend_channel *c, const char *text, uint8_t status);
/* "sallyport: TEXT\r\n" on stderr, nothing else. */
void refusal_notice(struct frontend_channel *c, const char *text);
/* Refuses a message in SSH and reports it to the backend. Owns m. */
void refusal_message(struct frontend *f, struct frontend_channel *c, ssh_message m,
                     enum refused_kind kind, const char *detail);
void refusal_report(struct frontend *f, const struct frontend_channel *c, enum refused_kind kind,
                    const char *detail);

/* --- frontend_attest.c */

#define FRONTEND_ATTEST_MS 10000u
/* Before the first input of a channel on which the subsystem `sftp` was started. */
void attest_sftp(struct frontend_channel *c);
void attest_input(struct frontend_channel *c, const void *p, size_t len);
/* Before the start is passed on. 0, or a negative code: the recorder was not told. */
MUST_CHECK int attest_started(struct frontend *f, const struct frontend_channel *c,
                              enum attest_kind kind, struct bytes words, struct err *e);
void attest_report(struct frontend *f, struct frontend_channel *c, bool final);
/* The last word of all: how many channels there were. */
void attest_end(struct frontend *f);
void attest_clear(struct frontend_attest *a);

/* --- frontend_gateway.c: the target `gateway` */

void gateway_start(struct frontend *f, struct frontend_channel *c, ssh_message m); /* owns m */
void gateway_input(struct frontend *f, struct frontend_channel *c);
void gateway_output(struct frontend *f, const struct login_command_output *m);
void gateway_exit(struct frontend *f, const struct login_command_exit *m);

/* --- frontend_server.c: what the fork server prepares */

MUST_CHECK int frontend_server_start(struct frontend_server *s, int host_key_fd, uint32_t login_ms,
                                     struct err *e);

#endif
