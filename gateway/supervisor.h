/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the supervisor share. The supervisor runs as root, accepts, starts the other
 * programs, makes the sockets between them and passes descriptors on; it never reads a byte that
 * came from the network. One thread, one event loop; everything hangs on one struct supervisor.
 *
 * supervisor.c              options, start, the loop, signals, the order of the end
 * supervisor_sockets.c      listening sockets, accept(), the control socket, the instance's lock
 * supervisor_accept.c       who may come in (pure)
 * penalties.c               which sources are slowed or blocked (pure)
 * supervisor_gate.c         from accept() to the first byte of TLS
 * supervisor_penalties.c    records of blocks, `sallyport source`
 * supervisor_programs.c     start, death, backoff, renewal of programs
 * supervisor_spawn.c        fork and exec of one program
 * supervisor_links.c        what programs say, and the first words to each
 * supervisor_connections.c  the connection table: who serves it, when it is gone
 * supervisor_begin.c        socketpairs and forks for a connection's frontend and backend
 * supervisor_live.c         what authd says of sessions that run
 * supervisor_target.c       connect() to a target
 * supervisor_policy.c       policy sets: read, hand to authd, keep the addresses
 * supervisor_records.c      the supervisor's records in the trail
 * supervisor_courier.c      checkpoints elsewhere: connects, links, states
 * supervisor_firewall.c     blocked sources, and what the firewall is told
 * supervisor_admission.c    whether new sessions may start, and why not
 * supervisor_reader.c       readers for reviewers
 * supervisor_stats.c        the answer to authd.stats_ask */
#ifndef SALLYPORT_GATEWAY_SUPERVISOR_H
#define SALLYPORT_GATEWAY_SUPERVISOR_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/json_out.h"
#include "audit/reviewers.h"
#include "gateway/config.h"
#include "gateway/messages.h"
#include "gateway/supervisor_accept.h"
#include "policy/policy.h"

struct supervisor;

/* --- programs */

enum program_kind {
    PROGRAM_AUDITD,
    PROGRAM_AUTHD,
    PROGRAM_FRONTEND,
    PROGRAM_BACKEND,
    PROGRAM_COURIER,  /* only where checkpoints go elsewhere */
    PROGRAM_FIREWALL, /* only where it is enabled */
    PROGRAM_LISTENER,
    PROGRAM_READER, /* no slot: one for each request (supervisor_reader.c) */
    PROGRAM_KINDS
};

enum program_state {
    PROGRAM_STARTING,
    PROGRAM_RUNNING,
    PROGRAM_RETIRED, /* a fork server that forks no more, or any program told to end */
};

/* A process that runs. */
struct program {
    TAILQ_ENTRY(program) entry;
    struct supervisor *s;
    struct slot *slot;
    enum program_state state;
    pid_t pid;
    uint64_t generation; /* of its slot: 1 for the first */
    uint64_t started_ms, started_real_ns;
    struct link *link;
    bool broken; /* nothing is read from or sent on the link any more: its death is on the way */
    uint64_t broken_ms; /* when the tick last saw the link whole */
    struct event *readable, *writable;
    unsigned forks;       /* fork servers */
    unsigned connections; /* listeners */
};

/* A place that is to be filled as long as the gateway runs. */
struct slot {
    struct supervisor *s;
    enum program_kind kind;
    unsigned index; /* listeners */
    struct program *running, *starting;
    uint64_t generation;   /* programs started so far */
    uint64_t deaths;       /* of those that nobody told to end */
    unsigned quick_deaths; /* in a row, within 10 s of their start */
    struct event *restart;
};

#define SLOTS_MAX (PROGRAM_LISTENER + CONFIG_LISTENERS_MAX)

/* --- connections */

enum side_state {
    SIDE_NONE,
    SIDE_WAITING,    /* for a program that is being restarted */
    SIDE_CONNECTING, /* backend only: connect() to the target */
    SIDE_FORKING,
    SIDE_RUNNING,
    SIDE_GONE,
};

struct side {
    enum side_state state;
    struct program *server; /* FORKING, RUNNING */
    pid_t pid;              /* RUNNING */
    bool killed;            /* by our word: its end is no crash */
};

/* supervisor_gate.c */
enum gate { GATE_OPEN, GATE_HEADER, GATE_PARKED };

struct connection {
    TAILQ_ENTRY(connection) entry, bucket, parked;
    struct supervisor *s;
    uint64_t number;
    /* The operator's. Of a proxy's connection the proxy's, while GATE_HEADER. */
    struct address address;
    char address_text[ADDRESS_TEXT];
    uint16_t port;
    bool by_proxy; /* TCP's peer is a proxy, and address is (or will be) what it says */
    struct address proxy;
    char proxy_text[ADDRESS_TEXT]; /* empty: not by_proxy */
    enum gate gate;
    bool counted; /* for the source `address` */
    bool refused; /* a proxy's that may not come in: its end is not news */
    int fd;       /* until a listener has it, else -1 */
    uint64_t parked_until_ms;
    uint64_t accepted_ms, accepted_real_ns, ready_ms;
    struct program *listener; /* NULL: it has let go of it, or died */
    bool ready;               /* TLS and CONNECT are done */
    bool dropped;             /* the listener was told to drop it */
    bool known_to_authd;      /* authd.connection was sent: authd.gone has to follow */
    bool penalised;           /* one crash per connection counts */
    uint64_t ending_ms;       /* since when only part of it is left; 0: it is whole */
    struct side frontend, backend;
    struct listener_ready *request; /* frontend WAITING: what the listener said */
    uint8_t *certificate;           /* request's certificate_der points here */
    /* The backend, from authd.start_backend on */
    uint8_t session[16];
    char operator_name[OPERATOR_NAME_MAX + 1];
    char target_name[TARGET_NAME_MAX + 1];
    uint64_t max_bytes; /* of the trail, that the session may fill; 0: no limit */
    bool break_glass;   /* let in although no session starts */
    uint8_t *again;     /* authd's, for its successor */
    size_t again_len;
    int grant_fd;  /* authd's end of the backend's link, for its successor; -1: no backend */
    int target_fd; /* CONNECTING and WAITING, else -1 */
    struct event *target_event;
};
TAILQ_HEAD(connections, connection);
#define CONNECTION_BUCKETS 1024u

/* --- policy */

struct policy_set {
    uint64_t generation; /* 0: none */
    int memfd;
    uint8_t hash[32];
    struct reviewers *reviewers; /* in force with it */
    struct policy_target_address *targets;
    size_t target_count;
};

/* --- readers (supervisor_reader.c): far more reviewers than look at recordings at once */
#define READERS_MAX 8

struct reader_process {
    pid_t pid; /* 0: free */
    struct link *link;
};

struct supervisor {
    struct event_base *base;
    struct config config;
    struct buf config_text; /* sallyport.yaml as it was parsed: part of every policy set */
    struct reviewers reviewers;
    const char *confdir, *libexecdir;
    int ready_fd, lock_fd, control_fd;
    bool started; /* was ready once: from then on a dying program is restarted, not a reason to give
                     up */
    bool accepting;
    int exit_status;

    struct event *listening[CONFIG_LISTEN_MAX];
    struct event *signals[4], *tick, *progress;
    struct acceptance *acceptance;
    struct penalties *penalties;
    uint64_t penalty_minute_ms, blocks_untold, ends_untold;
    unsigned penalty_told;
    uint64_t proxy_checks; /* connections of proxies for themselves */
    uint64_t authd_introduced,
        authd_trail; /* generations of authd and auditd that know each other */

    struct slot slots[SLOTS_MAX];
    size_t slot_count;
    TAILQ_HEAD(, program) programs;

    uint64_t courier_told, courier_met; /* generations of auditd and the courier that know */

    struct connections connections, buckets[CONNECTION_BUCKETS], parked;
    uint64_t connections_ever;

    struct policy_set current, previous, loading;
    uint64_t policy_generation; /* the last number given */
    bool reload_again;
    bool authd_has_policy; /* the present authd said `loaded` */

    struct reader_process readers[READERS_MAX];
    struct records *records;
    char trail_failing[512];             /* what auditd said; empty: it writes */
    char closed[ADMISSION_REASONS][512]; /* why no session starts; empty: for that they may */
    bool glass; /* break-glass sessions may start where the disk closed the gate */
    struct {
        uint8_t level; /* enum disk_level */
        uint64_t available, total;
        uint8_t glass; /* enum glass_state */
        uint64_t glass_bytes;
    } disk;

    enum { RUNNING, ENDING_SESSIONS, ENDING_PROGRAMS, ENDING_TRAIL } phase;
    uint64_t phase_until_ms;
};

/* supervisor.c */
int supervisor_run(int argc, char **argv);
/* A program became ready, died, or a connection is gone: go on with the start, or the end. Later in
 * the loop, so that nothing vanishes under who calls it. */
void supervisor_progress(struct supervisor *s);
/* Before the gateway was ready once: prints the text and ends. Later: logs it. */
void supervisor_fatal(struct supervisor *s, const char *what, const char *text);

/* supervisor_sockets.c */
MUST_CHECK int sockets_lock(struct supervisor *s, struct err *e);
MUST_CHECK int sockets_open(struct supervisor *s, struct err *e);
void sockets_accepting(struct supervisor *s, bool on);
void sockets_close(struct supervisor *s);
void sockets_notify(struct supervisor *s, const char *state);

/* supervisor_programs.c */
void programs_init(struct supervisor *s);
/* 0 or, the program could not even be started, an error. */
MUST_CHECK int program_start(struct supervisor *s, struct slot *slot, struct err *e);
/* The program said `started`: it takes its slot, the one before retires. */
void program_running(struct program *p);
/* After a send to p: asks for POLLOUT while bytes wait; a queue that is full or a broken link ends
 * the program. rc is what the send returned. Returns rc. */
int program_sent(struct program *p, int rc, const struct err *e);
/* It broke the protocol, or does not read: kills it and says why in an alarm. */
void program_violated(struct program *p, const char *text);
/* Puts a fresh fork server in the slot; at_once: the present one forks no more from now on. */
void slot_renew(struct slot *slot, bool at_once);
/* SIGCHLD: collects all that died. */
void programs_reap(struct supervisor *s);
/* Ends what is sent to every program of this kind: it ends by that. */
void programs_dismiss(struct supervisor *s, enum program_kind kind);
void programs_kill_all(struct supervisor *s);
bool programs_any(const struct supervisor *s, enum program_kind kind);
/* Kills programs that do not get ready in time. */
void programs_tick(struct supervisor *s, uint64_t now_ms);
struct program *program_of(struct supervisor *s, enum program_kind kind);
/* The running listener with the fewest connections, NULL: none. */
struct program *program_listener(struct supervisor *s);
const char *program_name(enum program_kind kind);

/* supervisor_spawn.c: fork and exec; *link_fd is our end of its link. */
MUST_CHECK int spawn_program(const struct supervisor *s, enum program_kind kind, pid_t *pid,
                             int *link_fd, struct err *e);
/* Whether this configuration has such a program. */
bool program_wanted(const struct supervisor *s, enum program_kind kind);
MUST_CHECK int spawn_check(const struct supervisor *s, struct err *e);

/* supervisor_links.c */
/* The first message to a new program. */
MUST_CHECK int link_start(struct program *p, struct err *e);
/* Takes what a program said: some, or (it is dead, there is no next turn) all. ERR_CLOSED,
 * ERR_PROTOCOL. */
MUST_CHECK int link_drain(struct program *p, bool all, struct err *e);

/* supervisor_connections.c */
void connections_init(struct supervisor *s);
struct connection *connection_find(struct supervisor *s, uint64_t number);
/* Takes fd over. NULL when memory is out: then not. */
struct connection *connection_new(struct supervisor *s, int fd, const struct address *address,
                                  uint16_t port);
/* Ends it in order: the listener closes it, and what serves it follows. */
void connection_drop(struct connection *c);
/* As connection_drop, and kills its processes. */
void connection_kill(struct connection *c);
/* Frees it when nobody serves it any more. Returns true then. */
bool connection_check_gone(struct connection *c);
/* A side has ended, or never began; tells the other parts. */
void connection_side_gone(struct connection *c, struct side *side);
void connections_program_died(struct program *p);
/* What waits too long, and processes that outlive their connection. */
void connections_tick(struct supervisor *s, uint64_t now_ms);
/* "tls", "waiting", "login", "connecting", "session", "ending" */
const char *connection_state(const struct connection *c);
MUST_CHECK int on_listener_ready(struct program *p, struct frame *f, struct err *e);
MUST_CHECK int on_listener_failed(struct program *p, struct frame *f, struct err *e);
MUST_CHECK int on_listener_closed(struct program *p, struct frame *f, struct err *e);
MUST_CHECK int on_forked(struct program *p, struct frame *f, struct err *e);
MUST_CHECK int on_ended(struct program *p, struct frame *f, struct err *e);

/* supervisor_gate.c */
/* A new socket from the port; takes fd over. */
void gate_incoming(struct supervisor *s, int fd, const struct address *peer, uint16_t port);
void gate_tick(struct supervisor *s, uint64_t now_ms);
/* The connection ends: what of it is here. */
void gate_gone(struct connection *c);
/* The gateway ends: nobody waits any longer. */
void gate_close(struct supervisor *s);
MUST_CHECK int on_listener_proxied(struct program *p, struct frame *f, struct err *e);

/* supervisor_penalties.c */
MUST_CHECK int penalties_start(struct supervisor *s, struct err *e);
/* direct: the address is TCP's own. */
void penalise(struct supervisor *s, const struct address *address, bool direct,
              enum penalty_cause cause);
/* Returns for how long it is refused, in ms. */
uint64_t penalise_crash(struct supervisor *s, const struct address *address, bool direct);
void penalties_tick(struct supervisor *s, uint64_t now_ms);
void penalties_stats(struct supervisor *s, struct json_out *j, size_t listed);
MUST_CHECK int on_failure(struct program *authd, struct frame *f, struct err *e);
MUST_CHECK int on_sources_ask(struct program *authd, struct frame *f, struct err *e);
MUST_CHECK int on_source_lift(struct program *authd, struct frame *f, struct err *e);
/* supervisor_live.c */
/* Keeps authd's word of a session for its successor. */
MUST_CHECK int live_keep(struct connection *c, struct bytes again, struct err *e);
MUST_CHECK int on_narrowed(struct program *authd, struct frame *f, struct err *e);
/* authd died: its backend opens nothing new until there is another. */
void live_away(struct connection *c);

/* supervisor_begin.c */
void begin_frontend(struct connection *c);
/* c->target_fd is connected. */
void begin_backend(struct connection *c);
void begin_waiting(struct supervisor *s);
void backend_failed(struct connection *c, const char *reason);
MUST_CHECK int on_start_backend(struct program *authd, struct frame *f, struct err *e);

/* supervisor_target.c: ends in begin_backend or backend_failed. */
void target_connect(struct connection *c, const struct address *address, uint16_t port);
void target_cancel(struct connection *c);

/* supervisor_policy.c */
/* Reads the set from the disk and gives it to authd. why: "start", "SIGHUP", "admin". */
void policy_reload(struct supervisor *s, const char *why);
/* To a fresh authd: the set in force, or the first one. */
void policy_give(struct supervisor *s);
MUST_CHECK int on_loaded(struct program *authd, struct frame *f, struct err *e);
MUST_CHECK int on_load_refused(struct program *authd, struct frame *f, struct err *e);
const struct policy_target_address *policy_target(const struct supervisor *s, uint64_t generation,
                                                  uint32_t index);
void policy_authd_died(struct supervisor *s);
/* sallyportd --check */
MUST_CHECK int policy_check(const struct supervisor *s, struct err *e);

/* supervisor_reviewers.c */
/* Reads reviewers.yaml; complains on standard error where there is only one. */
MUST_CHECK int reviewers_start(struct supervisor *s, struct err *e);
/* The list of a policy set that was read. The caller frees it. NULL: there is none that is right.
 */
struct reviewers *reviewers_of_set(const struct buf *bundle, struct err *e);
/* The set is in force: so is its list. NULL: the list before stays. */
void reviewers_take(struct supervisor *s, const struct reviewers *list);
/* To the auditd that runs: the list may have changed while it started. */
void reviewers_tell(struct supervisor *s);

/* supervisor_records.c */
MUST_CHECK int records_init(struct supervisor *s);
/* A fresh auditd: a new link for our own records. */
void records_attach(struct supervisor *s);
void records_detach(struct supervisor *s);
/* Starts the payload of an ACCESS or ALARM record with its `event`; records_end sends it, at once
 * or when auditd is back. */
struct json_out *records_begin(struct supervisor *s, const char *event);
void records_end(struct supervisor *s, uint8_t type);
/* Counts towards the minute's record of this source and reason. proxy, detail may be NULL. */
void records_count(struct supervisor *s, const struct address *address, const struct address *proxy,
                   const char *reason, const char *detail);
/* Writes the minute's counts when it is over, or now. */
void records_flush(struct supervisor *s, uint64_t now_ms, bool now);

/* supervisor_links.c: the log's name is that of its key: a gateway may have had other logs. */
MUST_CHECK int read_origin(const struct supervisor *s, char *out, size_t cap, struct err *e);

/* supervisor_courier.c */
bool courier_wanted(const struct supervisor *s);
MUST_CHECK int start_courier(struct program *p, struct err *e);
MUST_CHECK int on_courier(struct program *p, struct frame *f, struct err *e);
/* After a program became ready: auditd and the courier get a link when one of them is new. */
void courier_introduce(struct supervisor *s);
void courier_stats(const struct supervisor *s, struct json_out *j);

/* supervisor_firewall.c; supervisor_firewall.h has how sources are blocked */
MUST_CHECK int start_firewall(struct program *p, struct err *e);
MUST_CHECK int on_firewall(struct program *p, struct frame *f, struct err *e);
/* The kernel has the table, as far as is known; true where no firewall is configured. */
bool firewall_in_force(const struct supervisor *s);
void firewall_tick(struct supervisor *s, uint64_t now_ms);
void firewall_stats(const struct supervisor *s, struct json_out *j);

/* supervisor_admission.c */
/* text NULL: for this reason sessions may start. Tells authd when that changes. */
void admission_set(struct supervisor *s, enum admission_reason reason, const char *text,
                   bool glass);
/* To a fresh authd. */
void admission_give(struct supervisor *s);
/* Why no session starts; NULL: they do. */
const char *admission_closed(const struct supervisor *s);

/* supervisor_reader.c */
MUST_CHECK int on_read(struct program *authd, struct frame *f, struct err *e);
/* Whether the process was a reader. */
bool readers_reaped(struct supervisor *s, pid_t pid, int status);
/* All end soon. */
void readers_end(struct supervisor *s);
unsigned readers_count(const struct supervisor *s);

/* supervisor_stats.c */
MUST_CHECK int stats_write(struct supervisor *s, struct buf *out);

/* --- supervisor_retention.c: orders of custodians between authd and auditd */

MUST_CHECK int retention_from_authd(struct program *p, const struct frame *f, struct err *e);
MUST_CHECK int retention_from_auditd(struct program *p, const struct frame *f, struct err *e);

#endif
