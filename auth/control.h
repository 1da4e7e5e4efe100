/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket: administrators on this machine, known by SO_PEERCRED. One JSON object a line
 * each way, one request at a time a connection; lines and connections are bounded. The
 * verbs are in auth/control_verbs.c. Every act is recorded, durable, before its effect. */
#ifndef SALLYPORT_AUTH_CONTROL_H
#define SALLYPORT_AUTH_CONTROL_H

#include <jansson.h>

#include "auth/authd_state.h"

#define CONTROL_CONNECTIONS_MAX 32
#define CONTROL_LINE_MAX        65536
#define CONTROL_PEOPLE_MAX      128
/* One uid may begin to read so often in a minute: a person looks at far fewer recordings, and each
 * is a process and a record. */
#define CONTROL_READS_A_MINUTE 60
/* 50,000 operators (policy.md) of 300 bytes each. */
#define CONTROL_REPLY_MAX (32u * 1024 * 1024)
#define CONTROL_WAIT_MS   60000

struct control;

/* What a client waits for besides records. */
enum control_waiting {
    CONTROL_IDLE,
    CONTROL_RECORD,
    CONTROL_POLICY,
    CONTROL_STATS,
    CONTROL_READING,
    CONTROL_PRUNE,
    CONTROL_SOURCES
};

struct control_client {
    struct control_client *next;
    struct control *control;
    uint64_t id;
    int fd; /* -1: it left while its act was under way */
    uint32_t uid;
    unsigned rights; /* bits of enum control_right */
    char name[34];   /* of the user, as the configuration has it */
    struct event *readable, *writable;
    struct buf in, out;
    enum control_waiting waiting;
    uint64_t deadline_ms; /* idle, or waiting for the supervisor */
    json_t *request;      /* of the act that waits for its record */
    void (*effect)(struct control_client *client);
};

/* Takes the listening socket. people: as authd.start has it. NULL on error. */
struct control *control_new(struct authd *a, int fd, struct bytes people, struct err *e);
void control_free(struct control *c);
struct authd *control_authd(struct control *c);
/* Deadlines. True while there is one to come. */
bool control_tick(struct control *c, uint64_t now_ms);

/* The reply; takes it. */
void control_reply(struct control_client *client, json_t *reply);
void control_refuse(struct control_client *client, const char *token, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Records an ADMIN act {event, admin's uid, operator/target..., detail}, then calls effect. */
void control_act(struct control_client *client, const char *event,
                 void (*effect)(struct control_client *client));
/* The same, as a record of this type. */
void control_act_as(struct control_client *client, enum record_type type, const char *event,
                    void (*effect)(struct control_client *client));

/* Records payload (clears it), then calls effect; refuses when it cannot be recorded. */
void control_recorded(struct control_client *client, enum record_type type, struct buf *payload,
                      void (*effect)(struct control_client *client));
/* Waits for an answer of the supervisor, CONTROL_WAIT_MS at most. */
void control_wait(struct control_client *client, enum control_waiting waiting);
/* The client that waits so, NULL: gone. */
struct control_client *control_client_waiting(struct control *c, uint64_t id,
                                              enum control_waiting waiting);
/* Each client that waits so; each answers it. c may be NULL. */
void control_each_waiting(struct control *c, enum control_waiting waiting,
                          void (*each)(struct control_client *client, void *arg), void *arg);
/* It was answered by other means than control_reply; or it cannot be. */
void control_answered(struct control_client *client);
void control_drop(struct control_client *client);
/* Counts one; false: too many in this minute. */
bool control_may_read_now(struct control_client *client);

/* auth/control_read.c */
void control_verb_read(struct control_client *client);
void control_record_refused(struct authd *a, uint32_t uid);
/* The supervisor's answers. fd: the reviewer's end; taken. */
void control_reading(struct control *c, uint64_t request, int fd);
void control_read_failed(struct control *c, uint64_t request, const char *text);

/* auth/control_policy.c: the answers to those who wait for a policy set. warnings: one a line,
 * NULL: none. */
struct live_counts;
void control_policy_loaded(struct control *c, uint64_t generation, const uint8_t hash[32],
                           const struct live_counts *counts, const char *warnings);
void control_policy_refused(struct control *c, const char *text);
void control_stats(struct control *c, struct bytes json);
void control_pruned(struct control *c, uint64_t client, bool ok, const char *text);

/* auth/control_approval.c */
void control_policy_approvals(struct control_client *client);

/* auth/control_retention.c */
void control_audit_hold(struct control_client *client);
void control_audit_prune(struct control_client *client);

/* auth/control_sources.c: `sallyport source` */
void control_source_list(struct control_client *client);
void control_source_unblock(struct control_client *client);
/* The supervisor's answers. */
void control_sources(struct control *c, uint64_t client, struct bytes json);
void control_source_lifted(struct control *c, uint64_t client, uint32_t count);

/* auth/control_password.c: `sallyport user password` */
void control_user_password(struct control_client *client);
void control_user_password_remove(struct control_client *client);

/* auth/control_verbs.c */
/* Is `operator` in operators.yaml? False: the client was refused. */
bool control_operator_known(struct control_client *client);
/* Refuses the client, and logs why. */
void control_store_failed(struct control_client *client, const struct err *e);
/* Runs the request that is in client->request. */
void control_verb(struct control_client *client);
/* The reply to `status`, with the supervisor's part. */
json_t *control_status(struct authd *a, struct bytes supervisor_json);

#endif
