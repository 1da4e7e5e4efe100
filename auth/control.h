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
#define CONTROL_ADMINS_MAX      256
/* 50,000 operators (policy.md) of 300 bytes each. */
#define CONTROL_REPLY_MAX (32u * 1024 * 1024)
#define CONTROL_WAIT_MS   60000

struct control;

/* What a client waits for besides records. */
enum control_waiting { CONTROL_IDLE, CONTROL_RECORD, CONTROL_POLICY, CONTROL_STATS };

struct control_client {
    struct control_client *next;
    struct control *control;
    uint64_t id;
    int fd; /* -1: it left while its act was under way */
    uint32_t uid;
    struct event *readable, *writable;
    struct buf in, out;
    enum control_waiting waiting;
    uint64_t deadline_ms; /* idle, or waiting for the supervisor */
    json_t *request;      /* of the act that waits for its record */
    void (*effect)(struct control_client *client);
};

/* Takes the listening socket. admins: u32 uids, big-endian. NULL on error. */
struct control *control_new(struct authd *a, int fd, struct bytes admins, struct err *e);
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

/* The answers to those who wait. generation 0: refused, with text. */
void control_policy_result(struct control *c, uint64_t generation, const uint8_t *hash,
                           const char *text);
void control_stats(struct control *c, struct bytes json);

/* auth/control_verbs.c: runs the request that is in client->request. */
void control_verb(struct control_client *client);
/* The reply to `status`, with the supervisor's part. */
json_t *control_status(struct authd *a, struct bytes supervisor_json);

#endif
