/* SPDX-License-Identifier: Apache-2.0
 *
 * The verb `read`: a reviewer on this machine asks for recordings. First a READER record says who
 * and what, durable; then the supervisor starts a reader for exactly that, and the reviewer's end
 * of its stream is passed on with the reply. authd never reads it: what is sealed stays so, and
 * what is clear is the trail's. Runs in authd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/record_source.h"
#include "auth/control.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "gateway/messages.h"

#define REASON_MAX 500u
#define USE_MAX    32u

static const char *text_of(const struct control_client *client, const char *member)
{
    const json_t *value = json_object_get(client->request, member);

    return json_is_string(value) ? json_string_value(value) : "";
}

/* What is asked for, checked. 0, or what is wrong in words. */
static const char *selection_of(const struct control_client *client, struct source_selection *out)
{
    struct err e = ERR_INIT;
    const char *session = text_of(client, "session");
    const int what = source_what_parse(text_of(client, "what"));

    *out = (struct source_selection){.follow =
                                         json_is_true(json_object_get(client->request, "follow"))};
    if (what < 0)
        return "what is to be read? session, clear, gateway or everything";
    out->what = (enum source_what)what;
    if (strlen(text_of(client, "reason")) > REASON_MAX || strlen(text_of(client, "for")) > USE_MAX)
        return "the reason is too long";
    if (what == SOURCE_SESSION && source_name_check(session, &e) < 0)
        return "a session is named by at least 4 digits of its id (0-9, a-f), or `last`";
    if (what == SOURCE_SESSION)
        snprintf(out->session, sizeof out->session, "%s", session);
    return NULL;
}

/* READER {event, uid, user, admin, what, session, follow, for, reason, refused}. */
static int write_record(const struct control_client *client, const char *event, const char *refused,
                        struct buf *payload)
{
    const char *reason = text_of(client, "reason"), *use = text_of(client, "for");
    const char *what = text_of(client, "what"), *session = text_of(client, "session");
    struct json_out j;

    json_begin(&j, payload);
    json_str(&j, "event", event);
    json_u64(&j, "uid", client->uid);
    json_str(&j, "user", client->name[0] ? client->name : NULL);
    json_bool(&j, "admin", client->rights & CONTROL_ADMIN);
    json_bytes(&j, "what", what, strnlen(what, USE_MAX));
    if (session[0])
        json_bytes(&j, "session", session, strnlen(session, SOURCE_NAME_MAX));
    json_bool(&j, "follow", json_is_true(json_object_get(client->request, "follow")));
    if (use[0])
        json_bytes(&j, "for", use, strnlen(use, USE_MAX));
    if (reason[0])
        json_bytes(&j, "reason", reason, strnlen(reason, REASON_MAX));
    if (refused)
        json_str(&j, "refused", refused);
    return json_end(&j);
}

static void ask_supervisor(struct control_client *client)
{
    struct authd *a = control_authd(client->control);
    struct authd_read m = {.request = client->id, .uid = client->uid};
    struct source_selection selection;
    struct err e = ERR_INIT;
    const char *wrong = selection_of(client, &selection);

    if (wrong || client->fd < 0) {
        control_refuse(client, "usage", "%s", wrong ? wrong : "gone");
        return;
    }
    m.what = (uint8_t)selection.what;
    m.follow = selection.follow;
    snprintf(m.session, sizeof m.session, "%s", selection.session);
    control_wait(client, CONTROL_READING);
    watch_sent(a->supervisor, authd_read_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

void control_verb_read(struct control_client *client)
{
    struct source_selection selection;
    struct buf payload;
    const char *wrong = selection_of(client, &selection);

    if (wrong) {
        control_refuse(client, "usage", "%s", wrong);
        return;
    }
    if (!control_may_read_now(client)) {
        control_refuse(client, "busy", "too many requests to read; try again in a minute");
        return;
    }
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    if (write_record(client, "read", NULL, &payload) < 0) {
        buf_clear(&payload);
        control_refuse(client, "full", "the request is too long to be recorded");
        return;
    }
    control_recorded(client, RECORD_READER, &payload, ask_supervisor);
}

/* Somebody without the right to anything here. */
void control_record_refused(struct authd *a, uint32_t uid)
{
    struct control_client nobody = {.uid = uid};
    struct buf payload;

    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    if (write_record(&nobody, "refused", "not in admins or readers", &payload) < 0 ||
        authd_record(a, RECORD_READER, &payload, NULL, 0) < 0)
        log_warn("control-denied", "uid=%u recorded=no", uid);
    buf_clear(&payload);
}

/* The reply with the descriptor: one line, which a fresh socket takes as a whole. */
static bool send_with_fd(int socket, const char *line, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    struct cmsghdr *c;

    memset(&control, 0, sizeof control);
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)iov.iov_len;
}

void control_reading(struct control *c, uint64_t request, int fd)
{
    struct control_client *client = control_client_waiting(c, request, CONTROL_READING);

    if (client) {
        if (buf_len(&client->out) == 0 &&
            send_with_fd(client->fd, "{\"ok\":true,\"reader\":true}\n", fd))
            control_answered(client);
        else
            control_drop(client);
    }
    close(fd);
}

void control_read_failed(struct control *c, uint64_t request, const char *text)
{
    struct control_client *client = control_client_waiting(c, request, CONTROL_READING);

    if (client)
        control_refuse(client, "busy", "%s", text);
}
