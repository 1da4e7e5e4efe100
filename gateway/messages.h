/* SPDX-License-Identifier: Apache-2.0
 *
 * Every link between the processes: structs, encoders, decoders and tables, made from the *.def
 * files, and the small enumerations that cross them. */
#ifndef SALLYPORT_GATEWAY_MESSAGES_H
#define SALLYPORT_GATEWAY_MESSAGES_H

#define MSG_TABLE "gateway/listener.def"
#include "base/msg_declare.h"
#define MSG_TABLE "gateway/forks.def"
#include "base/msg_declare.h"
#define MSG_TABLE "gateway/relay.def"
#include "base/msg_declare.h"
#define MSG_TABLE "auth/authd.def"
#include "base/msg_declare.h"
#define MSG_TABLE "auth/login.def"
#include "base/msg_declare.h"
#define MSG_TABLE "auth/grant.def"
#include "base/msg_declare.h"
#define MSG_TABLE "audit/trail.def"
#include "base/msg_declare.h"
#define MSG_TABLE "audit/auditd.def"
#include "base/msg_declare.h"
#define MSG_TABLE "audit/elsewhere.def"
#include "base/msg_declare.h"
#define MSG_TABLE "gateway/courier.def"
#include "base/msg_declare.h"
#define MSG_TABLE "gateway/firewall.def"
#include "base/msg_declare.h"
#define MSG_TABLE "audit/reader.def"
#include "base/msg_declare.h"

/* authd.start: bits of what a local user may do on the control socket */
enum control_right { CONTROL_ADMIN = 1, CONTROL_READER = 2 };

/* listener.ready, authd.connection */
enum client_certificate {
    CERTIFICATE_NONE = 0,
    CERTIFICATE_VALID = 1,   /* chain, dates and possession verified by the listener */
    CERTIFICATE_EXPIRED = 2, /* as VALID, but its time is over: counts as none, and is told */
};

/* listener.failed */
enum listener_stage {
    STAGE_TLS = 1,
    STAGE_REQUEST = 2,
    STAGE_DEADLINE = 3,
    STAGE_WAITING = 4, /* by the gateway's own will or fault */
    STAGE_SILENT = 5,  /* closed before a byte of TLS */
    STAGE_PROXY = 6,   /* of a proxy: no PROXY header, or a wrong one */
    STAGE_CHECK = 7,   /* of a proxy: its own connection (LOCAL, UNKNOWN, or no byte at all) */
};

/* authd.failure: how a connection ended without a login, as authd saw it */
enum failure_kind {
    FAILURE_NO_LOGIN = 1,       /* it offered no key */
    FAILURE_FIRST_FACTOR = 2,   /* none of its keys may log in */
    FAILURE_LOGIN_DEADLINE = 3, /* neither in, nor gone */
    FAILURE_BREACH = 4,         /* its frontend broke the protocol */
};

/* login.answer */
enum login_verdict {
    LOGIN_FAILED = 0,   /* try another key; after too many: disconnect */
    LOGIN_ASK_CODE = 1, /* first factor noted; ask for a code, text is the instruction */
    LOGIN_SUCCESS = 2,  /* both factors */
};

/* relay.start */
enum start_kind { START_SHELL = 0, START_EXEC = 1, START_SUBSYSTEM = 2 };

/* relay.refused */
enum refused_kind {
    REFUSED_DIRECT_TCPIP = 1,  /* -L, -D, -J, -W of no form that the backend could judge */
    REFUSED_TCPIP_FORWARD = 2, /* -R */
    REFUSED_X11 = 3,
    REFUSED_AGENT = 4,
    REFUSED_CHANNEL = 5, /* another kind of channel */
    REFUSED_REQUEST = 6, /* another request, or one too many */
    REFUSED_LIMIT = 7,   /* channels at once */
};

/* grant.state */
enum backend_state { BACKEND_LOGGED_IN = 1, BACKEND_FAILED = 2, BACKEND_ENDED = 3 };

/* auditd.admission: what may close the gate for new sessions; each opens it again by itself. */
enum admission_reason {
    ADMISSION_DISK,        /* the trail's disk is nearly full */
    ADMISSION_CHECKPOINTS, /* checkpoints are not known elsewhere */
    ADMISSION_REASONS
};

/* auditd.disk */
enum disk_level { DISK_NORMAL, DISK_SOFT, DISK_HARD, DISK_EXHAUSTED };

/* auditd.disk: the reserve for break-glass sessions */
enum glass_state {
    GLASS_OFF,    /* not configured */
    GLASS_ABSENT, /* there was no room for it, or the file system cannot allocate ahead */
    GLASS_READY,
    GLASS_IN_USE, /* it is the segment that is written */
    GLASS_SPENT,
    GLASS_STATES
};

/* trail.record */
enum trail_want { WANT_NOTHING = 0, WANT_ACCEPTED = 1, WANT_DURABLE = 2 };

/* auditd.producer, and bits in audit/record.def */
enum trail_producer {
    PRODUCER_SUPERVISOR = 1,
    PRODUCER_AUTHD = 2,
    PRODUCER_BACKEND = 4,
    PRODUCER_FRONTEND = 8,
    PRODUCER_AUDITD = 16, /* no link: auditd itself */
};

/* Credit that each direction of a channel starts with. 1 MiB holds the bytes that are under way
 * while a batch of records becomes durable (2 ms at 500 MB/s); two of them per busy channel stay
 * far below the 8 MiB that a stalled session may cost. */
#define RELAY_WINDOW (1024u * 1024u)
/* Bytes of one input or output frame, and of one record's payload made from it. */
#define RELAY_CHUNK        65536u
#define RELAY_CHANNELS_MAX 10u
/* relay.notice: of no channel in particular */
#define RELAY_NEWEST UINT32_MAX

/* Exit statuses with which the gateway itself refuses, after sysexits(3); docs list them. */
enum gateway_exit {
    EXIT_TARGET_DOWN = 69, /* EX_UNAVAILABLE: the target or its key is not right */
    EXIT_TRAIL = 74,       /* EX_IOERR: the trail cannot be written */
    EXIT_TRY_AGAIN = 75,   /* EX_TEMPFAIL: limits, restarts */
    EXIT_REFUSED = 77,     /* EX_NOPERM: policy, lock */
};

#endif
