/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests on a channel: terminal, variables, start, resize, signal. What comes before the start is
 * kept until the start says what it is for, is judged and recorded as one, and goes to the target
 * one by one (libssh permits one unanswered request for each channel), each when its record is
 * durable. Runs in the backend; the requests are the frontend's, hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/backend_session.h"

static void request_free(struct request *q)
{
    if (q == NULL)
        return;
    free(q->name);
    free(q->value);
    free(q);
}

void requests_clear(struct channel *ch)
{
    while (ch->requests != NULL) {
        struct request *q = ch->requests;
        ch->requests = q->next;
        request_free(q);
    }
    ch->request_count = 0;
    free(ch->env);
    ch->env = NULL;
    ch->env_count = 0;
}

/* name and value are copied; NULL stays NULL. NULL when memory is out: the session ends. */
static struct request *append(struct channel *ch, enum request_kind kind, uint64_t record,
                              const char *name, const char *value)
{
    struct request *q = calloc(1, sizeof *q), **end = &ch->requests;

    if (q == NULL || (name != NULL && (q->name = strdup(name)) == NULL) ||
        (value != NULL && (q->value = strdup(value)) == NULL)) {
        request_free(q);
        end_begin(ch->owner, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
        return NULL;
    }
    q->kind = kind;
    q->record = record;
    while (*end != NULL)
        end = &(*end)->next;
    *end = q;
    ch->request_count++;
    return q;
}

/* Requests are for a channel on which nothing was started. */
static bool before_start(struct channel *ch, const char *what)
{
    if (ch->state == CHANNEL_OPENING || ch->state == CHANNEL_OPEN)
        return true;
    if (ch->state != CHANNEL_REFUSED)
        relay_violation(ch->owner, "%s after the start of channel %u", what, ch->id);
    return false;
}

static void set_size(struct channel *ch, uint32_t columns, uint32_t rows, uint32_t width_px,
                     uint32_t height_px)
{
    /* libssh takes int; no terminal is larger (the protocol's own fields are 32 bits). */
    ch->columns = columns > 10000 ? 10000 : columns;
    ch->rows = rows > 10000 ? 10000 : rows;
    ch->width_px = width_px > 100000 ? 100000 : width_px;
    ch->height_px = height_px > 100000 ? 100000 : height_px;
}

void request_pty(struct channel *ch, const struct relay_pty *m)
{
    bool second = ch->pty_asked;

    ch->pty_asked = true;
    if (!before_start(ch, "pty"))
        return;
    if (second) {
        relay_violation(ch->owner, "a second terminal on channel %u", ch->id);
        return;
    }
    ch->pty = true;
    snprintf(ch->term, sizeof ch->term, "%s", judge_term(m->term));
    set_size(ch, m->columns, m->rows, m->width_px, m->height_px);
}

void request_env(struct channel *ch, const struct relay_env *m)
{
    if (!before_start(ch, "env") || !judge_env(ch->owner, m))
        return;
    if (ch->env == NULL)
        ch->env = calloc(ENV_MAX, sizeof *ch->env);
    if (ch->env == NULL || ch->env_count == ENV_MAX) {
        record_refusal(ch->owner, ch->id, "env", "limit", m->name, strlen(m->name),
                       "too many variables");
        return;
    }
    for (unsigned i = 0; i < ch->env_count; i++) {
        if (strcmp(ch->env[i].name, m->name) == 0) {
            ch->env[i] = *m; /* as sshd does; and a record has each name once */
            return;
        }
    }
    ch->env[ch->env_count++] = *m;
}

/* The terminal's size, with its name when it is new. */
static int record_size(struct channel *ch, bool first, uint64_t *number)
{
    struct json_record r;

    record_begin(&r);
    if (first)
        json_str(&r.json, "term", ch->term);
    json_u64(&r.json, "columns", ch->columns);
    json_u64(&r.json, "rows", ch->rows);
    json_u64(&r.json, "width_px", ch->width_px);
    json_u64(&r.json, "height_px", ch->height_px);
    return record_end(ch->owner, &r, RECORD_RESIZE, ch->id, WANT_DURABLE, number);
}

static int record_exec(struct channel *ch, const struct relay_start *m,
                       const struct rule_verdict *v, const char *forward, uint64_t *number)
{
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "event", "start");
    json_str(&r.json, "kind", m->kind == START_SHELL ? "shell" : "exec");
    if (m->kind == START_EXEC)
        json_bytes(&r.json, "command", m->command.p, m->command.len);
    if (v->rule[0] != '\0')
        json_str(&r.json, "rule", v->rule);
    /* Under rules nothing goes on as it was sent, though none of them may name it. */
    if (m->kind == START_EXEC && narrow_rules_restrict(ch->owner))
        json_str(&r.json, "forwarded", forward);
    json_bool(&r.json, "pty", ch->pty);
    if (ch->stdin_digest)
        json_str(&r.json, "stdin", "digest");
    if (ch->pty_asked && !ch->pty)
        json_bool(&r.json, "pty_asked", true);
    json_open_object(&r.json, "env");
    for (unsigned i = 0; i < ch->env_count; i++)
        json_str(&r.json, ch->env[i].name, ch->env[i].value);
    json_close(&r.json);
    return record_end(ch->owner, &r, RECORD_EXEC, ch->id, WANT_DURABLE, number);
}

/* As the start of a command, without a command. */
static int record_subsystem(struct channel *ch, const struct relay_start *m, uint64_t *number)
{
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "event", "start");
    json_bytes(&r.json, "subsystem", m->command.p, m->command.len);
    if (ch->pty_asked)
        json_bool(&r.json, "pty_asked", true);
    return record_end(ch->owner, &r, RECORD_SUBSYSTEM, ch->id, WANT_DURABLE, number);
}

/* What a permitted start is called in the clear. */
static const char *start_name(uint8_t kind)
{
    static const char *const names[] = {
        [START_SHELL] = "shell", [START_EXEC] = "exec", [START_SUBSYSTEM] = "sftp"};
    return names[kind];
}

/* The words as they were sent: they are judged again when the grant becomes less. */
static bool keep_command(struct channel *ch, struct bytes command)
{
    if (command.len == 0)
        return true;
    ch->command = malloc(command.len);
    if (ch->command == NULL) {
        end_begin(ch->owner, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
        return false;
    }
    memcpy(ch->command, command.p, command.len);
    ch->command_len = command.len;
    return true;
}

/* Judged and permitted: records, then queues all that belongs to the start. */
static void start_permitted(struct channel *ch, const struct relay_start *m,
                            const struct rule_verdict *v, const struct buf *forward)
{
    uint64_t size_record = 0, record = 0;
    char *command = buf_string(forward);
    struct request *q;
    int rc;

    if (command == NULL) {
        end_begin(ch->owner, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
        return;
    }
    bool subsystem = m->kind == START_SUBSYSTEM;
    ch->kind = (enum start_kind)m->kind;
    if (!keep_command(ch, m->command))
        goto out;
    if (subsystem || (ch->pty && !judge_pty(ch->owner, ch, (enum start_kind)m->kind)))
        ch->pty = false;
    bulk_start(ch, (enum start_kind)m->kind, ch->stdin_digest);
    if (subsystem && !sftp_begin(ch)) {
        end_begin(ch->owner, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
        goto out;
    }
    rc = subsystem ? record_subsystem(ch, m, &record) : record_exec(ch, m, v, command, &record);
    if (rc == ERR_FULL) {
        const char *text = "the command is too long to be recorded, so it does not run";
        record_refused_start(ch->owner, ch, m, "length", NULL, text);
        channel_start_failed(ch, text, EXIT_REFUSED);
        goto out;
    }
    if (rc == 0)
        rc = record_permitted(ch->owner, ch->id, start_name(m->kind), ch->pty, v, &record);
    if (rc != 0 || (ch->pty && record_size(ch, true, &size_record) != 0))
        goto out;
    if (ch->pty) {
        q = append(ch, REQUEST_PTY, size_record, ch->term, NULL);
        if (q == NULL)
            goto out;
        q->columns = ch->columns;
        q->rows = ch->rows;
    }
    for (unsigned i = 0; i < ch->env_count; i++)
        if (append(ch, REQUEST_ENV, record, ch->env[i].name, ch->env[i].value) == NULL)
            goto out;
    q = append(ch, REQUEST_START, record, NULL, command);
    if (q != NULL)
        q->start = (enum start_kind)m->kind;
    if (ch->state == CHANNEL_OPEN)
        ch->state = CHANNEL_STARTING;
out:
    free(command);
    free(ch->env);
    ch->env = NULL;
    ch->env_count = 0;
}

void request_start(struct channel *ch, const struct relay_start *m)
{
    struct backend *b = ch->owner;
    struct rule_verdict verdict;
    char text[1001];
    struct buf forward;

    /* Behind the session's end nothing is recorded, so nothing is started and nothing answered. */
    if (b->end.record != 0 || b->trail.stopped)
        return;
    if (ch->state == CHANNEL_REFUSED && !ch->start_asked && m->kind <= START_SUBSYSTEM) {
        ch->start_asked = true;
        snprintf(text, sizeof text, "%s closed the channel", b->granted.target);
        record_refused_start(b, ch, m, "target", NULL, text);
        channel_start_failed(ch, text, EXIT_TARGET_DOWN);
        return;
    }
    if (!before_start(ch, "start"))
        return;
    if (m->kind > START_SUBSYSTEM || ch->start_asked) {
        relay_violation(b, "a second start, or one of unknown kind %u, on channel %u", m->kind,
                        ch->id);
        return;
    }
    ch->start_asked = true;
    b->active_ms = b->now_ms;
    buf_init(&forward, COMMAND_FORWARD_MAX);
    if (judge_start(b, ch, m, &verdict, &forward, text))
        start_permitted(ch, m, &verdict, &forward);
    else
        channel_start_failed(ch, text, EXIT_REFUSED);
    buf_clear(&forward);
}

void request_resize(struct channel *ch, const struct relay_resize *m)
{
    struct request *last = ch->requests;
    uint64_t record = 0;

    if (ch->state == CHANNEL_REFUSED)
        return;
    if (!ch->pty) {
        /* OpenSSH tells every change of its window's size, also when it got no terminal. */
        return;
    }
    set_size(ch, m->columns, m->rows, m->width_px, m->height_px);
    if (!ch->start_asked)
        return; /* the start's own record will say it */
    if (record_size(ch, false, &record) != 0)
        return;
    while (last != NULL && last->next != NULL)
        last = last->next;
    if (last == NULL || last->kind != REQUEST_RESIZE)
        last = append(ch, REQUEST_RESIZE, record, NULL, NULL);
    if (last == NULL)
        return;
    last->record = record;
    last->columns = ch->columns;
    last->rows = ch->rows;
}

void request_signal(struct channel *ch, const struct relay_signal *m)
{
    struct json_record r;
    uint64_t record = 0;

    if ((ch->state != CHANNEL_STARTING && ch->state != CHANNEL_RUNNING) || ch->forward != NULL)
        return;
    if (!judge_signal(ch->owner, m))
        return;
    if (ch->request_count >= REQUESTS_MAX) {
        record_refusal(ch->owner, ch->id, "signal", "limit", m->name, strlen(m->name),
                       "too many signals wait for the target");
        return;
    }
    record_begin(&r);
    json_str(&r.json, "event", "signal");
    json_str(&r.json, "signal", m->name);
    if (record_end(ch->owner, &r, RECORD_EXEC, ch->id, WANT_DURABLE, &record) == 0)
        append(ch, REQUEST_SIGNAL, record, m->name, NULL);
}

static int ask(struct channel *ch, const struct request *q)
{
    switch (q->kind) {
    case REQUEST_PTY:
        return ssh_channel_request_pty_size(ch->ssh, q->name, (int)q->columns, (int)q->rows);
    case REQUEST_ENV:
        return ssh_channel_request_env(ch->ssh, q->name, q->value);
    case REQUEST_START:
        if (q->start == START_SHELL)
            return ssh_channel_request_shell(ch->ssh);
        if (q->start == START_SUBSYSTEM)
            return ssh_channel_request_subsystem(ch->ssh, "sftp");
        return ssh_channel_request_exec(ch->ssh, q->value);
    case REQUEST_RESIZE:
        return ssh_channel_change_pty_size(ch->ssh, (int)q->columns, (int)q->rows);
    case REQUEST_SIGNAL:
        return ssh_channel_request_send_signal(ch->ssh, q->name);
    }
    return SSH_ERROR;
}

static void answered(struct channel *ch, const struct request *q, bool ok)
{
    struct backend *b = ch->owner;
    char text[400];

    if (q->kind == REQUEST_PTY && !ok) {
        snprintf(ch->notice, sizeof ch->notice, "%.150s allocated no terminal", b->granted.target);
    }
    if (q->kind != REQUEST_START)
        return;
    if (!ok) {
        snprintf(text, sizeof text, "%s refused to start the %s", b->granted.target,
                 q->start == START_SHELL  ? "shell"
                 : q->start == START_EXEC ? "command"
                                          : "subsystem sftp");
        channel_record_close(ch, "target");
        channel_start_failed(ch, text, EXIT_TARGET_DOWN);
        return;
    }
    struct relay_started m = {.channel = ch->id, .ok = 1};
    struct err e = ERR_INIT;
    snprintf(m.text, sizeof m.text, "%s", ch->notice);
    ch->state = CHANNEL_RUNNING;
    if (b->relay == NULL)
        return;
    int rc = relay_started_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
    else {
        narrow_tell_waiting(b, ch);
        unseen_tell_waiting(b, ch);
    }
}

void requests_step(struct channel *ch)
{
    struct backend *b = ch->owner;

    while (ch->requests != NULL && ch->ssh != NULL && target_alive(b) &&
           ch->state != CHANNEL_OPENING && ch->state != CHANNEL_REFUSED) {
        struct request *q = ch->requests;
        /* A quick command's answer, output and close come at once: the answer counts. */
        if (!q->sent && (ch->target_closed || !record_settled(b, q->record, WANT_DURABLE)))
            return;
        int rc = ask(ch, q);
        q->sent = true;
        if (rc == SSH_AGAIN)
            return;
        if (!target_alive(b))
            return;
        ch->requests = q->next;
        ch->request_count--;
        answered(ch, q, rc == SSH_OK);
        request_free(q);
    }
}
