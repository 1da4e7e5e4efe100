/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/control.h: connections, lines, records of acts. */
#include "auth/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "gateway/messages.h"

struct control {
    struct authd *a;
    int fd;
    struct event *acceptable;
    struct person {
        uint32_t uid;
        unsigned rights;
        char name[34];
        uint64_t minute; /* in which `reads` are counted */
        unsigned reads;
    } people[CONTROL_PEOPLE_MAX];
    size_t people_count;
    uint64_t refused_minute; /* in which a refusal was recorded last */
    struct control_client *first;
    size_t clients;
    uint64_t last_id;
};

struct authd *control_authd(struct control *c)
{
    return c->a;
}

/* ---- clients ---- */

static void close_client(struct control_client *client)
{
    if (client->readable)
        event_free(client->readable);
    if (client->writable)
        event_free(client->writable);
    client->readable = client->writable = NULL;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

static void free_client(struct control_client *client)
{
    struct control *c = client->control;
    struct control_client **p = &c->first;
    while (*p != client)
        p = &(*p)->next;
    *p = client->next;
    c->clients--;
    close_client(client);
    buf_wipe(&client->in);
    buf_wipe(&client->out);
    json_decref(client->request);
    free(client);
}

/* The peer is gone. An act that was recorded is carried out all the same. */
static void leave(struct control_client *client)
{
    if (client->waiting == CONTROL_RECORD)
        close_client(client);
    else
        free_client(client);
}

static bool write_out(struct control_client *client)
{
    while (client->fd >= 0 && buf_len(&client->out) > 0) {
        ssize_t n = send(client->fd, buf_head(&client->out), buf_len(&client->out),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            buf_consume(&client->out, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            event_add(client->writable, NULL);
            return true;
        } else {
            return false;
        }
    }
    return true;
}

static void set_waiting(struct control_client *client, enum control_waiting waiting)
{
    client->waiting = waiting;
    client->deadline_ms = clock_mono_ms() + CONTROL_WAIT_MS;
    authd_tick_soon(client->control->a);
}

static void on_line(struct control_client *client, const char *line, size_t len)
{
    json_error_t error;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    json_decref(client->request);
    client->request = request;
    if (!json_is_object(request))
        control_refuse(client, "syntax", "the request is not a JSON object: %s", error.text);
    else
        control_verb(client);
}

/* Runs the requests that have come, one after another, until one waits. */
static void take_lines(struct control_client *client)
{
    struct control *c = client->control;
    const uint64_t id = client->id;
    while (client->fd >= 0 && client->waiting == CONTROL_IDLE) {
        const uint8_t *head = buf_head(&client->in);
        const uint8_t *newline =
            buf_len(&client->in) ? memchr(head, '\n', buf_len(&client->in)) : NULL;
        if (!newline) {
            if (buf_room(&client->in) == 0)
                leave(client);
            return;
        }
        size_t len = (size_t)(newline - head);
        char *line = malloc(len + 1);
        if (!line)
            return;
        memcpy(line, head, len);
        buf_consume(&client->in, len + 1);
        on_line(client, line, len);
        wipe(line, len);
        free(line);
        for (client = c->first; client && client->id != id; client = client->next)
            ;
        if (!client)
            return;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct control_client *client = arg;
    uint8_t bytes[4096];
    (void)what;
    size_t want = buf_room(&client->in) < sizeof bytes ? buf_room(&client->in) : sizeof bytes;
    ssize_t n = want ? recv(fd, bytes, want, MSG_DONTWAIT) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    const bool taken = n > 0 && buf_put(&client->in, bytes, (size_t)n) == 0;
    wipe(bytes, sizeof bytes); /* perhaps a password's hash */
    if (!taken) {
        leave(client);
        return;
    }
    if (client->waiting == CONTROL_IDLE)
        set_waiting(client, CONTROL_IDLE);
    take_lines(client);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    if (!write_out(arg))
        leave(arg);
}

static struct person *person_of(struct control *c, uint32_t uid)
{
    for (size_t i = 0; i < c->people_count; i++)
        if (c->people[i].uid == uid)
            return &c->people[i];
    return NULL;
}

bool control_may_read_now(struct control_client *client)
{
    struct person *p = person_of(client->control, client->uid);
    const uint64_t minute = clock_mono_ms() / 60000;

    if (!p)
        return false;
    if (p->minute != minute)
        p->reads = 0;
    p->minute = minute;
    return p->reads++ < CONTROL_READS_A_MINUTE;
}

static void note_refused(struct control *c, uint32_t uid)
{
    const uint64_t minute = clock_mono_ms() / 60000 + 1;

    log_warn("control-denied", "uid=%u", uid);
    /* One record a minute, so that nobody fills the trail; the log has them all. */
    if (minute == c->refused_minute)
        return;
    c->refused_minute = minute;
    control_record_refused(c->a, uid);
}

static void on_acceptable(evutil_socket_t listening, short what, void *arg)
{
    struct control *c = arg;
    struct ucred peer;
    socklen_t len = sizeof peer;
    const struct person *person = NULL;
    (void)what;

    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        person = person_of(c, peer.uid);
    struct control_client *client = calloc(1, sizeof *client);
    if (!client || c->clients >= CONTROL_CONNECTIONS_MAX || !person) {
        static const char denied[] = "{\"ok\":false,\"error\":\"this user is not in `admins` or "
                                     "`readers` of sallyport.yaml\",\"code\":\"denied\"}\n";
        static const char busy[] =
            "{\"ok\":false,\"error\":\"too many connections\",\"code\":\"busy\"}\n";
        const char *text = person ? busy : denied;
        if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            log_debug("control", "refusal not sent");
        if (!person)
            note_refused(c, peer.uid);
        free(client);
        close(fd);
        return;
    }
    *client = (struct control_client){
        .next = c->first, .control = c, .id = ++c->last_id, .fd = fd, .uid = peer.uid};
    client->rights = person->rights;
    memcpy(client->name, person->name, sizeof client->name);
    c->first = client;
    c->clients++;
    buf_init(&client->in, CONTROL_LINE_MAX);
    buf_init(&client->out, CONTROL_REPLY_MAX);
    client->readable = event_new(c->a->base, fd, EV_READ | EV_PERSIST, on_readable, client);
    client->writable = event_new(c->a->base, fd, EV_WRITE, on_writable, client);
    if (!client->readable || !client->writable || event_add(client->readable, NULL) < 0)
        free_client(client);
    else
        set_waiting(client, CONTROL_IDLE);
}

/* ---- replies ---- */

void control_reply(struct control_client *client, json_t *reply)
{
    char *text = reply ? json_dumps(reply, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(reply);
    bool ok = text && buf_put(&client->out, text, strlen(text)) == 0 &&
              buf_put(&client->out, "\n", 1) == 0;
    if (text)
        wipe(text, strlen(text));
    free(text);
    client->effect = NULL;
    set_waiting(client, CONTROL_IDLE);
    if (!ok || client->fd < 0 || !write_out(client))
        free_client(client);
}

void control_refuse(struct control_client *client, const char *token, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", text, "code", token);
    if (!reply) /* bytes that are no UTF-8 */
        reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", err_text(ERR_INPUT), "code", token);
    control_reply(client, reply);
}

/* ---- acts ---- */

static void act_recorded(void *arg, uint64_t id, int rc)
{
    struct authd *a = arg;
    struct control_client *client = a->control->first;
    while (client && client->id != id)
        client = client->next;
    if (!client || client->waiting != CONTROL_RECORD)
        return;
    if (rc < 0) {
        control_refuse(client, "trail",
                       "the recorder is not available, and nothing is done unrecorded");
    } else {
        client->effect(client);
    }
    /* The effect may have freed the client: look it up again for what else has come. */
    for (client = a->control->first; client && client->id != id; client = client->next)
        ;
    if (client && client->fd >= 0 && client->waiting == CONTROL_IDLE)
        take_lines(client);
}

void control_recorded(struct control_client *client, enum record_type type, struct buf *payload,
                      void (*effect)(struct control_client *client))
{
    client->effect = effect;
    set_waiting(client, CONTROL_RECORD);
    if (authd_record(client->control->a, type, payload, act_recorded, client->id) < 0)
        control_refuse(client, "trail",
                       "the recorder is not available, and nothing is done unrecorded");
}

void control_wait(struct control_client *client, enum control_waiting waiting)
{
    set_waiting(client, waiting);
}

struct control_client *control_client_waiting(struct control *c, uint64_t id,
                                              enum control_waiting waiting)
{
    for (struct control_client *client = c ? c->first : NULL; client; client = client->next)
        if (client->id == id)
            return client->waiting == waiting ? client : NULL;
    return NULL;
}

void control_answered(struct control_client *client)
{
    client->effect = NULL;
    set_waiting(client, CONTROL_IDLE);
}

void control_drop(struct control_client *client)
{
    free_client(client);
}

void control_pruned(struct control *c, uint64_t id, bool ok, const char *text)
{
    for (struct control_client *client = c ? c->first : NULL; client; client = client->next) {
        if (client->id != id || client->waiting != CONTROL_PRUNE)
            continue;
        if (ok)
            control_reply(client, json_pack("{s:b, s:s}", "ok", 1, "text", text));
        else
            control_refuse(client, "denied", "%s", text);
        return;
    }
}

void control_act(struct control_client *client, const char *event,
                 void (*effect)(struct control_client *client))
{
    control_act_as(client, RECORD_ADMIN, event, effect);
}

void control_act_as(struct control_client *client, enum record_type type, const char *event,
                    void (*effect)(struct control_client *client))
{
    static const char *const members[] = {"operator", "reason",  "target", "account", "what",
                                          "detail",   "session", "order",  "source"};
    struct buf payload;
    struct json_out j;

    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", event);
    json_u64(&j, "admin_uid", client->uid);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *value = json_object_get(client->request, members[i]);
        if (json_is_string(value))
            json_bytes(&j, members[i], json_string_value(value), json_string_length(value));
    }
    if (json_end(&j) < 0) {
        buf_clear(&payload);
        control_refuse(client, "full", "the request is too long to be recorded");
        return;
    }
    control_recorded(client, type, &payload, effect);
}

void control_each_waiting(struct control *c, enum control_waiting waiting,
                          void (*each)(struct control_client *client, void *arg), void *arg)
{
    for (struct control_client *client = c ? c->first : NULL, *next; client; client = next) {
        next = client->next;
        if (client->waiting == waiting)
            each(client, arg);
    }
}

void control_stats(struct control *c, struct bytes json)
{
    for (struct control_client *client = c->first, *next; client; client = next) {
        next = client->next;
        if (client->waiting == CONTROL_STATS)
            control_reply(client, control_status(c->a, json));
    }
}

bool control_tick(struct control *c, uint64_t now_ms)
{
    static const struct bytes none = {(const uint8_t *)"", 0};
    bool more = false;
    for (struct control_client *client = c->first, *next; client; client = next) {
        next = client->next;
        more = true;
        if (now_ms < client->deadline_ms || client->waiting == CONTROL_RECORD)
            continue;
        if (client->waiting == CONTROL_POLICY)
            control_refuse(client, "timeout", "no policy set came; the log of sallyportd says why");
        else if (client->waiting == CONTROL_STATS)
            control_reply(client, control_status(c->a, none));
        else if (client->waiting == CONTROL_READING)
            control_refuse(client, "timeout",
                           "no reader was started; the log of sallyportd says why");
        else if (client->waiting == CONTROL_SOURCES)
            control_refuse(client, "timeout", "no answer came; the log of sallyportd says why");
        else if (client->waiting == CONTROL_PRUNE)
            control_refuse(client, "timeout",
                           "the recorder is still at it; its log and the trail's prune record say "
                           "how it ends");
        else
            free_client(client);
    }
    return more;
}

/* A uid may stand in both lists. */
static int take_people(struct control *c, struct bytes people, struct err *e)
{
    struct wire_reader w;

    wire_reader_init(&w, people.p, people.len);
    while (w.left > 0 && !w.failed) {
        const uint32_t uid = wire_get_u32(&w);
        struct person *p = person_of(c, uid);

        if (!p && c->people_count == CONTROL_PEOPLE_MAX)
            return err_set(e, ERR_FULL, "too many people for the control socket");
        if (!p)
            p = &c->people[c->people_count++];
        p->uid = uid;
        p->rights |= wire_get_u8(&w);
        wire_get_str(&w, p->name, sizeof p->name - 1);
    }
    return wire_get_end(&w, e);
}

struct control *control_new(struct authd *a, int fd, struct bytes people, struct err *e)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        err_set(e, ERR_MEMORY, "control socket");
        return NULL;
    }
    c->a = a;
    c->fd = fd;
    if (take_people(c, people, e) < 0) {
        control_free(c);
        return NULL;
    }
    c->acceptable = event_new(a->base, fd, EV_READ | EV_PERSIST, on_acceptable, c);
    if (evutil_make_socket_nonblocking(fd) < 0 || !c->acceptable ||
        event_add(c->acceptable, NULL) < 0) {
        control_free(c);
        err_set(e, ERR_MEMORY, "control socket");
        return NULL;
    }
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    while (c->first)
        free_client(c->first);
    if (c->acceptable)
        event_free(c->acceptable);
    close(c->fd);
    free(c);
}
