/* SPDX-License-Identifier: Apache-2.0
 *
 * What the modules of one backend share: the session, its channels, and the steps that
 * gateway/backend.c calls in turn. Only backend*.c include this.
 *
 * A step does what can be done now and returns; it never waits. A failure that ends the session is
 * told to end_begin, and every step looks at the phase. */
#ifndef SALLYPORT_GATEWAY_BACKEND_SESSION_H
#define SALLYPORT_GATEWAY_BACKEND_SESSION_H

#include <libssh/libssh.h>
#include <libssh/callbacks.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/json_out.h"
#include "gateway/backend_bulk.h"
#include "gateway/backend_queue.h"
#include "gateway/messages.h"
#include "policy/files.h"
#include "policy/forwards.h"
#include "policy/policy.h"

/* Output of one channel that is held here before the target is left waiting. With what libssh
 * itself holds back (1.28 MB at most, docs: libssh's WINDOWBASE) a stalled channel stays below 2
 * MiB. */
#define OUTPUT_HELD_MAX (512u * 1024u)
/* Below this, what libssh held back is fetched, in full. */
#define OUTPUT_HELD_LOW (128u * 1024u)
/* A target that ignores its window is no longer read from here on: for each channel, and once. */
#define SESSION_HELD_MAX (3u * 1024u * 1024u)
/* Records of one queue that may wait for an answer before small ones are gathered into larger ones.
 */
#define RECORDS_WAITING_MAX 64u
/* Variables of one channel: LANG and the twelve LC_ of POSIX and glibc, and as many again. */
#define ENV_MAX 26u
/* A command as it is forwarded: words are quoted with two characters more each at most. */
#define COMMAND_FORWARD_MAX (WORDS_TEXT_MAX + 4 * WORDS_MAX)
/* Resizes are merged; so many signals wait for a target that does not answer a request. */
#define REQUESTS_MAX 64u
/* Openings that were given up and that the target has not answered: further ones are refused. A
 * target answers what it cannot reach when its own TCP gives up, after some 130 s; ten at a time,
 * each given up after 10 s, are 130. libssh keeps below 1 KiB for each. */
#define LATE_MAX 256u
/* Refusals that a session may write to the trail before it is ended. */
#define REFUSALS_MAX 10000u

enum phase {
    PHASE_GRANT,   /* waits for the grant */
    PHASE_START,   /* waits until the record of the session's start is durable */
    PHASE_CONNECT, /* key exchange with the target */
    PHASE_LOGIN,   /* logs in to it */
    PHASE_READY,   /* serves */
    PHASE_DRAIN,   /* ends: lets bytes that are on their way arrive */
    PHASE_FINISH,  /* ends: waits until the end record is durable */
    PHASE_FLUSH,   /* ends: lets the frontend take the last messages */
    PHASE_DONE,
};

enum request_kind { REQUEST_PTY, REQUEST_ENV, REQUEST_START, REQUEST_RESIZE, REQUEST_SIGNAL };

/* One request to the target; libssh permits one at a time for each channel. */
struct request {
    struct request *next;
    uint64_t record; /* goes out when this is durable */
    enum request_kind kind;
    enum start_kind start;
    bool sent; /* what is missing is the target's answer */
    uint32_t columns, rows;
    char *name;  /* terminal, variable or signal */
    char *value; /* variable's value or command */
};

enum channel_state {
    CHANNEL_FREE,
    CHANNEL_OPENING,  /* asked for at the target */
    CHANNEL_OPEN,     /* nothing started on it */
    CHANNEL_STARTING, /* shell or command asked for */
    CHANNEL_RUNNING,
    CHANNEL_REFUSED, /* the start was refused; waits for the frontend's close */
};

struct backend;
struct sftp;    /* gateway/backend_sftp.h */
struct forward; /* gateway/backend_forward.c */

struct channel {
    struct backend *owner;
    enum channel_state state;
    uint32_t id; /* the frontend's number */
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks;
    bool open_asked;         /* the target was asked to open it */
    uint64_t answer_by_ms;   /* and has so long */
    uint64_t answer_packets; /* what the target had sent when libssh was asked for its answer */

    /* What the operator asked for before the start. */
    bool pty, pty_asked;
    char term[65];
    char notice[200]; /* goes with the start's answer */
    uint32_t columns, rows, width_px, height_px;
    struct relay_env *env; /* ENV_MAX of them, allocated at the first */
    unsigned env_count;
    struct request *requests;
    unsigned request_count;
    bool start_asked;
    enum start_kind kind; /* of the start that was permitted */
    char *command;        /* the same's words as sent, 64 KiB at most (gateway/relay.def) */
    size_t command_len;
    bool stdin_digest; /* by the rule that permits the command */

    struct forward *forward; /* to a host and port: no start, no terminal, no exit */
    struct sftp *sftp;       /* the subsystem sftp was asked for */
    struct segment_queue input, output;
    struct bulk input_bulk, output_bulk;
    uint32_t input_credit;  /* what the frontend may still send */
    uint32_t input_passed;  /* forwarded, credit not given back yet */
    uint32_t output_credit; /* what the frontend would take */
    size_t held[2];         /* bytes that libssh holds back: output, stderr */

    bool input_eof;      /* the operator's end of input came */
    bool input_eof_sent; /* its mark is queued */
    bool target_eof, target_eof_sent;
    bool target_exit, target_exit_sent;
    bool target_closed, target_close_sent; /* ..._sent: the mark is queued */
    uint32_t exit_status;
    char exit_signal[33], exit_text[201]; /* exit_signal not empty: died of a signal */
    bool exit_core;

    bool operator_closed;       /* the frontend closed: no more output to it */
    uint64_t close_deadline_ms; /* input that waits may go out until then */
    bool refused;               /* the start failed: close the target's side */
    bool gateway_closed;        /* the gateway ended it: a client broke the SFTP protocol */
    bool cut;                   /* it ended it at once: no longer permitted */
    bool target_closing;        /* our close of the target's channel is due */
    bool close_recorded;
    uint64_t close_record; /* the target is told when this is durable */
    bool up_closed;        /* we told the frontend that it is closed */

    uint64_t bytes_in, forwarded, flushed; /* flushed: left libssh's buffer too */
    uint64_t bytes_out, delivered, lost;
};

/* An opening that was given up: gateway/backend_late.c. */
struct late {
    ssh_channel ssh;
    uint32_t id;
    bool forward, told;
};

/* Our end of the link `trail`. */
struct recorder {
    struct link *link;
    uint64_t sent, accepted, durable;
    uint64_t wanted[WANT_DURABLE + 1]; /* the last one of which at least so much was asked */
    bool stopped;
    char reason[501];
};

struct backend_end {
    char text[1001], token[33];
    char words[401]; /* of the operator's client or the target: never in the clear */
    uint8_t status;
    bool drain_output, drain_input;
    uint64_t record; /* SESSION_END's number */
    uint64_t deadline_ms, progress;
};

struct backend {
    uint64_t conn;
    enum phase phase;
    uint64_t now_ms; /* of this turn */
    struct backend_end end;

    struct link *relay, *grant;
    struct recorder trail;

    struct grant_grant granted; /* as it holds now; its DATA members point to memory of ours */
    struct rule_set *rules;
    struct file_rules *files;       /* from the grant on never NULL */
    struct forward_rules *forwards; /* the same */
    /* What the grant said at first, and what the policy says besides: backend_narrow.c. */
    uint32_t began_abilities, began_idle_s, began_max_s;
    bool narrowed;
    struct rule_set *now_rules;
    struct file_rules *now_files;       /* narrowed: never NULL */
    struct forward_rules *now_forwards; /* the same */
    char notice[1001];                  /* for the next channel that starts */
    const EVP_MD *sha256;               /* fetched before the sandbox */
    enum trail_want output_want;
    uint64_t start_record;
    bool authd_away; /* nothing new until its successor is there */

    int target_fd, agent_fd;
    ssh_session ssh;
    ssh_event event;
    bool connecting; /* ssh_connect was called */
    uint32_t connect_ms;
    uint64_t connect_deadline_ms;
    unsigned target_opens; /* channels that the target tried to open */
    /* Bytes that the socket took, bytes and packets made for it; the same when it last had all. */
    struct ssh_counter_struct sent, packed;
    uint64_t sent_then, packed_then, packets_then;
    uint64_t heard_then; /* packets taken when target_pump ended */

    struct channel channels[RELAY_CHANNELS_MAX];
    struct late late[LATE_MAX + RELAY_CHANNELS_MAX];
    unsigned late_count;
    uint32_t next_channel; /* the number that the frontend's next open must have */
    bool open_waits;       /* the newest open, for the place of a channel that both sides closed */
    uint64_t open_deadline_ms;
    struct relay_forward asked; /* the newest open, where `asks_forward` */
    bool asks_forward;
    unsigned turn; /* rotates who is served first */
    unsigned refusals;
    unsigned unseen_told, unseen_waits; /* bits of enum refused_kind: gateway/backend_unseen.c */
    uint64_t request_records;

    uint64_t started_ms, active_ms; /* limits: start, last sign of work */
    bool max_told;
    uint32_t opened;
    uint64_t bytes_in, forwarded, bytes_out, delivered; /* of closed channels */
    bool trim;                                          /* memory was used that can go back */
};

/* backend_record.c: records. Every sender ends the session by itself when the trail fails, and
 * returns ERR_TRAIL. */
struct json_record {
    struct buf text;
    struct json_out json;
};
void record_begin(struct json_record *r);
/* Sends it and frees it. number may be NULL. ERR_FULL: too long for a record; nothing was sent. */
MUST_CHECK int record_end(struct backend *b, struct json_record *r, enum record_type type,
                          uint32_t channel, enum trail_want want, uint64_t *number);
MUST_CHECK int record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                            enum trail_want want, const void *bytes, size_t len, uint64_t *number);
/* A refused request. What was asked for and the text that the operator got go word for word into a
 * request record, which is sealed; the decision after it has only the words given here: what, a
 * kind of request, and why, a token. */
void record_refusal(struct backend *b, uint32_t channel, const char *what, const char *why,
                    const void *detail, size_t detail_len, const char *text);
/* The same of a start, which is compared with what the frontend attests (docs/FORMAT.md,
 * "Attestations"): longer words have their length and digest, and whether a terminal was asked for
 * is said. v: the command rule that decided; it stands in the decision, in the clear. May be NULL.
 */
void record_refused_start(struct backend *b, const struct channel *ch, const struct relay_start *m,
                          const char *why, const struct rule_verdict *v, const char *text);
/* One more: false ends the session. Asked before each that is not recorded by the two above. */
MUST_CHECK bool record_refusal_counts(struct backend *b);
/* The decision alone, where the words stand in a sealed record of another type. request: which of
 * the session's request records has them, 0: none. */
void record_refused(struct backend *b, uint32_t channel, const char *what, const char *why,
                    uint64_t request);
/* A start that is permitted: what kind, and by which command rule, in the clear. */
MUST_CHECK int record_permitted(struct backend *b, uint32_t channel, const char *what, bool pty,
                                const struct rule_verdict *v, uint64_t *number);
/* Words that belong to no decision, in a request record of their own. */
void record_words(struct backend *b, const char *what, const char *text);
/* text is recorded in the clear: no word of the operator or the target. */
void record_alarm(struct backend *b, const char *token, const char *text);
/* auditd answered for this record what `want` asked for. */
bool record_settled(const struct backend *b, uint64_t number, enum trail_want want);
/* The way to auditd is full: nothing is taken in. */
bool record_busy(const struct backend *b);
void record_step(struct backend *b);

/* backend_grant.c */
void grant_step(struct backend *b);    /* receives */
void grant_started(struct backend *b); /* PHASE_START: is the start durable? */
void grant_tell(struct backend *b, enum backend_state state, const char *text);
void grant_clear(struct backend *b);
/* Whom a refused operator is told to ask (site.yaml). */
const char *grant_contact(const struct backend *b);
/* ": denied by ROLE/allow", where it is known which role would have to permit it. */
#define GRANT_DENIED_BY_MAX (sizeof ": denied by /allow" + 64)
const char *grant_denied_by(const struct backend *b, char out[GRANT_DENIED_BY_MAX]);
/* Abilities, command_rules and how is recorded: members of session-start and of grant records. */
void grant_write_terms(const struct backend *b, struct json_out *j);

/* backend_narrow.c: what is left of the grant. */
MUST_CHECK int narrow_take(struct backend *b, const struct frame *f, struct err *e);
void narrow_clear(struct backend *b);
/* The command and file rules that hold (policy/rules.h, policy/files.h): of the grant, and of the
 * policy in force where that is another one. */
bool narrow_rules_restrict(const struct backend *b);
MUST_CHECK int narrow_rules_judge(const struct backend *b, const void *command, size_t len,
                                  struct rule_verdict *v, struct buf *forward, struct err *e);
/* A deny took the shell that a role permits; rule gets its name. */
bool narrow_took_shell(const struct backend *b, char rule[128]);
unsigned narrow_files_access(const struct backend *b, const char *path, size_t len, unsigned wanted,
                             char rule[128]);
bool narrow_files_visible(const struct backend *b, const char *path, size_t len);
bool narrow_files_unrestricted(const struct backend *b);
/* rule and send as forward_rules_match has them. */
bool narrow_forwards_match(const struct backend *b, const char *host, uint16_t port, char rule[128],
                           char send[FORWARD_HOST_MAX + 1]);
/* On every channel that runs, or on the next. */
void narrow_tell(struct backend *b, const char *text);
/* Some channel runs on which notices are seen. */
bool narrow_told_now(const struct backend *b);
void narrow_tell_waiting(struct backend *b, const struct channel *ch);

/* backend_target.c: the SSH session with the target. */
void target_begin(struct backend *b); /* PHASE_CONNECT starts */
void target_step(struct backend *b);  /* key exchange and login */
void target_pump(struct backend *b);  /* PHASE_READY: packets, into channel callbacks */
/* While something was written, libssh took packets: their meaning is still to be looked at. */
bool target_heard(const struct backend *b);
short target_events(const struct backend *b);
bool target_alive(const struct backend *b);
bool target_unsent(struct backend *b); /* bytes wait in libssh's buffer */
void target_close(struct backend *b);  /* no channel has an ssh_channel afterwards */
void target_clear(struct backend *b);  /* frees libssh's session, after target_close */

/* backend_hostkey.c: pinned host keys. */
/* Algorithm names for SSH_OPTIONS_HOSTKEYS, of the pinned keys' types. ERR_INPUT: none usable. */
MUST_CHECK int hostkey_algorithms(struct bytes pinned, struct buf *out, struct err *e);
/* The target's key is one of the pinned. found gets its fingerprint, or "". */
bool hostkey_pinned(ssh_session ssh, struct bytes pinned, char found[64]);
/* "SHA256:..., SHA256:..." of the pinned keys. */
void hostkey_fingerprints(struct bytes pinned, char *out, size_t cap);
void fingerprint(const void *blob, size_t len, char out[64]);

/* backend_relay.c: what the frontend says. */
void relay_step(struct backend *b);
bool relay_heard(const struct backend *b); /* whether anything is taken from the frontend now */
void relay_violation(struct backend *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* After a failed send: the frontend is gone, or does not read. */
void relay_failed(struct backend *b, int code);
/* channel: RELAY_NEWEST, or the one on whose stderr it appears. */
void relay_notice_text(struct backend *b, uint32_t channel, const char *text);

/* backend_unseen.c: what the frontend refused by itself. */
void unseen_refused(struct backend *b, const struct relay_refused *m);
/* On the channel that starts. */
void unseen_tell_waiting(struct backend *b, const struct channel *ch);

/* backend_judge.c: the grant applied. Each returns true when it is permitted; else the refusal is
 * recorded and text holds what the operator is told (room for 1001 bytes). */
bool judge_env(struct backend *b, const struct relay_env *m);
bool judge_signal(struct backend *b, const struct relay_signal *m);
/* v: which command rule decided (no name without rules); ch->stdin_digest is what it says. forward:
 * what goes to the target. */
bool judge_start(struct backend *b, struct channel *ch, const struct relay_start *m,
                 struct rule_verdict *v, struct buf *forward, char *text);
/* A terminal for this start; ch->notice says why not. */
bool judge_pty(struct backend *b, struct channel *ch, enum start_kind kind);
/* The terminal's name, or "dumb" for one that is no name. */
const char *judge_term(const char *term);

/* backend_channels.c: channels from open to close. */
struct channel *channel_find(struct backend *b, uint32_t id);
void channel_open(struct backend *b, const struct relay_open *m);
void channel_forward(struct backend *b, const struct relay_forward *m);
void channel_close_down(struct channel *ch);
/* What runs on it is no longer permitted: nothing more goes either way. */
void channel_cut(struct channel *ch, const char *text);
void channels_step(struct backend *b);
/* All output and the target's close were passed on. */
void channel_delivered_close(struct channel *ch);
/* The record of its end, once; its number is in ch->close_record. */
void channel_record_close(struct channel *ch, const char *by);
/* The type of the records of what happens on it: end of file, exit, close. */
static inline enum record_type channel_event_type(const struct channel *ch)
{
    return ch->forward != NULL ? RECORD_FORWARD_CLOSE : RECORD_EXEC;
}
/* Milliseconds until a channel has to be looked at, UINT64_MAX: none. */
uint64_t channels_next_ms(const struct backend *b);
/* Ends the start without a session on it: text and status for the operator. */
void channel_start_failed(struct channel *ch, const char *text, uint8_t status);
void channels_clear(struct backend *b); /* after target_close */

/* backend_forward.c: connections to a host and port behind the target. */
/* The grant permits it, and the operator did not close in between; else the refusal is recorded and
 * text (1001 bytes) is what the operator is told. */
bool forward_judge(struct backend *b, const struct relay_forward *m, char text[1001]);
/* A refusal for another reason than the grant: why is its token. */
void forward_refused(struct backend *b, const struct relay_forward *m, const char *why,
                     const char *text);
/* Records it; the channel connects when that is durable. False: the session ends. */
MUST_CHECK bool forward_begin(struct channel *ch, const struct relay_forward *m);
/* May the target be asked? Not before it is recorded. */
bool forward_recorded(const struct channel *ch);
/* Asks the target: as ssh_channel_open_session. */
int forward_connect(struct channel *ch);
/* "localhost:16509", escaped. */
#define FORWARD_SHOWN_MAX 280
const char *forward_shown(const struct channel *ch, char out[FORWARD_SHOWN_MAX]);
void forward_clear(struct channel *ch);
/* The rules that hold now permit it still. */
bool forward_holds(const struct channel *ch);

/* backend_late.c: openings that the target did not answer in time. */
/* Takes the channel's ssh_channel, which the target was asked to open. */
void late_keep(struct channel *ch);
void late_step(struct backend *b);
/* There is room for those that may be opening. */
bool late_room(struct backend *b);
void late_forget(struct backend *b); /* libssh frees them itself */
/* What comes on it is dropped from now on. */
void late_drop_data(ssh_channel ssh);

/* backend_requests.c: pty, env, start, resize, signal. */
void request_pty(struct channel *ch, const struct relay_pty *m);
void request_env(struct channel *ch, const struct relay_env *m);
void request_start(struct channel *ch, const struct relay_start *m);
void request_resize(struct channel *ch, const struct relay_resize *m);
void request_signal(struct channel *ch, const struct relay_signal *m);
void requests_step(struct channel *ch);
void requests_clear(struct channel *ch);

/* backend_flow.c: bytes. */
void flow_callbacks(struct channel *ch);
void flow_input(struct channel *ch, struct bytes bytes);
void flow_credit(struct channel *ch, uint32_t bytes);
void flow_give_credit(struct channel *ch); /* what ch->input_passed says */
void flow_record(struct backend *b);       /* queued bytes become records */
void flow_record_full(struct backend *b);  /* only whole segments, between two reads */
void flow_forward(struct backend *b);      /* durable input goes to the target */
void flow_deliver(struct backend *b);      /* settled output goes to the frontend */
void flow_fetch(struct backend *b);        /* what libssh held back */
/* Passing bytes on made room that nothing from outside will tell of: take another turn now. */
bool flow_ready(const struct backend *b);
bool flow_stopped(const struct backend *b); /* do not read from the target now */

/* backend_bulk_flow.c: streams that are not kept, by the grant. */
/* What is not kept of this channel; called once, when its start is permitted. */
void bulk_start(struct channel *ch, enum start_kind kind, bool stdin_digest);
/* Appends bytes of stderr, or of standard output, to ch->output. ERR_MEMORY. */
MUST_CHECK int bulk_output(struct channel *ch, bool is_stderr, const void *bytes, size_t len);
MUST_CHECK int bulk_input(struct channel *ch, const void *bytes, size_t len);
/* Records one digest of what stands at the front of q->unrecorded. False: nothing is due. */
bool bulk_record(struct channel *ch, struct segment_queue *q, bool full_only);
/* Another turn would record something. */
bool bulk_ready(const struct channel *ch, const struct segment_queue *q);
/* For the record of the channel's end. */
void bulk_write_close(const struct channel *ch, struct json_out *j);
void bulk_end(struct channel *ch);

/* backend_sftp.c: a channel on which the subsystem sftp was asked for. Without one (ch->sftp NULL)
 * the last five do nothing, and are true. */
MUST_CHECK bool sftp_begin(struct channel *ch); /* false: memory is out; sftp_clear frees it */
void sftp_clear(struct channel *ch);
/* Bytes as they came. False: memory is out. */
MUST_CHECK bool sftp_take_input(struct channel *ch, const void *bytes, size_t len);
MUST_CHECK bool sftp_take_output(struct channel *ch, const void *bytes, size_t len);
/* Records them, and passes on what is whole, permitted, and has room. */
void sftp_step(struct channel *ch);
void sftp_output_step(struct channel *ch); /* the target's alone, between two reads */
/* The channel ends: what is open is recorded as closed. Before the record of its end. */
void sftp_ended(struct channel *ch);
/* Other file rules hold: open files have what their paths have now. */
void sftp_narrow(struct channel *ch);
size_t sftp_held(const struct channel *ch);     /* bytes of the target's that were taken */
bool sftp_ready(const struct channel *ch);      /* a step would do something */
bool sftp_input_idle(const struct channel *ch); /* nothing waits that was taken */
bool sftp_output_idle(const struct channel *ch);

/* backend_limits.c */
void limits_step(struct backend *b);
uint64_t limits_next_ms(const struct backend *b); /* UINT64_MAX: none */

/* backend_end.c */
/* The first call wins, and returns true. token: for SESSION_END, as the text, which is in the clear
 * there: no word of the operator or the target. drain flags are in b->end afterwards. */
bool end_begin(struct backend *b, const char *token, uint8_t status, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Right after end_begin returned true: what the other side said, escaped. The operator sees it, and
 * a sealed record has it. */
void end_quote(struct backend *b, const char *words);
void end_draining(struct backend *b, bool output, bool input);
/* No more draining: whoever wants the session to end does not wait for a slow reader. */
void end_drained(struct backend *b);
void end_step(struct backend *b);
uint64_t end_next_ms(const struct backend *b);

/* backend_watchdog.c: limits on what libssh may do to us. */
MUST_CHECK int watchdog_agent_start(struct err *e);
/* While the agent is asked, which libssh waits for without a limit: after ms its descriptor is
 * closed under it. 0: no longer. */
void watchdog_agent(int fd, uint32_t ms);

#endif
